/** What happens to a database before a store works on it: looked at, migrated, and given its identity. */
import type { Logger } from "../../base/logger.ts";
import type { Connection } from "./connection.ts";
import { migrate, schemaState } from "./migrate.ts";
import {
  checkClock,
  checkDatabase,
  checkIdentity,
  claimIdentity,
  connectForOpening,
  type Identity,
  refuseUnfinishedCopy,
} from "./open-checks.ts";

export interface Opening {
  readonly url: string;
  readonly identity: Identity;
  readonly wallMs: () => number;
  readonly logger: Logger;
}

/** @throws Error one line that says what to do; then nothing was written */
export async function prepareDatabase({ url, identity, wallMs, logger }: Opening): Promise<void> {
  await withConnection(url, async (connection) => {
    const { version } = await checkDatabase(connection, url);
    if (version > 0) await checkIdentity(connection, identity, url);
    if (version > 0) await refuseUnfinishedCopy(connection);
    await checkClock(connection, wallMs);
    report(await migrate(connection), logger);
    await claimIdentity(connection, identity, url);
  });
}

export interface Migrated {
  /** Those that were missing, in the order in which they were run. */
  readonly files: readonly string[];
  readonly version: number;
}

/** Brings the schema up to date, and does nothing else. */
export async function migrateDatabase(url: string): Promise<Migrated> {
  return withConnection(url, async (connection) => {
    await checkDatabase(connection, url);
    const files = await migrate(connection);
    return { files, version: (await schemaState(connection)).version };
  });
}

async function withConnection<Result>(
  url: string,
  work: (connection: Connection) => Promise<Result>,
): Promise<Result> {
  const connection = await connectForOpening(url);
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

function report(files: readonly string[], logger: Logger): void {
  if (files.length > 0) logger.info({ files }, "store.migrated");
}
