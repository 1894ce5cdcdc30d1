/** Bodies are read up to a limit, whatever the sender says of their length, and all that are being read up to another. */
import { VerificationError } from "../verification-error.ts";

/** Of all bodies that are being read at a time: nobody's signature was checked yet. */
const TOGETHER_BYTES_MAX = 64 * 1024 * 1024;

/** As much is being read as may be: 503. */
export class BodiesFull extends Error {
  override readonly name = "BodiesFull";
}

export function bodyTooLarge(bytesMax: number): VerificationError {
  return new VerificationError(
    "body_too_large",
    `The body has more than the ${bytesMax} bytes that this receiver takes.`,
  );
}

/** The bodies that a receiver reads. */
export class Bodies {
  readonly bytesMax: number;
  readonly #togetherBytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
    this.#togetherBytesMax = Math.max(TOGETHER_BYTES_MAX, bytesMax);
  }

  /**
   * One body. Its chunks are copied together as they come: a sender may send each byte as a chunk, and an object for each takes 100
   * times their bytes.
   * @param contentLength the header; how long the body really is shows when it is read
   * @param readInto hands over its chunks in their order, and resolves at its end
   * @throws VerificationError `body_too_large`; BodiesFull; whatever `readInto` throws
   */
  async read(
    contentLength: string | null | undefined,
    readInto: (add: (chunk: Uint8Array) => void) => Promise<void>,
  ): Promise<Uint8Array> {
    if (Number(contentLength ?? 0) > this.bytesMax) throw bodyTooLarge(this.bytesMax);
    let buffer: Uint8Array = new Uint8Array();
    let bytes = 0;
    try {
      await readInto((chunk) => {
        const start = bytes;
        bytes += chunk.byteLength;
        if (bytes > buffer.byteLength) buffer = this.#grow(buffer, bytes);
        buffer.set(chunk, start);
      });
      return buffer.subarray(0, bytes);
    } finally {
      this.#bytes -= buffer.byteLength;
    }
  }

  /** At least twice as long, so that each byte is copied about once; a body in one chunk gets a buffer of its size. */
  #grow(buffer: Uint8Array, bytes: number): Uint8Array {
    if (bytes > this.bytesMax) throw bodyTooLarge(this.bytesMax);
    const length = Math.min(Math.max(bytes, 2 * buffer.byteLength), this.bytesMax);
    const more = length - buffer.byteLength;
    if (this.#bytes + more > this.#togetherBytesMax) throw new BodiesFull("Too many bodies are being read.");
    this.#bytes += more;
    const grown = new Uint8Array(length);
    grown.set(buffer);
    return grown;
  }
}
