/** Cuts a call into transactions that stay within the bounds of one. */
import type { Acceptance, Settlement } from "./store.ts";

/** Bounds of one transaction. */
export const DELIVERIES_MAX = 2000;
export const BYTES_MAX = 8 * 1024 * 1024;

export interface Weight {
  readonly deliveries: number;
  readonly bytes: number;
}

export interface Slice<Item> {
  readonly items: readonly Item[];
  readonly weight: Weight;
}

export function weightOfAcceptance({ event, deliveries }: Acceptance): Weight {
  return { deliveries: 1 + deliveries.length, bytes: event.payload.length };
}

export function weightOfSettlement({ attempt }: Settlement): Weight {
  return { deliveries: 1, bytes: attempt?.responseBody?.length ?? 0 };
}

/** An empty call stays one call. */
export function sliced<Item>(items: readonly Item[], weightOf: (item: Item) => Weight): Slice<Item>[] {
  const slices: Slice<Item>[] = [];
  let start = 0;
  let deliveries = 0;
  let bytes = 0;
  for (const [index, item] of items.entries()) {
    const weight = weightOf(item);
    if (
      index > start &&
      (deliveries + weight.deliveries > DELIVERIES_MAX || bytes + weight.bytes > BYTES_MAX)
    ) {
      slices.push({ items: items.slice(start, index), weight: { deliveries, bytes } });
      start = index;
      deliveries = 0;
      bytes = 0;
    }
    deliveries += weight.deliveries;
    bytes += weight.bytes;
  }
  slices.push({ items: start === 0 ? items : items.slice(start), weight: { deliveries, bytes } });
  return slices;
}
