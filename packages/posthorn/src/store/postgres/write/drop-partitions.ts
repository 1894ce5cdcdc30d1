/**
 * Retention by the day: the partitions of a retention class and a day go together, events, deliveries and attempts, once the
 * whole day is past its retention and no unfinished delivery needs them. They are detached without a lock that anybody waits
 * for, and dropped then.
 */
import type { Run } from "../connections.ts";
import { type Day, dayOf } from "../day.ts";
import { failureOf } from "../failure.ts";

type Parent = "events" | "delivery_history" | "attempts";

/** `pending`: detaching it was begun and given up, because a transaction was still open that may have read it. */
type PartitionState = "attached" | "pending" | "detached";

interface Partition {
  readonly parent: Parent;
  readonly name: string;
  readonly retentionDays: number;
  readonly day: Day;
  readonly state: PartitionState;
}

/** The partitions of one class and day. */
interface Cohort {
  readonly retentionDays: number;
  readonly day: Day;
  readonly partitions: Partition[];
}

export type DropResult =
  | { readonly kind: "nothing" }
  | {
      readonly kind: "dropped";
      readonly events: number;
      readonly deliveries: number;
      readonly attempts: number;
    }
  /** A transaction that is open for long, another node, or a vacuum is in the way: later, then. */
  | { readonly kind: "in_the_way"; readonly day: Day };

const LOCK_TIMEOUT_MS = 200;
/** Up to there the rows of a dropped table are counted; beyond, the planner's estimate will do. */
const COUNTED_BYTES_MAX = 256 * 1024 * 1024;

/** Drops one cohort, the oldest first. On a session of its own, outside of a transaction, which DETACH CONCURRENTLY needs. */
export async function dropOldest(run: Run, nowMs: number): Promise<DropResult> {
  const cohorts = await pastRetention(run, nowMs);
  if (cohorts.length === 0) return { kind: "nothing" };
  if (!(await takeSession(run))) return { kind: "in_the_way", day: (cohorts[0] as Cohort).day };
  try {
    await run({ text: `SET lock_timeout = ${LOCK_TIMEOUT_MS}` });
    return await dropFirst(run, cohorts);
  } finally {
    await run({ text: "SELECT pg_advisory_unlock(hashtext('posthorn.prune'))" });
  }
}

async function takeSession(run: Run): Promise<boolean> {
  const [row] = await run<{ mine: boolean }>({
    text: "SELECT pg_try_advisory_lock(hashtext('posthorn.prune')) AS mine",
  });
  return row?.mine ?? false;
}

async function dropFirst(run: Run, cohorts: readonly Cohort[]): Promise<DropResult> {
  const needed = await neededCohorts(run, (cohorts.at(-1) as Cohort).day);
  for (const cohort of cohorts) {
    const isNeeded = needed.has(nameOf(cohort));
    if (isNeeded && cohort.partitions.every(({ state }) => state === "attached")) continue;
    try {
      if (isNeeded) await restore(run, cohort);
      else return await drop(run, cohort);
    } catch (error) {
      if (failureOf(error) !== "again") throw error;
      return { kind: "in_the_way", day: cohort.day };
    }
  }
  return { kind: "nothing" };
}

// Also those that a crash left detached: they have no parent any more, only their name.
const PAST_RETENTION = `SELECT name[1] AS parent, c.relname AS name, name[2]::integer AS "retentionDays",
    to_date(name[3], 'YYYYMMDD') AS day,
    CASE WHEN i.inhrelid IS NULL THEN 'detached' WHEN i.inhdetachpending THEN 'pending' ELSE 'attached' END AS state
  FROM pg_catalog.pg_class c
    CROSS JOIN LATERAL regexp_match(c.relname, '^(events|delivery_history|attempts)_([0-9]+)_([0-9]{8})$') AS name
    LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid
  WHERE c.relnamespace = 'posthorn'::regnamespace AND c.relkind = 'r'
    AND to_date(name[3], 'YYYYMMDD') + 1 + name[2]::integer <= $1::date
  ORDER BY day, "retentionDays", parent DESC`;

