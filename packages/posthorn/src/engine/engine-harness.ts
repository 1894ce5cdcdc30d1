/** For the engine's tests: an engine on a real SQLite store in a temporary directory, with a transport that answers as told. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../base/logger.ts";
import type { AttemptOutcome } from "../domain/attempt.ts";
import type { Publication } from "../domain/publication.ts";
import { createVault } from "../security/vault.ts";
import { openSqliteStore } from "../store/sqlite/sqlite.ts";
import type { Store } from "../store/store.ts";
import type { Question, Receipt, Reply, Shipment, Transport } from "../transports/transport.ts";
import { createEngine } from "./create.ts";
import type { Engine } from "./engine.ts";
import type { FeedEntry } from "./feed.ts";
import type { EngineOptions } from "./options.ts";

export const SUCCEEDED: AttemptOutcome = { kind: "succeeded", status: 200, control: null };
export const rejected = (
  status: number,
  facts: { control?: "disable" | "abort-message"; retryAfterMs?: number } = {},
): AttemptOutcome => ({
  kind: "rejected",
  status,
  retryAfterMs: facts.retryAfterMs ?? null,
  control: facts.control ?? null,
});

/** An answer to a question of the ownership check. */
export function replyOf(status: number, body = "", headers: Record<string, string> = {}): Reply {
  const outcome = status >= 200 && status < 300 ? { ...SUCCEEDED, status } : rejected(status);
  return { outcome: outcome as AttemptOutcome, headers, body: Buffer.from(body) };
}
const NO_REPLY: Reply = {
  outcome: { kind: "unreachable", cause: "connection_refused", detail: "ECONNREFUSED 203.0.113.7:443" },
  headers: {},
  body: Buffer.alloc(0),
};

/** Answers each shipment by URL, and remembers what was shipped. */
export class ScriptedTransport implements Transport {
  readonly shipments: Shipment[] = [];
  answer: (shipment: Shipment, nth: number) => AttemptOutcome | Promise<AttemptOutcome> = () => SUCCEEDED;
  #waiting: { readonly count: number; resolve(): void }[] = [];

  async ship(shipment: Shipment): Promise<Receipt> {
    this.shipments.push(shipment);
    this.#waiting = this.#waiting.filter(({ count, resolve }) => {
      if (this.shipments.length < count) return true;
      resolve();
      return false;
    });
    const outcome = await this.answer(shipment, this.shipments.length);
    return { outcome, durationMs: 1, responseBody: null };
  }

  /** Resolves once so many shipments were made in all. */
  shipped(count: number): Promise<void> {
    if (this.shipments.length >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }

  bodies(url?: string): string[] {
    return this.shipments
      .filter((each) => url === undefined || each.url === url)
      .map((each) => Buffer.from(each.body).toString());
  }

  /** What was asked, and what is answered: nothing by default. */
  readonly questions: Question[] = [];
  reply: (question: Question) => Reply | Promise<Reply> = () => NO_REPLY;
  async ask(question: Question): Promise<Reply> {
    this.questions.push(question);
    return this.reply(question);
  }

  checkUrl(): void {}
  checkTls(): void {}
  async close(): Promise<void> {}
}

export class World {
  readonly transport = new ScriptedTransport();
  readonly entries: FeedEntry[] = [];
  engine: Engine;
  store: Store;
  #dataDir: string;
  #masterKey = randomBytes(32);
  #options: Partial<EngineOptions>;
  #waiting: { readonly wanted: (entry: FeedEntry) => boolean; resolve(entry: FeedEntry): void }[] = [];

  private constructor(dataDir: string, store: Store, options: Partial<EngineOptions>) {
    this.#dataDir = dataDir;
    this.#options = options;
    this.store = store;
    this.engine = this.#build();
  }

  static async open(options: Partial<EngineOptions> = {}): Promise<World> {
    const dataDir = mkdtempSync(join(tmpdir(), "posthorn-engine-"));
    const store = await openSqliteStore({ dataDir, reserveBytes: 0 });
    try {
      const world = new World(dataDir, store, options);
      await world.engine.start();
      return world;
    } catch (error) {
      await store.close();
      rmSync(dataDir, { recursive: true });
      throw error;
    }
  }

  /** As after a SIGKILL: what the engine had in memory is forgotten, the store is opened anew. */
  async crash(): Promise<void> {
    await this.store.close();
    this.store = await openSqliteStore({ dataDir: this.#dataDir, reserveBytes: 0 });
    this.engine = this.#build();
    await this.engine.start();
  }

  async close(): Promise<void> {
    await this.engine.stop();
    await this.store.close();
    rmSync(this.#dataDir, { recursive: true, force: true });
  }

  /** Resolves with the next entry of the feed that is wanted. */
  next(wanted: (entry: FeedEntry) => boolean): Promise<FeedEntry> {
    return new Promise((resolve) => this.#waiting.push({ wanted, resolve }));
  }

  /** Resolves once a delivery reached a final state. */
  async ended(deliveryId?: string): Promise<FeedEntry> {
    return this.next(
      (entry) => (deliveryId === undefined || entry.deliveryId === deliveryId) && isEnd(entry),
    );
  }

  publish(
    app: string,
    type: string,
    data: unknown,
    more: Record<string, unknown> = {},
    idempotencyKey: string | null = null,
  ) {
    const raw = Buffer.from(JSON.stringify({ app, type, data, ...more }));
    const publication: Publication = {
      envelope: { app, type, ...more },
      data: Buffer.from(JSON.stringify(data)),
      raw,
      idempotencyKey,
    };
    return this.engine.publish([publication]).then(([outcome]) => outcome as NonNullable<typeof outcome>);
  }

  async app(uid = "shop"): Promise<string> {
    return (await this.engine.apps.create({ uid, name: uid })).id;
  }

  endpoint(app: string, more: Record<string, unknown> = {}) {
    return this.engine.endpoints.create(app, {
      url: "https://receiver.example/hook",
      retrySchedule: [1, 1],
      ...more,
    });
  }

  async deliveriesOf(event: string) {
    return (await this.engine.deliveries.list({ event })).data;
  }

  #build(): Engine {
    const engine = createEngine(
      {
        store: this.store,
        transports: { webhook: this.transport },
        vault: createVault(this.#masterKey),
        logger: silentLogger,
        nodeName: "test",
        version: "0.0.0",
      },
      { overloadDelayMs: 0, pollMs: 20, ...this.#options },
    );
    engine.feed.subscribe((entry) => this.#heard(entry));
    return engine;
  }

  #heard(entry: FeedEntry): void {
    this.entries.push(entry);
    this.#waiting = this.#waiting.filter(({ wanted, resolve }) => {
      if (!wanted(entry)) return true;
      resolve(entry);
      return false;
    });
  }
}

function isEnd(entry: FeedEntry): boolean {
  return entry.kind === "final" || typeof entry.next === "string";
}
