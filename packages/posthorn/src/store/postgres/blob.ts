/** Bytes of many elements as one parameter: the driver sends a Buffer as it is, where a list of them would go as hexadecimal text. */
export class Blob {
  readonly starts: (number | null)[] = [];
  readonly lengths: (number | null)[] = [];
  #parts: Uint8Array[] = [];
  #bytes = 0;

  add(bytes: Uint8Array | null): void {
    this.starts.push(bytes === null ? null : this.#bytes);
    this.lengths.push(bytes === null ? null : bytes.length);
    if (bytes === null) return;
    this.#parts.push(bytes);
    this.#bytes += bytes.length;
  }

  whole(): Buffer {
    return Buffer.concat(this.#parts, this.#bytes);
  }
}
