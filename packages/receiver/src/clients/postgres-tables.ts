/** Creates the tables of a store in the user's PostgreSQL database, in the schema that its `search_path` names first. */
import type { PostgresPool } from "./postgres.ts";
import { inTransaction } from "./postgres-transactions.ts";

/**
 * @param table in quotes; if it is there, nothing is created, so a role without the right to do so will do
 * @param statements that create what is not there
 * @throws Error when commits on these connections are not on the disk when they are answered
 */
export async function createTable(pool: PostgresPool, table: string, statements: string): Promise<void> {
  await inTransaction(pool, "", async (client) => {
    const { rows } = await client.query(
      "SELECT to_regclass($1) IS NOT NULL AS there, current_setting('synchronous_commit') AS synchronous",
      [table],
    );
    if (rows[0]?.synchronous === "off") {
      throw new Error(
        "PostgreSQL does not keep what was answered: synchronous_commit is off on this pool's connections. Set it to on, " +
          "for example with ALTER ROLE ... SET synchronous_commit = on.",
      );
    }
    if (rows[0]?.there === true) return;
    // Of two that create the same at the same time, IF NOT EXISTS lets one fail.
    await client.query("SELECT pg_advisory_xact_lock(hashtext('posthorn_receiver'))");
    await client.query(statements);
  });
}
