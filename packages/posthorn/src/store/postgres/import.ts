/** A PostgreSQL database as the target of a copy. What it holds of one is kept in it, so that a copy that was broken off goes on. */
import { locatorOf, newId } from "../../base/ids.ts";
import {
  type CarriedRow,
  type CarriedRows,
  type CarriedTable,
  CONFIGURATION,
  placeOf,
  type Tallies,
} from "../carried.ts";
import { Connection } from "./connection.ts";
import { dayOfId } from "./day.ts";
import { COPIED, refuseStrangers, type TargetOptions, takeAlone } from "./import-checks.ts";
import { insertOf, isPlacedByApp, PARTITIONED, partitionsOf } from "./import-rows.ts";
import {
  type ComparedStretch,
  tallyAttemptsByDay,
  tallyAttemptsUnfinished,
  tallyEventsByDay,
  tallyHistoryByDay,
  tallyTable,
} from "./import-tally.ts";
import { plainArray } from "./literal.ts";
import { migrate } from "./migrate.ts";
import { checkClock, checkDatabase, connectForOpening } from "./open-checks.ts";

/** An event whose payload was zeroed at the source. */
export interface Expunged {
  readonly id: string;
  readonly expunged_at_ms: number;
}

const APP_ID = placeOf("apps", "id");
const APP_CLASS = placeOf("apps", "retention_days");
const APPLICATION = "posthorn store copy";

export class PostgresTarget {
  #connection: Connection;
  #apps: () => readonly CarriedRow[];
  #classes = new Map<string, number>();
  #partitions = new Set<string>();
  #holder = 0;

  private constructor(connection: Connection, { apps }: TargetOptions) {
    this.#connection = connection;
    this.#apps = apps;
  }

