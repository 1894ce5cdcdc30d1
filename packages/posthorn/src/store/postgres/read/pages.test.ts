/** Pages over days, retention classes and both tables: each row once, in order, whatever is asked for. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Rows, type Sown } from "../../../../test/postgres-rows.ts";
import { type AppId, type EndpointId, locatorOf, newAppId } from "../../../base/ids.ts";
import type { ListQuery, StoredEvent } from "../../store.ts";
import { find } from "./find.ts";
import { list } from "./list.ts";

const DAY = 86_400_000;
const DAYS = 25;
const COUNT = 600;

describe("pages of events and deliveries", () => {
  let rows: Rows;
  let app: AppId;
  let twin: AppId;
  let busy: EndpointId;
  let quiet: EndpointId;
  let sown: Sown[] = [];

  before(async () => {
    rows = await Rows.open(DAYS);
    app = await rows.app();
    // Two apps may share a locator.
    twin = await rows.app(`${app.slice(0, 18)}${newAppId().slice(18)}` as AppId);
    assert.equal(locatorOf(twin), locatorOf(app));
    busy = await rows.endpoint(app);
    quiet = await rows.endpoint(app);
    const foreign = await rows.endpoint(twin);
    const now = Date.now();
    sown = Array.from({ length: COUNT }, (_, n) => {
      const atMs = Math.floor(now - DAYS * DAY + ((n + 1) / (COUNT + 1)) * DAYS * DAY);
      const facts =
        n % 7 === 3 ? { app: twin, endpoint: foreign } : { app, endpoint: n % 9 === 0 ? quiet : busy };
      return rows.plan({
        ...facts,
        atMs,
        retentionDays: n % 3 === 0 ? 7 : 30,
        eventType: n % 50 === 1 ? "rare.type" : "a.b",
        state: n % 11 === 0 ? "dead_lettered" : n % 4 === 0 ? "pending" : "delivered",
      });
    });
    await rows.sow(sown);
  });
  after(() => rows.close());

  async function ids(
    kind: "event" | "delivery",
    query: Omit<ListQuery, "limit">,
    limit = 7,
  ): Promise<string[]> {
    const found: string[] = [];
    for (let cursor: string | undefined, pages = 0; ; pages += 1) {
      const page = await list(rows.context, kind, {
        ...query,
        limit,
        ...(cursor === undefined ? {} : { cursor }),
      });
      assert(page.data.length <= limit && pages <= COUNT);
      found.push(...page.data.map(({ id }) => id));
      if (page.nextCursor === null) return found;
      cursor = page.nextCursor;
    }
  }

  /** Both directions. */
  async function check(
    kind: "event" | "delivery",
    query: Omit<ListQuery, "limit">,
    keep: (each: Sown, n: number) => boolean,
    limit?: number,
  ) {
    const expected = sown.filter(keep).map((each) => each[kind]);
    assert(expected.length > 0);
    assert.deepEqual(await ids(kind, { ...query, oldestFirst: true }, limit), expected);
    assert.deepEqual(await ids(kind, query, limit), expected.toReversed());
  }

  test("an app's", async () => {
    for (const kind of ["event", "delivery"] as const) {
      await check(kind, { appId: app }, (each) => each.app === app);
      await check(kind, { appId: twin }, (each) => each.app === twin, 250);
      await check(
        kind,
        { appId: app, eventType: "rare.type" },
        (each) => each.app === app && each.eventType === "rare.type",
        2,
      );
    }
  });

  test("an endpoint's", async () => {
    await check("delivery", { endpointId: busy }, ({ endpoint }) => endpoint === busy, 50);
    await check("delivery", { endpointId: quiet, appId: app }, ({ endpoint }) => endpoint === quiet);
    assert.deepEqual(await ids("delivery", { endpointId: quiet, appId: twin }), []);
  });

  test("everybody's", async () => {
    for (const kind of ["event", "delivery"] as const) {
      await check(kind, {}, () => true, 50);
      await check(kind, { eventType: "rare.type" }, ({ eventType }) => eventType === "rare.type", 5);
    }
    await check("delivery", { states: ["dead_lettered"] }, ({ state }) => state === "dead_lettered", 20);
    await check("delivery", { states: ["pending"] }, ({ state }) => state === "pending", 20);
  });

  test("in some states", async () => {
    for (const states of [
      ["pending"],
      ["dead_lettered", "cancelled"],
      ["delivered"],
      ["pending", "dead_lettered"],
    ]) {
      await check(
        "delivery",
        { appId: app, states },
        (each) => each.app === app && states.includes(each.state),
        40,
      );
      await check(
        "delivery",
        { endpointId: quiet, states },
        (each) => each.endpoint === quiet && states.includes(each.state),
      );
    }
  });

  test("of a window of time, to the millisecond", async () => {
    const [since, until] = [sown[100] as Sown, sown[400] as Sown];
    const window = { sinceMs: since.atMs, untilMs: until.atMs };
    for (const kind of ["event", "delivery"] as const) {
      await check(kind, { appId: app, ...window }, (each, n) => each.app === app && n >= 100 && n < 400, 30);
      await check(kind, window, (_, n) => n >= 100 && n < 400, 50);
    }
  });

  test("what is listed is what is found", async () => {
    for (const kind of ["event", "delivery"] as const) {
      for (const query of [{ appId: app }, {}, ...(kind === "delivery" ? [{ endpointId: quiet }] : [])]) {
        const { data } = await list(rows.context, kind, { ...query, limit: 20, payloads: true });
        for (const each of data) assert.deepEqual(await find(rows.context, kind, { id: each.id }), each);
      }
    }
  });

  test("of an event, which has one", async () => {
    const each = sown[8] as Sown;
    assert.deepEqual(await ids("delivery", { eventId: each.event }), [each.delivery]);
    assert.deepEqual(await ids("event", { eventId: each.event }), [each.event]);
    assert.deepEqual(await ids("event", { eventId: each.event, appId: twin }), []);
  });

  test("a row that was stored long after its id was made is not missed", async () => {
    const now = Date.now();
    const home = await rows.app();
    const late = {
      ...rows.plan({ app: home, endpoint: await rows.endpoint(home), atMs: now - 50 * 60_000 }),
      atMs: now,
    };
    await rows.sow([late]);
    for (const kind of ["event", "delivery"] as const) {
      assert.deepEqual(await ids(kind, { appId: home, sinceMs: now }), [late[kind]]);
      assert.deepEqual(await ids(kind, { sinceMs: now }), [late[kind]]);
      assert.deepEqual(await ids(kind, { appId: home, untilMs: now }), []);
    }
    sown.push(late);
  });

  test("payloads of 8 MiB at the most to a page, and at least one", async () => {
    const home = await rows.app();
    const heavy = [1, 2, 3].map((n) => rows.plan({ app: home, endpoint: busy, atMs: Date.now() - 1000 + n }));
    await rows.sow(heavy);
    await rows.sql(
      `UPDATE posthorn.events SET payload = decode(repeat('ab', 5 * 1024 * 1024), 'hex') WHERE app_id = $1`,
      [home],
    );
    await rows.sql("UPDATE posthorn.events SET expunged_at_ms = 1 WHERE id = $1", [heavy[2]?.event]);
    const page = async (query: Partial<ListQuery>) =>
      list(rows.context, "event", { payloads: true, limit: 10, ...query });
    const weights = (data: readonly StoredEvent[]) => data.map(({ payload }) => payload?.length ?? null);
    const weight = 5 * 1024 * 1024;
    const newest = await page({ appId: home });
    assert.deepEqual(weights(newest.data), [null, weight, weight]);
    const both = await page({ appId: home, oldestFirst: true });
    assert.deepEqual(weights(both.data), [weight, weight]);
    const rest = await page({ appId: home, oldestFirst: true, cursor: both.nextCursor as string });
    assert.deepEqual(
      rest.data.map(({ id }) => id),
      [heavy[2]?.event],
    );
    assert.equal(rest.nextCursor, null);
    const all = await page({ sinceMs: heavy[0]?.atMs ?? 0, oldestFirst: true });
    const afterwards = await page({
      sinceMs: heavy[0]?.atMs ?? 0,
      oldestFirst: true,
      cursor: all.nextCursor as string,
    });
    assert.equal(
      new Set([...all.data, ...afterwards.data].map(({ id }) => id)).size,
      all.data.length + afterwards.data.length,
    );
    sown.push(...heavy);
  });

  test("a cursor of another list is refused, and so is one that nobody gave", async () => {
    const each = sown[0] as Sown;
    for (const [query, cursor] of [
      [{ appId: app }, `${each.atMs}:${each.delivery}`],
      [{ appId: app }, each.event],
      [{ appId: app }, ""],
      [{}, each.delivery],
      [{}, ":"],
      [{}, `1:${each.delivery}:1`],
      [{}, "1:' OR true"],
    ] as const) {
      await assert.rejects(list(rows.context, "delivery", { ...query, limit: 1, cursor }), {
        code: "invalid_field",
        pointer: "/cursor",
      });
    }
  });
});
