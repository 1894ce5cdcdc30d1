/**
 * One lane in memory: a bounded window of an endpoint's queue, with what limits its sending: its in-flight cap (adaptive),
 * its rate limit, its breaker. It decides nothing about other lanes; the dispatcher is fair between them.
 */
import type { DeliveryId } from "../base/ids.ts";
import type { AttemptOutcome } from "../domain/attempt.ts";
import { BREAKER_POLICY, Breaker } from "../domain/breaker.ts";
import { DEFAULTS } from "../domain/defaults.ts";
import type { DeliveryClass } from "../domain/delivery.ts";
import { Pace } from "../domain/pace.ts";
import type { ClaimedDelivery, LaneRecord } from "../store/store.ts";
import type { EndpointRuntime } from "./endpoint-runtime.ts";
import { Fifo } from "./fifo.ts";

/** A leased delivery in memory. */
export type Ready = ClaimedDelivery;

/** An attempt that takes this long makes its lane a slow one: slow lanes share at most half of the node. */
export const SLOW_MS = 1000;
/** Cuts of the cap within this time of each other are one cut: the answers of one congested moment. */
const CUT_APART_MS = 1000;

export type MaySend =
  | { readonly kind: "now" }
  | { readonly kind: "later"; readonly inMs: number }
  | { readonly kind: "no" };

export class Lane {
  runtime: EndpointRuntime;
  breaker: Breaker;
  epoch: number;
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
  #startedAtMs = new Map<string, number>();

  constructor(runtime: EndpointRuntime, record: LaneRecord) {
    this.runtime = runtime;
    this.epoch = record.epoch;
    this.backlog = record.backlog;
    this.failing = record.failingForMs !== null;
    this.breaker = new Breaker(record.breaker);
    this.#cap = Math.min(DEFAULTS.inFlightStart, runtime.endpoint.inFlightMax);
    this.#setPace();
  }

  get id() {
    return this.runtime.endpoint.id;
  }

  /** Takes over a changed endpoint. A lane that may run again after a pause ramps up: never a herd. */
  change(runtime: EndpointRuntime): void {
    const wasDisabled = this.runtime.endpoint.status === "disabled";
    const couldRun = this.runtime.endpoint.status === "enabled";
    this.runtime = runtime;
    if (wasDisabled && runtime.endpoint.status === "enabled") this.#startAnew();
    if (!couldRun && runtime.endpoint.status === "enabled") this.ramp();
    this.#setPace();
  }

  /** Who enables a disabled endpoint says that it is well: the store forgets its failures, and so does the lane. */
  #startAnew(): void {
    this.breaker = new Breaker("closed");
    this.failing = false;
    this.warned = false;
    this.#probeAtMs = Number.NEGATIVE_INFINITY;
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

  /** Whether fresh deliveries may be handed over: it runs, nothing is before them, and the breaker is closed. */
  get open(): boolean {
    return this.runnable && !this.backlog && this.breaker.state === "closed";
  }

  /** How many attempts may be under way now. */
  get cap(): number {
    if (this.breaker.state !== "closed") return 1;
    return Math.max(1, Math.min(Math.floor(this.#cap), this.runtime.endpoint.inFlightMax));
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
    if (!this.runnable || this.inFlight >= this.cap) return { kind: "no" };
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
    if (changed && this.breaker.state === "closed") this.ramp();
    if (changed && this.breaker.state === "open") this.#probeAtMs = nowMs + this.#probeEveryMs;
    return changed;
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
    const rate = this.runtime.endpoint.rateLimitPerSecond;
    if (rate === this.#paceRate) return;
    this.#paceRate = rate;
    this.#pace = rate === null ? null : new Pace(rate);
  }
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
