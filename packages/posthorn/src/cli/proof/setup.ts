/** Makes the apps and endpoints of a run through the API, and tells the receiver about them. */
import { type Client, part } from "../client/client.ts";
import type { PlannedEndpoint } from "./plan.ts";
import type { Behaviour, ReceiverEndpoint } from "./receiver.ts";

export interface EndpointWish {
  /** Name in the plan, uid, and path at the receiver. */
  readonly name: string;
  readonly app: string;
  readonly behaviour: Behaviour;
  /** Other settings of the endpoint, as the API takes them. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Instead of the receiver's. */
  readonly url?: string;
}

export async function createApps(client: Client, uids: Iterable<string>): Promise<void> {
  for (const uid of uids) await client.post("/v1/apps", { uid, name: uid });
}

/** @param origin of the receiver */
export async function createEndpoint(
  client: Client,
  origin: string,
  wish: EndpointWish,
): Promise<{ planned: PlannedEndpoint; received: ReceiverEndpoint }> {
  const { name, app, behaviour, settings = {}, url = `${origin}/${name}` } = wish;
  const path = `/v1/apps/${part(app)}/endpoints`;
  const made = await client.post<{
    id: string;
    eventTypes: string[];
    ordering: PlannedEndpoint["ordering"];
    retrySchedule: number[];
  }>(path, { uid: name, url, ...settings });
  const { secret } = await client.get<{ secret: string }>(`${path}/${made.id}/secret`);
  return {
    planned: {
      name,
      app,
      endpointId: made.id,
      secret,
      eventTypes: made.eventTypes,
      ordering: made.ordering,
      retrySchedule: made.retrySchedule,
    },
    received: { name, secret, behaviour },
  };
}

/** Resolves when no delivery of these apps is pending; false when `deadlineMs` came first. */
export async function untilQuiet(
  client: Client,
  apps: Iterable<string>,
  deadlineMs: number,
): Promise<boolean> {
  const waiting = new Set(apps);
  const endMs = performance.now() + deadlineMs;
  while (waiting.size > 0) {
    for (const app of waiting) {
      const page = await client.get<{ data: unknown[] }>("/v1/deliveries", {
        app,
        state: "pending",
        limit: 1,
      });
      if (page.data.length === 0) waiting.delete(app);
      else break;
    }
    if (performance.now() > endMs) return false;
    if (waiting.size > 0) await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return true;
}
