/** The operations on CEL values that take over the library's own: bounded by the budget, and kind to numbers from JSON. */
import { UnsignedInt } from "@marcbachmann/cel-js/evaluator";
import { PRICE, spend } from "./cel-budget.ts";

/**
 * Equality of any two values; different types are unequal, but 1, 1.0 and 1u are the same number, as in CEL.
 * Spends as it walks, so that lists of different lengths are told apart at once.
 */
export function equal(left: unknown, right: unknown): boolean {
  if (typeof left === "string" && typeof right === "string") {
    if (left.length !== right.length) return false;
    spend(left.length * PRICE.comparedCharacter);
    return left === right;
  }
  if (left === right) return true;
  const [leftNumber, rightNumber] = [numberOf(left), numberOf(right)];
  if (leftNumber !== undefined && rightNumber !== undefined) return sameNumber(leftNumber, rightNumber);
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false;
  if (Array.isArray(left)) return Array.isArray(right) && equalLists(left, right);
  if (isMap(left)) return isMap(right) && equalMaps(left, right);
  return equalOthers(left, right);
}

function equalLists(left: readonly unknown[], right: readonly unknown[]): boolean {
  if (left.length !== right.length) return false;
  return left.every((element, index) => {
    spend(PRICE.element);
    return equal(element, right[index]);
  });
}

function equalMaps(left: CelMap, right: CelMap): boolean {
  if (mapSize(left) !== mapSize(right)) return false;
  for (const [key, value] of entries(left)) {
    spend(PRICE.element);
    const other = lookUp(right, key);
    if (other === undefined || !equal(value, other)) return false;
  }
  return true;
}

/** Timestamps, durations and byte literals. Types are equal only when they are the same object. */
function equalOthers(left: object, right: object): boolean {
  if (left.constructor !== right.constructor) return false;
  if (left instanceof Uint8Array && right instanceof Uint8Array) return Buffer.compare(left, right) === 0;
  const [leftValue, rightValue] = [left.valueOf(), right.valueOf()];
  return typeof leftValue === "number" && leftValue === rightValue;
}

/** `value in collection`: an element of a list, a key of a map. Undefined when it is neither. */
export function isIn(value: unknown, collection: unknown): boolean | undefined {
  if (Array.isArray(collection)) {
    return collection.some((element) => {
      spend(PRICE.element);
      return equal(value, element);
    });
  }
  if (isMap(collection)) return lookUp(collection, value) !== undefined;
  return undefined;
}

/** In characters (code points), elements or members. Undefined when the value has no size. */
export function sizeOf(value: unknown): bigint | undefined {
  if (typeof value === "string") return BigInt(characterCount(value));
  if (Array.isArray(value)) return BigInt(value.length);
  if (value instanceof Uint8Array) return BigInt(value.length);
  return isMap(value) ? BigInt(mapSize(value)) : undefined;
}

function characterCount(text: string): number {
  spend(text.length * PRICE.walkedCharacter);
  let count = text.length;
  for (let at = text.search(/[\ud800-\udbff][\udc00-\udfff]/); at !== -1 && at < text.length - 1; at += 1) {
    const isPair = (text.charCodeAt(at) & 0xfc00) === 0xd800 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00;
    if (isPair) count -= 1;
  }
  return count;
}

/** Joins texts and lists. Undefined for anything else. */
export function concatenate(left: unknown, right: unknown): unknown {
  if (typeof left === "string" && typeof right === "string") {
    spend((left.length + right.length) * PRICE.copiedCharacter);
    return left + right;
  }
  if (Array.isArray(left) && Array.isArray(right)) {
    spend((left.length + right.length) * PRICE.element);
    return [...left, ...right];
  }
  return undefined;
}

/** Undefined when it is not a list of strings. */
export function join(list: unknown, separator: unknown): string | undefined {
  if (!Array.isArray(list) || typeof separator !== "string") return undefined;
  spend(list.length * PRICE.element);
  if (!list.every((element) => typeof element === "string")) return undefined;
  const characters = list.reduce(
    (sum, element: string) => sum + element.length,
    list.length * separator.length,
  );
  spend(characters * PRICE.copiedCharacter);
  return list.join(separator);
}

/**
 * Arithmetic between a whole number and a fraction, which CEL leaves undefined: JSON writers print 12.0 as 12, so a
 * price may come as either. Undefined when the operands are not one of each.
 */
export function mixedArithmetic(operator: string, left: unknown, right: unknown): number | undefined {
  const isMixed =
    (typeof left === "bigint" && typeof right === "number") ||
    (typeof left === "number" && typeof right === "bigint");
  if (!isMixed) return undefined;
  const [a, b] = [Number(left), Number(right)];
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    default:
      return undefined;
  }
}

type CelMap = Map<unknown, unknown> | Record<string, unknown>;

/** Objects of the event are Maps; map literals of the filter are plain objects. */
export function isMap(value: unknown): value is CelMap {
  if (typeof value !== "object" || value === null) return false;
  return value instanceof Map || value.constructor === Object || value.constructor === undefined;
}

function mapSize(map: CelMap): number {
  return map instanceof Map ? map.size : Object.keys(map).length;
}

function entries(map: CelMap): Iterable<[unknown, unknown]> {
  return map instanceof Map ? map : Object.entries(map);
}

function lookUp(map: CelMap, key: unknown): unknown {
  if (map instanceof Map) return map.get(key);
  const name = typeof key === "string" ? key : String(numberOf(key));
  return Object.hasOwn(map, name) ? map[name] : undefined;
}

function numberOf(value: unknown): bigint | number | undefined {
  if (typeof value === "bigint" || typeof value === "number") return value;
  return value instanceof UnsignedInt ? value.value : undefined;
}

function sameNumber(left: bigint | number, right: bigint | number): boolean {
  // biome-ignore lint/suspicious/noDoubleEquals: the only comparison of a bigint with a number that is exact
  return left == right;
}

/** The CEL name of a value's type, for messages. */
export function nameOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (isMap(value)) return "a map";
  return typeof value === "bigint" ? "int" : typeof value === "number" ? "double" : typeof value;
}
