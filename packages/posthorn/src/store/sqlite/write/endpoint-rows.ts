/** An endpoint in its tables: the row itself, its secrets, its lane, and its app's configVersion. */
import type { SQLInputValue } from "node:sqlite";
import type { Endpoint } from "../../../domain/endpoint.ts";
import type { Change, SealedSecret } from "../../store.ts";
import { type Query, query, type Statement, statement } from "../statement.ts";
import type { EndpointFacts, Writing } from "../writing.ts";

type EndpointChange = Extract<Change, { kind: "endpoint" }>;
type StatusChange = Extract<Change, { kind: "endpoint_status" }>;

const SETTINGS = [
  "uid",
  "url",
  "description",
  "event_types",
  "channels",
  "filter",
  "rate_limit_per_second",
  "in_flight_max",
  "timeout_ms",
  "retry_schedule",
  "ordering",
  "on_dead_letter",
  "scheme",
  "status",
  "disable_reason",
  "sealed_headers",
] as const;

function settingsOf({ endpoint, sealedHeaders }: EndpointChange): SQLInputValue[] {
  return [
    endpoint.uid,
    endpoint.url,
    endpoint.description,
    JSON.stringify(endpoint.eventTypes),
    JSON.stringify(endpoint.channels),
    endpoint.filter,
    endpoint.rateLimitPerSecond,
    endpoint.inFlightMax,
    endpoint.timeoutMs,
    JSON.stringify(endpoint.retrySchedule),
    endpoint.ordering,
    endpoint.onDeadLetter,
    endpoint.scheme,
    endpoint.status,
    endpoint.disableReason,
    sealedHeaders,
  ];
}

export class EndpointRows {
  #writing: Writing;
  #withUid: Query<{ id: string }>;
  #statusOf: Query<{ status: string }>;
  #insert: Statement;
  #update: Statement;
  #setStatus: Statement;
  #deleteSecrets: Statement;
  #insertSecret: Statement;
  #insertLane: Statement;
  #setRunnable: Statement;
  #startAnew: Statement;
  #bump: Statement;
  #remove: Statement;

  constructor(writing: Writing) {
    const { db } = writing;
    this.#writing = writing;
    this.#withUid = query(
      db,
      "SELECT id FROM endpoints WHERE app_seq = ? AND uid = ? AND removed_at_ms IS NULL",
    );
    this.#statusOf = query(db, "SELECT status FROM endpoints WHERE seq = ?");
    this.#insert = statement(
      db,
      `INSERT INTO endpoints (id, app_seq, version, created_at_ms, updated_at_ms, ${SETTINGS.join(", ")})
      VALUES (?, ?, 1, ?, ?, ${SETTINGS.map(() => "?").join(", ")})`,
    );
    this.#update = statement(
      db,
      `UPDATE endpoints SET version = version + 1, updated_at_ms = ?, ${SETTINGS.map((name) => `${name} = ?`).join(", ")}
      WHERE seq = ? AND version = ?`,
    );
    this.#setStatus = statement(
      db,
      "UPDATE endpoints SET status = ?, disable_reason = ?, version = version + 1, updated_at_ms = ? WHERE seq = ?",
    );
    this.#deleteSecrets = statement(db, "DELETE FROM endpoint_secrets WHERE endpoint_seq = ?");
    this.#insertSecret = statement(
      db,
      "INSERT INTO endpoint_secrets (endpoint_seq, position, sealed, expires_at_ms) VALUES (?, ?, ?, ?)",
    );
    this.#insertLane = statement(db, "INSERT INTO lanes (endpoint_seq, runnable) VALUES (?, ?)");
    this.#setRunnable = statement(db, "UPDATE lanes SET runnable = ? WHERE endpoint_seq = ?");
    this.#startAnew = statement(
      db,
      `UPDATE lanes SET breaker = 'closed', probe_at_ms = NULL, probe_every_ms = NULL, failing_since_ms = NULL, failures = 0
      WHERE endpoint_seq = ?`,
    );
    this.#remove = statement(
      db,
      "UPDATE endpoints SET removed_at_ms = ?, sealed_headers = NULL WHERE seq = ?",
    );
    this.#bump = statement(db, "UPDATE apps SET config_version = config_version + 1 WHERE seq = ?");
  }

  uidTaken(appSeq: number, { id, uid }: Pick<Endpoint, "id" | "uid">): boolean {
    const holder = uid === null ? undefined : this.#withUid.get(appSeq, uid);
    return holder !== undefined && holder.id !== id;
  }

  insert(appSeq: number, change: EndpointChange): void {
    const { endpoint, secrets } = change;
    const { nowMs } = this.#writing;
    const seq = Number(
      this.#insert.run(endpoint.id, appSeq, nowMs, nowMs, ...settingsOf(change)).lastInsertRowid,
    );
    this.#writeSecrets(seq, secrets);
    this.#insertLane.run(seq, endpoint.status === "enabled" ? 1 : 0);
    this.#bump.run(appSeq);
  }

  /** False: another version than the one that was read. */
  update({ seq, appSeq }: EndpointFacts, change: EndpointChange): boolean {
    const { endpoint, secrets } = change;
    const before = this.#statusOf.get(seq)?.status;
    const { changes } = this.#update.run(this.#writing.nowMs, ...settingsOf(change), seq, endpoint.version);
    if (changes === 0) return false;
    this.#enter(seq, before, endpoint.status);
    this.#deleteSecrets.run(seq);
    this.#writeSecrets(seq, secrets);
    this.#bump.run(appSeq);
    return true;
  }

  setStatus({ endpointId, status, disableReason }: StatusChange): boolean {
    const facts = this.#writing.endpoint(endpointId);
    if (facts === undefined || facts.removed === 1) return false;
    this.#enter(facts.seq, this.#statusOf.get(facts.seq)?.status, status);
    this.#setStatus.run(status, disableReason, this.#writing.nowMs, facts.seq);
    this.#bump.run(facts.appSeq);
    return true;
  }

  /** Stops the lane for good, destroys what was secret, and leaves a row for what is still known of it. */
  remove({ seq, appSeq }: EndpointFacts): void {
    this.#remove.run(this.#writing.nowMs, seq);
    this.#setRunnable.run(0, seq);
    this.#deleteSecrets.run(seq);
    this.#bump.run(appSeq);
  }

  /** The lane follows the status. Enabling what was disabled starts anew: old failures are no reason to disable it again. */
  #enter(seq: number, before: string | undefined, status: Endpoint["status"]): void {
    this.#setRunnable.run(status === "enabled" ? 1 : 0, seq);
    if (before === "disabled" && status === "enabled") this.#startAnew.run(seq);
  }

  #writeSecrets(seq: number, secrets: readonly SealedSecret[]): void {
    for (const [position, { sealed, expiresAtMs }] of secrets.entries()) {
      this.#insertSecret.run(seq, position, sealed, expiresAtMs === null ? null : Math.floor(expiresAtMs));
    }
  }
}
