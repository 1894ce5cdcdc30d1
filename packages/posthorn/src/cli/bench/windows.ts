/** Figures out of the two files of the ledger: what happened within a window of time. */
import type { AcceptedLine, ReceivedLine } from "../proof/ledger.ts";
import { isSuccess } from "../proof/pair.ts";

export interface Window {
  readonly fromUs: number;
  readonly toUs: number;
}

/** Deliveries that arrived in the window, a second. */
export function deliveredPerSecond(received: readonly ReceivedLine[], { fromUs, toUs }: Window): number {
  let count = 0;
  for (const line of received)
    if (line.receivedUs >= fromUs && line.receivedUs < toUs && isSuccess(line)) count += 1;
  return count / ((toUs - fromUs) / 1e6);
}

/** Publish to receipt in milliseconds, of what was to be published within the window; counted from when it was to be. */
export function receiptLatencies(
  accepted: readonly AcceptedLine[],
  received: readonly ReceivedLine[],
  window: Window,
  endpoints?: ReadonlySet<string>,
): number[] {
  const intended = new Map<string, number>();
  for (const { eventId, intendedUs } of accepted)
    if (intendedUs >= window.fromUs && intendedUs < window.toUs) intended.set(eventId, intendedUs);
  const latencies: number[] = [];
  for (const line of received) {
    const intendedUs = intended.get(line.eventId);
    if (intendedUs === undefined || !isSuccess(line)) continue;
    if (endpoints !== undefined && !endpoints.has(line.endpoint)) continue;
    latencies.push((line.receivedUs - intendedUs) / 1000);
  }
  return latencies;
}

/** Publish to 202 in milliseconds. */
export function acceptLatencies(accepted: readonly AcceptedLine[], { fromUs, toUs }: Window): number[] {
  return accepted
    .filter(({ intendedUs }) => intendedUs >= fromUs && intendedUs < toUs)
    .map(({ intendedUs, answeredUs }) => (answeredUs - intendedUs) / 1000);
}
