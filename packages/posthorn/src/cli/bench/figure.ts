/** What a scenario measured. */
import { median } from "../proof/percentile.ts";

export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** Of repeated windows: the least and the greatest. */
  readonly spread?: readonly [least: number, greatest: number];
  readonly target?: Target;
}

export interface Target {
  readonly kind: "at_least" | "at_most";
  readonly value: number;
}

export function atLeast(value: number): Target {
  return { kind: "at_least", value };
}

export function atMost(value: number): Target {
  return { kind: "at_most", value };
}

/** The median of repeated windows with its spread. */
export function repeated(name: string, unit: string, values: readonly number[], target?: Target): Figure {
  return {
    name,
    unit,
    value: median(values),
    spread: [Math.min(...values), Math.max(...values)],
    ...(target === undefined ? {} : { target }),
  };
}

/** A limit is missed only if the whole spread is beyond it. */
export function isMet({ value, spread, target }: Figure): boolean {
  if (target === undefined) return true;
  const [least, greatest] = spread ?? [value, value];
  return target.kind === "at_least" ? greatest >= target.value : least <= target.value;
}
