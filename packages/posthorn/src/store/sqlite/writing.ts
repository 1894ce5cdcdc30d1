/** What the writer's verbs share: the connection, the time of the transaction, and what is known of apps and endpoints. */
import type { DatabaseSync } from "node:sqlite";
import type { AppId, EndpointId, IncarnationId } from "../../base/ids.ts";
import type { DeadLetterPolicy, Ordering } from "../../domain/endpoint.ts";
import { BUSY_TIMEOUT_MS } from "./database.ts";
import { failureKind } from "./failure.ts";
import type { SqliteSettings } from "./options.ts";
import type { WriterClock } from "./shared-clock.ts";
import { createSpaceWatch, lookAtSpace } from "./space.ts";
import { type Query, query, type Statement, statement } from "./statement.ts";

export interface AppFacts {
  readonly seq: number;
  readonly id: AppId;
  readonly configVersion: number;
  readonly removed: 0 | 1;
}

export interface EndpointFacts {
  readonly seq: number;
  readonly id: EndpointId;
  readonly appSeq: number;
  readonly appId: AppId;
  readonly url: string;
  readonly ordering: Ordering;
  readonly onDeadLetter: DeadLetterPolicy;
  /** JSON. */
  readonly retrySchedule: string;
  readonly removed: 0 | 1;
}

/** For how long the writer waits until short reads let go of the log, and how soon it tries again when it could not be emptied. */
const EMPTY_LOG_WAIT_MS = 50;
const EMPTY_LOG_EVERY_MS = 1000;

/** Rows known by heart at most; then it forgets all and learns anew. */
const KNOWN_MAX = 20_000;

const ENDPOINT_FACTS = `
  SELECT e.seq, e.id, e.app_seq AS appSeq, a.id AS appId, e.url, e.ordering, e.on_dead_letter AS onDeadLetter,
    e.retry_schedule AS retrySchedule, e.removed_at_ms IS NOT NULL AS removed
  FROM endpoints e JOIN apps a ON a.seq = e.app_seq`;

export class Writing {
  readonly db: DatabaseSync;
  readonly settings: SqliteSettings;
  readonly clock: WriterClock;
  readonly space: { accepting(): boolean };
  /** The time of the transaction in hand. */
  nowMs = 0;
  /** The one incarnation that may hold leases. */
  incarnation: { readonly seq: number; readonly id: IncarnationId } | undefined;
  /** Bytes were overwritten: the log still has the old ones, and is emptied after a commit. So it may be from before the start. */
  #logIsOld = true;
  #emptyLogAtMs = 0;
  #eventSeq = 0;
  #deliverySeq = 0;
  #apps = new Map<string, AppFacts>();
  #endpoints = new Map<string, EndpointFacts>();
  #endpointsBySeq = new Map<number, EndpointFacts>();
  /** Lanes that got something due in this transaction, and when: written down once, at its end. */
  #due = new Map<number, number>();
  #findApp: Query<AppFacts>;
  #findEndpoint: Query<EndpointFacts>;
  #findEndpointBySeq: Query<EndpointFacts>;
  #lowerLane: Statement;

