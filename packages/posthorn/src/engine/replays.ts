/** Replays: new deliveries of stored events for one endpoint, made step by step by a duty, each step with its cursor in one transaction. */
import { notFound, PosthornError } from "../base/errors.ts";
import { type AppId, type EndpointId, isId, locatorOf, newId, type ReplayId } from "../base/ids.ts";
import type { Delivery } from "../domain/delivery.ts";
import type { Endpoint } from "../domain/endpoint.ts";
import { parseInput } from "../domain/input.ts";
import { type DryRun, type Replay, replayCreateSchema } from "../domain/replay.ts";
import type { Vault } from "../security/vault.ts";
import type {
  EndpointRow,
  ListQuery,
  Page,
  Redelivery,
  Store,
  StoredEvent,
  StoredReplay,
} from "../store/store.ts";
import { auditEntry } from "./acting.ts";
import { EndpointRuntime } from "./endpoint-runtime.ts";
import { matchesEndpoint } from "./fan-out.ts";
import type { FiguresCounter } from "./figures.ts";
import { expiresInMs } from "./publisher.ts";
import { referenceTo } from "./window.ts";

const NO_DATA = new Uint8Array(0);
const EVENTS_PER_STEP = 200;
/** Payloads that a step reads, for filters alone: an event may have 1 MiB, and the store's reader has others to serve. */
const PAYLOAD_BYTES_PER_STEP = 8 * 1024 * 1024;
/** With so many waiting for it an endpoint gets no replay: as far as the store counts them. */
const WAITING_MAX = 10_000;
/** Where a dry run stops counting: some seconds of the reader. */
const DRY_RUN_EXAMINED_MAX = 100_000;

export interface ReplaysNeeds {
  readonly store: Store;
  readonly vault: Vault;
  readonly figures: FiguresCounter;
  /** Replay deliveries are due in the store. */
  due(): void;
  /** A replay was started. */
  started(): void;
}

type Selection = Pick<Replay, "appId" | "endpointId" | "sinceMs" | "untilMs" | "states" | "eventTypes">;
interface Found {
  readonly events: readonly StoredEvent[];
  readonly examined: number;
  readonly cursor: string | null;
}

/**
 * Many replays may run, of one app or of all: each endpoint has one at a time, and they take turns, a step each. So a new one
 * waits for a step of each other one at most, whoever made those and however much they have to do.
 */
export class ReplayRunner {
  #needs: ReplaysNeeds;
  /** Whose turn it was; null: the earliest is the next. */
  #turn: string | null = null;
  /** Being started on this node, by endpoint. */
  #starting = new Map<EndpointId, ReplayId>();
  /** Whose events are being counted on this node. */
  #counting = new Set<AppId>();

  constructor(needs: ReplaysNeeds) {
    this.#needs = needs;
  }

  async start(row: EndpointRow, input: unknown) {
    const { since, until, states, eventTypes, dryRun } = parseInput(replayCreateSchema, input);
    const { appId, id: endpointId } = row.endpoint;
    const selection: Selection = {
      appId,
      endpointId,
      sinceMs: Date.parse(since),
      untilMs: await this.#end(row.endpoint, states, until),
      states,
      eventTypes,
    };
    if (until !== undefined && Date.parse(until) <= selection.sinceMs) {
      throw new PosthornError("invalid_field", `/until (${until}) must be later than /since (${since}).`, {
        pointer: "/until",
        value: until,
      });
    }
    if (dryRun) return { kind: "dry_run" as const, ...(await this.#count(selection, row)) };
    const id = newId("rpl", locatorOf(appId));
    const other = this.#starting.get(endpointId);
    if (other !== undefined) throw runsAlready(endpointId, other);
    this.#starting.set(endpointId, id);
    try {
      await this.#checkRoom(row.endpoint);
      const target = { kind: "replay", id };
      const entry = auditEntry({ action: "replay.start", target, appId, after: selection });
      await this.#needs.store.write.save({ kind: "replay", replay: { id, ...selection } }, entry);
    } finally {
      this.#starting.delete(endpointId);
    }
    this.#needs.started();
    return { kind: "started" as const, replay: await this.get(id) };
  }

  /**
   * What a replay makes is work that somebody asked for with one request: an endpoint gets the next one when it is through
   * with the last.
   * @throws PosthornError `state_conflict`
   */
  async #checkRoom({ appId, id: endpointId }: Endpoint): Promise<void> {
    const { read } = this.#needs.store;
    const [running] = (await read.list("replay", { endpointId, states: ["running"], limit: 1 })).data;
    if (running !== undefined) throw runsAlready(endpointId, running.id);
    const now = Date.now();
    const { pending, pendingCapped } = await read.stats({ appId, endpointId, sinceMs: now, untilMs: now });
    if (pending < WAITING_MAX && !pendingCapped) return;
    throw new PosthornError(
      "state_conflict",
      `${WAITING_MAX} deliveries or more wait for endpoint ${endpointId}. Start the replay when there are fewer, or cancel some.`,
    );
  }

  /**
   * Not later than just after the newest event, or with states the newest delivery: a replay ends, though events keep
   * coming, and never finds the deliveries that it made itself.
   */
  async #end({ appId, id }: Endpoint, states: readonly string[], until: string | undefined): Promise<number> {
    const { read } = this.#needs.store;
    const newestMs =
      states.length === 0
        ? (await read.list("event", { appId, limit: 1 })).data[0]?.acceptedAtMs
        : (await read.list("delivery", { endpointId: id, limit: 1 })).data[0]?.createdAtMs;
    return Math.min((newestMs ?? 0) + 1, until === undefined ? Number.POSITIVE_INFINITY : Date.parse(until));
  }

