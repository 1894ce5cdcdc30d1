/** The values of a statement that is put together from parts: `add` answers how the text names the value. */
export class Values {
  readonly list: unknown[] = [];

  add(value: unknown): string {
    this.list.push(value);
    return `$${this.list.length}`;
  }
}
