/**
 * The connections of a store: some for each purpose, opened when they are needed and again after they broke. What fails
 * only because the database is away or busy is repeated here, where that is safe.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { monotonicMs } from "../../base/clock.ts";
import { BACKOFF_MS_MAX, BACKOFF_MS_MIN, Connection, type SessionOptions } from "./connection.ts";
import type { Connections, Purpose, Run, Statement } from "./connections.ts";
import { ConnectionFailure, failureOf } from "./failure.ts";

export interface PoolOptions {
  readonly url: string;
  /** All purposes together. At least CONNECTIONS_MIN. */
  readonly connectionsMax: number;
  /** How long is waited for a connection, and tried again what may be. */
  readonly patienceMs: number;
}

/** Of the pool; reading gets what is left. */
const CONNECTIONS = { settle: 1, accept: 2, claim: 1, work: 2 } as const;
const READING_MIN = 3;
const FIXED = CONNECTIONS.settle + CONNECTIONS.accept + CONNECTIONS.claim + CONNECTIONS.work;
export const CONNECTIONS_MIN = FIXED + READING_MIN;

const STATEMENT_MS_MAX = 30_000;

/** A place for a connection. Who holds the place alone uses what is in it. */
interface Place {
  connection: Connection | null;
}

export class Pool implements Connections {
  #groups: Readonly<Record<Purpose, Group>>;
  #patienceMs: number;
  #advancedMs = 0;
  #closed = false;

  constructor({ url, connectionsMax, patienceMs }: PoolOptions) {
    this.#patienceMs = patienceMs;
    // Deleting much and detaching take their time, and set limits of their own.
    const group = (count: number, statementMsMax: number | null = STATEMENT_MS_MAX): Group =>
      new Group(count, { url, applicationName: "posthorn", statementMsMax });
    this.#groups = {
      settle: group(CONNECTIONS.settle),
      accept: group(CONNECTIONS.accept),
      claim: group(CONNECTIONS.claim),
      work: group(CONNECTIONS.work, null),
      read: group(connectionsMax - FIXED),
    };
  }

  get advancedMs(): number {
    return this.#advancedMs;
  }

  /** For tests: every session hears of it before its next statement. */
  advance(ms: number): void {
    this.#advancedMs += ms;
  }

  run<Row>(purpose: Purpose, statement: Statement, values?: readonly unknown[]): Promise<Row[]> {
    return this.#with(purpose, this.#deadline(), (connection) => connection.query<Row>(statement, values));
  }

  runSafely<Row>(purpose: Purpose, statement: Statement, values?: readonly unknown[]): Promise<Row[]> {
    return this.#patiently((deadlineMs) =>
      this.#with(purpose, deadlineMs, (connection) => connection.query<Row>(statement, values)),
    );
  }

  transaction<Result>(purpose: Purpose, work: (run: Run) => Promise<Result>): Promise<Result> {
    return this.#patiently((deadlineMs) =>
      this.#with(purpose, deadlineMs, (connection) => inTransaction(connection, work)),
    );
  }

  session<Result>(purpose: Purpose, work: (run: Run) => Promise<Result>): Promise<Result> {
    return this.#with(purpose, this.#deadline(), async (connection) => {
      try {
        return await work((statement, values) => connection.query(statement, values));
      } finally {
        // Whose settings could not be restored is not used again.
        await connection.restoreSettings().catch(() => connection.close());
      }
    });
  }

  /** Lets what is under way end. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(Object.values(this.#groups).map((group) => group.close()));
  }

  #deadline(): number {
    return monotonicMs() + this.#patienceMs;
  }

  async #with<Result>(
    purpose: Purpose,
    deadlineMs: number,
    work: (connection: Connection) => Promise<Result>,
  ): Promise<Result> {
    if (this.#closed) throw new ConnectionFailure("unavailable", new Error("The store is closed."));
    const group = this.#groups[purpose];
    const place = await group.take(deadlineMs);
    try {
      const connection = await group.connected(place, deadlineMs);
      await connection.advanceTo(this.#advancedMs);
      return await work(connection);
    } finally {
      group.giveBack(place);
    }
  }

  async #patiently<Result>(attempt: (deadlineMs: number) => Promise<Result>): Promise<Result> {
    const deadlineMs = this.#deadline();
    for (let backoffMs = BACKOFF_MS_MIN; ; backoffMs = Math.min(backoffMs * 2, BACKOFF_MS_MAX)) {
      try {
        return await attempt(deadlineMs);
      } catch (error) {
        const mayRepeat = error instanceof CommitLost ? false : isPassing(error);
        if (!mayRepeat || this.#closed || monotonicMs() + backoffMs > deadlineMs) throw error;
      }
      // Those who undid each other do not come back together.
      await sleep(backoffMs * (0.5 + Math.random() / 2));
    }
  }
}

function isPassing(error: unknown): boolean {
  const kind = failureOf(error);
  return kind === "lost" || kind === "unavailable" || kind === "again";
}

/** The connection broke after the commit was sent: nobody knows. */
class CommitLost extends ConnectionFailure {
  constructor(cause: unknown) {
    super("lost", cause);
  }
}

