/**
 * Puts the budget into a checked syntax tree. The checker leaves on each node a `handle` that applies its operator
 * or function to evaluated operands; here it is replaced by one that spends first. That reaches into cel-js,
 * whose version is therefore pinned; the tests of hostile filters fail if an upgrade moves things.
 */
import type { RE2JS } from "re2js";
import { type CelNode, type Comprehension, callOf, countNodes, operandsOf } from "./cel-ast.ts";
import { PRICE, searchSteps, spend } from "./cel-budget.ts";
import { concatenate, equal, isIn, isMap, join, mixedArithmetic, nameOf, sizeOf } from "./cel-values.ts";
import { testPattern } from "./pattern.ts";

export class FilterTypeError extends Error {}

type Handle = (first: unknown, second: unknown, third: unknown, fourth: unknown) => unknown;
type FunctionHandle = (operands: readonly unknown[], original: () => unknown) => unknown;

const DURATION_LENGTH_MAX = 64;

export function meter(node: CelNode, patterns: ReadonlyMap<CelNode, RE2JS>): void {
  for (const operand of operandsOf(node, { expanded: true })) meter(operand, patterns);
  if (node.meta.alternate !== undefined) return;
  if (node.op === "comprehension") meterComprehension(node);
  else if (node.op === "call" || node.op === "rcall") meterCall(node, patterns.get(node));
  else meterOperator(node);
}

function meterComprehension(node: CelNode): void {
  const comprehension = node.args as Comprehension;
  const { condition, step } = comprehension;
  const steps = PRICE.iteration + countNodes(step);
  comprehension.condition = (accumulated) => {
    spend(steps);
    return condition === undefined || condition(accumulated);
  };
  const { evaluate } = step.meta;
  step.setMeta("evaluate", ((evaluator, inner, context) => {
    try {
      return evaluate(evaluator, inner, context);
    } catch (error) {
      spend(PRICE.swallowedError);
      throw error;
    }
  }) satisfies CelNode["meta"]["evaluate"]);
  const original = node.handle as Handle;
  node.handle = (items: unknown, args: unknown, evaluator: unknown, context: unknown) => {
    // Its keys are copied into a list.
    if (isMap(items)) spend(Number(sizeOf(items)) * PRICE.element);
    return original(items, args, evaluator, context);
  };
}

function meterOperator(node: CelNode): void {
  const original = node.handle as Handle | undefined;
  if (original === undefined) return;
  const { op } = node;
  switch (op) {
    case "==":
      node.handle = equal;
      break;
    case "!=":
      node.handle = (left: unknown, right: unknown) => !equal(left, right);
      break;
    case "in":
      node.handle = (value: unknown, collection: unknown) =>
        isIn(value, collection) ?? fail(`in needs a list or a map on its right, not ${nameOf(collection)}`);
      break;
    case "+":
    case "-":
    case "*":
    case "/":
      node.handle = (left: unknown, right: unknown, ast: unknown, evaluator: unknown) =>
        mixedArithmetic(op, left, right) ??
        (op === "+" ? concatenate(left, right) : undefined) ??
        original(left, right, ast, evaluator);
      break;
    case "<":
    case "<=":
    case ">":
    case ">=":
      node.handle = (left: unknown, right: unknown, ast: unknown, evaluator: unknown) => {
        spend(Math.min(lengthOf(left), lengthOf(right)) * PRICE.comparedCharacter);
        return original(left, right, ast, evaluator);
      };
      break;
  }
}

function meterCall(node: CelNode, pattern: RE2JS | undefined): void {
  const original = node.handle as Handle | undefined;
  const call = callOf(node);
  // has(), or(), orValue() and bind() evaluate their operands themselves and have no handle.
  if (original === undefined || call === null) return;
  const apply = pattern === undefined ? FUNCTION_HANDLES[call.name] : matching(pattern);
  if (apply === undefined) return;
  node.handle = (operands: readonly unknown[], second: unknown, third: unknown, fourth: unknown) =>
    apply(operands, () => original(operands, second, third, fourth));
}

function matching(pattern: RE2JS): FunctionHandle {
  return ([text]) =>
    typeof text === "string"
      ? testPattern(pattern, text)
      : fail(`matches() needs a text, not ${nameOf(text)}`);
}

/** By name; those not listed cost the same whatever they are given. */
const FUNCTION_HANDLES: Readonly<Record<string, FunctionHandle>> = {
  size: ([value]) => sizeOf(value) ?? fail(`size() needs a text, list or map, not ${nameOf(value)}`),
  join: ([list, separator = ""]) => join(list, separator) ?? fail("join() needs a list of texts"),
  startsWith: prefix,
  endsWith: prefix,
  contains: searching,
  indexOf: searching,
  lowerAscii: perCharacter(PRICE.walkedCharacter),
  upperAscii: perCharacter(PRICE.walkedCharacter),
  trim: perCharacter(PRICE.walkedCharacter),
  split: perCharacter(PRICE.splitCharacter),
  string: (_operands, original) => {
    spend(PRICE.printedNumber);
    return original();
  },
  int: perCharacter(PRICE.walkedCharacter),
  uint: perCharacter(PRICE.walkedCharacter),
  double: perCharacter(PRICE.walkedCharacter),
  bool: perCharacter(PRICE.walkedCharacter),
  timestamp: perCharacter(PRICE.walkedCharacter),
  duration: (operands, original) =>
    lengthOf(operands[0]) <= DURATION_LENGTH_MAX ? original() : fail("duration() got too long a text"),
};

function perCharacter(price: number): FunctionHandle {
  return (operands, original) => {
    for (const operand of operands) spend(lengthOf(operand) * price);
    return original();
  };
}

function prefix(operands: readonly unknown[], original: () => unknown): unknown {
  spend(lengthOf(operands[1]) * PRICE.prefixCharacter);
  return original();
}

function searching(operands: readonly unknown[], original: () => unknown): unknown {
  spend(searchSteps(lengthOf(operands[0]), lengthOf(operands[1])));
  return original();
}

function lengthOf(value: unknown): number {
  return typeof value === "string" ? value.length : 0;
}

function fail(message: string): never {
  throw new FilterTypeError(message);
}
