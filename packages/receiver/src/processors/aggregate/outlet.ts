/** What aggregate hands over: one by one, in order; what is refused stays the first. */
import type { ReceivedEvent } from "../../receiver/event.ts";
import type { Span } from "./window.ts";

interface Receivers<Result> {
  readonly onWindow: (result: Result) => void | Promise<void>;
  readonly onLate?: (event: ReceivedEvent, missed: readonly Span[]) => void | Promise<void>;
}

type Parcel<Result> =
  | { readonly kind: "result"; readonly result: Result }
  | { readonly kind: "late"; readonly event: ReceivedEvent; readonly missed: readonly Span[] };

export function createOutlet<Result>({ onWindow, onLate }: Receivers<Result>) {
  let parcels: Parcel<Result>[] = [];
  let taken = 0;
  let draining: Promise<void> | null = null;

  async function drain(): Promise<void> {
    for (let parcel = parcels[taken]; parcel !== undefined; parcel = parcels[taken]) {
      if (parcel.kind === "result") await onWindow(parcel.result);
      else await onLate?.(parcel.event, parcel.missed);
      taken += 1;
    }
    parcels = [];
    taken = 0;
  }

  return {
    results(results: readonly Result[]): void {
      for (const result of results) parcels.push({ kind: "result", result });
    },
    late(event: ReceivedEvent, missed: readonly Span[]): void {
      if (onLate !== undefined) parcels.push({ kind: "late", event, missed });
    },
    waiting: (): Result[] =>
      parcels.slice(taken).flatMap((parcel) => (parcel.kind === "result" ? [parcel.result] : [])),
    async drained(): Promise<void> {
      while (parcels.length > 0) {
        draining ??= drain().finally(() => {
          draining = null;
        });
        await draining;
      }
    },
  };
}
