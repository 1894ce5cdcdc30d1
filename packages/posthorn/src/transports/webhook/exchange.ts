/**
 * One request and its answer, as the handler that undici calls. The status line decides: once a final one was read, a
 * reset, a trickle or a broken body change nothing any more. A receiver that has said 200 has the event, and sending it
 * again would only be a duplicate; one that has said 500 has failed either way.
 */
import type { Dispatcher } from "undici";
import type { AttemptOutcome, ReceiverControl } from "../../domain/attempt.ts";
import { parseRetryAfter } from "../../domain/retry-schedule.ts";
import type { Receipt } from "../transport.ts";
import type { Connection, Connections, ConnectionUser } from "./connections.ts";
import { ClientCertificateError, isExhausted, isReset, outcomeOfError, ProtocolError } from "./failure.ts";

export interface ExchangeLimits {
  readonly responseBytesReadMax: number;
  readonly responseBytesKeptMax: number;
}

export type ResponseHeaders = Record<string, string | string[] | undefined>;
/** `headers`: undefined when none were read. */
export type Resolve = (receipt: Receipt, headers: ResponseHeaders | undefined) => void;

/** Interim answers (1xx) before the final one; one or two are usual, a flood is an attack. */
const INTERIM_ANSWERS_MAX = 10;

export class Exchange implements Dispatcher.DispatchHandler, ConnectionUser {
  readonly #connections: Connections;
  readonly #connection: Connection;
  readonly #limits: ExchangeLimits;
  readonly #resolve: Resolve;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #isDone = false;
  #interimAnswers = 0;
  /** 0 until the final status line was read. */
  #status = 0;
  #headers: ResponseHeaders | undefined;
  #bytesRead = 0;
  #kept: Uint8Array | undefined;

  constructor(
    connections: Connections,
    connection: Connection,
    limits: ExchangeLimits,
    timeoutMs: number,
    resolve: Resolve,
  ) {
    this.#connections = connections;
    this.#connection = connection;
    this.#limits = limits;
    this.#resolve = resolve;
    connection.user = this;
    // Node keeps one list per duration: a timer costs 0.2 us. It is not between bytes, and nothing but the end clears it.
    this.#timer = setTimeout(expire, timeoutMs, this);
  }

  /** undici wants it to be there. */
  onRequestStart(): void {}

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: ResponseHeaders,
  ): void {
    if (this.#isDone) return;
    if (status < 200) {
      if (++this.#interimAnswers > INTERIM_ANSWERS_MAX)
        this.#fail(new ProtocolError("too many interim answers"));
      return;
    }
    this.#status = status;
    this.#headers = headers;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#isDone) return;
    if (this.#bytesRead < this.#limits.responseBytesKeptMax) this.#keep(chunk);
    this.#bytesRead += chunk.length;
    if (this.#bytesRead < this.#limits.responseBytesReadMax) return;
    this.#finish(this.#answer());
    this.#connections.discard(this.#connection);
  }

  onResponseEnd(): void {
    if (this.#isDone) return;
    this.#finish(this.#answer());
    this.#connections.release(this.#connection);
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(error);
  }

  /**
   * The deadline. After a pause of the process (it was stopped, or very busy) timers come before what arrived meanwhile; an
   * answer that was there in time is read first, else an event that was taken is sent again.
   */
  expire(): void {
    setImmediate(() => {
      if (this.#isDone) return;
      const phase = this.#connection.dial?.phase ?? "connect";
      this.#close({ kind: "timed_out", phase });
    });
  }

  /** The parser would go on reading what it does not tell us of. */
  overrun(): void {
    this.#fail(new ProtocolError("the answer is longer than any may be, and has no status yet"));
  }

  #fail(error: Error): void {
    if (this.#isDone) return;
    this.#close(outcomeOfError(this.#explained(error)));
    // Connections that nobody uses give back what this machine is short of.
    if (isExhausted(error)) this.#connections.relieve();
  }

  /**
   * Why the connection broke, where that is known better. With TLS 1.3 the client's certificate is read when the request
   * is under way already: the receiver says so in an alert, or just hangs up.
   */
  #explained(error: Error): Error {
    const { access, dial, hasServed } = this.#connection;
    if (dial?.phase !== "response" || !isReset(error)) return error;
    if (dial.alert !== undefined) return dial.alert;
    const isShown = access?.tls?.clientCertificate != null;
    return isShown && !hasServed ? new ClientCertificateError(error) : error;
  }

  /** Reads no more. What was read so far is the answer, if it holds a status, else it is `withoutStatus`. */
  #close(withoutStatus: AttemptOutcome): void {
    this.#finish(this.#status === 0 ? withoutStatus : this.#answer());
    this.#connections.discard(this.#connection);
  }

  /** Before the connection is let go: undici reports that, too, as an error of this exchange. */
  #finish(outcome: AttemptOutcome): void {
    this.#isDone = true;
    clearTimeout(this.#timer);
    const durationMs = Math.round(performance.now() - this.#startedAt);
    this.#resolve({ outcome, durationMs, responseBody: this.#kept ?? null }, this.#headers);
  }

  #answer(): AttemptOutcome {
    const status = this.#status;
    const control = controlOf(this.#headers?.["webhook-delivery"]);
    if (status >= 200 && status < 300) return { kind: "succeeded", status, control };
    const retryAfter = this.#headers?.["retry-after"];
    const retryAfterMs = retryAfter === undefined ? null : parseRetryAfter(firstOf(retryAfter), Date.now());
    return { kind: "rejected", status, retryAfterMs, control };
  }

  /** Copied: undici's chunk is a view of a buffer of 64 KiB, which it would keep alive. */
  #keep(chunk: Buffer): void {
    const room = this.#limits.responseBytesKeptMax - this.#bytesRead;
    const piece = new Uint8Array(chunk.length > room ? chunk.subarray(0, room) : chunk);
    if (this.#kept === undefined) {
      this.#kept = piece;
      return;
    }
    const joined = new Uint8Array(this.#kept.length + piece.length);
    joined.set(this.#kept);
    joined.set(piece, this.#kept.length);
    this.#kept = joined;
  }
}

function expire(exchange: Exchange): void {
  exchange.expire();
}

function controlOf(header: string | string[] | undefined): ReceiverControl | null {
  if (header === undefined) return null;
  const value = firstOf(header).trim().toLowerCase();
  return value === "abort-message" || value === "disable" ? value : null;
}

function firstOf(header: string | string[]): string {
  return typeof header === "string" ? header : (header[0] ?? "");
}
