/** What a run sets up: its apps and endpoints, and what each endpoint must get. */

export interface PlannedEndpoint {
  /** Its name in the ledger, and the last part of its URL's path. */
  readonly name: string;
  /** The name of its app in the ledger: the app's uid. */
  readonly app: string;
  readonly endpointId: string;
  readonly secret: string;
  /** Exact types; empty: all. */
  readonly eventTypes: readonly string[];
  readonly ordering: "unordered" | "fifo" | "keyed";
  /** Seconds; tells how many attempts a dead letter must have had, and how early a retry may come. */
  readonly retrySchedule: readonly number[];
}

export type Plan = readonly PlannedEndpoint[];

export function wants(endpoint: PlannedEndpoint, eventType: string): boolean {
  return endpoint.eventTypes.length === 0 || endpoint.eventTypes.includes(eventType);
}
