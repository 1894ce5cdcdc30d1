/**
 * What the store's verbs ask of their connections. connections.ts is the shape, pool.ts the implementation: connecting,
 * reconnecting, telling failures apart.
 */

/**
 * Each purpose has connections of its own, so that none waits for another's work: outcomes can be written while every other
 * connection is busy, and lists never keep an accept waiting.
 */
export type Purpose = "settle" | "accept" | "claim" | "work" | "read";

/** A statement with a name is prepared once on each connection. */
export interface Statement {
  readonly name?: string;
  readonly text: string;
}

/** Runs a statement and gives its rows. bigint columns come as numbers, bytea as Buffer, date as `2026-01-31`. */
export type Run = <Row>(statement: Statement, values?: readonly unknown[]) => Promise<Row[]>;

export interface Connections {
  /** How far a test has moved the clock; 0 otherwise. */
  readonly advancedMs: number;
  /**
   * One statement in a transaction of its own.
   * @throws Error as failureOf tells it; a `lost` one may have been committed
   */
  run<Row>(purpose: Purpose, statement: Statement, values?: readonly unknown[]): Promise<Row[]>;
  /** The same for what may be done twice: tried again for a few seconds while the database cannot be reached. */
  runSafely<Row>(purpose: Purpose, statement: Statement, values?: readonly unknown[]): Promise<Row[]>;
  /**
   * Several statements in one transaction. Done again as a whole after a deadlock, a serialization failure, or a connection
   * that was lost before the commit was sent; so `work` must have no effects outside of it.
   */
  transaction<Result>(purpose: Purpose, work: (run: Run) => Promise<Result>): Promise<Result>;
  /**
   * Several statements on one connection, each in a transaction of its own, none repeated: for DETACH CONCURRENTLY. Settings
   * that `work` makes with SET (lock_timeout, statement_timeout) are undone afterwards.
   */
  session<Result>(purpose: Purpose, work: (run: Run) => Promise<Result>): Promise<Result>;
}

/**
 * `lost`: the connection broke with the statement under way; it may have been committed. `unavailable`: there is no
 * connection, nothing was sent. `again`: undone by the database for others' sake (deadlock, serialization, lock timeout).
 * `full`: no room. `no_partition`: the day's partition is missing. `other`: a bad element, or a fault of ours.
 */
export type FailureKind = "lost" | "unavailable" | "again" | "full" | "no_partition" | "other";