async function pastRetention(run: Run, nowMs: number): Promise<Cohort[]> {
  const cohorts = new Map<string, Cohort>();
  for (const partition of await run<Partition>({ text: PAST_RETENTION }, [dayOf(nowMs)])) {
    const { retentionDays, day } = partition;
    const known = cohorts.get(nameOf(partition));
    if (known === undefined) cohorts.set(nameOf(partition), { retentionDays, day, partitions: [partition] });
    else known.partitions.push(partition);
  }
  return [...cohorts.values()];
}

function nameOf({ retentionDays, day }: Pick<Cohort, "retentionDays" | "day">): string {
  return `${retentionDays} ${day}`;
}

/** What unfinished deliveries and fan-outs need: their event, and a place for their own history. Reads all of them, once. */
async function neededCohorts(run: Run, lastDay: Day): Promise<Set<string>> {
  const rows = await run<Pick<Cohort, "retentionDays" | "day">>(
    {
      text: `SELECT d.retention_days AS "retentionDays", needed.day
        FROM posthorn.deliveries d CROSS JOIN LATERAL (VALUES (d.event_day), (d.day)) AS needed (day)
        WHERE least(d.event_day, d.day) <= $1 AND needed.day <= $1
        UNION SELECT retention_days, event_day FROM posthorn.fan_outs WHERE event_day <= $1`,
    },
    [lastDay],
  );
  return new Set(rows.map(nameOf));
}

async function drop(run: Run, cohort: Cohort): Promise<DropResult> {
  for (const partition of cohort.partitions) await detach(run, partition);
  // A redelivery may have been stored since the first look. From now on none can be: nobody sees the event any more.
  if ((await neededCohorts(run, cohort.day)).has(nameOf(cohort))) {
    for (const partition of cohort.partitions) await attach(run, partition);
    return { kind: "nothing" };
  }
  const counts = { events: 0, delivery_history: 0, attempts: 0 };
  for (const { parent, name } of cohort.partitions) {
    counts[parent] += await rowsOf(run, name);
    await run({ text: `DROP TABLE posthorn.${name}` });
  }
  const { events, delivery_history: deliveries, attempts } = counts;
  return { kind: "dropped", events, deliveries, attempts };
}

async function detach(run: Run, { parent, retentionDays, name, state }: Partition): Promise<void> {
  const table = `ALTER TABLE posthorn.${parent}_${retentionDays} DETACH PARTITION posthorn.${name}`;
  switch (state) {
    case "attached":
      return void (await run({ text: `${table} CONCURRENTLY` }));
    case "pending":
      return void (await run({ text: `${table} FINALIZE` }));
    case "detached":
      return;
  }
}

async function attach(run: Run, { parent, retentionDays, name, day }: Partition): Promise<void> {
  await run({
    text: `ALTER TABLE posthorn.${parent}_${retentionDays} ATTACH PARTITION posthorn.${name}
      FOR VALUES FROM ('${day}') TO ('${dayOf(Date.parse(day) + 86_400_000)}')`,
  });
}

/** A cohort that is needed after all, and that an earlier call had begun to drop. */
async function restore(run: Run, { partitions }: Cohort): Promise<void> {
  for (const partition of partitions) {
    if (partition.state === "attached") continue;
    await detach(run, partition);
    await attach(run, partition);
  }
}

async function rowsOf(run: Run, name: string): Promise<number> {
  const [table] = await run<{ bytes: number; estimate: number }>(
    {
      text: `SELECT pg_relation_size(oid) AS bytes, reltuples::bigint AS estimate FROM pg_catalog.pg_class WHERE oid = $1::regclass`,
    },
    [`posthorn.${name}`],
  );
  if (table !== undefined && table.bytes > COUNTED_BYTES_MAX) return Math.max(0, table.estimate);
  const [counted] = await run<{ rows: number }>({ text: `SELECT count(*) AS rows FROM posthorn.${name}` });
  return counted?.rows ?? 0;
}
