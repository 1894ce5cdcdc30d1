/** Days as partitions have them: UTC, `2026-01-31`. */
import { timeOf } from "../../base/ids.ts";

const DAY_MS = 86_400_000;

export type Day = string;

export function dayOf(ms: number): Day {
  return new Date(ms).toISOString().slice(0, 10);
}

/** In a statement, the day of the time `now_ms`: in UTC, whatever time zone the session has. */
export const DAY_OF_NOW = "date '1970-01-01' + (now_ms / 86400000)::integer";

let lastDay = -1;
let lastText = "";

/** The day that a row with this id lies in, if it is made now. */
export function dayOfId(id: string, advancedMs: number): Day {
  const day = Math.floor((timeOf(id) + advancedMs) / DAY_MS);
  if (day !== lastDay) {
    lastDay = day;
    lastText = dayOf(day * DAY_MS);
  }
  return lastText;
}

/**
 * Where to look for the row of an id. More than one day only where a test has moved the clock since it was made. As a list,
 * because a key is searched exactly for `day = ANY`, but walked through for a range of days.
 */
export function daysOfId(id: string, advancedMs: number): Day[] {
  const madeMs = timeOf(id);
  const last = dayOf(madeMs + advancedMs);
  const days = [dayOf(madeMs)];
  for (let ms = madeMs + DAY_MS; days.at(-1) !== last; ms += DAY_MS) days.push(dayOf(ms));
  return days;
}
