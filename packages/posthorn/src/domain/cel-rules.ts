/** What a filter may not be, told before it is stored: it will run on the publish path. */
import type { RE2JS } from "re2js";
import { PosthornError } from "../base/errors.ts";
import { type CelCall, type CelNode, callOf, operandsOf } from "./cel-ast.ts";
import { compilePattern } from "./pattern.ts";

/** A filter that cannot be used. `position` counts characters from its start. */
export class FilterSyntaxError extends PosthornError {
  readonly position: number;

  constructor(message: string, position: number) {
    super("invalid_filter", `The filter cannot be used: ${message} (at character ${position}).`, {
      pointer: "/filter",
    });
    this.position = position;
  }
}

/** They loop over a list or map, or (bind) can double a value: one inside another multiplies. `has` and `orValue` do not. */
const MULTIPLYING_MACROS = new Set(["all", "exists", "exists_one", "map", "filter", "bind"]);

/** Everything else that cel-js offers is left out because its cost has no good bound, or it has no use in a filter. */
const FUNCTIONS = new Set([
  ...["has", "size", "type", "dyn", "string", "int", "uint", "double", "bool", "timestamp", "duration"],
  ...["startsWith", "endsWith", "contains", "matches", "indexOf", "substring"],
  ...["lowerAscii", "upperAscii", "trim", "split", "join"],
  ...["of", "none", "or", "orValue", "value", "hasValue"],
]);
/** In UTC: with a time zone as parameter each call costs 30 microseconds, the first one in a zone milliseconds. */
const TIME_FUNCTIONS = new Set([
  ...["getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getFullYear", "getMonth"],
  ...["getHours", "getMinutes", "getSeconds", "getMilliseconds"],
]);
const MATCHES_MAX = 10;

/**
 * @returns the compiled pattern of each `matches`
 * @throws FilterSyntaxError
 */
export function checkRules(root: CelNode): ReadonlyMap<CelNode, RE2JS> {
  const patterns = new Map<CelNode, RE2JS>();
  visit(root, null, patterns);
  return patterns;
}

function visit(node: CelNode, outerMacro: string | null, patterns: Map<CelNode, RE2JS>): void {
  const call = callOf(node);
  if (call === null) {
    for (const operand of operandsOf(node, { expanded: false })) visit(operand, outerMacro, patterns);
    return;
  }
  const isMacro = isMultiplyingMacro(call);
  if (isMacro && outerMacro !== null) {
    throw new FilterSyntaxError(
      `${call.name}() stands inside ${outerMacro}(), and a macro inside a macro is not allowed`,
      nameStart(node, call),
    );
  }
  if (!isMacro) checkFunction(node, call);
  if (call.name === "matches") patterns.set(node, literalPattern(node, call, patterns));
  // A macro on the result of another, list.filter(...).exists(...), runs after it, not inside it.
  if (call.receiver !== null) visit(call.receiver, outerMacro, patterns);
  for (const parameter of call.parameters) visit(parameter, isMacro ? call.name : outerMacro, patterns);
}

function isMultiplyingMacro({ name, receiver }: CelCall): boolean {
  return receiver !== null && MULTIPLYING_MACROS.has(name);
}

function checkFunction(node: CelNode, call: CelCall): void {
  if (FUNCTIONS.has(call.name)) return;
  if (TIME_FUNCTIONS.has(call.name) && call.parameters.length === 0) return;
  const why = TIME_FUNCTIONS.has(call.name)
    ? `${call.name}() takes no time zone here, it counts in UTC`
    : `there is no function ${call.name}() in filters`;
  throw new FilterSyntaxError(why, nameStart(node, call));
}

function literalPattern(node: CelNode, call: CelCall, patterns: ReadonlyMap<CelNode, RE2JS>): RE2JS {
  const pattern = call.parameters[0];
  if (call.receiver === null || call.parameters.length !== 1 || pattern === undefined) {
    throw new FilterSyntaxError('matches is called as text.matches("pattern")', node.start);
  }
  if (pattern.op !== "value" || typeof pattern.args !== "string") {
    throw new FilterSyntaxError("the pattern of matches() must be a string literal", pattern.start);
  }
  if (patterns.size === MATCHES_MAX) {
    throw new FilterSyntaxError(`it calls matches() more than ${MATCHES_MAX} times`, nameStart(node, call));
  }
  const compiled = compilePattern(pattern.args);
  if (compiled.kind === "refused") throw new FilterSyntaxError(`matches(): ${compiled.why}`, pattern.start);
  return compiled.pattern;
}

/** A method call begins where its receiver begins; the reader looks for the name. */
function nameStart(node: CelNode, { receiver }: CelCall): number {
  return receiver === null ? node.start : receiver.end;
}
