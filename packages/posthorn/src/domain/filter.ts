/** A filter: a CEL expression over `event` by which an endpoint chooses among the events of its types and channels. */
import { EvaluationError } from "@marcbachmann/cel-js";
import { messageOf } from "../base/errors.ts";
import { CelEvent, compileCel } from "./cel.ts";
import { budgetExhausted, EXHAUSTED, refillBudget } from "./cel-budget.ts";
import { nameOf } from "./cel-values.ts";

export { FilterSyntaxError } from "./cel-rules.ts";

export interface FilterEvent {
  readonly id: string;
  readonly type: string;
  /** ISO 8601. */
  readonly timestamp: string;
  readonly channels: readonly string[];
  readonly orderingKey?: string | undefined;
  /** Called each time a filter looks at the data: keep what it gives. Objects must be Maps, as `parseExact` makes them. */
  readonly data: () => unknown;
}

export type FilterVerdict =
  | { readonly kind: "match" }
  | { readonly kind: "no_match" }
  /** The event is not delivered; the endpoint shows the message. */
  | { readonly kind: "error"; readonly message: string };

export interface Filter {
  readonly source: string;
  /** Never throws, and takes under 5 ms, reading the data apart. */
  matches(event: FilterEvent): FilterVerdict;
}

const MATCH: FilterVerdict = { kind: "match" };
const NO_MATCH: FilterVerdict = { kind: "no_match" };

/** What is not there matches nothing; it is no error, because events of one type need not all have every field. */
const MISSING = new Set(["no_such_key", "index_out_of_bounds", "optional_value_missing"]);

/** @throws FilterSyntaxError (`invalid_filter`) that says what is wrong and where */
export function compileFilter(source: string): Filter {
  const evaluate = compileCel(source);
  return { source, matches: (event) => verdict(evaluate, event) };
}

function verdict(evaluate: (event: CelEvent) => unknown, event: FilterEvent): FilterVerdict {
  const { stackTraceLimit } = Error;
  // A missing field is an error inside cel-js; without the stack, which nobody sees, it costs 1 microsecond and not 3.
  Error.stackTraceLimit = 0;
  refillBudget();
  try {
    const { id, type, timestamp, channels, orderingKey, data } = event;
    const result = evaluate(new CelEvent(id, type, timestamp, channels, orderingKey, data));
    if (budgetExhausted()) return failed(EXHAUSTED);
    if (typeof result === "boolean") return result ? MATCH : NO_MATCH;
    return { kind: "error", message: `The filter gave ${nameOf(result)}, not true or false.` };
  } catch (error) {
    if (budgetExhausted()) return failed(EXHAUSTED);
    if (error instanceof EvaluationError && MISSING.has(error.code)) return NO_MATCH;
    return failed(error);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function failed(error: unknown): FilterVerdict {
  const text = error instanceof EvaluationError ? plainTypes(error.summary) : messageOf(error);
  return { kind: "error", message: `The filter failed: ${text.slice(0, 500)}.` };
}

/** cel-js writes dyn<int> for an int that the event brought. */
function plainTypes(text: string): string {
  return text
    .replace(/list<dyn>/g, "list")
    .replace(/map<dyn, dyn>/g, "map")
    .replace(/dyn<(\w+)>/g, "$1");
}
