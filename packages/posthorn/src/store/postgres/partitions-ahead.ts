/**
 * Partitions of the days to come. A row of a day without one cannot be stored, so they are made a week ahead, by whichever
 * node looks first, for every retention class that an app has.
 */
import { type DeliveryId, locatorOf } from "../../base/ids.ts";
import { DEFAULTS } from "../../domain/defaults.ts";
import type { Statement } from "./connections.ts";
import type { Context } from "./context.ts";
import type { Day } from "./day.ts";
import { plainArray } from "./literal.ts";

const DAYS_AHEAD = 7;
/** How far is looked when health is asked; beyond what is ever made. */
export const DAYS_LOOKED_AT = 2 * DAYS_AHEAD;

const TODAY = "to_timestamp(posthorn.now_ms() / 1000.0)::date";
/**
 * Those that apps have, the one of an app that will be made, and those that apps had: a redelivery of an event lies in the
 * class of its event.
 */
export const CLASSES = `SELECT retention_days FROM posthorn.apps UNION SELECT ${DEFAULTS.retentionDays}::smallint
  UNION SELECT substring(relname FROM '^events_([0-9]+)$')::smallint FROM pg_class
    WHERE relnamespace = 'posthorn'::regnamespace AND relname ~ '^events_[0-9]+$'`;

const MAKE_ALL: Statement = {
  // Yesterday: the machine that made an id may be behind the database.
  text: `SELECT sum(posthorn.make_partitions(class.retention_days, ${TODAY} - 1, ${TODAY} + ${DAYS_AHEAD}))::integer AS made
    FROM (${CLASSES}) AS class`,
};
const MAKE_CLASS: Statement = {
  text: `SELECT posthorn.make_partitions($1::smallint, ${TODAY} - 1, ${TODAY} + ${DAYS_AHEAD}) AS made`,
};
const MAKE_DAYS: Statement = {
  text: `SELECT sum(posthorn.make_partitions($1::smallint, day, day))::integer AS made FROM unnest($2::date[]) AS day`,
};

/** For all classes. Answers how many tables were made. */
export function makePartitionsAhead(context: Context): Promise<number> {
  return make(context, MAKE_ALL);
}

/**
 * For one class, the coming days and the ones named: after a verb failed with `no_partition`, and for an app with another
 * class. Days outside of the retention are the caller's fault and are made all the same.
 */
export async function ensurePartitions(
  context: Context,
  retentionDays: number,
  days: readonly Day[] = [],
): Promise<number> {
  const ahead = await make(context, MAKE_CLASS, [retentionDays]);
  return days.length === 0 ? ahead : ahead + (await make(context, MAKE_DAYS, [retentionDays, days]));
}

/** For the days on which these deliveries were made: settling them failed with `no_partition`. */
export async function ensurePartitionsOf(context: Context, ids: readonly DeliveryId[]): Promise<void> {
  const rows = await context.connections.runSafely<{ retention_days: number; days: Day[] }>(
    "work",
    {
      text: `SELECT d.retention_days, array_agg(DISTINCT d.day) AS days
        FROM unnest($1::integer[], $2::text[]) AS wanted (locator, id)
          JOIN posthorn.deliveries d ON d.locator = wanted.locator AND d.id = wanted.id
        GROUP BY d.retention_days`,
    },
    [plainArray(ids.map(locatorOf)), plainArray(ids)],
  );
  for (const { retention_days, days } of rows) await ensurePartitions(context, retention_days, days);
}

async function make(
  { connections, logger }: Context,
  statement: Statement,
  values: readonly unknown[] = [],
): Promise<number> {
  const [row] = await connections.runSafely<{ made: number }>("work", statement, values);
  const made = row?.made ?? 0;
  if (made > 0) logger.info({ tables: made }, "store.partitions_made");
  return made;
}
