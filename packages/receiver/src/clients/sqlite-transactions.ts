/**
 * Transactions on a user's SQLite connection, one after the other: a connection has one transaction at a time, and handlers work in it
 * across many ticks. All stores on the same connection share one queue.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { SqliteDatabase } from "./sqlite.ts";
import { makeDurable, pragma, type SqliteKind } from "./sqlite-durability.ts";
import { isBusy } from "./sqlite-failure.ts";
import { type Line, Turns } from "./turns.ts";

/** How long a transaction waits for one of another connection: less than the senders' deadlines of 15 s. */
const BUSY_MS_MAX = 10_000;
const BUSY_POLL_MS = 10;

const queues = new WeakMap<SqliteDatabase, SqliteTransactions>();

/** Those of a connection: the same for whoever asks. */
export function transactionsOf(database: SqliteDatabase): SqliteTransactions {
  const known = queues.get(database);
  if (known !== undefined) return known;
  const transactions = new SqliteTransactions(database);
  queues.set(database, transactions);
  return transactions;
}

export class SqliteTransactions {
  readonly #database: SqliteDatabase;
  readonly #turns = new Turns();
  #kind: SqliteKind | undefined;
  /** What runs in it waits for itself if it asks for a transaction of this connection. */
  readonly #within = new AsyncLocalStorage<{ isOpen: boolean }>();

  constructor(database: SqliteDatabase) {
    this.#database = database;
  }

  /**
   * Runs `work` between BEGIN IMMEDIATE and COMMIT, when those before it are through. If it throws, or COMMIT fails, nothing of it
   * stays, and the call rejects. On the disk when it resolves, if the database is a file.
   * @throws Error when it is called from within such a transaction, when another connection writes for longer than 10 s, when the file
   *   cannot be kept durably, and when `work` ended the transaction itself
   */
  async run<Result>(
    work: (kind: SqliteKind) => Result | Promise<Result>,
    line: Line = "usual",
  ): Promise<Result> {
    this.refuseWithin();
    return this.#turns.run(line, () => this.#transaction(work));
  }

  /** @throws Error when it is called from within a transaction of this connection */
  refuseWithin(): void {
    if (this.#within.getStore()?.isOpen !== true) return;
    throw new Error(
      "A handler may not call the dedupe store or the inbox of the database in whose transaction it runs: it would wait for itself. " +
        "Write with the transaction that it got.",
    );
  }

  async #transaction<Result>(work: (kind: SqliteKind) => Result | Promise<Result>): Promise<Result> {
    const kind = await this.#begin();
    const state = { isOpen: true };
    try {
      const result = await this.#within.run(state, async () => work(kind));
      this.#commit();
      return result;
    } catch (error) {
      this.#rollback();
      throw error;
    } finally {
      state.isOpen = false;
    }
  }

  async #begin(): Promise<SqliteKind> {
    const deadlineMs = performance.now() + BUSY_MS_MAX;
    for (;;) {
      try {
        return this.#tryBegin();
      } catch (error) {
        if (!isBusy(error)) throw explainBegin(error);
        if (performance.now() > deadlineMs) {
          throw new Error(
            `Another connection has been writing to the SQLite database for ${BUSY_MS_MAX} ms.`,
            {
              cause: error,
            },
          );
        }
      }
      await sleep(BUSY_POLL_MS);
    }
  }

  /** SQLite itself would wait within the call: nothing else would run meanwhile, not even who has the lock, if it is in this process. */
  #tryBegin(): SqliteKind {
    const timeoutMs = pragma(this.#database, "busy_timeout");
    this.#database.exec("PRAGMA busy_timeout = 0");
    try {
      this.#kind ??= makeDurable(this.#database);
      this.#database.exec("BEGIN IMMEDIATE");
      return this.#kind;
    } finally {
      this.#database.exec(`PRAGMA busy_timeout = ${timeoutMs}`);
    }
  }

  #commit(): void {
    try {
      this.#database.exec("COMMIT");
    } catch (error) {
      throw /no transaction is active/.test(String(error)) ? transactionEnded(error) : error;
    }
  }

  #rollback(): void {
    try {
      this.#database.exec("ROLLBACK");
    } catch {
      // SQLite ends it itself after the worst failures, and with the connection.
    }
  }
}

/**
 * For stores that miss, after a handler's work, what they wrote before it: the handler rolled back, and may have begun another one. (A
 * savepoint would show that, too, at the price of a copy of each page that the handler changes: a third of the throughput of batches.)
 */
export function transactionEnded(cause?: unknown): Error {
  return new Error(
    "The transaction was over before its end: a handler ended it, or a failed statement that the handler caught. " +
      "Handlers neither begin, commit nor roll back.",
    { cause },
  );
}

function explainBegin(error: unknown): unknown {
  if (!/within a transaction/.test(String(error))) return error;
  return new Error(
    "The SQLite connection is in a transaction that is not ours. Give the receiver a connection of its own.",
    { cause: error },
  );
}
