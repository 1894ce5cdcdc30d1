/** A user's PostgreSQL connections: one transaction each, and back into the pool whole, or not at all. */
import type { PostgresClient, PostgresPool } from "./postgres.ts";

/**
 * A setting that ends with the transaction. Its check fails where there is no transaction, a failed one, or another one: COMMIT itself
 * would answer "committed" to the first with a warning, roll the second back without an error, and commit the third without our marks.
 * (A savepoint would do, too, at the price of a second transaction id, and of a multixact for each entry of an inbox.)
 */
const SET_OPEN = "SET LOCAL posthorn_receiver.open = on";
/** Once set, and over, it is an empty text, which is no boolean. */
const ASSERT_OPEN = "SELECT current_setting('posthorn_receiver.open')::boolean";

/** For puts, and for what handlers do besides with connections of the same pool. */
const CONNECTIONS_LEFT = 2;
/** For a pool that does not say how large it is. */
const TRANSACTIONS_MAX_UNTOLD = 4;

/** What an error handler of its own listens for: without one, a connection that breaks while a handler computes ends the process. */
const ignore = (): void => undefined;

/** How many transactions that last as long as handlers a pool bears at the same time. */
export function transactionsMax({ options }: PostgresPool): number {
  const max = options?.max;
  return max === undefined ? TRANSACTIONS_MAX_UNTOLD : Math.max(1, max - CONNECTIONS_LEFT);
}

/**
 * Runs `work` on a connection, outside of a transaction. After a failure the pool drops the connection.
 */
export async function withConnection<Result>(
  pool: PostgresPool,
  work: (client: PostgresClient) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  client.on?.("error", ignore);
  let failure: Error | undefined;
  try {
    return await work(client);
  } catch (error) {
    failure = asError(error);
    throw error;
  } finally {
    client.removeListener?.("error", ignore);
    client.release(failure);
  }
}

/**
 * Runs `work` between BEGIN (READ COMMITTED) and COMMIT. If it throws, or COMMIT fails, nothing of it stays, and the call rejects; a
 * connection that broke during COMMIT leaves open whether it came to that. A connection on which ROLLBACK fails is dropped.
 * @param settings SQL that is run with BEGIN, such as `SET LOCAL lock_timeout = '5s'`
 */
export async function inTransaction<Result>(
  pool: PostgresPool,
  settings: string,
  work: (client: PostgresClient) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  client.on?.("error", ignore);
  let broken: Error | undefined;
  try {
    await client.query(`BEGIN ISOLATION LEVEL READ COMMITTED; ${SET_OPEN}; ${settings}`);
    const result = await work(client);
    await end(client, `${ASSERT_OPEN}; COMMIT`);
    return result;
  } catch (error) {
    broken = await rollback(client);
    throw error;
  } finally {
    client.removeListener?.("error", ignore);
    client.release(broken);
  }
}

/** For what is written after a handler's work: @throws Error unless the transaction is still the same, open and well. */
export function assertOpen(client: PostgresClient): Promise<void> {
  return end(client, ASSERT_OPEN);
}

/** SQLSTATE, or the code of the operating system's error; empty: none. */
export function codeOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : "";
  return typeof code === "string" ? code : "";
}

async function end(client: PostgresClient, sql: string): Promise<void> {
  try {
    await client.query(sql);
  } catch (error) {
    throw explain(error);
  }
}

/** Codes: PostgreSQL's "Appendix A. Error Codes", https://www.postgresql.org/docs/current/errcodes-appendix.html */
function explain(error: unknown): unknown {
  switch (codeOf(error)) {
    case "22P02": // invalid_text_representation: empty
    case "42704": // undefined_object: never set on this connection
      return new Error(
        "The transaction was over before its end: a handler ended it. Handlers neither begin, commit nor roll back.",
        { cause: error },
      );
    case "25P02": // in_failed_sql_transaction
      return new Error(
        "A statement of a handler failed and the handler went on: nothing of it was written. Let the error through, or use a savepoint.",
        { cause: error },
      );
    default:
      return error;
  }
}

async function rollback(client: PostgresClient): Promise<Error | undefined> {
  try {
    await client.query("ROLLBACK");
    return undefined;
  } catch (error) {
    return asError(error);
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
