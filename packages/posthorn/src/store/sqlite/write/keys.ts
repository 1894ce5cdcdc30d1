/** Keys, and the sessions that browsers opened with them. */
import type { AppId, KeyId, SessionId } from "../../../base/ids.ts";
import type { Change } from "../../store.ts";
import { type Statement, statement } from "../statement.ts";
import type { Writing } from "../writing.ts";

type ChangeOf<Kind extends Change["kind"]> = Extract<Change, { kind: Kind }>;

export class Keys {
  #writing: Writing;
  #insert: Statement;
  #used: Statement;
  #insertSession: Statement;
  #delete: Statement;
  #deleteSessions: Statement;
  #deleteOfApp: Statement;
  #deleteSessionsOfApp: Statement;
  #deleteSession: Statement;

  constructor(writing: Writing) {
    const { db } = writing;
    this.#writing = writing;
    this.#insert = statement(
      db,
      `INSERT INTO keys (id, hash, role, app_seq, name, limits, prefix, created_at_ms, expires_at_ms)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#used = statement(db, "UPDATE keys SET last_used_at_ms = ? WHERE id = ?");
    this.#insertSession = statement(
      db,
      `INSERT INTO sessions (id, hash, key_seq, created_at_ms, expires_at_ms)
      SELECT ?2, ?3, seq, ?4, ?5 FROM keys WHERE id = ?1`,
    );
    this.#delete = statement(db, "DELETE FROM keys WHERE id = ?");
    this.#deleteSessions = statement(
      db,
      "DELETE FROM sessions WHERE key_seq = (SELECT seq FROM keys WHERE id = ?)",
    );
    this.#deleteOfApp = statement(db, "DELETE FROM keys WHERE app_seq = ?");
    this.#deleteSessionsOfApp = statement(
      db,
      "DELETE FROM sessions WHERE key_seq IN (SELECT seq FROM keys WHERE app_seq = ?)",
    );
    this.#deleteSession = statement(db, "DELETE FROM sessions WHERE id = ?");
  }

  /** False: its app is gone. */
  insert({ key, hash }: ChangeOf<"key">): boolean {
    const { id, role, appId, name, limits, prefix, expiresAtMs } = key;
    const appSeq = appId === null ? null : this.#livingApp(appId);
    if (appSeq === undefined) return false;
    const { nowMs } = this.#writing;
    this.#insert.run(id, hash, role, appSeq, name, JSON.stringify(limits), prefix, nowMs, expiresAtMs);
    return true;
  }

  /** False: it is not there. */
  used(id: KeyId): boolean {
    return this.#used.run(this.#writing.nowMs, id).changes === 1;
  }

  /** False: its key is gone. */
  openSession({ session, hash, expiresInMs }: ChangeOf<"session">): boolean {
    const { nowMs } = this.#writing;
    const endsAtMs = nowMs + Math.round(expiresInMs);
    return this.#insertSession.run(session.keyId, session.id, hash, nowMs, endsAtMs).changes === 1;
  }

  remove(id: KeyId): boolean {
    this.#deleteSessions.run(id);
    return this.#delete.run(id).changes === 1;
  }

  removeOfApp(appSeq: number): void {
    this.#deleteSessionsOfApp.run(appSeq);
    this.#deleteOfApp.run(appSeq);
  }

  removeSession(id: SessionId): boolean {
    return this.#deleteSession.run(id).changes === 1;
  }

  #livingApp(id: AppId): number | undefined {
    const app = this.#writing.app(id);
    return app?.removed === 0 ? app.seq : undefined;
  }
}
