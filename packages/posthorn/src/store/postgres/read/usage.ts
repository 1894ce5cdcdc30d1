/** What was used of the day's quotas, and when the day ends. */
import type { AppId, KeyId } from "../../../base/ids.ts";
import type { Usage } from "../../store.ts";
import type { Context } from "../context.ts";
import { DAY_OF_NOW } from "../day.ts";
import { plainArray } from "../literal.ts";

const DAY_MS = 86_400_000;
const USAGE = {
  name: "read_usage",
  text: `SELECT now_ms AS "nowMs", u.scope, u.events
    FROM posthorn.now_ms() AS now_ms LEFT JOIN posthorn.usage u ON u.day = ${DAY_OF_NOW} AND u.scope = ANY ($1::text[])`,
};

interface Row {
  readonly nowMs: number;
  /** null: nothing was used of any. */
  readonly scope: AppId | KeyId | null;
  readonly events: number;
}

export async function usage(
  { connections }: Context,
  scopes: readonly (AppId | KeyId)[],
): Promise<{ readonly usages: readonly Usage[]; readonly dayEndsInMs: number }> {
  const rows = await connections.runSafely<Row>("read", USAGE, [plainArray(scopes)]);
  const used = new Map(rows.map(({ scope, events }) => [scope, events]));
  const usages = scopes.flatMap((scope) => {
    const events = used.get(scope);
    return events === undefined ? [] : [{ scope, events }];
  });
  return { usages, dayEndsInMs: DAY_MS - ((rows[0]?.nowMs ?? 0) % DAY_MS) };
}