  async get(id: string, within?: AppId): Promise<Replay> {
    const { read } = this.#needs.store;
    const found = isId("rpl", id) ? await read.find("replay", referenceTo(id, within)) : undefined;
    if (found === undefined) throw notFound("replay", id);
    const { cursor: _cursor, ...replay } = found;
    return replay;
  }

  async cancel(id: string, within?: AppId): Promise<Replay> {
    const replay = await this.get(id, within);
    if (replay.state !== "running") {
      throw new PosthornError(
        "state_conflict",
        `Replay ${replay.id} is ${replay.state}; only a running one can be cancelled.`,
      );
    }
    const { appId, state, examined, created } = replay;
    const target = { kind: "replay", id: replay.id };
    const entry = auditEntry({
      action: "replay.cancel",
      target,
      appId,
      before: { state, examined, created },
    });
    await this.#needs.store.write.save({ kind: "replay_cancelled", id: replay.id }, entry);
    return this.get(id, within);
  }

  /** One step of the replay whose turn it is. */
  async runOnce(): Promise<{ more: boolean }> {
    const turn = this.#turn;
    const { data, nextCursor } = await this.#needs.store.read.list("replay", {
      states: ["running"],
      oldestFirst: true,
      limit: 1,
      ...(turn === null ? {} : { cursor: turn }),
    });
    // Before the step: one that fails must not get the next turn as well.
    this.#turn = nextCursor;
    for (const replay of data) await this.#step(replay);
    return { more: data.length > 0 || turn !== null };
  }

  async #step(replay: StoredReplay): Promise<void> {
    const { store, figures, due } = this.#needs;
    const row = await store.read.find("endpoint", { id: replay.endpointId, appId: replay.appId });
    if (row === undefined) {
      await store.write.save({ kind: "replay_cancelled", id: replay.id });
      return;
    }
    const found = await this.#find(replay, row, replay.cursor);
    const redeliveries = found.events.map((event) => toRedelivery(event, row));
    const taken = await store.write.advanceReplay({
      replayId: replay.id,
      fromCursor: replay.cursor,
      cursor: found.cursor,
      examined: found.examined,
      redeliveries,
      finished: found.cursor === null,
    });
    if (!taken || redeliveries.length === 0) return;
    figures.created(replay.appId, replay.endpointId, redeliveries.length);
    due();
  }

  /** The next events of a selection that the endpoint wants; `events` are without their payloads where nobody looks at those. */
  async #find(selection: Selection, row: EndpointRow, cursor: string | null): Promise<Found> {
    const { store, vault, figures } = this.#needs;
    const runtime = new EndpointRuntime(row, vault);
    const wanted = (event: StoredEvent): boolean => {
      if (event.expungedAtMs !== null) return false;
      if (selection.eventTypes.length > 0 && !selection.eventTypes.includes(event.eventType)) return false;
      // With states the events are those of earlier deliveries: they went to this endpoint, whatever it wants now.
      if (selection.states.length > 0) return true;
      const data = event.payload?.subarray(event.dataStart, event.dataEnd) ?? NO_DATA;
      return matchesEndpoint(runtime, { ...event, data }, figures);
    };
    const query: ListQuery = {
      limit: EVENTS_PER_STEP,
      appId: selection.appId,
      sinceMs: selection.sinceMs,
      untilMs: selection.untilMs,
      oldestFirst: true,
      ...(cursor === null ? {} : { cursor }),
    };
    if (selection.states.length === 0) {
      const page = await this.#events(query, runtime);
      return { events: page.data.filter(wanted), examined: page.data.length, cursor: page.nextCursor };
    }
    const page = await store.read.list("delivery", {
      ...query,
      endpointId: selection.endpointId,
      states: selection.states,
    });
    const events: StoredEvent[] = [];
    for (const delivery of page.data) {
      if (!(await this.#isFirst(delivery, query, selection))) continue;
      const event = await store.read.find("event", { id: delivery.eventId });
      // Without its payload, which may be 1 MiB: only its id is needed from here on.
      if (event !== undefined && wanted(event)) events.push({ ...event, payload: null });
    }
    return { events, examined: page.data.length, cursor: page.nextCursor };
  }

  /** With payloads only for a filter, and then no more of them than a step may read. */
  async #events(query: ListQuery, { filter }: EndpointRuntime): Promise<Page<StoredEvent>> {
    const { read } = this.#needs.store;
    const page = await read.list("event", query);
    if (filter === null || page.data.length === 0) return page;
    return read.list("event", {
      ...query,
      limit: countWithin(page.data, PAYLOAD_BYTES_PER_STEP),
      payloads: true,
    });
  }

  /** An event with several deliveries in the selection goes out once: at the first of them. Most have but the one of their publication. */
  async #isFirst(
    delivery: Delivery,
    { cursor: _cursor, ...query }: ListQuery,
    selection: Selection,
  ): Promise<boolean> {
    if (delivery.trigger === "publish") return true;
    const { data } = await this.#needs.store.read.list("delivery", {
      ...query,
      endpointId: selection.endpointId,
      states: selection.states,
      eventId: delivery.eventId,
      limit: 1,
    });
    return data[0]?.id === delivery.id;
  }

  /** One after the other for each app: a count reads what a replay reads, for whoever asks as often as he likes. */
  async #count(selection: Selection, row: EndpointRow): Promise<DryRun> {
    const { appId } = selection;
    if (this.#counting.has(appId)) throw countsAlready();
    this.#counting.add(appId);
    try {
      let examined = 0;
      let matching = 0;
      let cursor: string | null = null;
      do {
        const found: Found = await this.#find(selection, row, cursor);
        examined += found.examined;
        matching += found.events.length;
        cursor = found.cursor;
      } while (cursor !== null && examined < DRY_RUN_EXAMINED_MAX);
      return { examined, matching, capped: cursor !== null };
    } finally {
      this.#counting.delete(appId);
    }
  }
}

/** How many events, from the first on, have payloads of so many bytes together; one has always room. */
function countWithin(events: readonly StoredEvent[], bytesMax: number): number {
  let bytes = 0;
  let count = 0;
  for (const { payloadBytes } of events) {
    bytes += payloadBytes;
    if (bytes > bytesMax && count > 0) break;
    count += 1;
  }
  return count;
}

function runsAlready(endpointId: EndpointId, running: ReplayId): PosthornError {
  return new PosthornError(
    "state_conflict",
    `Replay ${running} of endpoint ${endpointId} is running. Wait until it has finished, or cancel it: POST /v1/replays/${running}/cancel.`,
  );
}

function countsAlready(): PosthornError {
  return new PosthornError("rate_limited", "A dry run of this app is under way. Try again when it is done.", {
    retryAfterSeconds: 1,
  });
}

function toRedelivery(event: StoredEvent, { endpoint }: EndpointRow): Redelivery {
  return {
    id: newId("dlv", locatorOf(event.appId)),
    eventId: event.id,
    endpointId: endpoint.id,
    trigger: "replay",
    class: 2,
    expiresInMs: expiresInMs(endpoint.retrySchedule),
  };
}
