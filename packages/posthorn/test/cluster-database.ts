// What the runs on PostgreSQL ask the database itself, each time on a connection of its own.
import { Client } from "pg";

export interface DurabilitySettings {
  readonly fsync: string;
  readonly synchronousCommit: string;
}

export async function ask<Row>(url: string, sql: string, values: readonly unknown[] = []): Promise<Row[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql, [...values])).rows as Row[];
  } finally {
    await client.end();
  }
}

/** As a session finds them that sets nothing itself. */
export async function durabilitySettings(url: string): Promise<DurabilitySettings> {
  const [settings] = await ask<DurabilitySettings>(
    url,
    `SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS "synchronousCommit"`,
  );
  if (settings === undefined) throw new Error("The database does not tell its settings.");
  return settings;
}

/** Cuts every connection but this one: how many. */
export async function terminateBackends(url: string): Promise<number> {
  const rows = await ask(
    url,
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`,
  );
  return rows.length;
}

/** Whether the cluster counts on a node of this name: one that started and was not given up. */
export async function isMember(url: string, node: string): Promise<boolean> {
  const rows = await ask(
    url,
    "SELECT FROM posthorn.incarnations WHERE name = $1 AND voided_at_ms IS NULL LIMIT 1",
    [node],
  );
  return rows.length > 0;
}
