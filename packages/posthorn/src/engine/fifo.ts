/** A first-in first-out queue whose take costs the same at any length. */
export class Fifo<Item> {
  #items: (Item | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  take(): Item | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head > 32 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** All that is left, in its order. */
  *[Symbol.iterator](): Iterator<Item> {
    for (let index = this.#head; index < this.#items.length; index++) yield this.#items[index] as Item;
  }

  /** Takes out what is wanted, and keeps the rest in its order. */
  takeWhere(wanted: (item: Item) => boolean): Item[] {
    const taken: Item[] = [];
    const kept: Item[] = [];
    for (const item of this.drain()) (wanted(item) ? taken : kept).push(item);
    this.#items = kept;
    return taken;
  }

  /** Takes all that is left. */
  drain(): Item[] {
    const rest = this.#items.slice(this.#head) as Item[];
    this.#items = [];
    this.#head = 0;
    return rest;
  }
}
