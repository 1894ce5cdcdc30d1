/** One step of a replay: its new deliveries and its cursor, in one transaction. */
import type { ReplayStep } from "../../store.ts";
import { type Statement, statement } from "../statement.ts";
import type { Writing } from "../writing.ts";
import type { Later } from "./later.ts";

export class Replays {
  #writing: Writing;
  #later: Later;
  #move: Statement;
  #count: Statement;

  constructor(writing: Writing, later: Later) {
    const { db } = writing;
    this.#writing = writing;
    this.#later = later;
    this.#move = statement(
      db,
      `UPDATE replays SET cursor = ?3, examined = examined + ?4, state = CASE WHEN ?5 THEN 'finished' ELSE 'running' END,
        finished_at_ms = CASE WHEN ?5 THEN ?6 END
      WHERE id = ?1 AND state = 'running' AND cursor IS ?2`,
    );
    this.#count = statement(db, "UPDATE replays SET created = created + ? WHERE id = ?");
  }

  advance({ replayId, fromCursor, cursor, examined, redeliveries, finished }: ReplayStep): boolean {
    const { nowMs } = this.#writing;
    const moved =
      this.#move.run(replayId, fromCursor, cursor, examined, finished ? 1 : 0, nowMs).changes === 1;
    if (!moved) return false;
    const results = this.#later.redeliverAll(redeliveries);
    this.#count.run(results.filter(({ kind }) => kind === "created").length, replayId);
    return true;
  }
}
