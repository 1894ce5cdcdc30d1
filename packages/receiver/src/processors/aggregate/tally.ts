/** What a window keeps of the values it saw: one tally per measure, plain JSON. */
import { addToSketch, percentileOf, type Sketch } from "./sketch.ts";

/** What is computed; where the value comes from is not its business. */
export type Figure =
  | { readonly kind: "count" | "sum" | "avg" | "min" | "max" }
  | { readonly kind: "percentile"; readonly percentile: number };

export type Tally =
  | { readonly kind: "count"; count: number }
  | { readonly kind: "sum"; sum: number }
  | { readonly kind: "avg"; sum: number; count: number }
  | { readonly kind: "min" | "max"; value: number | null }
  | { readonly kind: "percentile"; readonly percentile: number; readonly sketch: Sketch };

export function emptyTally(figure: Figure): Tally {
  switch (figure.kind) {
    case "count":
      return { kind: "count", count: 0 };
    case "sum":
      return { kind: "sum", sum: 0 };
    case "avg":
      return { kind: "avg", sum: 0, count: 0 };
    case "min":
    case "max":
      return { kind: figure.kind, value: null };
    case "percentile":
      return { kind: "percentile", percentile: figure.percentile, sketch: {} };
  }
}

/** @param value of one event; null: the event has none, which only `count` counts */
export function addToTally(tally: Tally, value: number | null): void {
  if (tally.kind === "count") tally.count += 1;
  else if (value !== null) addValue(tally, value);
}

function addValue(tally: Exclude<Tally, { kind: "count" }>, value: number): void {
  switch (tally.kind) {
    case "sum":
      tally.sum = finite(tally.sum + value);
      return;
    case "avg":
      tally.sum = finite(tally.sum + value);
      tally.count += 1;
      return;
    case "min":
      tally.value = tally.value === null ? value : Math.min(tally.value, value);
      return;
    case "max":
      tally.value = tally.value === null ? value : Math.max(tally.value, value);
      return;
    case "percentile":
      addToSketch(tally.sketch, value);
      return;
  }
}

/** A snapshot is JSON, which has no infinity: what is larger stays at the largest double. */
function finite(sum: number): number {
  return Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, sum));
}

/** null: no event had a value. A sum of none is 0. */
export function resultOf(tally: Tally): number | null {
  switch (tally.kind) {
    case "count":
      return tally.count;
    case "sum":
      return tally.sum;
    case "avg":
      return tally.count === 0 ? null : tally.sum / tally.count;
    case "min":
    case "max":
      return tally.value;
    case "percentile":
      return percentileOf(tally.sketch, tally.percentile);
  }
}