async function inTransaction<Result>(
  connection: Connection,
  work: (run: Run) => Promise<Result>,
): Promise<Result> {
  await connection.query({ text: "BEGIN" });
  let result: Result;
  try {
    result = await work((statement, values) => connection.query(statement, values));
  } catch (error) {
    if (!connection.isBroken) await connection.query({ text: "ROLLBACK" }).catch(() => connection.close());
    throw error;
  }
  try {
    const { command } = await connection.execute({ text: "COMMIT" });
    // A statement failed and its error was swallowed.
    if (command !== "COMMIT")
      throw new Error("The transaction was undone, because a statement in it failed.");
  } catch (error) {
    throw failureOf(error) === "lost" ? new CommitLost(error) : error;
  }
  return result;
}

interface Waiting {
  resolve(place: Place): void;
  reject(error: unknown): void;
  readonly timer: NodeJS.Timeout;
}

/** The places of one purpose. */
class Group {
  #options: SessionOptions;
  #size: number;
  /** The last one is taken first: those with a connection stand at the end. */
  #free: Place[];
  #waiting = new Set<Waiting>();
  #whenAllFree: (() => void) | undefined;
  #closed = false;

  constructor(size: number, options: SessionOptions) {
    this.#options = options;
    this.#size = size;
    this.#free = Array.from({ length: size }, () => ({ connection: null }));
  }

  /** @throws ConnectionFailure `unavailable` after the deadline */
  take(deadlineMs: number): Promise<Place> {
    const free = this.#free.pop();
    if (free !== undefined) return Promise.resolve(free);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => {
          this.#waiting.delete(waiting);
          reject(
            new ConnectionFailure("unavailable", new Error("All connections to the database are busy.")),
          );
        },
        Math.max(0, deadlineMs - monotonicMs()),
      );
      const waiting: Waiting = { resolve, reject, timer };
      this.#waiting.add(waiting);
    });
  }

  /** Opens a connection in a place without one. @throws ConnectionFailure `unavailable` after the deadline */
  async connected(place: Place, deadlineMs: number): Promise<Connection> {
    if (place.connection !== null && !place.connection.isBroken) return place.connection;
    place.connection = null;
    for (let backoffMs = BACKOFF_MS_MIN; ; backoffMs = Math.min(backoffMs * 2, BACKOFF_MS_MAX)) {
      try {
        place.connection = await Connection.open(this.#options);
        return place.connection;
      } catch (error) {
        // Who closes the store does not wait for a database that is away.
        if (this.#closed || monotonicMs() + backoffMs > deadlineMs)
          throw new ConnectionFailure("unavailable", error);
      }
      await sleep(backoffMs);
    }
  }

  giveBack(place: Place): void {
    for (const waiting of this.#waiting) {
      this.#waiting.delete(waiting);
      clearTimeout(waiting.timer);
      waiting.resolve(place);
      return;
    }
    if (place.connection === null || place.connection.isBroken) this.#free.unshift(place);
    else this.#free.push(place);
    if (this.#free.length === this.#size) this.#whenAllFree?.();
  }

  /** What runs ends; what waits is told at once that it waits in vain. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { reject, timer } of this.#waiting) {
      clearTimeout(timer);
      reject(new ConnectionFailure("unavailable", new Error("The store is closed.")));
    }
    this.#waiting.clear();
    if (this.#free.length < this.#size) {
      await new Promise<void>((resolve) => {
        this.#whenAllFree = resolve;
      });
    }
    await Promise.all(this.#free.map(({ connection }) => connection?.close()));
  }
}
