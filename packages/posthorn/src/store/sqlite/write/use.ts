/** Adds to what was used of this day's quotas. */

import type { Usage } from "../../store.ts";
import { startOfDayMs } from "../day.ts";
import { type Statement, statement } from "../statement.ts";
import type { Writing } from "../writing.ts";

export class Use {
  #writing: Writing;
  #add: Statement;

  constructor(writing: Writing) {
    this.#writing = writing;
    this.#add = statement(
      writing.db,
      "INSERT INTO usage (day_ms, scope, events) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET events = events + excluded.events",
    );
  }

  run(usages: readonly Usage[]): void {
    const dayMs = startOfDayMs(this.#writing.nowMs);
    for (const { scope, events } of usages) this.#add.run(dayMs, scope, events);
  }
}
