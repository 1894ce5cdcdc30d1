// Rows in a test database, put there by SQL: many at once, of any time.
import {
  type AppId,
  type DeliveryId,
  type EndpointId,
  type EventId,
  type IncarnationId,
  locatorOf,
  newAppId,
  newId,
} from "../src/base/ids.ts";
import { silentLogger } from "../src/base/logger.ts";
import { Connection } from "../src/store/postgres/connection.ts";
import type { Context } from "../src/store/postgres/context.ts";
import { dayOf } from "../src/store/postgres/day.ts";
import { plainArray } from "../src/store/postgres/literal.ts";
import { CONNECTIONS_MIN, Pool } from "../src/store/postgres/pool.ts";
import { completeOptions } from "../src/store/postgres/settings.ts";
import { openTestDatabase, type TestDatabase } from "./postgres-database.ts";

const DAY_MS = 86_400_000;
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** An event with one delivery of it. */
export interface Sown {
  readonly app: AppId;
  readonly endpoint: EndpointId;
  readonly event: EventId;
  readonly delivery: DeliveryId;
  readonly atMs: number;
  readonly retentionDays: number;
  readonly eventType: string;
  readonly state: "pending" | "delivered" | "dead_lettered";
}

export class Rows {
  readonly context: Context;
  readonly session: Connection;
  #pool: Pool;
  #database: TestDatabase;
  #number = 0;

  private constructor(database: TestDatabase, pool: Pool, session: Connection, context: Context) {
    this.#database = database;
    this.#pool = pool;
    this.session = session;
    this.context = context;
  }

  /** With partitions of the classes of 7 and 30 days, back for so many days. */
  static async open(days: number): Promise<Rows> {
    const database = await openTestDatabase();
    const { url } = database;
    const pool = new Pool({ url, connectionsMax: CONNECTIONS_MIN, patienceMs: 10_000 });
    const { settings } = completeOptions({ url });
    const context = {
      connections: pool,
      settings,
      logger: silentLogger,
      numbers: new Map(),
      claimedUntilMs: new Map(),
      doubtful: new Set<never>(),
      wake: () => {},
    };
    const session = await Connection.open({ url, applicationName: "rows", statementMsMax: null });
    const rows = new Rows(database, pool, session, context);
    const [first, last] = [dayOf(Date.now() - days * DAY_MS), dayOf(Date.now() + DAY_MS)];
    await rows.sql("SELECT posthorn.make_partitions(c::smallint, $1, $2) FROM unnest('{7,30}'::int[]) c", [
      first,
      last,
    ]);
    return rows;
  }

  async close(): Promise<void> {
    await this.session.close();
    await this.#pool.close();
    await this.#database.drop();
  }

  sql<Row>(text: string, values: readonly unknown[] = []): Promise<Row[]> {
    return this.session.query<Row>({ text }, values);
  }

  async app(id = newAppId()): Promise<AppId> {
    await this.sql(
      `INSERT INTO posthorn.apps (id, name, metadata, retention_days, config_version, created_at_ms, updated_at_ms)
      VALUES ($1, 'Shop', '{"a":"b"}', 30, 1, 0, 0)`,
      [id],
    );
    return id;
  }

  /** With its lane, on which something is due at `nextDueAtMs`. */
  async endpoint(app: AppId, nextDueAtMs: number | null = null): Promise<EndpointId> {
    const [id] = await this.endpoints(app, 1, nextDueAtMs);
    return id as EndpointId;
  }

  async endpoints(app: AppId, count: number, nextDueAtMs: number | null): Promise<EndpointId[]> {
    const ids = Array.from({ length: count }, () => newId("ep", locatorOf(app)));
    await this.sql(
      `WITH made AS (
        INSERT INTO posthorn.endpoints (id, app_id, url, description, event_types, channels, in_flight_max, timeout_ms, retry_schedule,
          ordering, on_dead_letter, scheme, status, secrets, version, created_at_ms, updated_at_ms)
        SELECT id, $2, 'https://a.example/', '', '[]', '[]', 16, 1000, '[5]', 'unordered', 'continue', 'standard', 'enabled',
          '[{"sealed":"AAEC","expiresAtMs":null}]', 1, 0, 0 FROM unnest($1::text[]) AS id RETURNING id, app_id)
      INSERT INTO posthorn.lanes (endpoint_id, app_id, runnable, exclusive, next_due_at_ms) SELECT id, app_id, true, false, $3::bigint FROM made`,
      [plainArray(ids), app, nextDueAtMs],
    );
    return ids;
  }

