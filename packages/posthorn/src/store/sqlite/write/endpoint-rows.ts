/** An endpoint in its tables: the row itself, its secrets, its lane, and its app's configVersion. */
import type { SQLInputValue } from "node:sqlite";
import type { Endpoint } from "../../../domain/endpoint.ts";
import { accessText } from "../../access.ts";
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
  "access",
  "sealed_headers",
  "sealed_credentials",
] as const;

function settingsOf({ endpoint, sealedHeaders, sealedCredentials }: EndpointChange): SQLInputValue[] {
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
    accessText(endpoint),
    sealedHeaders,
    sealedCredentials,
  ];
}

/** ?1: now. ?2: the status to come. */
const UNVERIFIED = "unverified_at_ms = CASE WHEN ?2 = 'unverified' THEN ifnull(unverified_at_ms, ?1) END";

const SEALED = `
  SELECT sealed FROM endpoint_secrets WHERE endpoint_seq = ?1
  UNION ALL SELECT sealed_headers FROM endpoints WHERE seq = ?1
  UNION ALL SELECT sealed_credentials FROM endpoints WHERE seq = ?1`;

export class EndpointRows {
  #writing: Writing;
  #sealed: Query<{ sealed: Uint8Array | null }>;
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
    this.#sealed = query(db, SEALED);
    this.#statusOf = query(db, "SELECT status FROM endpoints WHERE seq = ?");
    this.#insert = statement(
      db,
      `INSERT INTO endpoints (id, app_seq, version, created_at_ms, updated_at_ms, unverified_at_ms, ${SETTINGS.join(", ")})
      VALUES (?, ?, 1, ?, ?, ?, ${SETTINGS.map(() => "?").join(", ")})`,
    );
    this.#update = statement(
      db,
      `UPDATE endpoints SET version = version + 1, updated_at_ms = ?1, ${UNVERIFIED}, ${SETTINGS.map((name) => `${name} = ?`).join(", ")}
      WHERE seq = ? AND version = ?`,
    );
    this.#setStatus = statement(
      db,
      `UPDATE endpoints SET version = version + 1, updated_at_ms = ?1, ${UNVERIFIED}, status = ?2, disable_reason = ? WHERE seq = ?`,
    );
    this.#deleteSecrets = statement(db, "DELETE FROM endpoint_secrets WHERE endpoint_seq = ?");
    this.#insertSecret = statement(
      db,
      "INSERT INTO endpoint_secrets (endpoint_seq, position, sealed, expires_at_ms, public_key) VALUES (?, ?, ?, ?, ?)",
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
      `UPDATE endpoints SET removed_at_ms = ?, sealed_headers = NULL, sealed_credentials = NULL, unverified_at_ms = NULL
      WHERE seq = ?`,
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
    const unverifiedAtMs = endpoint.status === "unverified" ? nowMs : null;
    const { lastInsertRowid } = this.#insert.run(
      endpoint.id,
      appSeq,
      nowMs,
      nowMs,
      unverifiedAtMs,
      ...settingsOf(change),
    );
    const seq = Number(lastInsertRowid);
    this.#writeSecrets(seq, secrets);
    this.#insertLane.run(seq, endpoint.status === "enabled" ? 1 : 0);
    this.#bump.run(appSeq);
  }

  /** False: another version than the one that was read. */
  update(facts: EndpointFacts, change: EndpointChange): boolean {
    if (!this.#replacesSealed(facts.seq, change)) return this.#write(facts, change);
    return this.#writing.destroying(() => this.#write(facts, change));
  }

  setStatus({ endpointId, status, disableReason }: StatusChange): boolean {
    const facts = this.#writing.endpoint(endpointId);
    if (facts === undefined || facts.removed === 1) return false;
    this.#enter(facts.seq, this.#statusOf.get(facts.seq)?.status, status);
    this.#setStatus.run(this.#writing.nowMs, status, disableReason, facts.seq);
    this.#bump.run(facts.appSeq);
    return true;
  }

  /** Stops the lane for good, destroys what was secret, and leaves a row for what is still known of it. */
  remove({ seq, appSeq }: EndpointFacts): void {
    this.#writing.destroying(() => {
      this.#remove.run(this.#writing.nowMs, seq);
      this.#deleteSecrets.run(seq);
      return true;
    });
    this.#setRunnable.run(0, seq);
    this.#bump.run(appSeq);
  }

  #write({ seq, appSeq }: EndpointFacts, change: EndpointChange): boolean {
    const { endpoint, secrets } = change;
    const { nowMs } = this.#writing;
    const before = this.#statusOf.get(seq)?.status;
    const { changes } = this.#update.run(
      nowMs,
      endpoint.status,
      ...settingsOf(change),
      seq,
      endpoint.version,
    );
    if (changes === 0) return false;
    this.#enter(seq, before, endpoint.status);
    this.#deleteSecrets.run(seq);
    this.#writeSecrets(seq, secrets);
    this.#bump.run(appSeq);
    return true;
  }

  /** Whether an envelope that the row has is not among those it will have. */
  #replacesSealed(seq: number, { secrets, sealedHeaders, sealedCredentials }: EndpointChange): boolean {
    const after = new Set(
      [sealedHeaders, sealedCredentials, ...secrets.map(({ sealed }) => sealed)].map(textOf),
    );
    return this.#sealed.all(seq).some(({ sealed }) => sealed !== null && !after.has(textOf(sealed)));
  }

  /** The lane follows the status. Enabling what was disabled, or has proved itself, starts anew: old failures are no reason to disable it again. */
  #enter(seq: number, before: string | undefined, status: Endpoint["status"]): void {
    this.#setRunnable.run(status === "enabled" ? 1 : 0, seq);
    if ((before === "disabled" || before === "unverified") && status === "enabled") this.#startAnew.run(seq);
  }

  #writeSecrets(seq: number, secrets: readonly SealedSecret[]): void {
    for (const [position, { sealed, expiresAtMs, publicKey }] of secrets.entries()) {
      const endsAtMs = expiresAtMs === null ? null : Math.floor(expiresAtMs);
      this.#insertSecret.run(seq, position, sealed, endsAtMs, publicKey);
    }
  }
}

function textOf(sealed: Uint8Array | null): string {
  return sealed === null ? "" : Buffer.from(sealed).toString("base64");
}
