/**
 * One lane in memory: a bounded window of an endpoint's queue, with what limits its sending: its in-flight cap (adaptive),
 * its rate limit, its breaker. It decides nothing about other lanes; the dispatcher is fair between them.
 */
import type { DeliveryId, IncarnationId } from "../base/ids.ts";
import type { AttemptOutcome } from "../domain/attempt.ts";
import { BREAKER_POLICY, Breaker, type BreakerState } from "../domain/breaker.ts";
import { DEFAULTS } from "../domain/defaults.ts";
import type { DeliveryClass } from "../domain/delivery.ts";
import { effectiveRatePerSecond } from "../domain/endpoint.ts";
import { Pace } from "../domain/pace.ts";
import type { ClaimedDelivery, ClaimedLane, KnownEndpoint, LaneRecord } from "../store/store.ts";
import type { EndpointRuntime } from "./endpoint-runtime.ts";
import { Fifo } from "./fifo.ts";

/** A leased delivery in memory. */
export type Ready = ClaimedDelivery;

/** An attempt that takes this long makes its lane a slow one: slow lanes share at most half of the node. */
export const SLOW_MS = 1000;
/** On a shared store: what was not looked at for so long may have been changed by another node. */
const OUTDATED_MS = 1000;
/** Cuts of the cap within this time of each other are one cut: the answers of one congested moment. */
const CUT_APART_MS = 1000;

export type MaySend =
  | { readonly kind: "now" }
  | { readonly kind: "later"; readonly inMs: number }
  | { readonly kind: "no" };

/**
 * Who sends for a lane. `shared`: every node, each with its part of the cap. `ours`: this node alone. `elsewhere`: another
 * one alone. `unclaimed`: one alone, and nobody yet: a claim makes this node the one.
 */
export type Ownership = "shared" | "ours" | "elsewhere" | "unclaimed";

/** What a lane asks of the node it is on. */
export interface LaneHost {
  readonly incarnation: IncarnationId | null;
  /** Living nodes that send, this one included. */
  readonly dispatchers: number;
}

export class Lane {
  runtime: EndpointRuntime;
  breaker: Breaker;
  /** What was leased for this lane is leased to it: a node that joins again begins with new lanes. */
  readonly incarnation: IncarnationId | null;
  epoch: number;
  ownership: Ownership;
  /** Ordered or rate-limited: never shared. */
  exclusive: boolean;
  /** Something says that the store knows more of it than this node: it is to be looked at soon. */
  doubtful = false;
  /** Places promised to publications on their way to the store. */
  reserved = 0;
  inFlight = 0;
  /** Something of this lane is stored unleased and due: new deliveries queue behind it. */
  backlog: boolean;
  /** Every attempt since some time failed: a success must clear that in the store. */
  failing: boolean;
  /** The operator was told that the endpoint fails. */
  warned = false;
  slow = false;
  /** A claim for it is under way. */
  claiming = false;
  /** It stands in the dispatcher's ring of its class. */
  readonly ringed: [boolean, boolean, boolean] = [false, false, false];
  /** A timer will look at it again. */
  waking = false;
  /** Its endpoint is being removed: nothing starts any more. */
  closed = false;
  #queues = [new Fifo<Ready>(), new Fifo<Ready>(), new Fifo<Ready>()] as const;
  #pace: Pace | null = null;
  #paceRate: number | null = null;
  #cap: number;
  #ramping = false;
  #cutAtMs = Number.NEGATIVE_INFINITY;
  #probeAtMs = Number.NEGATIVE_INFINITY;
  #probeEveryMs = BREAKER_POLICY.probeEveryMs;
  #startedAtMs = new Map<DeliveryId, number>();
  #host: LaneHost;
  #recordEpoch: number;
  #clearedAtMs = Number.NEGATIVE_INFINITY;
  #checkedAtMs = Number.NEGATIVE_INFINITY;

  constructor(runtime: EndpointRuntime, record: LaneRecord, host: LaneHost) {
    this.runtime = runtime;
    this.#host = host;
    this.incarnation = host.incarnation;
    this.epoch = record.epoch;
    this.#recordEpoch = record.epoch;
    this.exclusive = record.exclusive;
    this.ownership = ownershipOf(record, host.incarnation);
    this.backlog = record.backlog;
    this.failing = record.failingForMs !== null;
    this.breaker = new Breaker(record.breaker);
    this.#cap = Math.min(DEFAULTS.inFlightStart, runtime.endpoint.inFlightMax);
    this.#setPace();
  }

  get id() {
    return this.runtime.endpoint.id;
  }

