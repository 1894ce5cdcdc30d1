/**
 * Slow lanes, which time out or take over a second, share at most half of the node's attempts under way, so that a hundred
 * hanging endpoints cannot take the places of those that answer.
 */
import type { Lane } from "./lane.ts";

const NONE: readonly Lane[] = [];

export class SlowLanes {
  #inFlightMax: number;
  #inFlight = 0;
  #parked = new Set<Lane>();

  constructor(inFlightMax: number) {
    this.#inFlightMax = inFlightMax;
  }

  /** True when a slow lane has to wait until an attempt ends. */
  parks(lane: Lane): boolean {
    if (!lane.slow || this.#inFlight < this.#inFlightMax) return false;
    this.#parked.add(lane);
    return true;
  }

  /** The lanes that waited; they may look again. */
  unpark(): readonly Lane[] {
    if (this.#parked.size === 0) return NONE;
    const lanes = [...this.#parked];
    this.#parked.clear();
    return lanes;
  }

  started(lane: Lane): void {
    if (lane.slow) this.#inFlight += 1;
  }

  /** Before the lane books the end itself. */
  ended(lane: Lane): void {
    if (lane.slow) this.#inFlight -= 1;
  }

  mark(lane: Lane): void {
    const wasSlow = lane.slow;
    lane.slow = true;
    this.changed(lane, wasSlow);
  }

  /** The attempts under way of a lane that became slow, or is no more, change sides. */
  changed(lane: Lane, wasSlow: boolean): void {
    if (wasSlow === lane.slow) return;
    this.#inFlight += lane.slow ? lane.inFlight : -lane.inFlight;
  }
}
