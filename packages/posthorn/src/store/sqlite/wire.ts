/**
 * What the main thread and the two workers say to each other. Calls keep the shape of the contract; structured clone
 * carries them. Their bytes are packed into one buffer per message and transferred: cloning a slice of a pooled buffer
 * would copy the whole pool, and a buffer each would cost more than the copy.
 */
import type { ErrorCode } from "../../base/errors.ts";
import { messageOf, PosthornError } from "../../base/errors.ts";
import type { StoreReader, StoreWriter } from "../store.ts";
import { WrongMasterKeyError } from "../wrong-master-key.ts";

/** What a store for one node need not ask its threads. */
type AloneWriter = "takeDuty" | "refusePublication";
type AloneReader = "publications";

/** Methods that the writer thread runs, with what only the store itself calls. */
export interface WriterMethods extends Omit<StoreWriter, AloneWriter> {
  advance(ms: number): Promise<void>;
}
export type WriterVerb = keyof WriterMethods;

export type ReaderVerb = Exclude<keyof StoreReader, AloneReader>;

export interface Call<Verb extends string> {
  readonly verb: Verb;
  readonly args: readonly unknown[];
}

/** To a worker: calls that the writer commits together, or one call for the reader. */
export type ToWorker<Verb extends string> = { readonly calls: readonly Call<Verb>[] } | "close";

export type Answer = { readonly value: unknown } | { readonly error: CarriedError };

/** From a worker. */
export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "answers"; readonly answers: readonly Answer[] }
  /** The last message: what was under way is lost, and nothing more will be stored. */
  | { readonly kind: "fatal"; readonly error: CarriedError };

/** An error on its way between threads: classes do not survive structured clone. */
export interface CarriedError {
  readonly message: string;
  readonly code: ErrorCode | null;
  readonly pointer: string | undefined;
  /** Whose secrets are sealed under another master key. */
  readonly wrongKeyOf: string | undefined;
}

export function carry(error: unknown): CarriedError {
  const facts = error instanceof PosthornError ? error : undefined;
  return {
    message: messageOf(error),
    code: facts?.code ?? null,
    pointer: facts?.pointer,
    wrongKeyOf: error instanceof WrongMasterKeyError ? error.store : undefined,
  };
}

export function uncarry({ message, code, pointer, wrongKeyOf }: CarriedError): Error {
  if (wrongKeyOf !== undefined) return new WrongMasterKeyError(wrongKeyOf);
  if (code === null) return new Error(message);
  return new PosthornError(code, message, {
    ...(pointer === undefined ? {} : { pointer }),
    ...(code === "storage_full" ? { retryAfterSeconds: 30 } : {}),
  });
}

/** Gathers the bytes of one message into one transferable buffer. */
export class Packer {
  #bytes = 0;
  #buffer: Uint8Array<ArrayBuffer> | undefined;
  #offset = 0;

  /** First pass: how much there will be. */
  reserve(part: Uint8Array | null): void {
    this.#bytes += part?.length ?? 0;
  }

  /** Second pass, in any order: a copy of `part` inside the packed buffer. */
  pack<Part extends Uint8Array | null>(part: Part): Part {
    if (part === null || part.length === 0) return part;
    this.#buffer ??= new Uint8Array(this.#bytes);
    const copy = this.#buffer.subarray(this.#offset, this.#offset + part.length);
    copy.set(part);
    this.#offset += part.length;
    return copy as unknown as Part;
  }

  get transferList(): ArrayBuffer[] {
    return this.#buffer === undefined ? [] : [this.#buffer.buffer];
  }
}
