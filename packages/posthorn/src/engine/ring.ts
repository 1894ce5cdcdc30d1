/** The lanes that have work of a class and may send, served in turn, one delivery each. */
import type { DeliveryClass } from "../domain/delivery.ts";
import { CLASS_SHARES } from "../domain/delivery.ts";
import { Fifo } from "./fifo.ts";
import type { Lane } from "./lane.ts";

export class Rings {
  #rings = [new Fifo<Lane>(), new Fifo<Lane>(), new Fifo<Lane>()] as const;
  #credit: [number, number, number] = [...CLASS_SHARES];

  /** Puts a lane at the end of the ring of each class that it has work of. */
  add(lane: Lane): void {
    for (const deliveryClass of [0, 1, 2] as const) {
      if (lane.ringed[deliveryClass] || lane.waitingOf(deliveryClass) === 0) continue;
      lane.ringed[deliveryClass] = true;
      this.#rings[deliveryClass].push(lane);
    }
  }

  /** The next lane and class, by the shares of the classes; a share that nobody uses passes on. */
  next(): { readonly lane: Lane; readonly deliveryClass: DeliveryClass } | undefined {
    const deliveryClass = this.#pick();
    if (deliveryClass === undefined) return undefined;
    const lane = this.#rings[deliveryClass].take() as Lane;
    lane.ringed[deliveryClass] = false;
    this.#credit[deliveryClass] -= 1;
    return { lane, deliveryClass };
  }

  #pick(): DeliveryClass | undefined {
    for (let turn = 0; turn < 2; turn++) {
      for (const deliveryClass of [0, 1, 2] as const) {
        if (this.#rings[deliveryClass].length > 0 && this.#credit[deliveryClass] > 0) return deliveryClass;
      }
      // Whoever has work has used its share: a new round.
      this.#credit = [...CLASS_SHARES];
    }
    return undefined;
  }
}
