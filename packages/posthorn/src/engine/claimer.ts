/**
 * Brings due work from the store into lanes that have room. It runs when something tells it to (a retry comes due, a
 * lane is hungry, a lane was resumed), and now and then without. Its cost goes by the lanes with due work, never by
 * the length of one.
 */
import { monotonicMs } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { EndpointId, IncarnationId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { CLASS_SHARES } from "../domain/delivery.ts";
import type { Vault } from "../security/vault.ts";
import type { DueCursor, KnownEndpoint, LaneRecord, LaneRoom, Store } from "../store/store.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { EndpointRuntime } from "./endpoint-runtime.ts";
import type { Lane } from "./lane.ts";
import type { LaneTable } from "./lane-table.ts";

const LANES_AT_ONCE = 256;
/** Deliveries claimed for a lane at once: enough for four rounds of its cap, so that a claim is not the bottleneck. */
const ROUNDS = 4;
const AT_ONCE_MIN = 16;
/** After a failed claim on a store that may be away: soon, then ever later, until the usual poll. */
const RETRY_MS = 100;
/** Of all lanes together: about 5 ms of the writer, so that no publication waits longer for a claim. */
const DELIVERIES_AT_ONCE = 512;

export interface ClaimerNeeds {
  readonly store: Store;
  readonly vault: Vault;
  readonly lanes: LaneTable;
  readonly dispatcher: Dispatcher;
  readonly logger: Logger;
  readonly pollMs: number;
}

export class Claimer {
  #needs: ClaimerNeeds;
  #hungry = new Set<Lane>();
  #lookForDue = false;
  #cursor: DueCursor | undefined;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #running: Promise<void> | null = null;
  #stopped = true;
  #retryMs = RETRY_MS;

  constructor(needs: ClaimerNeeds) {
    this.#needs = needs;
  }

  start(): void {
    this.#stopped = false;
    this.dueIn(0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#running;
  }

  /** The store has more of this lane, and the lane has room. */
  hungry(lane: Lane): void {
    // An attempt of before this node joined again has ended: nothing is claimed for its lane any more.
    if (lane.claiming || lane.incarnation !== this.#needs.lanes.incarnation) return;
    this.#hungry.add(lane);
    this.#run();
  }

  /** Looks for due lanes in so many milliseconds, or earlier. */
  dueIn(ms: number): void {
    if (this.#stopped) return;
    if (ms <= 0) {
      this.#lookForDue = true;
      this.#run();
      return;
    }
    const atMs = monotonicMs() + ms;
    if (atMs >= this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(
      () => {
        this.#timerAtMs = Number.POSITIVE_INFINITY;
        this.dueIn(0);
      },
      Math.min(ms, this.#needs.pollMs),
    );
    this.#timer.unref();
  }

  /** Forgets who is hungry: the lanes are not this node's any more. */
  forget(): void {
    this.#hungry.clear();
    this.#cursor = undefined;
  }

  /** One look: claims what is due and has room. Tests call it after moving the store's clock. */
  async runOnce(): Promise<{ more: boolean }> {
    const rooms: LaneRoom[] = [];
    const claimed = new Map<EndpointId, Lane>();
    let more = false;
    try {
      for (const lane of this.#hungry) if (lane.ownership !== "elsewhere") this.#ask(lane, rooms, claimed);
      this.#hungry.clear();
      if (this.#lookForDue || rooms.length === 0) more = await this.#askDue(rooms, claimed);
      if (rooms.length > 0) await this.#claim(rooms, claimed);
    } finally {
      // Whatever failed on the way, no lane may be taken for one that is being claimed for.
      for (const lane of claimed.values()) lane.claiming = false;
    }
    return { more };
  }

  #run(): void {
    if (this.#stopped || this.#running !== null) return;
    this.#running = this.#loop().finally(() => {
      this.#running = null;
      if (this.#lookForDue || this.#hungry.size > 0) this.#run();
    });
  }

  async #loop(): Promise<void> {
    while (!this.#stopped && (this.#lookForDue || this.#hungry.size > 0)) {
      try {
        const { more } = await this.runOnce();
        this.#retryMs = RETRY_MS;
        if (more) this.#lookForDue = true;
      } catch (error) {
        this.#needs.logger.error({ error: messageOf(error) }, "claim.failed");
        this.#lookForDue = false;
        this.#hungry.clear();
        this.dueIn(this.#afterFailureMs());
        return;
      }
    }
  }

  /** On a store of its own a failure is the disk's, which a poll is soon enough for. */
  #afterFailureMs(): number {
    const { store, pollMs } = this.#needs;
    if (!store.shared) return pollMs;
    const inMs = Math.min(this.#retryMs, pollMs);
    this.#retryMs = inMs * 2;
    return inMs;
  }

  async #askDue(rooms: LaneRoom[], claimed: Map<EndpointId, Lane>): Promise<boolean> {
    const { store, lanes, pollMs } = this.#needs;
    const { incarnation } = lanes;
    this.#lookForDue = false;
    if (incarnation === null) return false;
    const due = await store.read.dueLanes({
      lanesMax: LANES_AT_ONCE,
      for: incarnation,
      ...(this.#cursor === undefined ? {} : { after: this.#cursor }),
    });
    const found = await this.#lanesOf(due.lanes, incarnation);
    // This node was given up meanwhile: it looks anew when it has joined again.
    if (found === null) return false;
    this.#cursor = due.cursor ?? undefined;
    for (const lane of found) {
      // Without room now it has a backlog, and asks by itself when it has room.
      lane.backlog = true;
      this.#ask(lane, rooms, claimed);
    }
    this.dueIn(Math.max(1, Math.min(due.nextInMs ?? pollMs, pollMs)));
    return due.cursor !== null && due.lanes.length > 0 && !lanes.starved;
  }

  #ask(lane: Lane, rooms: LaneRoom[], claimed: Map<EndpointId, Lane>): void {
    if (claimed.has(lane.id) || lane.claiming || !lane.runnable) return;
    // One delivery at a time tries whether the receiver is back.
    if (lane.breaker.state !== "closed" && lane.window > 0) return;
    const room = this.#needs.lanes.roomOf(lane);
    if (room <= 0) {
      if (lane.window === 0) this.#needs.lanes.starved = true;
      return;
    }
    rooms.push(roomFor(lane, room));
    claimed.set(lane.id, lane);
    lane.claiming = true;
  }

  async #claim(asked: readonly LaneRoom[], claimed: ReadonlyMap<EndpointId, Lane>): Promise<void> {
    const { store, lanes, dispatcher } = this.#needs;
    const { incarnation } = lanes;
    // What was asked for before this node joined again has no place any more.
    const rooms = asked.filter(({ endpointId }) => claimed.get(endpointId)?.incarnation === incarnation);
    if (incarnation === null || rooms.length === 0) return;
    const each = Math.max(1, Math.floor(DELIVERIES_AT_ONCE / rooms.length));
    const results = await store.write.claim({
      incarnation,
      lanes: rooms.map((room) => ({ ...room, totalMax: Math.min(room.totalMax, each) })),
      bytesMax: Math.max(1, lanes.bytesRoom),
    });
    for (const lane of claimed.values()) lane.claiming = false;
    for (const result of results) {
      const lane = claimed.get(result.endpointId);
      if (lane !== undefined) dispatcher.take(lane, result);
    }
  }

  /**
   * The lanes of these records; endpoints not known yet, or not looked at for a while, are read, all in one go. One that
   * another node owns is among them only if that node does not live: the claim takes it over. null: this node is another
   * incarnation by now, for which a lane made of these would be dead.
   */
  async #lanesOf(records: readonly LaneRecord[], incarnation: IncarnationId): Promise<Lane[] | null> {
    const { store, vault, lanes, dispatcher } = this.#needs;
    const asked = this.#toBeAsked(records);
    const askedAtMs = monotonicMs();
    const { changed } = asked.length === 0 ? { changed: [] } : await store.read.refresh(asked);
    if (lanes.incarnation !== incarnation) return null;
    for (const config of changed) lanes.ensure(new EndpointRuntime(config, vault), config.lane);
    for (const { endpointId } of asked) lanes.get(endpointId)?.checked(askedAtMs);
    return records.flatMap((record) => {
      const lane = lanes.get(record.endpointId);
      if (lane?.follow(record)) dispatcher.laneChanged(lane);
      return lane ?? [];
    });
  }

  /** A lane that had nothing to do is not refreshed: what changed meanwhile must be known before it sends again. */
  #toBeAsked(records: readonly LaneRecord[]): KnownEndpoint[] {
    const { store, lanes } = this.#needs;
    const nowMs = monotonicMs();
    return records.flatMap(({ endpointId }) => {
      const lane = lanes.get(endpointId);
      if (lane === undefined) return { endpointId, version: 0 };
      return store.shared && lane.isOutdated(nowMs) ? lane.known : [];
    });
  }
}

/** A lane whose breaker is not closed gets one delivery; any other a few rounds of its cap, by the shares of the classes. */
function roomFor(lane: Lane, room: number): LaneRoom {
  if (lane.breaker.state !== "closed") return { endpointId: lane.id, room: [1, 1, 1], totalMax: 1 };
  const totalMax = Math.min(room, Math.max(AT_ONCE_MIN, lane.cap * ROUNDS));
  const [first, second, third] = CLASS_SHARES.map((share) => Math.ceil((totalMax * share) / 100)) as [
    number,
    number,
    number,
  ];
  return { endpointId: lane.id, room: [Math.max(first, totalMax - second - third), second, third], totalMax };
}
