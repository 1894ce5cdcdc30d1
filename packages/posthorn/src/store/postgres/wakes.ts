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
/** PostgreSQL takes payloads below 8,000 bytes; a wake has at most 80. */
const WAKES_PER_MESSAGE = 80;
const LISTEN: Statement = { text: "LISTEN posthorn" };
const NOTIFY: Statement = {
  name: "notify",
  text: "SELECT count(pg_notify('posthorn', payload)) FROM unnest($1::text[]) AS payload",
};
/** What may have been missed while nobody listened. */
const MISSED: readonly Wake[] = [{ kind: "due" }, { kind: "keys_changed" }, { kind: "types_changed" }];

export class Wakes {
  #options: WakesOptions;
  #from = randomBytes(9).toString("base64url");
  #listeners = new Set<(wake: Wake) => void>();
  #gathered = new Map<string, Wake>();
  #sending: Promise<void> | undefined;
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
    this.#gathered.set(wake.kind === "app_changed" ? wake.appId : wake.kind, wake);
    this.#sending ??= new Promise((resolve) => setTimeout(resolve, GATHER_MS)).then(() => this.#flush());
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#sending;
    await this.#connection?.close();
  }

  async #flush(): Promise<void> {
    const wakes = [...this.#gathered.values()];
    this.#gathered.clear();
    this.#sending = undefined;
    const messages: string[] = [];
    for (let at = 0; at < wakes.length; at += WAKES_PER_MESSAGE) {
      const message: Message = { from: this.#from, wakes: wakes.slice(at, at + WAKES_PER_MESSAGE) };
      messages.push(JSON.stringify(message));
    }
    try {
      await this.#options.connections.run("read", NOTIFY, [messages]);
    } catch (error) {
      this.#options.logger.debug({ error: messageOf(error) }, "store.wake_lost");
    }
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

/** undefined: anybody may notify this channel of anything. */
function messageFrom(payload: string): Message | undefined {
  try {
    const message = JSON.parse(payload) as Partial<Message> | null;
    if (!Array.isArray(message?.wakes)) return undefined;
    return {
      from: String(message.from),
      wakes: message.wakes.filter((wake) => typeof wake?.kind === "string"),
    };
  } catch {
    return undefined;
  }
}