  constructor(db: DatabaseSync, settings: SqliteSettings, clock: WriterClock) {
    this.db = db;
    this.settings = settings;
    this.clock = clock;
    this.space = createSpaceWatch(() => lookAtSpace(db, settings.dataDir, settings.reserveBytes));
    this.#findApp = query(
      db,
      "SELECT seq, id, config_version AS configVersion, removed_at_ms IS NOT NULL AS removed FROM apps WHERE id = ?",
    );
    this.#findEndpoint = query(db, `${ENDPOINT_FACTS} WHERE e.id = ?`);
    this.#findEndpointBySeq = query(db, `${ENDPOINT_FACTS} WHERE e.seq = ?`);
    this.#lowerLane = statement(
      db,
      `UPDATE lanes SET next_due_at_ms = ?2 WHERE endpoint_seq = ?1 AND (next_due_at_ms IS NULL OR next_due_at_ms > ?2)`,
    );
    this.#load();
  }

  begin(): void {
    this.nowMs = this.clock.nowMs();
    this.db.exec("BEGIN IMMEDIATE");
  }

  commit(): void {
    this.writeDue();
    this.db.exec("COMMIT");
  }

  /**
   * After each commit. What stands in the way (a full disk, or a long read such as a backup, which needs the log) is no fault of
   * what was committed: then a later commit empties it, the next beat's at the latest.
   * @throws only what must end the process
   */
  emptyOldLog(): void {
    if (!this.#logIsOld || performance.now() < this.#emptyLogAtMs) return;
    try {
      this.#logIsOld = !this.#emptyLog();
    } catch (error) {
      if (failureKind(error) === "fatal") throw error;
    }
    if (this.#logIsOld) this.#emptyLogAtMs = performance.now() + EMPTY_LOG_EVERY_MS;
  }

  /**
   * What `work` deletes or replaces is overwritten where it lies, even in pages that become free; and the log, which has it
   * too, is emptied after the commit. `work` answers whether there was something to destroy.
   */
  destroying(work: () => boolean): boolean {
    this.db.exec("PRAGMA secure_delete = ON");
    try {
      const destroyed = work();
      this.#logIsOld ||= destroyed;
      return destroyed;
    } finally {
      this.db.exec("PRAGMA secure_delete = FAST");
    }
  }

  /** False: somebody reads it. */
  #emptyLog(): boolean {
    this.db.exec(`PRAGMA busy_timeout = ${EMPTY_LOG_WAIT_MS}`);
    try {
      return query<{ busy: number }>(this.db, "PRAGMA wal_checkpoint(TRUNCATE)").get()?.busy === 0;
    } finally {
      this.db.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
    }
  }

  /** Also forgets everything learned within the transaction. Some errors of SQLite have rolled back already. */
  rollback(): void {
    if (this.db.isTransaction) this.db.exec("ROLLBACK");
    this.#due.clear();
    this.forget();
    this.#load();
  }

  takeEventSeq(): number {
    return this.#eventSeq++;
  }

  takeDeliverySeq(): number {
    return this.#deliverySeq++;
  }

  app(id: AppId): AppFacts | undefined {
    return remember(this.#apps, id, () => this.#findApp.get(id));
  }

  /** Removed ones too. */
  endpoint(id: EndpointId): EndpointFacts | undefined {
    return remember(this.#endpoints, id, () => this.#findEndpoint.get(id));
  }

  endpointBySeq(seq: number): EndpointFacts {
    const facts = remember(this.#endpointsBySeq, seq, () => this.#findEndpointBySeq.get(seq));
    if (facts === undefined)
      throw new Error(`a delivery refers to endpoint row ${seq}, which does not exist`);
    return facts;
  }

  /** After any change of configuration. */
  forget(): void {
    this.#apps.clear();
    this.#endpoints.clear();
    this.#endpointsBySeq.clear();
  }

  /** Something was stored unleased on a lane. */
  noteDue(endpointSeq: number, atMs: number): void {
    const known = this.#due.get(endpointSeq);
    if (known === undefined || known > atMs) this.#due.set(endpointSeq, atMs);
  }

  /** Brings the hints of the lanes up to date: before the commit, and before a claim reads them. */
  writeDue(): void {
    for (const [endpointSeq, atMs] of this.#due) this.#lowerLane.run(endpointSeq, atMs);
    this.#due.clear();
  }

  #load(): void {
    const next = query<{ event: number; delivery: number }>(
      this.db,
      `SELECT ifnull((SELECT max(seq) FROM events), 0) + 1 AS event,
        max(ifnull((SELECT max(seq) FROM deliveries), 0), ifnull((SELECT max(seq) FROM delivery_history), 0)) + 1 AS delivery`,
    ).get();
    this.#eventSeq = Math.max(this.#eventSeq, next?.event ?? 1);
    this.#deliverySeq = Math.max(this.#deliverySeq, next?.delivery ?? 1);
    this.incarnation = query<{ seq: number; id: IncarnationId }>(
      this.db,
      "SELECT seq, id FROM incarnations WHERE voided_at_ms IS NULL ORDER BY seq DESC LIMIT 1",
    ).get();
  }
}

function remember<Key, Facts>(
  known: Map<Key, Facts>,
  key: Key,
  find: () => Facts | undefined,
): Facts | undefined {
  const hit = known.get(key);
  if (hit !== undefined) return hit;
  const facts = find();
  if (facts === undefined) return undefined;
  if (known.size >= KNOWN_MAX) known.clear();
  known.set(key, facts);
  return facts;
}
