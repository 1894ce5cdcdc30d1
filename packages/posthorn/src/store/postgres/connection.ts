/** One session with the database. Once it is broken it stays so, and the next one is opened by whoever needs it. */
import pg from "pg";
import type { Statement } from "./connections.ts";
import { ConnectionFailure, endsSession, failureOf } from "./failure.ts";
import { PARSERS } from "./parsers.ts";

export interface SessionOptions {
  readonly url: string;
  readonly applicationName: string;
  /** How long the database works at a statement at most; null: without end. */
  readonly statementMsMax: number | null;
}

/** Between attempts to open one: doubled each time. */
export const BACKOFF_MS_MIN = 50;
export const BACKOFF_MS_MAX = 1000;
const CONNECT_TIMEOUT_MS = 5000;
/** Less than a statement may take: who waits for a lock is told so, and tries again. */
const LOCK_TIMEOUT_MS = 5000;
/** A node that is stopped in the middle of a transaction keeps its locks no longer than this; a node is given up after 10 s. */
const IDLE_IN_TRANSACTION_MS = 2000;
/** After the database's own limit, at most: then its host is gone without a word. */
const ANSWER_GRACE_MS = 5000;
const KEEP_ALIVE_MS = 10_000;
const GOODBYE_TIMEOUT_MS = 1000;

export class Connection {
  /** Why nothing can be asked any more. */
  #broken: unknown;
  #client: pg.Client;
  #options: SessionOptions;
  #advancedMs = 0;
  #unlimited = false;

  private constructor(client: pg.Client, options: SessionOptions) {
    this.#client = client;
    this.#options = options;
    // An idle session that the server ends reports it here, and nowhere else.
    client.on("error", (error) => this.#break(error));
    client.on("end", () => this.#break(new Error("Connection terminated")));
  }

  /** @throws what the driver or the server said: nothing was done */
  static async open(options: SessionOptions): Promise<Connection> {
    const client = new pg.Client({
      connectionString: options.url,
      application_name: options.applicationName,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
      types: PARSERS,
    });
    const connection = new Connection(client, options);
    try {
      await client.connect();
      await connection.restoreSettings();
      return connection;
    } catch (error) {
      // The driver leaves the socket open when it is at a loss itself, and the server would wait at it for a minute.
      await connection.close();
      throw error;
    }
  }

  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  /** For LISTEN. */
  onNotification(listener: (payload: string) => void): void {
    this.#client.on("notification", ({ payload }) => listener(payload ?? ""));
  }

  onBroken(listener: () => void): void {
    if (this.isBroken) listener();
    else this.#client.once("end", listener);
  }

  /** Our settings of the session; work that changed some gives the connection back with this. */
  async restoreSettings(): Promise<void> {
    await this.query({
      text: `SET statement_timeout = ${this.#options.statementMsMax ?? 0};
        SET lock_timeout = ${LOCK_TIMEOUT_MS};
        SET idle_in_transaction_session_timeout = ${IDLE_IN_TRANSACTION_MS};
        SET timezone = 'UTC'`,
    });
  }

  /** For what may take its time, and wait for others as long as it likes. */
  async withoutLimits<Result>(work: () => Promise<Result>): Promise<Result> {
    this.#unlimited = true;
    await this.query({ text: "SET statement_timeout = 0; SET lock_timeout = 0" });
    try {
      return await work();
    } finally {
      this.#unlimited = false;
      if (!this.isBroken) await this.restoreSettings();
    }
  }

  /** Tells the session how far a test has moved the clock. Outside a transaction. */
  async advanceTo(ms: number): Promise<void> {
    if (ms === this.#advancedMs) return;
    await this.query({ text: `SET posthorn.advance_ms = ${ms}` });
    this.#advancedMs = ms;
  }

  async query<Row>(statement: Statement, values: readonly unknown[] = []): Promise<Row[]> {
    return (await this.execute(statement, values)).rows as Row[];
  }

  /**
   * One statement, or several without values, of which the last answers.
   * @throws ConnectionFailure `lost`, or the database's error
   */
  async execute(statement: Statement, values: readonly unknown[] = []): Promise<pg.QueryResult> {
    if (this.isBroken) throw new ConnectionFailure("unavailable", this.#broken);
    const limitMs = this.#unlimited ? null : this.#options.statementMsMax;
    const guard =
      limitMs === null
        ? undefined
        : setTimeout(() => this.#giveUp(), limitMs + Math.min(limitMs, ANSWER_GRACE_MS));
    try {
      const result: pg.QueryResult | pg.QueryResult[] = await this.#client.query({
        ...statement,
        values: values as unknown[],
      });
      return Array.isArray(result) ? (result.at(-1) as pg.QueryResult) : result;
    } catch (error) {
      if (endsSession(error)) this.#break(error);
      if (!this.isBroken) throw error;
      throw new ConnectionFailure(failureOf(error) === "unavailable" ? "unavailable" : "lost", error);
    } finally {
      clearTimeout(guard);
    }
  }

  /** Ends the session; whatever is under way on it is lost. */
  async close(): Promise<void> {
    this.#broken ??= new Error("The store is closed.");
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, GOODBYE_TIMEOUT_MS);
    await Promise.race([this.#client.end().catch(() => {}), late]);
    clearTimeout(timer);
  }

  #break(error: unknown): void {
    if (this.isBroken) return;
    this.#broken = error;
    void this.#client.end().catch(() => {});
  }

  #giveUp(): void {
    this.#break(new Error("The database gave no answer."));
  }
}
