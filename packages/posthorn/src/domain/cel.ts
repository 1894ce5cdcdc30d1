/** CEL (https://github.com/google/cel-spec) by cel-js, fenced in: one environment for the process, compiled once. */
import { Environment, ParseError, TypeError as TypeCheckError } from "@marcbachmann/cel-js";
import type { CelEvaluator, CelNode } from "./cel-ast.ts";
import { meter } from "./cel-meter.ts";
import { checkRules, FilterSyntaxError } from "./cel-rules.ts";
import { equal, mixedArithmetic } from "./cel-values.ts";

const SOURCE_LENGTH_MAX = 4096;
const NODES_MAX = 1000;

/** `event` as a filter sees it. */
export class CelEvent {
  readonly id: string;
  readonly type: string;
  readonly timestamp: string;
  readonly channels: readonly string[];
  readonly orderingKey: string | undefined;
  readonly #data: () => unknown;

  constructor(
    id: string,
    type: string,
    timestamp: string,
    channels: readonly string[],
    orderingKey: string | undefined,
    data: () => unknown,
  ) {
    this.id = id;
    this.type = type;
    this.timestamp = timestamp;
    this.channels = channels;
    this.orderingKey = orderingKey;
    this.#data = data;
  }

  get data(): unknown {
    return this.#data();
  }
}

const environment = new Environment({
  enableOptionalTypes: true,
  homogeneousAggregateLiterals: false,
  limits: { maxAstNodes: NODES_MAX },
})
  .registerType("Event", {
    ctor: CelEvent,
    fields: {
      id: "string",
      type: "string",
      timestamp: "string",
      channels: "list<string>",
      orderingKey: "string",
      data: "dyn",
    },
  })
  .registerVariable("event", "Event");

// For the type check: what the meter computes at run time. JSON does not tell 12 from 12.0, so neither may a filter.
for (const [left, right] of [
  ["int", "double"],
  ["double", "int"],
] as const) {
  for (const operator of ["+", "-", "*", "/"]) {
    const compute = (a: unknown, b: unknown) => mixedArithmetic(operator, a, b);
    environment.registerOperator(`${left} ${operator} ${right}: double`, compute);
  }
}
environment.registerOperator("int == double", equal);

/**
 * @returns evaluates the expression; what it gives or throws is as in CEL
 * @throws FilterSyntaxError when the expression is not CEL, not allowed, or does not give a bool
 */
export function compileCel(source: string): (event: CelEvent) => unknown {
  if (source.length > SOURCE_LENGTH_MAX) {
    throw new FilterSyntaxError(`it is longer than ${SOURCE_LENGTH_MAX} characters`, SOURCE_LENGTH_MAX);
  }
  const program = parse(source);
  const root = program.ast as unknown as CelNode;
  const patterns = checkRules(root);
  const checked = program.check();
  if (!checked.valid) throw syntaxError(checked.error);
  if (checked.type !== "bool" && checked.type !== "dyn") {
    throw new FilterSyntaxError(`it gives ${checked.type}, not true or false`, 0);
  }
  meter(root, patterns);
  typeShallowly();
  return (event) => program({ event });
}

function parse(source: string) {
  try {
    return environment.parse(source);
  } catch (error) {
    throw syntaxError(error);
  }
}

function syntaxError(error: unknown): FilterSyntaxError {
  if (!(error instanceof ParseError || error instanceof TypeCheckError)) throw error;
  const isNodesLimit = error.code === "limit_exceeded" && error.summary.includes("maxAstNodes");
  const message = isNodesLimit ? `it has more than ${NODES_MAX.toLocaleString("en")} nodes` : error.summary;
  return new FilterSyntaxError(message, error.range?.start ?? 0);
}

let typesShallowly = false;

/**
 * At run time cel-js names the type of a list by its first element, and so on down, and keeps each type it ever met:
 * memory that grows with the shapes of events, and a walk over the keys of a map. `list` and `map` are enough here.
 */
function typeShallowly(): void {
  if (typesShallowly) return;
  const probe = environment.parse("true");
  (probe.ast as unknown as CelNode).setMeta("evaluate", (evaluator: CelEvaluator) => {
    evaluator.debugTypeDeep = evaluator.debugType;
    return true;
  });
  typesShallowly = probe() === true;
}
