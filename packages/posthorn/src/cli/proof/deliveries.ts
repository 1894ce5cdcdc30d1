/** What the API says of deliveries: the third witness beside the two files of the ledger. */
import { type Client, part } from "../client/client.ts";
import type { Page } from "../client/list.ts";
import { type DeliveryFacts, pairKey } from "./breach.ts";
import type { Pair } from "./pair.ts";
import type { Plan } from "./plan.ts";

interface DeliveryView extends Omit<DeliveryFacts, "attempts"> {
  readonly id: string;
  readonly trigger: string;
  readonly attempts: readonly {
    readonly number: number;
    readonly startedAt: string;
    readonly durationMs: number;
    readonly outcome: { readonly kind: string };
  }[];
}

const AT_ONCE = 8;

/** Every delivery of the plan's apps, with its attempts; by pairKey. */
export async function allDeliveries(client: Client, plan: Plan): Promise<Map<string, DeliveryFacts>> {
  const ids: string[] = [];
  for (const app of new Set(plan.map((endpoint) => endpoint.app))) {
    for await (const { id } of pages(client, { app })) ids.push(id);
  }
  return lookUp(client, plan, ids);
}

/** The deliveries of the pairs that are not simply one 2xx. */
export async function deliveriesOf(
  client: Client,
  plan: Plan,
  pairs: readonly Pair[],
): Promise<Map<string, DeliveryFacts>> {
  const ids: string[] = [];
  await inTurns(
    pairs.map(({ line, endpoint }) => async () => {
      for await (const { id } of pages(client, { event: line.eventId, endpoint: endpoint.endpointId }))
        ids.push(id);
    }),
  );
  return lookUp(client, plan, ids);
}

async function lookUp(
  client: Client,
  plan: Plan,
  ids: readonly string[],
): Promise<Map<string, DeliveryFacts>> {
  const nameOf = new Map(plan.map(({ endpointId, name }) => [endpointId, name]));
  const facts = new Map<string, DeliveryFacts>();
  await inTurns(
    ids.map((id) => async () => {
      const view = await client.get<DeliveryView>(`/v1/deliveries/${part(id)}`);
      // Redeliveries and replays repeat a delivery on purpose; the ledger judges the published one.
      const name = nameOf.get(view.endpointId);
      if (view.trigger === "publish" && name !== undefined)
        facts.set(pairKey(view.eventId, name), factsOf(view));
    }),
  );
  return facts;
}

function factsOf({ eventId, endpointId, state, reason, hold, dueAt, attempts }: DeliveryView): DeliveryFacts {
  return {
    eventId,
    endpointId,
    state,
    reason,
    hold,
    dueAt,
    attempts: attempts
      .map(({ number, startedAt, durationMs, outcome }) => ({
        number,
        outcome: outcome.kind,
        startedAtMs: Date.parse(startedAt),
        durationMs,
      }))
      .toSorted((a, b) => a.number - b.number),
  };
}

async function* pages(client: Client, query: Record<string, string>): AsyncIterable<DeliveryView> {
  let cursor: string | null | undefined;
  do {
    const page: Page<DeliveryView> = await client.get("/v1/deliveries", {
      ...query,
      limit: 250,
      cursor: cursor ?? undefined,
    });
    yield* page.data;
    cursor = page.nextCursor;
  } while (cursor !== null);
}

/** A few at a time: the server answers one list thread's worth anyway. */
async function inTurns(tasks: readonly (() => Promise<void>)[]): Promise<void> {
  let next = 0;
  const worker = async () => {
    for (let task = tasks[next++]; task !== undefined; task = tasks[next++]) await task();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
