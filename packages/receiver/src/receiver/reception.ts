/**
 * The way of a request: size, method, signature, handshake, decryption, what it says of itself; then the handlers, or the inbox; then the
 * answer. All that branches is here.
 */
import type { Answer, IncomingRequest } from "../schemes/scheme.ts";
import { UnderWay } from "../under-way.ts";
import { VerificationError } from "../verification-error.ts";
import * as answers from "./answers.ts";
import { type Backend, backendOf, type Taken } from "./backend.ts";
import { BodiesFull, bodyTooLarge } from "./body-limit.ts";
import { newTally } from "./counters.ts";
import type { ReceivedEvent } from "./event.ts";
import { bytesOf, type IncomingEvent, readIncoming } from "./incoming.ts";
import { useName } from "./names.ts";
import type { Setup } from "./setup.ts";

/** Of events that wait or are under way: with bodies of 5 MiB a count alone bounds nothing. */
const QUEUE_BYTES_MAX = 64 * 1024 * 1024;

export class Reception {
  readonly setup: Setup;
  readonly tally = newTally();
  readonly #backend: Backend;
  readonly #requests = new UnderWay("receiver");
  readonly #abort = new AbortController();
  readonly #giveNameBack: () => void;
  #bytes = 0;
  #closing: Promise<void> | undefined;
  #isDisabled = false;

  /** @throws TypeError when another receiver of this name uses the store */
  constructor(setup: Setup) {
    this.setup = setup;
    const { name, storage } = setup;
    this.#giveNameBack = useName(name, storage.mode === "process" ? storage.store : storage.inbox);
    const onDisable = () => {
      this.#isDisabled = true;
    };
    this.#backend = backendOf({ setup, tally: this.tally, signal: this.#abort.signal, onDisable });
  }

  async start(): Promise<void> {
    if (this.#closing !== undefined) throw new Error("The receiver is closed.");
    await this.#backend.start();
  }

  async receive(request: IncomingRequest): Promise<Answer> {
    this.tally.received += 1;
    if (this.#closing !== undefined) return this.#refuse(answers.BUSY);
    try {
      return await this.#requests.run(() => this.#answer(request));
    } catch (error) {
      return this.#failed(error, "receive");
    }
  }

  /** The answer to a request that could not even be read. */
  fail(error: unknown): Answer {
    this.tally.received += 1;
    return this.#failed(error, "read");
  }

  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #answer(request: IncomingRequest): Promise<Answer> {
    const { bodyBytesMax, scheme } = this.setup;
    const { method, body } = request;
    if (typeof body !== "string" && !(body instanceof Uint8Array)) {
      throw new TypeError(
        "The body is not the raw bytes or text of the request: something parsed it before.",
      );
    }
    if (bytesOf(body) > bodyBytesMax) throw bodyTooLarge(bodyBytesMax);
    const isGet = takesGet(scheme) && (method === "GET" || method === "HEAD");
    if (method !== "POST" && !isGet) return this.#refuseMethod();
    const incoming = await readIncoming(this.setup, isGet ? { ...request, method: "GET" } : request);
    if (incoming.kind === "handshake") {
      this.tally.handshakes += 1;
      return incoming.answer;
    }
    return isGet && scheme.eventsByGet !== true ? this.#refuseMethod() : this.#takeEvent(incoming);
  }

  async #takeEvent(incoming: IncomingEvent): Promise<Answer> {
    const { tally, setup } = this;
    tally.verified += 1;
    if (this.#isDisabled) return this.#refuse(answers.controlled({ kind: "disable" }));
    const route = setup.routeOf(incoming.event.type);
    if (route === undefined) {
      tally.unhandled += 1;
      return setup.onUnhandled === "refuse" ? this.#refuse(answers.UNHANDLED) : acknowledge(incoming);
    }
    const bytes = incoming.event.payload.byteLength;
    const isFull = tally.underWay >= setup.queueMax || this.#bytes + bytes > QUEUE_BYTES_MAX;
    if (isFull && tally.underWay > 0) return this.#refuse(answers.BUSY);
    tally.underWay += 1;
    this.#bytes += bytes;
    try {
      return this.#answerTo(await this.#backend.take(route, incoming), incoming);
    } finally {
      tally.underWay -= 1;
      this.#bytes -= bytes;
    }
  }

  #answerTo(taken: Taken, incoming: IncomingEvent): Answer {
    const { tally } = this;
    switch (taken.kind) {
      case "handled":
        tally.handled += 1;
        return acknowledge(incoming);
      case "duplicate":
        tally.duplicates += 1;
        return acknowledge(incoming);
      case "kept":
        return acknowledge(incoming);
      case "busy":
        return this.#refuse(answers.BUSY);
      case "control":
        if (taken.control.kind === "retry_after") tally.failed += 1;
        return this.#refuse(answers.controlled(taken.control));
      case "poison":
        this.#report(taken, incoming.event);
        if (this.setup.deadLetters === undefined) return this.#refuse(answers.UNPROCESSABLE);
        tally.deadLettered += 1;
        return acknowledge(incoming);
      case "failed":
        tally.failed += 1;
        this.#report(taken, incoming.event);
        return this.#refuse(taken.source === "handler" ? answers.FAILED : answers.UNAVAILABLE);
    }
  }

  #report(taken: Taken & { readonly kind: "poison" | "failed" }, event: ReceivedEvent): void {
    const during = taken.kind === "failed" && taken.source === "store" ? "store" : "handle";
    this.setup.report(taken.error, { during, event, by: taken.by });
  }

  #failed(error: unknown, during: "read" | "receive"): Answer {
    if (error instanceof BodiesFull) return this.#refuse(answers.BUSY);
    const isRefusal = error instanceof VerificationError;
    this.setup.report(error, { during: isRefusal ? "verify" : during });
    return this.#refuse(isRefusal ? answers.refusalOf(error) : answers.BROKEN);
  }

  #refuseMethod(): Answer {
    return this.#refuse(answers.wrongMethod(takesGet(this.setup.scheme) ? "GET, HEAD, POST" : "POST"));
  }

  #refuse(refusal: answers.Refusal): Answer {
    const { refused } = this.tally;
    refused[refusal.code] = (refused[refusal.code] ?? 0) + 1;
    return answers.refuse(refusal, this.setup.scheme.refusal);
  }

  async #close(graceMs: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const graceIsOver = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        this.#abort.abort(new Error("The receiver is closed, and waits no longer."));
        resolve();
      }, graceMs);
    });
    await Promise.race([Promise.all([this.#requests.close(), this.#backend.drain()]), graceIsOver]);
    clearTimeout(timer);
    this.#giveNameBack();
    await this.#backend.close();
  }
}

function takesGet({ handshakesByGet, eventsByGet }: Setup["scheme"]): boolean {
  return handshakesByGet === true || eventsByGet === true;
}

function acknowledge({ acknowledgement }: IncomingEvent): Answer {
  return acknowledgement?.() ?? answers.OK;
}
