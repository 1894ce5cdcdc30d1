/**
 * The dispatcher sends what is leased to this node: lane by lane, fair between endpoints, in three classes, each lane
 * within its cap, rate and breaker. It works at its own pace: a loop takes the next lane that may send.
 */

import { monotonicMs } from "../base/clock.ts";
import { messageOf } from "../base/errors.ts";
import type { EventId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { type AttemptOutcome, isFailure } from "../domain/attempt.ts";
import type { DisableReason } from "../domain/endpoint.ts";
import type { Acceptance, BreakerChange, ClaimedLane, NewDelivery, SettleResult } from "../store/store.ts";
import type { Receipt, Transport } from "../transports/transport.ts";
import { type Attempted, feedEntryOf, outcomeOf } from "./attempted.ts";
import type { EndpointRuntime } from "./endpoint-runtime.ts";
import type { Feed } from "./feed.ts";
import type { FiguresCounter } from "./figures.ts";
import { HandingBack } from "./handing-back.ts";
import type { Lane, Ready } from "./lane.ts";
import type { LaneTable } from "./lane-table.ts";
import { disablesEndpoint, nextStep } from "./next-step.ts";
import type { EngineOptions } from "./options.ts";
import { mayRenounce } from "./ownership.ts";
import { Rings } from "./ring.ts";
import type { Settler } from "./settler.ts";
import { SlowLanes } from "./slow-lanes.ts";

/** How often a success on a shared lane clears failures that other nodes may have seen: it costs a write of the lane. */
const CLEARED_EVERY_MS = 3_600_000;

/** A fresh delivery that has a place in memory and goes there once it is durable. */
export interface HandOver {
  readonly runtime: EndpointRuntime;
  readonly delivery: NewDelivery;
  readonly eventId: EventId;
  readonly eventType: string;
  readonly hops: number;
  readonly payload: Uint8Array;
}

/** What the dispatcher tells others; create.ts connects it. */
export interface DispatcherEvents {
  /** A lane has room again, and the store has more of it. */
  hungry(lane: Lane): void;
  /** Something will be due in the store in so many milliseconds. */
  dueIn(ms: number): void;
  /** An attempt was settled: policy looks at it. */
  settled(attempted: Attempted, result: SettleResult): void;
  disable(lane: Lane, reason: DisableReason): void;
}

export interface DispatcherNeeds {
  readonly transport: Transport;
  /** The store has other nodes, too. */
  readonly shared: boolean;
  readonly settler: Settler;
  readonly lanes: LaneTable;
  readonly figures: FiguresCounter;
  readonly feed: Feed;
  readonly logger: Logger;
  readonly options: EngineOptions;
}

export class Dispatcher {
  stopping = false;
  inFlight = 0;
  events: DispatcherEvents = { hungry() {}, dueIn() {}, settled() {}, disable() {} };
  #needs: DispatcherNeeds;
  #rings = new Rings();
  #slow: SlowLanes;
  #handingBack: HandingBack;
  #idle: (() => void)[] = [];
  #pumpAsked = false;

  constructor(needs: DispatcherNeeds) {
    this.#needs = needs;
    this.#slow = new SlowLanes(needs.options.inFlightMax / 2);
    this.#handingBack = new HandingBack({ ...needs, done: () => this.#pumpSoon() });
  }

  // ---- what comes in ----------------------------------------------------------------------------------------------

  /** See LaneTable.reserve. */
  reserve(runtime: EndpointRuntime, bytes: number): NewDelivery["lease"] {
    return this.stopping ? null : this.#needs.lanes.reserve(runtime, bytes);
  }

  /** Gives promised places back. */
  unreserve(handOvers: readonly HandOver[]): void {
    for (const handOver of handOvers) {
      const lane = this.#laneOf(handOver);
      this.#needs.lanes.drop(handOver.payload.length);
      if (lane === undefined) continue;
      lane.reserved -= 1;
      // The store may have refused the lease because another node has the lane.
      if (this.#needs.shared) lane.doubtful = true;
    }
  }

  /** A fresh delivery, durable and leased to this node. */
  handOver(handOver: HandOver): void {
    const { runtime, delivery, eventId, eventType, hops, payload } = handOver;
    const { lanes } = this.#needs;
    const lane = this.#laneOf(handOver);
    if (lane !== undefined) lane.reserved -= 1;
    // The endpoint was removed meanwhile, and its deliveries are being cancelled; or the lease is not this node's any more.
    if (lane === undefined || lanes.givenBack.has(delivery.id)) {
      lanes.drop(payload.length);
      return;
    }
    const ready: Ready = {
      id: delivery.id,
      appId: runtime.endpoint.appId,
      endpointId: runtime.endpoint.id,
      eventId,
      eventType,
      trigger: delivery.trigger,
      class: delivery.class,
      orderKey: delivery.orderKey,
      failures: 0,
      attempts: 0,
      hops,
      payload,
    };
    if (this.#keeps(lane)) this.#enqueue(lane, ready);
    else this.#handingBack.release(lane, [ready]);
  }

  /** The lane that promised the place: not one of the same endpoint that was made after this node joined again. */
  #laneOf({ runtime, delivery }: HandOver): Lane | undefined {
    const lane = this.#needs.lanes.get(runtime.endpoint.id);
    return lane?.incarnation === delivery.lease ? lane : undefined;
  }

  /** Deliveries stored for later: their lanes have a backlog, and claims will bring them. */
  storedUnleased(acceptance: Acceptance): void {
    const { event, deliveries } = acceptance;
    const inMs = event.deliverAtMs === null ? 0 : Math.max(0, event.deliverAtMs - Date.now());
    if (inMs > 0) {
      this.events.dueIn(inMs);
      return;
    }
    for (const { endpointId, lease } of deliveries) {
      if (lease !== null) continue;
      const lane = this.#needs.lanes.get(endpointId);
      if (lane === undefined || this.#isToBeClaimed(lane)) this.events.dueIn(0);
      if (lane !== undefined) lane.backlog = true;
    }
  }

  /** Whether nothing else will bring what was stored: a lane that does not run is looked at when it does again. */
  #isToBeClaimed(lane: Lane): boolean {
    // It is claimed for by itself when it has room.
    if (lane.window > 0) return false;
    // Nobody has it yet: the claim makes it this node's.
    if (lane.ownership === "unclaimed") return !this.stopping && lane.runnable;
    // What there was of a backlog another node may have taken.
    return this.#keeps(lane) && (!lane.backlog || this.#needs.shared);
  }

  /** Claimed deliveries of a lane. */
  take(lane: Lane, claimed: ClaimedLane): void {
    if (lane.incarnation !== this.#needs.lanes.incarnation) return;
    lane.claimed(claimed);
    for (const ready of claimed.deliveries) this.#needs.lanes.hold(ready.payload.length);
    // Under an open breaker the one delivery of a claim is the probe, and must be sent.
    if (this.stopping || !lane.runnable || !lane.sendable) {
      this.#handingBack.release(lane, [...lane.drain(), ...claimed.deliveries]);
      return;
    }
    // A claim asked for before the breaker opened brings more than a probe.
    const kept = lane.breaker.state === "open" ? claimed.deliveries.slice(0, 1) : claimed.deliveries;
    this.#handingBack.release(lane, claimed.deliveries.slice(kept.length));
    for (const ready of kept) lane.push(ready);
    this.#rings.add(lane);
    this.#pumpSoon();
  }

  /** The lane changed: what may not be sent goes back, what may is looked at again. */
  laneChanged(lane: Lane): void {
    if (this.#keeps(lane)) this.#rings.add(lane);
    else this.#handingBack.release(lane, lane.drain());
    if (lane.runnable) this.events.dueIn(0);
    this.#pumpSoon();
  }

  /** The node may send, or send on. */
  lookAgain(): void {
    this.#pumpSoon();
  }

  /** Ends sending: nothing new starts, what waits goes back, what is under way ends. */
  async stop(): Promise<void> {
    this.stopping = true;
    for (const lane of this.#needs.lanes.all()) {
      this.#handingBack.release(lane, lane.drain());
    }
    if (this.inFlight > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** Marks lanes slow whose attempts have been under way for too long; once a second is enough. */
  watchSlow(): void {
    const nowMs = monotonicMs();
    for (const lane of this.#needs.lanes.all()) if (!lane.slow && lane.hasOld(nowMs)) this.#slow.mark(lane);
  }

  // ---- the loop ---------------------------------------------------------------------------------------------------

  /** Whether waiting deliveries of a lane stay in memory. */
  #keeps(lane: Lane): boolean {
    return !this.stopping && lane.runnable && lane.sendable && lane.breaker.state !== "open";
  }

  #enqueue(lane: Lane, ready: Ready): void {
    lane.push(ready);
    this.#rings.add(lane);
    this.#pumpSoon();
  }

  /** All that comes in during one turn of the event loop is looked at once. */
  #pumpSoon(): void {
    if (this.#pumpAsked) return;
    this.#pumpAsked = true;
    queueMicrotask(() => {
      this.#pumpAsked = false;
      this.#pump();
    });
  }

  #pump(): void {
    const { options, settler, lanes } = this.#needs;
    const nowMs = monotonicMs();
    // Beyond it others may have taken over what waits here.
    if (nowMs >= lanes.validUntilMs) return;
    while (!this.stopping && this.inFlight < options.inFlightMax && settler.accepting) {
      const next = this.#rings.next();
      if (next === undefined) return;
      const { lane, deliveryClass } = next;
      const may = lane.maySend(nowMs);
      if (may.kind === "no") continue;
      if (may.kind === "later") {
        this.#lookAgainIn(lane, may.inMs);
        continue;
      }
      if (this.#slow.parks(lane)) continue;
      const ready = lane.take(deliveryClass);
      if (ready !== undefined) this.#send(lane, ready, nowMs);
      this.#rings.add(lane);
    }
  }

  #lookAgainIn(lane: Lane, inMs: number): void {
    if (lane.waking) return;
    lane.waking = true;
    const again = (): void => {
      lane.waking = false;
      this.#rings.add(lane);
      this.#pumpSoon();
    };
    setTimeout(again, Math.ceil(inMs)).unref();
  }

  #send(lane: Lane, ready: Ready, nowMs: number): void {
    const { transport, options } = this.#needs;
    this.inFlight += 1;
    this.#slow.started(lane);
    lane.started(ready, nowMs, options.breakerProbeEveryMs);
    const { runtime } = lane;
    const { endpoint } = runtime;
    let shipped: Promise<Receipt>;
    try {
      const shipment = runtime.shipment(ready, Date.now());
      // Only what is encrypted, or has to be answered in a certain way, is waited for.
      shipped =
        shipment instanceof Promise
          ? shipment.then(async (prepared) => runtime.judged(await transport.ship(prepared)))
          : transport.ship(shipment);
    } catch (error) {
      shipped = Promise.resolve(invalid(error));
    }
    shipped.then(
      (receipt) => this.#ended(lane, ready, receipt, nowMs, endpoint.url),
      (error: unknown) => this.#ended(lane, ready, invalid(error), nowMs, endpoint.url),
    );
  }

  #ended(lane: Lane, ready: Ready, receipt: Receipt, startedAtMs: number, url: string): void {
    const { figures, lanes, options } = this.#needs;
    const { outcome } = receipt;
    const nowMs = monotonicMs();
    this.inFlight -= 1;
    this.#slow.ended(lane);
    const wasSlow = lane.slow;
    const breakerChanged = lane.ended(ready, outcome, receipt.durationMs, nowMs);
    this.#slow.changed(lane, wasSlow);
    lanes.drop(ready.payload.length);
    figures.attempted(ready.appId, ready.endpointId, outcome, receipt.durationMs);

    const { endpoint } = lane.runtime;
    const next = nextStep({
      outcome,
      failures: ready.failures,
      retrySchedule: endpoint.retrySchedule,
      overloadDelayMs: options.overloadDelayMs,
      random: Math.random(),
    });
    const recovers = outcome.kind === "succeeded" && (lane.failing || this.#clearsForOthers(lane, nowMs));
    if (isFailure(outcome)) lane.failing = true;
    else if (recovers) lane.failing = false;
    const attempted: Attempted = { lane, ready, receipt, next, recovers, startedAtMs, url };
    this.#settle(attempted, breakerChange(lane, breakerChanged, options.breakerProbeEveryMs));
    const reason = disablesEndpoint(outcome);
    // An address that has been replaced since may not disable the endpoint that was just repaired.
    if (reason !== null && !lane.closed && url === endpoint.url && mayRenounce(endpoint))
      this.events.disable(lane, reason);
    this.#afterwards(lane, breakerChanged);
  }

  #clearsForOthers(lane: Lane, nowMs: number): boolean {
    const { shared, options } = this.#needs;
    return (
      shared && lane.clearsForOthers(nowMs, Math.min(CLEARED_EVERY_MS, options.disableAfterFailingMs / 4))
    );
  }

  #settle(attempted: Attempted, breaker: BreakerChange | null, isRepeat = false): void {
    const { settler, logger } = this.#needs;
    const { incarnation } = attempted.lane;
    if (incarnation === null) return;
    const deliveryId = attempted.ready.id;
    settler.settle(outcomeOf(attempted, incarnation, breaker)).then(
      (result) => {
        // The lane has another epoch now, or another owner: of two nodes that changed a breaker the first one counts.
        if (breaker !== null) attempted.lane.doubtful = true;
        if (result.kind !== "failed") return this.#settled(attempted, result);
        // This element alone cannot be written. Once more without the part that strangers make; else
        // its lease goes back, so that it is sent again rather than stands still.
        logger.error({ deliveryId, error: result.message, isRepeat }, "settle.refused");
        const receipt = { ...attempted.receipt, responseBody: null };
        if (isRepeat) this.#handingBack.again(attempted.lane, attempted.ready);
        else this.#settle({ ...attempted, receipt }, null, true);
      },
      (error: unknown) => logger.error({ deliveryId, error: messageOf(error) }, "settle.lost"),
    );
  }

  #settled(attempted: Attempted, result: SettleResult): void {
    const { lane, ready, next, recovers } = attempted;
    const { feed, figures } = this.#needs;
    // The store has not booked the recovery: the next success must bring it.
    if (recovers && result.kind !== "settled") lane.failing = true;
    // A delivery that ended otherwise meanwhile (by hand, with its event) was counted then.
    const ends = result.kind === "settled" || (result.kind === "fenced" && result.finished);
    if (ends && (next.kind === "delivered" || next.kind === "dead_lettered")) {
      figures.ended(ready.appId, ready.endpointId, next.kind);
    }
    if (next.kind === "retry") this.events.dueIn(next.inMs);
    if (result.kind === "settled" && result.released) this.events.dueIn(0);
    if (feed.watched) feed.emit(feedEntryOf(attempted));
    this.events.settled(attempted, result);
    this.#pumpSoon();
  }

  /** A place is free: the lane may send its next, the store may have more, and a parked slow lane may go on. */
  #afterwards(lane: Lane, breakerChanged: boolean): void {
    if (breakerChanged && !this.#keeps(lane)) this.#handingBack.release(lane, lane.drain());
    this.#rings.add(lane);
    for (const parked of this.#slow.unpark()) this.#rings.add(parked);
    if (lane.backlog && lane.waiting * 2 <= lane.cap) this.events.hungry(lane);
    if (breakerChanged || this.#needs.lanes.relieved()) this.events.dueIn(0);
    this.#pumpSoon();
    if (this.inFlight === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }
}

function invalid(error: unknown): Receipt {
  const outcome: AttemptOutcome = { kind: "invalid", detail: messageOf(error).slice(0, 200) };
  return { outcome, durationMs: 0, responseBody: null };
}

/** Written down when the state changed, and after every failed probe, which puts the next one off. */
function breakerChange(lane: Lane, changed: boolean, probeEveryMs: number): BreakerChange | null {
  const { breaker, incarnation, epoch, ownership } = lane;
  const { state } = breaker;
  if (!changed && state !== "open") return null;
  // Its owner knows better.
  if (incarnation === null || ownership === "elsewhere") return null;
  return { incarnation, epoch, endpointId: lane.id, state, probeInMs: state === "open" ? probeEveryMs : 0 };
}
