/** Adds to what was used of the day's quotas. */
import type { Usage } from "../../store.ts";
import type { Context } from "../context.ts";
import { DAY_OF_NOW } from "../day.ts";
import { plainArray } from "../literal.ts";

// Sorted, so that two nodes that raise the same ones wait for each other in one order.
const USE = `INSERT INTO posthorn.usage AS u (day, scope, events)
  SELECT ${DAY_OF_NOW}, given.scope, given.events
  FROM posthorn.now_ms() AS now_ms CROSS JOIN (
    SELECT scope, sum(events)::bigint AS events FROM unnest($1::text[], $2::bigint[]) AS given (scope, events)
    WHERE events > 0 GROUP BY scope
  ) given ORDER BY given.scope
  ON CONFLICT (day, scope) DO UPDATE SET events = u.events + excluded.events`;

/** @throws Error as failureOf tells it: after a lost connection nobody knows whether it was added */
export async function use({ connections }: Context, usages: readonly Usage[]): Promise<void> {
  if (usages.length === 0) return;
  await connections.run("work", { text: USE }, [
    plainArray(usages.map(({ scope }) => scope)),
    plainArray(usages.map(({ events }) => Math.round(events))),
  ]);
}
