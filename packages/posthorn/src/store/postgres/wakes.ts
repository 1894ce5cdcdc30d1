/**
 * Telling other nodes, and hearing from them, through LISTEN and NOTIFY. Only to be quicker: a message may get lost, and
 * whoever relies on it also looks by itself. What is sent is gathered for a moment and never part of a transaction, because
 * commits with a notification wait for each other.
 */
import { randomBytes } from "node:crypto";
import { messageOf } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import type { Wake } from "../store.ts";
import { BACKOFF_MS_MAX, BACKOFF_MS_MIN, Connection } from "./connection.ts";
import type { Connections, Statement } from "./connections.ts";

export interface WakesOptions {
  readonly url: string;
  readonly connections: Connections;
  readonly logger: Logger;
}

/** The payload of a notification. Ours are told from those of others by `from`. */
interface Message {
  readonly from: string;
  readonly wakes: readonly Wake[];
}

const GATHER_MS = 5;
/** PostgreSQL takes payloads below 8,000 bytes; a wake has at most 4,000. */
const WAKES_BYTES_MAX = 7500;
/** Of what could not be sent: beyond it, others are told to look at everything. */
const GATHERED_MAX = 5000;
const LISTEN: Statement = { text: "LISTEN posthorn" };
const NOTIFY: Statement = {
  name: "notify",
  text: "SELECT count(pg_notify('posthorn', payload)) FROM unnest($1::text[]) AS payload",
};
/** What may have been missed while nobody listened. */
const MISSED: readonly Wake[] = [
  { kind: "due" },
  { kind: "all_changed" },
  { kind: "keys_changed" },
  { kind: "types_changed" },
];

export class Wakes {
  #options: WakesOptions;
  #from = randomBytes(9).toString("base64url");
  #listeners = new Set<(wake: Wake) => void>();
  #gathered = new Map<string, Wake>();
  #timer: NodeJS.Timeout | undefined;
  #sending: Promise<void> | undefined;
  /** Until the next attempt after one that failed; 0: the last one did not. */
  #backoffMs = 0;
  #connection: Connection | undefined;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: WakesOptions) {
    this.#options = options;
  }

  /** Resolves when it listens, or will as soon as the database is there. */
  async start(): Promise<void> {
    await this.#listen(BACKOFF_MS_MIN, []);
  }

  watch(listener: (wake: Wake) => void): () => void {
    // Each call counts, also twice with the same function.
    const own = (wake: Wake): void => listener(wake);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  send(wake: Wake): void {
    if (this.#closed) return;
    this.#gather([wake]);
    if (this.#sending === undefined) this.#sendIn(Math.max(GATHER_MS, this.#backoffMs));
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#timer);
    await this.#sending;
    // A database that is away keeps nobody from ending.
    if (this.#gathered.size > 0 && this.#backoffMs === 0) await this.#send();
    await this.#connection?.close();
  }

  #gather(wakes: readonly Wake[]): void {
    for (const wake of wakes) this.#gathered.set(keyOf(wake), wake);
    if (this.#gathered.size <= GATHERED_MAX) return;
    this.#gathered = new Map(MISSED.map((wake) => [keyOf(wake), wake]));
  }

  #sendIn(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#sending = this.#send();
    }, ms);
  }

  async #send(): Promise<void> {
    const wakes = [...this.#gathered.values()];
    this.#gathered.clear();
    try {
      await this.#options.connections.run("read", NOTIFY, [this.#messagesOf(wakes)]);
      this.#backoffMs = 0;
    } catch (error) {
      this.#options.logger.debug({ error: messageOf(error) }, "store.wake_failed");
      this.#backoffMs = Math.min(Math.max(BACKOFF_MS_MIN, this.#backoffMs * 2), BACKOFF_MS_MAX);
      // It may have been sent: whoever is told twice looks twice.
      this.#gather(wakes);
    }
    this.#sending = undefined;
    if (this.#gathered.size > 0 && !this.#closed) this.#sendIn(Math.max(GATHER_MS, this.#backoffMs));
  }

  /** As few as hold them all. */
  #messagesOf(wakes: readonly Wake[]): string[] {
    const messages: Wake[][] = [];
    let bytes = WAKES_BYTES_MAX;
    for (const wake of wakes) {
      const more = JSON.stringify(wake).length + 1;
      bytes += more;
      if (bytes > WAKES_BYTES_MAX) {
        messages.push([]);
        bytes = more;
      }
      messages.at(-1)?.push(wake);
    }
    return messages.map((each) => JSON.stringify({ from: this.#from, wakes: each } satisfies Message));
  }

  async #listen(backoffMs: number, missed: readonly Wake[]): Promise<void> {
    if (this.#closed) return;
    const { url } = this.#options;
    try {
      const connection = await Connection.open({
        url,
        applicationName: "posthorn listener",
        statementMsMax: null,
      });
      this.#connection = connection;
      connection.onNotification((payload) => this.#hear(payload));
      await connection.query(LISTEN);
      connection.onBroken(() => void this.#listen(BACKOFF_MS_MIN, MISSED));
      this.#tell(missed);
    } catch {
      const next = Math.min(backoffMs * 2, BACKOFF_MS_MAX);
      this.#retry = setTimeout(() => void this.#listen(next, MISSED), backoffMs);
    }
    // Closed while it was being opened.
    if (this.#closed) await this.#connection?.close();
  }

  #hear(payload: string): void {
    const message = messageFrom(payload);
    if (message !== undefined && message.from !== this.#from) this.#tell(message.wakes);
  }

  #tell(wakes: readonly Wake[]): void {
    for (const wake of wakes) for (const listener of this.#listeners) listener(wake);
  }
}

/** What is told again before it was sent counts once. */
function keyOf(wake: Wake): string {
  switch (wake.kind) {
    case "app_changed":
      return wake.appId;
    case "ended":
      return wake.deliveryIds.join();
    default:
      return wake.kind;
  }
}

/** undefined: anybody may notify this channel of anything. */
function messageFrom(payload: string): Message | undefined {
  try {
    const message = JSON.parse(payload) as Partial<Message> | null;
    if (!Array.isArray(message?.wakes)) return undefined;
    return {
      from: String(message.from),
      wakes: message.wakes.filter(
        (wake) =>
          typeof wake?.kind === "string" && (wake.kind !== "ended" || Array.isArray(wake.deliveryIds)),
      ),
    };
  } catch {
    return undefined;
  }
}
