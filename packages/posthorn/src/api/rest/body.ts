/**
 * Reads a body as bytes, within limits: per body, and for all large bodies together, so that no number of connections
 * fills the memory. A body that is too large is read to its end within reason and thrown away, because a client that is
 * cut off while it sends does not see the answer.
 */
import type { IncomingMessage } from "node:http";
import { PosthornError } from "../../base/errors.ts";
import { LIMITS } from "../../domain/defaults.ts";
import { scanJson } from "../../domain/json.ts";

export interface BodyLimits {
  readonly bodyBytesMax: number;
  /** All bodies over SMALL_BODY_BYTES that are held at one time. */
  readonly bodiesBytesMax: number;
}

/** Smaller bodies are not counted: bounded by the number of connections, and too many to keep books on. */
const SMALL_BODY_BYTES = 16 * 1024;
/** What is read of a body that is too large before its sender is cut off. */
const DISCARD_BYTES_MAX = 4 * LIMITS.batchBytesMax;

export class BodyReader {
  readonly #limits: BodyLimits;
  #heldBytes = 0;

  constructor(limits: BodyLimits) {
    this.#limits = limits;
  }

  /** Bytes of large bodies that are held now. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Calls back once: with the whole body, to be given back with `release`, or with what was wrong with it. */
  read(request: IncomingMessage, done: (error: Error | null, body?: Buffer) => void): void {
    const { bodyBytesMax } = this.#limits;
    const declaredBytes = Number(request.headers["content-length"] ?? 0);
    let chunks: Buffer[] = [];
    let receivedBytes = 0;
    let refusal: PosthornError | null = declaredBytes > bodyBytesMax ? tooLarge(bodyBytesMax) : null;

    const finish = (error: Error | null, body?: Buffer): void => {
      request.off("data", onData).off("end", onEnd).off("error", onError);
      done(error, body);
    };
    const refuse = (error: PosthornError): void => {
      this.#hold(-heldOf(receivedBytes));
      chunks = [];
      refusal = error;
    };
    const onData = (chunk: Buffer): void => {
      const bytes = receivedBytes + chunk.length;
      if (refusal === null) {
        this.#hold(heldOf(bytes) - heldOf(receivedBytes));
        chunks.push(chunk);
      }
      receivedBytes = bytes;
      if (refusal !== null) {
        if (bytes > DISCARD_BYTES_MAX) finish(refusal);
      } else if (bytes > bodyBytesMax) {
        refuse(tooLarge(bodyBytesMax));
      } else if (this.#heldBytes > this.#limits.bodiesBytesMax) {
        refuse(tooManyBodies());
      }
    };
    const onEnd = (): void => {
      // Copied even when it is one chunk: a chunk is a window into the socket's 64 KiB, and would keep all of that alive.
      if (refusal === null) finish(null, Buffer.concat(chunks, receivedBytes));
      else finish(refusal);
    };
    const onError = (error: Error): void => {
      if (refusal === null) this.#hold(-heldOf(receivedBytes));
      finish(error);
    };

    if (declaredBytes > DISCARD_BYTES_MAX) done(refusal);
    else request.on("data", onData).on("end", onEnd).on("error", onError);
  }

  /** The body was dealt with. */
  release(body: Buffer): void {
    this.#hold(-heldOf(body.length));
  }

  #hold(bytes: number): void {
    this.#heldBytes += bytes;
  }
}

function heldOf(bodyBytes: number): number {
  return bodyBytes > SMALL_BODY_BYTES ? bodyBytes : 0;
}

function tooLarge(bodyBytesMax: number): PosthornError {
  const message = `The body has more than ${bodyBytesMax} bytes. Send it in parts.`;
  return new PosthornError("payload_too_large", message, { pointer: "" });
}

function tooManyBodies(): PosthornError {
  return new PosthornError("overloaded", "Too many large bodies are under way. Try again.", {
    retryAfterSeconds: 1,
  });
}

/**
 * A body of configuration, as strictly read as an event; undefined when there is none.
 * @throws JsonScanError
 */
export function parseJsonBody(bytes: Buffer | undefined): unknown {
  if (bytes === undefined || bytes.length === 0) return undefined;
  scanJson(bytes, { depthMax: LIMITS.jsonDepthMax });
  return JSON.parse(bytes.toString("utf8"));
}
