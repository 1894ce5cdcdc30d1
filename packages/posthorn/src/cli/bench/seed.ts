/**
 * Delivered events by the million, written by the database itself into the real tables: each with its delivery and its
 * attempt, with ids of its own time, in the partitions of the last days, the apps taking turns. Through the store's own batches
 * 10^7 of them would take a quarter of an hour and more.
 */
import { locatorOf } from "../../base/ids.ts";
import { buildPayload } from "../../domain/payload.ts";
import type { BenchDatabase } from "./database.ts";

export interface SeedOptions {
  /** Endpoints to fill, in turn. `app` is a uid. */
  readonly endpoints: readonly { readonly app: string; readonly endpointId: string }[];
  readonly events: number;
  /** Bytes of `data`. */
  readonly dataBytes: number;
  readonly say: (text: string) => void;
}

const DAYS = 7;
const DAY_MS = 86_400_000;
/** Events of one millisecond. */
const AT_ONCE = 100;
const MILLISECONDS_PER_STATEMENT = 1000;

/** $1 to $3: the milliseconds from, to, step. $4 endpoints, $5 apps, $6 locators, $7 payload, $8 and $9 where its data is. */
const SEED = `
  WITH made AS MATERIALIZED (
    SELECT moment.ms, (to_timestamp(moment.ms / 1000.0) AT TIME ZONE 'UTC')::date AS day, place.*,
      -- The counting part of a random-looking one: ids of a millisecond sort in their order.
      posthorn.base32(moment.ms, 10) AS time_part, lpad(to_hex(each.i), 4, '0') || substr(md5(moment.ms::text || each.i), 1, 12) AS random_part
    FROM (SELECT ms FROM generate_series($1::bigint, $2::bigint, $3::bigint) AS ms OFFSET 0) AS moment
      CROSS JOIN generate_series(0, ${AT_ONCE - 1}) AS each (i)
      JOIN (SELECT endpoint_id, app_id, locator, posthorn.base32(locator, 4) AS locator_part, n - 1 AS place
        FROM unnest($4::text[], $5::text[], $6::integer[]) WITH ORDINALITY AS p (endpoint_id, app_id, locator, n)) AS place
        ON place.place = each.i % cardinality($4::text[])
  ), named AS MATERIALIZED (
    SELECT *, time_part || locator_part || random_part AS body FROM made
  ), events AS (
    INSERT INTO posthorn.events (accepted_at_ms, locator, day, data_start, data_end, delivery_count, fan_out_count, retention_days, id, app_id,
      delivery_first, delivery_last, event_type, timestamp, payload)
    SELECT ms, locator, day, $8::integer, $9::integer, 1, 0, 30, 'evt_' || body, app_id, 'dlv_' || body, 'dlv_' || body, 'bench.stored',
      '2026-01-31T00:00:00.000Z', $7::bytea
    FROM named
  ), history AS (
    INSERT INTO posthorn.delivery_history (created_at_ms, finished_at_ms, locator, day, event_day, attempts, retention_days, later, id, endpoint_id,
      event_id, event_type, trigger, state)
    SELECT ms, ms + 5, locator, day, day, 1, 30, false, 'dlv_' || body, endpoint_id, 'evt_' || body, 'bench.stored', 'publish', 'delivered'
    FROM named
  )
  INSERT INTO posthorn.attempts (started_at_ms, locator, day, number, duration_ms, status, retention_days, delivery_id, id, outcome, url, response_body)
  SELECT ms + 2, locator, day, 1, 2, 200, 30, 'dlv_' || body, 'att_' || body, 'succeeded', 'http://127.0.0.1:65535/bench-1', 'ok'
  FROM named`;

export async function seed(database: BenchDatabase, options: SeedOptions): Promise<void> {
  const { endpoints, events, dataBytes, say } = options;
  const nowMs = Date.now();
  const fromMs = nowMs - (DAYS - 1) * DAY_MS;
  const moments = Math.ceil(events / AT_ONCE);
  const stepMs = Math.max(1, Math.floor((nowMs - fromMs) / moments));
  await database.ask(
    "SELECT posthorn.make_partitions(30::smallint, to_timestamp($1::bigint / 1000.0)::date, current_date)",
    [fromMs],
  );
  const apps = new Map(
    (await database.ask<{ id: string; uid: string }>("SELECT id, uid FROM posthorn.apps")).map(
      ({ id, uid }) => [uid, id],
    ),
  );
  const payload = buildPayload(
    "bench.stored",
    "2026-01-31T00:00:00.000Z",
    Buffer.from(`{"text":"${"x".repeat(Math.max(0, dataBytes - 11))}"}`),
  );
  const places = [
    endpoints.map(({ endpointId }) => endpointId),
    endpoints.map(({ app }) => apps.get(app)),
    endpoints.map(({ endpointId }) => locatorOf(endpointId)),
  ];
  for (let done = 0; done < moments; done += MILLISECONDS_PER_STATEMENT) {
    const count = Math.min(MILLISECONDS_PER_STATEMENT, moments - done);
    const [first, last] = [fromMs + done * stepMs, fromMs + (done + count - 1) * stepMs];
    await database.ask(SEED, [
      first,
      last,
      stepMs,
      ...places,
      payload.bytes,
      payload.dataStart,
      payload.dataEnd,
    ]);
    const million = Math.floor((done * AT_ONCE) / 1e6);
    if (million > Math.floor(((done - MILLISECONDS_PER_STATEMENT) * AT_ONCE) / 1e6) && million > 0)
      say(`${million},000,000 events are stored ...`);
  }
  // As if they had been stored over days: nothing of that is left to do while we measure.
  for (const table of ["events", "delivery_history", "attempts"])
    await database.ask(`VACUUM (ANALYZE) posthorn.${table}`);
  await database.ask("CHECKPOINT");
}