  async node(
    facts: { beatAgoMs?: number; ended?: "retired" | "silent"; endedAgoMs?: number } = {},
  ): Promise<IncarnationId> {
    const { beatAgoMs = 0, ended = null, endedAgoMs = 0 } = facts;
    const id = newId("inc");
    await this.sql(
      `INSERT INTO posthorn.incarnations (id, name, version, roles, started_at_ms, beat_at_ms, steady_since_ms, ended, voided_at_ms)
      VALUES ($1, 'one', '1.0.0', '{api,dispatch}', 0, posthorn.now_ms() - $2::bigint, 0, $3::text,
        CASE WHEN $3::text IS NOT NULL THEN posthorn.now_ms() - $4::bigint END)`,
      [id, beatAgoMs, ended, endedAgoMs],
    );
    return id;
  }

  /** As it would be if a node had made its ids at its time. */
  plan(facts: Pick<Sown, "app" | "endpoint" | "atMs"> & Partial<Sown>): Sown {
    const n = this.#number++;
    const locator = locatorOf(facts.app);
    return {
      event: idAt("evt", facts.atMs, locator, n),
      delivery: idAt("dlv", facts.atMs, locator, n),
      retentionDays: 30,
      eventType: "a.b",
      state: "delivered",
      ...facts,
    };
  }

  async sow(all: readonly Sown[]): Promise<void> {
    const column = (of: (each: Sown) => string | number): string => plainArray(all.map(of));
    const values = [
      column(({ atMs }) => atMs),
      column(({ atMs }) => dayOf(atMs)),
      column(({ retentionDays }) => retentionDays),
      column(({ app }) => locatorOf(app)),
      column(({ app }) => app),
      column(({ endpoint }) => endpoint),
      column(({ event }) => event),
      column(({ delivery }) => delivery),
      column(({ eventType }) => eventType),
      column(({ state }) => state),
    ];
    const sown = `unnest($1::bigint[], $2::date[], $3::smallint[], $4::integer[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
      $10::text[]) AS r (at, day, class, locator, app, endpoint, event, delivery, type, state)`;
    await this.sql(
      `WITH r AS MATERIALIZED (SELECT * FROM ${sown}), event AS (
        INSERT INTO posthorn.events (accepted_at_ms, locator, day, data_start, data_end, delivery_count, fan_out_count, retention_days, id,
          app_id, delivery_first, delivery_last, event_type, timestamp, payload)
        SELECT at, locator, day, 0, 2, 1, 0, class, event, app, delivery, delivery, type, 't', '{}' FROM r
      ), waiting AS (
        INSERT INTO posthorn.deliveries (created_at_ms, expires_at_ms, due_at_ms, locator, day, event_day, payload_bytes, retention_days,
          class, later, id, endpoint_id, event_id, event_type, trigger)
        SELECT at, 9e12, at, locator, day, day, 2, class, 0, false, delivery, endpoint, event, type, 'publish' FROM r WHERE state = 'pending'
      )
      INSERT INTO posthorn.delivery_history (created_at_ms, finished_at_ms, locator, day, event_day, attempts, retention_days, later, id,
        endpoint_id, event_id, event_type, trigger, state, reason)
      SELECT at, at, locator, day, day, 1, class, false, delivery, endpoint, event, type, 'publish', state,
        CASE WHEN state = 'dead_lettered' THEN 'expired' END FROM r WHERE state <> 'pending'`,
      values,
    );
  }
}

function idAt<Kind extends "evt" | "dlv">(
  kind: Kind,
  ms: number,
  locator: number,
  n: number,
): `${Kind}_${string}` {
  return `${kind}_${digits(ms, 10)}${digits(locator, 4)}${digits(n, 16)}`;
}

function digits(value: number, length: number): string {
  let text = "";
  for (let rest = value; text.length < length; rest = Math.floor(rest / 32)) {
    text = ALPHABET.charAt(rest % 32) + text;
  }
  return text;
}