  /** What a refresh compares with the store: the endpoint, and the record that the lane was made of or last took over. */
  get known(): KnownEndpoint {
    return { endpointId: this.id, version: this.runtime.endpoint.version, epoch: this.#recordEpoch };
  }

  /** The store was asked about it at that time (monotonic), and it took over what was news. */
  checked(atMs: number): void {
    this.#checkedAtMs = atMs;
  }

  isOutdated(nowMs: number): boolean {
    return nowMs - this.#checkedAtMs > OUTDATED_MS;
  }

  /** Whether this node may send for it. */
  get sendable(): boolean {
    return this.ownership === "shared" || this.ownership === "ours";
  }

  /** Takes over what the store says of the lane, if that is news. True: it was. */
  follow(record: LaneRecord): boolean {
    if (record.epoch <= this.#recordEpoch || record.epoch < this.epoch) return false;
    const wasOurs = this.ownership === "ours";
    this.epoch = record.epoch;
    this.#recordEpoch = record.epoch;
    this.exclusive = record.exclusive;
    this.ownership = ownershipOf(record, this.incarnation);
    this.backlog = record.backlog;
    if (record.failingForMs !== null) this.failing = true;
    // Of a lane that was its own all along this node knows more than the store: it writes what stands there.
    if (!(wasOurs && this.ownership === "ours")) this.#setBreaker(record.breaker);
    return true;
  }

  /** A claim was answered: it made this node the owner where the lane has to have one. */
  claimed({ epoch, elsewhere, more }: Pick<ClaimedLane, "epoch" | "elsewhere" | "more">): void {
    this.backlog = more || elsewhere;
    if (epoch !== this.#recordEpoch) this.doubtful = true;
    // It does not run any more, as the store knows.
    if (epoch < this.epoch) return;
    this.epoch = epoch;
    if (elsewhere) this.ownership = "elsewhere";
    else if (this.ownership !== "shared" || this.breaker.state !== "closed") this.ownership = "ours";
  }

  /** Takes over a changed endpoint. A lane that may run again after a pause ramps up: never a herd. */
  change(runtime: EndpointRuntime): void {
    const { status } = this.runtime.endpoint;
    const couldRun = status === "enabled";
    this.runtime = runtime;
    const runs = runtime.endpoint.status === "enabled";
    if ((status === "disabled" || status === "unverified") && runs) this.#startAnew();
    if (!couldRun && runs) this.ramp();
    this.#setPace();
  }

  /** Who enables a disabled endpoint, or proves that it wants its events, says that it is well: the store forgets its failures, and so does the lane. */
  #startAnew(): void {
    this.breaker = new Breaker("closed");
    this.failing = false;
    this.warned = false;
    this.#probeAtMs = Number.NEGATIVE_INFINITY;
  }

  #setBreaker(state: BreakerState): void {
    if (state === this.breaker.state) return;
    this.breaker = new Breaker(state);
    // When a probe is due, the store knows: it gives none before.
    this.#probeAtMs = Number.NEGATIVE_INFINITY;
    if (state === "closed") this.ramp();
  }

  ramp(): void {
    this.#cap = 1;
    this.#ramping = true;
  }

  /** How many deliveries it holds in memory, promised places included. */
  get window(): number {
    return this.reserved + this.inFlight + this.waiting;
  }

  get waiting(): number {
    return this.#queues[0].length + this.#queues[1].length + this.#queues[2].length;
  }

  waitingOf(deliveryClass: DeliveryClass): number {
    return this.#queues[deliveryClass].length;
  }

  get runnable(): boolean {
    return !this.closed && this.runtime.endpoint.status === "enabled";
  }

  /** Whether fresh deliveries may be handed over: it runs here, nothing is before them, and the breaker is closed. */
  get open(): boolean {
    return this.runnable && this.sendable && !this.backlog && this.breaker.state === "closed";
  }

  /** How many attempts may be under way now on this node. */
  get cap(): number {
    if (this.breaker.state !== "closed") return 1;
    const cap = Math.max(1, Math.min(Math.floor(this.#cap), this.runtime.endpoint.inFlightMax));
    return this.ownership === "shared" ? Math.max(1, Math.floor(cap / this.#host.dispatchers)) : cap;
  }

  /** The deliveries that it holds, promised places aside. */
  *held(): Iterable<DeliveryId> {
    for (const queue of this.#queues) for (const { id } of queue) yield id;
    yield* this.#startedAtMs.keys();
  }

  /** Those that have not been started. */
  *unstarted(): Iterable<Ready> {
    for (const queue of this.#queues) yield* queue;
  }

  push(ready: Ready): void {
    this.#queues[ready.class].push(ready);
  }

  take(deliveryClass: DeliveryClass): Ready | undefined {
    return this.#queues[deliveryClass].take();
  }

  /** Takes out waiting deliveries that ended elsewhere. */
  takeEnded(ids: ReadonlySet<DeliveryId>): Ready[] {
    return this.#queues.flatMap((queue) => queue.takeWhere(({ id }) => ids.has(id)));
  }

  /** Everything that has not been started. */
  drain(): Ready[] {
    return this.#queues.flatMap((queue) => queue.drain());
  }

  maySend(nowMs: number): MaySend {
    if (!this.runnable || !this.sendable || this.inFlight >= this.cap) return { kind: "no" };
    if (this.breaker.state === "open" && nowMs < this.#probeAtMs)
      return { kind: "later", inMs: this.#probeAtMs - nowMs };
    if (this.#pace === null) return { kind: "now" };
    const inMs = this.#pace.waitMs(nowMs);
    return inMs <= 0 ? { kind: "now" } : { kind: "later", inMs };
  }

  started(ready: Ready, nowMs: number, probeEveryMs: number): void {
    this.inFlight += 1;
    this.#startedAtMs.set(ready.id, nowMs);
    this.#pace?.take(nowMs);
    this.#probeEveryMs = probeEveryMs;
    if (this.breaker.state === "open") this.#probeAtMs = nowMs + probeEveryMs;
  }

  /** Books what came of an attempt. True when the breaker changed. */
  ended(ready: Ready, outcome: AttemptOutcome, durationMs: number, nowMs: number): boolean {
    this.inFlight -= 1;
    this.#startedAtMs.delete(ready.id);
    const failed = outcome.kind !== "succeeded";
    this.#adapt(outcome, nowMs);
    this.slow = outcome.kind === "timed_out" || durationMs > SLOW_MS || this.hasOld(nowMs);
    const changed = this.breaker.record(failed, nowMs);
    if (!changed) return false;
    if (this.breaker.state === "closed") this.ramp();
    if (this.breaker.state === "open") this.#probeAtMs = nowMs + this.#probeEveryMs;
    this.#ownByBreaker();
    return true;
  }

  /** While its breaker is not closed a lane is one node's own. The store has the last word: of two nodes the first one counts. */
  #ownByBreaker(): void {
    if (this.ownership === "elsewhere") return;
    if (this.breaker.state !== "closed") this.ownership = "ours";
    else if (!this.exclusive) this.ownership = "shared";
  }

  /**
   * Whether a success is to clear the endpoint's failures in the store although this node knows of none: of a shared lane
   * others may, and without this a failure on one node would count on while the others succeed.
   */
  clearsForOthers(nowMs: number, everyMs: number): boolean {
    if (this.ownership !== "shared" || nowMs - this.#clearedAtMs < everyMs) return false;
    this.#clearedAtMs = nowMs;
    return true;
  }

  /** Whether an attempt has been under way for longer than SLOW_MS. */
  hasOld(nowMs: number): boolean {
    const oldest = this.#startedAtMs.values().next().value;
    return oldest !== undefined && nowMs - oldest > SLOW_MS;
  }

  /** Additive increase, multiplicative decrease; after an outage 1, 2, 4, ... until the usual start. */
  #adapt(outcome: AttemptOutcome, nowMs: number): void {
    const capMax = this.runtime.endpoint.inFlightMax;
    if (asksToSlowDown(outcome)) {
      if (nowMs - this.#cutAtMs < CUT_APART_MS) return;
      this.#cutAtMs = nowMs;
      this.#ramping = false;
      this.#cap = Math.max(1, this.#cap / 2);
      return;
    }
    if (outcome.kind !== "succeeded") return;
    this.#cap += this.#ramping ? 1 : 1 / this.#cap;
    if (this.#ramping && this.#cap >= DEFAULTS.inFlightStart) this.#ramping = false;
    this.#cap = Math.min(this.#cap, capMax);
  }

  #setPace(): void {
    const rate = effectiveRatePerSecond(this.runtime.endpoint);
    if (rate === this.#paceRate) return;
    this.#paceRate = rate;
    this.#pace = rate === null ? null : new Pace(rate);
  }
}

function ownershipOf({ owner, exclusive }: LaneRecord, incarnation: IncarnationId | null): Ownership {
  if (owner === null) return exclusive ? "unclaimed" : "shared";
  return owner === incarnation ? "ours" : "elsewhere";
}

/** 429, 502, 504 (Standard Webhooks, "Delivery success and failure") and timeouts. */
function asksToSlowDown(outcome: AttemptOutcome): boolean {
  switch (outcome.kind) {
    case "rejected":
      return outcome.status === 429 || outcome.status === 502 || outcome.status === 504;
    case "timed_out":
      return true;
    default:
      return false;
  }
}
