/** Starts of the node. One process owns the file, so each start voids whatever came before it. */
import { type IncarnationId, newId } from "../../../base/ids.ts";
import type { Beat, NewNode } from "../../store.ts";
import { type Statement, statement } from "../statement.ts";
import type { Writing } from "../writing.ts";

export class Nodes {
  #writing: Writing;
  #void: Statement;
  #insert: Statement;
  #beat: Statement;
  #retire: Statement;
  #saveNow: Statement;

  constructor(writing: Writing) {
    const { db } = writing;
    this.#writing = writing;
    this.#void = statement(db, "UPDATE incarnations SET voided_at_ms = ? WHERE voided_at_ms IS NULL");
    this.#insert = statement(
      db,
      "INSERT INTO incarnations (id, name, version, roles, started_at_ms, beat_at_ms) VALUES (?, ?, ?, ?, ?, ?)",
    );
    this.#beat = statement(
      db,
      "UPDATE incarnations SET beat_at_ms = ? WHERE id = ? AND voided_at_ms IS NULL",
    );
    this.#retire = statement(
      db,
      "UPDATE incarnations SET voided_at_ms = ?, retired = 1 WHERE id = ? AND voided_at_ms IS NULL",
    );
    this.#saveNow = statement(db, "UPDATE store_facts SET now_ms = ?");
  }

  enlist({ name, version, roles }: NewNode): IncarnationId {
    const { nowMs } = this.#writing;
    const id = newId("inc");
    this.#void.run(nowMs);
    const { lastInsertRowid } = this.#insert.run(id, name, version, JSON.stringify(roles), nowMs, nowMs);
    this.#writing.incarnation = { seq: Number(lastInsertRowid), id };
    return id;
  }

  /** Nobody takes over from a process that has the file open, however long it is silent. */
  beat(incarnation: IncarnationId): Beat {
    this.saveNow();
    const alive = this.#beat.run(this.#writing.nowMs, incarnation).changes === 1;
    return { alive, validUntilMs: Number.POSITIVE_INFINITY, dispatchers: 1, publishers: 1 };
  }

  retire(incarnation: IncarnationId): void {
    this.#retire.run(this.#writing.nowMs, incarnation);
    if (this.#writing.incarnation?.id === incarnation) this.#writing.incarnation = undefined;
  }

  /** The next start never begins before this. */
  saveNow(): void {
    this.#saveNow.run(this.#writing.nowMs);
  }
}
