/**
 * The store that many nodes share: a schema in a PostgreSQL database. What was answered is committed there, and as safe as
 * the database is set up to keep it; `health` says where that falls short.
 */
import { monotonicMs } from "../../base/clock.ts";
import { PosthornError } from "../../base/errors.ts";
import { createDuty } from "../../base/lifecycle.ts";
import { silentLogger } from "../../base/logger.ts";
import type { Store } from "../store.ts";
import type { Context } from "./context.ts";
import { HealthReader } from "./health.ts";
import { Hearts } from "./hearts.ts";
import { prepareDatabase } from "./opening.ts";
import { makePartitionsAhead } from "./partitions-ahead.ts";
import { Pool } from "./pool.ts";
import type { PostgresOptions } from "./postgres-options.ts";
import { completeOptions } from "./settings.ts";
import { readerOf, writerOf } from "./verbs.ts";
import { Wakes } from "./wakes.ts";

export type { PostgresOptions } from "./postgres-options.ts";

const PARTITIONS_EVERY_MS = 3_600_000;
const CLUSTER_DEFAULT = "posthorn";

/**
 * Opens the store, making or upgrading its schema. Rejects with one line that says what to do, before anything is written,
 * when the database cannot be reached or used, is of a newer posthorn, belongs to another cluster, or is sealed under another
 * master key (WrongMasterKeyError).
 */
export async function openPostgresStore(options: PostgresOptions): Promise<Store> {
  const {
    url,
    logger = silentLogger,
    cluster = CLUSTER_DEFAULT,
    masterKeyMarks = [],
    wallMs = Date.now,
  } = options;
  const { settings, heartbeatMs, poolConnections } = completeOptions(options);
  await prepareDatabase({ url, identity: { cluster, masterKeyMarks }, wallMs, logger });

  const { patienceMs } = settings;
  const connections = new Pool({ url, connectionsMax: poolConnections, patienceMs });
  const wakes = new Wakes({ url, connections, logger });
  const context: Context = {
    connections,
    settings,
    logger,
    numbers: new Map(),
    claimedUntilMs: new Map(),
    doubtful: new Set(),
    wake: (wake) => wakes.send(wake),
  };
  const hearts = new Hearts(context, { url, heartbeatMs });
  const health = new HealthReader(context, monotonicMs);
  const partitions = createDuty({
    name: "partitions",
    everyMs: PARTITIONS_EVERY_MS,
    logger,
    runOnce: async () => {
      await makePartitionsAhead(context);
      return { more: false };
    },
  });
  const close = async (): Promise<void> => {
    await partitions.stop();
    await hearts.close();
    await wakes.close();
    await connections.close();
  };

  try {
    await partitions.runOnce();
    await wakes.start();
    for (const warning of (await health.read()).warnings) logger.warn({ warning }, "store.promises_less");
  } catch (error) {
    await close();
    throw error;
  }
  partitions.start();
  return {
    shared: true,
    write: writerOf(context, hearts),
    read: readerOf(context, health),
    backup: () => Promise.reject(noBackup()),
    watch: (listener) => wakes.watch(listener),
    async advance(ms) {
      connections.advance(ms);
      await makePartitionsAhead(context);
      await hearts.keepAlive();
    },
    close,
  };
}

function noBackup(): PosthornError {
  return new PosthornError(
    "state_conflict",
    "A PostgreSQL store is backed up with PostgreSQL's own means: pg_dump, or base backups with archived WAL.",
  );
}