  /**
   * Looks at the database, migrates it, and takes it for this copy alone.
   * @throws Error one line that says what to do; then nothing was written, and it never shows the password
   */
  static async open(options: TargetOptions): Promise<PostgresTarget> {
    const { url } = options;
    const opening = await connectForOpening(url);
    try {
      const { version } = await checkDatabase(opening, url);
      if (version > 0) await refuseStrangers(opening, options);
      await checkClock(opening, Date.now);
      await migrate(opening);
    } finally {
      await opening.close();
    }
    // Comparing many rows takes as long as it takes.
    const connection = await Connection.open({ url, applicationName: APPLICATION, statementMsMax: null });
    try {
      await takeAlone(connection);
      await connection.query({ text: "SET idle_in_transaction_session_timeout = 0" });
      const target = new PostgresTarget(connection, options);
      await target.#begin(options);
      return target;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #begin({ source, keyCheck }: TargetOptions): Promise<void> {
    await this.#connection.query(
      {
        text: `INSERT INTO posthorn.copies (source, progress, started_at_ms) VALUES ($1, '{}', posthorn.now_ms())
          ON CONFLICT (one) DO UPDATE SET finished_at_ms = NULL`,
      },
      [source],
    );
    await this.#connection.query({ text: "UPDATE posthorn.facts SET key_check = $1" }, [keyCheck]);
    const rows = await this.#connection.query<{ id: string; days: number }>({
      text: "SELECT app_id AS id, retention_days AS days FROM posthorn.copied_apps",
    });
    for (const { id, days } of rows) this.#classes.set(id, days);
    await this.pinClasses();
  }

  // ---- progress ----------------------------------------------------------------------------------------------------

  async progress<Progress>(): Promise<Partial<Progress>> {
    const [row] = await this.#connection.query<{ progress: string }>({
      text: "SELECT progress FROM posthorn.copies",
    });
    return JSON.parse(row?.progress ?? "{}");
  }

  async saveProgress(progress: unknown): Promise<void> {
    await this.#connection.query({ text: "UPDATE posthorn.copies SET progress = $1" }, [
      JSON.stringify(progress),
    ]);
  }

  /** Bulk copying need not wait for the disk: should the database crash, its progress is as old as its rows. */
  async hurry(fast: boolean): Promise<void> {
    await this.#connection.query({ text: `SET synchronous_commit = ${fast ? "off" : "on"}` });
  }

  /** It is whole: from now on nodes may work on it. */
  async finish(prunedAtMs: number | null): Promise<void> {
    await this.#connection.query({ text: "UPDATE posthorn.facts SET pruned_at_ms = $1" }, [prunedAtMs]);
    // The chain goes on where it was.
    await this.#connection.query({
      text: `UPDATE posthorn.audit_head SET number = last.number, hash = last.hash
        FROM (SELECT number, hash FROM posthorn.audit_log ORDER BY number DESC LIMIT 1) last`,
    });
    await this.#connection.query({ text: "UPDATE posthorn.copies SET finished_at_ms = posthorn.now_ms()" });
  }

  // ---- rows --------------------------------------------------------------------------------------------------------

  /** The class of each app of the source, as it was when it was first seen. */
  async pinClasses(): Promise<void> {
    const fresh = this.#apps().filter((row) => !this.#classes.has(row[APP_ID] as string));
    if (fresh.length === 0) return;
    const ids = fresh.map((row) => row[APP_ID] as string);
    const days = fresh.map((row) => row[APP_CLASS] as number);
    await this.#connection.query(
      { text: "INSERT INTO posthorn.copied_apps SELECT * FROM unnest($1::text[], $2::smallint[])" },
      [plainArray(ids), plainArray(days)],
    );
    for (const [index, id] of ids.entries()) this.#classes.set(id, days[index] as number);
  }

  /** Of every app that was seen. */
  get classes(): ReadonlyMap<string, number> {
    return this.#classes;
  }

  /** Rows that are there already stay as they are, or are replaced where they can have changed. */
  async put(parts: readonly CarriedRows[]): Promise<void> {
    for (const part of parts) if (part.rows.length > 0) await this.#put(part);
  }

  /** Replaces all configuration by this, in one transaction. */
  async putConfiguration(parts: readonly CarriedRows[]): Promise<void> {
    await this.#connection.query({ text: "BEGIN" });
    try {
      for (const table of CONFIGURATION.toReversed())
        await this.#connection.query({ text: `DELETE FROM posthorn.${table}` });
      await this.put(parts);
      await this.#connection.query({ text: "COMMIT" });
    } catch (error) {
      if (!this.#connection.isBroken) await this.#connection.query({ text: "ROLLBACK" });
      throw error;
    }
  }

  /** Of what changes until the last part, an earlier one that was broken off may have left something. */
  async empty(tables: readonly CarriedTable[]): Promise<void> {
    for (const table of tables) await this.#connection.query({ text: `DELETE FROM posthorn.${table}` });
  }

  /** What was leased may have been sent: an incarnation that is no more holds it, so that the first node rescues it. */
  async makeHolder(version: string): Promise<void> {
    const [row] = await this.#connection.query<{ number: number }>(
      {
        text: `INSERT INTO posthorn.incarnations (id, name, version, roles, started_at_ms, beat_at_ms, steady_since_ms, voided_at_ms, ended)
          SELECT $1, '${COPIED}', $2, '{}', now_ms, now_ms, now_ms, now_ms, 'silent' FROM posthorn.now_ms() RETURNING number`,
      },
      [newId("inc"), version],
    );
    this.#holder = row?.number ?? 0;
  }

  async expunge(list: readonly Expunged[]): Promise<void> {
    await this.#connection.query(
      {
        text: `UPDATE posthorn.events e SET payload = decode(repeat('00', length(e.payload)), 'hex'), expunged_at_ms = x.at_ms
          FROM ${EXPUNGED} WHERE e.locator = x.locator AND e.day = x.day AND e.id = x.id AND e.expunged_at_ms IS NULL`,
      },
      valuesOf(list),
    );
  }

  async #put(part: CarriedRows): Promise<void> {
    if (this.#hasStrangers(part)) await this.pinClasses();
    const classOf = (appId: string): number => {
      const days = this.#classes.get(appId);
      if (days === undefined) throw new Error(`the source has rows of ${appId}, which is none of its apps`);
      return days;
    };
    await this.#makePartitions(part, classOf);
    await this.#connection.query(...asQuery(insertOf(part, { classOf, holder: this.#holder })));
  }

  #hasStrangers({ table, rows }: CarriedRows): boolean {
    if (!isPlacedByApp(table)) return false;
    const at = Math.max(placeOf(table, "of_app"), placeOf(table, "app_id"));
    return rows.some((row) => !this.#classes.has(row[at] as string));
  }

  async #makePartitions(part: CarriedRows, classOf: (appId: string) => number): Promise<void> {
    if (!PARTITIONED.has(part.table)) return;
    for (const [retentionDays, days] of partitionsOf(part, classOf)) {
      for (const day of days) {
        const name = `${retentionDays} ${day}`;
        if (this.#partitions.has(name)) continue;
        await this.#connection.query(
          { text: "SELECT posthorn.make_partitions($1::smallint, $2::date, $2::date)" },
          [retentionDays, day],
        );
        this.#partitions.add(name);
      }
    }
  }

  // ---- comparing ---------------------------------------------------------------------------------------------------

  tally(table: CarriedTable): Promise<Tallies> {
    return tallyTable(this.#connection, table);
  }

  /** Older ones were pruned at the source. */
  tallyAged(table: "idempotency" | "figures", oldestMs: number): Promise<Tallies> {
    const condition = table === "figures" ? "r.incarnation < 0 AND r.minute_ms" : "r.created_at_ms";
    return tallyTable(this.#connection, table, `${condition} >= ${Math.floor(oldestMs)}`);
  }

  tallyStretch(
    table: "events" | "delivery_history" | "attempts",
    stretch: ComparedStretch,
  ): Promise<Tallies> {
    switch (table) {
      case "events":
        return tallyEventsByDay(this.#connection, stretch);
      case "delivery_history":
        return tallyHistoryByDay(this.#connection, stretch);
      case "attempts":
        return tallyAttemptsByDay(this.#connection, stretch);
    }
  }

  tallyAttemptsUnfinished(): Promise<Tallies> {
    return tallyAttemptsUnfinished(this.#connection);
  }

  /** Of these, those whose payload is zeroed here, too. */
  async countExpunged(list: readonly Expunged[]): Promise<number> {
    const [row] = await this.#connection.query<{ count: number }>(
      {
        text: String.raw`SELECT count(*) AS count FROM ${EXPUNGED}
          JOIN posthorn.events e ON e.locator = x.locator AND e.day = x.day AND e.id = x.id
          WHERE e.expunged_at_ms = x.at_ms AND btrim(e.payload, '\x00'::bytea) = ''::bytea`,
      },
      valuesOf(list),
    );
    return row?.count ?? 0;
  }
}

const EXPUNGED = "unnest($1::text[], $2::integer[], $3::date[], $4::bigint[]) AS x (id, locator, day, at_ms)";

function valuesOf(list: readonly Expunged[]): unknown[] {
  const ids = list.map(({ id }) => id);
  return [
    plainArray(ids),
    plainArray(ids.map(locatorOf)),
    plainArray(ids.map((id) => dayOfId(id, 0))),
    plainArray(list.map((each) => each.expunged_at_ms)),
  ];
}

function asQuery({ text, values }: { text: string; values: readonly unknown[] }) {
  return [{ text }, values] as const;
}
