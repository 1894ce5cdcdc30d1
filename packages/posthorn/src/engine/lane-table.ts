/**
 * The lanes of this node and their common window: how many deliveries, and how many payload bytes, are in memory.
 * A publication that wants to be handed over in memory reserves its place here before it is accepted.
 */
import type { DeliveryId, EndpointId, IncarnationId } from "../base/ids.ts";
import type { LaneRecord } from "../store/store.ts";
import type { EndpointRuntime } from "./endpoint-runtime.ts";
import { Lane, type LaneHost } from "./lane.ts";

/** Idle lanes beyond this many are forgotten, closed breakers only. */
const LANES_MAX = 20_000;

export interface LaneTableLimits {
  readonly laneWindowMax: number;
  readonly windowMax: number;
  readonly windowBytesMax: number;
  /** Whether this node sends at all. */
  readonly dispatch: boolean;
}

export class LaneTable implements LaneHost {
  #lanes = new Map<EndpointId, Lane>();
  #limits: LaneTableLimits;
  #forgetAtSize = LANES_MAX;
  /** null: this node does not send (yet, or any more). */
  incarnation: IncarnationId | null = null;
  dispatchers = 1;
  /** Monotonic: from then on others may take over what is leased to this node, and no attempt may start. */
  validUntilMs = Number.POSITIVE_INFINITY;
  /** Deliveries in memory, promised places included, and their payload bytes. */
  used = 0;
  usedBytes = 0;
  /** Given back although the answer to their accept may still come: they must not be taken up then. */
  readonly givenBack = new Set<DeliveryId>();
  /** A claim found more due work than the window has room for: look again when half of it is free. */
  starved = false;

  constructor(limits: LaneTableLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#lanes.size;
  }

  get(endpointId: EndpointId): Lane | undefined {
    return this.#lanes.get(endpointId);
  }

  all(): Iterable<Lane> {
    return this.#lanes.values();
  }

  /** The lane of an endpoint, made when it is not there, and brought up to the newest version known. */
  ensure(runtime: EndpointRuntime, record: LaneRecord): Lane {
    const known = this.#lanes.get(runtime.endpoint.id);
    if (known !== undefined) {
      const isNewer = runtime.endpoint.version > known.runtime.endpoint.version;
      if (isNewer) known.change(runtime);
      // What it holds may have to go back now: the refresh sees to that.
      if (known.follow(record) || isNewer) known.doubtful = true;
      return known;
    }
    if (this.#lanes.size >= this.#forgetAtSize) this.#forgetIdle();
    const lane = new Lane(runtime, record, this);
    this.#lanes.set(runtime.endpoint.id, lane);
    return lane;
  }

  remove(endpointId: EndpointId): void {
    this.#lanes.delete(endpointId);
  }

  /** Forgets every lane: what they hold is not this node's any more. Attempts under way end in the lanes that began them. */
  clear(): void {
    for (const lane of this.#lanes.values())
      for (const ready of lane.drain()) this.drop(ready.payload.length);
    this.#lanes.clear();
    this.#forgetAtSize = LANES_MAX;
    this.starved = false;
  }

  /** Takes deliveries that ended out of what waits of a lane: they are not sent. */
  forget(endpointId: EndpointId, ids: ReadonlySet<DeliveryId>): void {
    for (const ready of this.#lanes.get(endpointId)?.takeEnded(ids) ?? []) this.drop(ready.payload.length);
  }

  /** Promises a place in memory. null: there is none, or the lane takes no hand-off now; then the delivery is stored unleased. */
  reserve(runtime: EndpointRuntime, bytes: number): IncarnationId | null {
    if (this.incarnation === null || !this.#limits.dispatch) return null;
    if (this.used >= this.#limits.windowMax) return null;
    if (this.usedBytes + bytes > this.#limits.windowBytesMax) return null;
    const lane = this.ensure(runtime, runtime.config.lane);
    if (!lane.open || lane.window >= this.#limits.laneWindowMax) return null;
    lane.reserved += 1;
    this.hold(bytes);
    return this.incarnation;
  }

  hold(bytes: number): void {
    this.used += 1;
    this.usedBytes += bytes;
  }

  drop(bytes: number): void {
    this.used -= 1;
    this.usedBytes -= bytes;
  }

  /** How many more deliveries a lane may hold. */
  roomOf(lane: Lane): number {
    return Math.min(this.#limits.laneWindowMax - lane.window, this.#limits.windowMax - this.used);
  }

  /** True once, when a starved window is half free again. */
  relieved(): boolean {
    if (!this.starved || this.used * 2 > this.#limits.windowMax) return false;
    this.starved = false;
    return true;
  }

  get bytesRoom(): number {
    return this.#limits.windowBytesMax - this.usedBytes;
  }

  #forgetIdle(): void {
    for (const [endpointId, lane] of this.#lanes) {
      if (lane.window > 0 || lane.backlog || lane.claiming || lane.breaker.state !== "closed") continue;
      this.#lanes.delete(endpointId);
      if (this.#lanes.size < LANES_MAX * 0.9) break;
    }
    // Where most lanes are busy, looking through all of them for each new one would cost more than their memory.
    this.#forgetAtSize = Math.max(LANES_MAX, Math.ceil(this.#lanes.size * 1.25));
  }
}
