/** How the database is set up, and what it therefore does not promise. */
import type { StoreHealth } from "../store.ts";
import type { Statement } from "./connections.ts";
import type { Context } from "./context.ts";
import { CLASSES, DAYS_LOOKED_AT } from "./partitions-ahead.ts";

interface Facts extends DurabilityFacts {
  readonly schemaVersion: number;
  readonly prunedAgoMs: number | null;
  readonly readOnly: boolean;
  readonly partitionsUntilMs: number | null;
}

interface DurabilityFacts {
  readonly fsync: string;
  readonly synchronousCommit: string;
  readonly synchronousStandbyNames: string;
  /** Standbys that stream and are not waited for. Without the right to see their state, all that stream count. */
  readonly asynchronousStandbys: number;
}

const FACTS: Statement = {
  text: `SELECT
      current_setting('fsync') AS fsync,
      current_setting('synchronous_commit') AS "synchronousCommit",
      current_setting('synchronous_standby_names') AS "synchronousStandbyNames",
      (SELECT count(*) FROM pg_stat_replication AS standby
        WHERE coalesce(state, 'streaming') IN ('streaming', 'catchup') AND coalesce(sync_state, 'async') = 'async'
          AND NOT EXISTS (SELECT FROM pg_replication_slots AS slot
            WHERE slot.active_pid = standby.pid AND slot.slot_type = 'logical'))::integer AS "asynchronousStandbys",
      (SELECT max(version) FROM posthorn.migrations) AS "schemaVersion",
      now_ms - facts.pruned_at_ms AS "prunedAgoMs",
      current_setting('transaction_read_only') = 'on' AS "readOnly",
      (SELECT extract(epoch FROM min(day)) * 1000
        FROM (${CLASSES}) AS class,
          unnest(ARRAY['events', 'delivery_history', 'attempts']) AS parent,
          generate_series(0, ${DAYS_LOOKED_AT}) AS ahead,
          LATERAL (SELECT to_timestamp(now_ms / 1000.0)::date + ahead AS day) AS each
        WHERE to_regclass(format('posthorn.%s_%s_%s', parent, class.retention_days, to_char(day, 'YYYYMMDD'))) IS NULL
      )::bigint AS "partitionsUntilMs"
    FROM posthorn.facts, posthorn.now_ms() AS now_ms`,
};
const SIZE: Statement = { text: "SELECT pg_database_size(current_database()) AS bytes" };

/** The size is a look at every file of the database. */
const SIZE_KEPT_MS = 60_000;

export class HealthReader {
  #context: Context;
  #monotonicMs: () => number;
  #bytes = 0;
  #sizedAtMs = Number.NEGATIVE_INFINITY;

  constructor(context: Context, monotonicMs: () => number) {
    this.#context = context;
    this.#monotonicMs = monotonicMs;
  }

  async read(): Promise<StoreHealth> {
    const { connections } = this.#context;
    const [facts] = await connections.runSafely<Facts>("read", FACTS);
    if (facts === undefined)
      throw new Error("posthorn.facts has no row; restore the database from a backup.");
    return {
      kind: "postgres",
      durability: `fsync=${facts.fsync}, synchronous_commit=${facts.synchronousCommit}`,
      schemaVersion: facts.schemaVersion,
      bytes: await this.#size(),
      freeBytes: null,
      prunedAgoMs: facts.prunedAgoMs === null ? null : Math.max(0, facts.prunedAgoMs),
      accepting: !facts.readOnly,
      warnings: warningsOf(facts),
      partitionsUntilMs: facts.partitionsUntilMs,
    };
  }

  async #size(): Promise<number> {
    if (this.#monotonicMs() - this.#sizedAtMs > SIZE_KEPT_MS) {
      const [size] = await this.#context.connections.runSafely<{ bytes: number }>("read", SIZE);
      this.#bytes = size?.bytes ?? 0;
      this.#sizedAtMs = this.#monotonicMs();
    }
    return this.#bytes;
  }
}

/** A sentence for each thing that is not promised. */
export function warningsOf(facts: DurabilityFacts): string[] {
  const { fsync, synchronousCommit, synchronousStandbyNames, asynchronousStandbys } = facts;
  const warnings: string[] = [];
  if (fsync === "off") {
    warnings.push(
      "fsync=off: a power failure or a crash of the database's machine may lose accepted events and ruin the database.",
    );
  }
  if (synchronousCommit === "off") {
    warnings.push(
      "synchronous_commit=off: a crash of the database may lose the events accepted in its last moments (three times wal_writer_delay).",
    );
  }
  if (synchronousCommit === "local" && synchronousStandbyNames !== "") {
    warnings.push(
      "synchronous_commit=local: a failover may lose accepted events, because no standby is waited for although synchronous_standby_names has some.",
    );
  }
  if (synchronousStandbyNames === "" && asynchronousStandbys > 0) {
    warnings.push(
      "All standbys are asynchronous (synchronous_standby_names is empty): a failover may lose the events accepted in the last moments before it.",
    );
  }
  return warnings;
}
