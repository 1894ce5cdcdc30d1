/** What was used of this day's quotas. */
import type { AppId, KeyId } from "../../../base/ids.ts";
import type { Usage } from "../../store.ts";
import { DAY_MS, startOfDayMs } from "../day.ts";
import { type Query, query } from "../statement.ts";
import type { Reading } from "./reading.ts";

export class UsageQuery {
  #reading: Reading;
  #used: Query<Usage>;

  constructor(reading: Reading) {
    this.#reading = reading;
    this.#used = query(reading.db, "SELECT scope, events FROM usage WHERE day_ms = ? AND scope = ?");
  }

  run(scopes: readonly (AppId | KeyId)[]): { usages: Usage[]; dayEndsInMs: number } {
    const nowMs = this.#reading.nowMs();
    const dayMs = startOfDayMs(nowMs);
    const usages = scopes.flatMap((scope) => this.#used.get(dayMs, scope) ?? []);
    return { usages, dayEndsInMs: dayMs + DAY_MS - nowMs };
  }
}
