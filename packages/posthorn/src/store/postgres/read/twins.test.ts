/** Structural twins: what a read looks at does not grow between 10^2 and 10^5 rows, over ten days and two retention classes. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import pg from "pg";
import { Rows, type Sown } from "../../../../test/postgres-rows.ts";
import type { AppId, EndpointId, IncarnationId } from "../../../base/ids.ts";
import type { Connections, Statement } from "../connections.ts";
import type { Context } from "../context.ts";
import { dueLanes } from "./due-lanes.ts";
import { config, refresh } from "./endpoints.ts";
import { find } from "./find.ts";
import { leases } from "./leases.ts";
import { list } from "./list.ts";
import { publications } from "./publications.ts";
import { stats } from "./stats.ts";

const DAY = 86_400_000;
const DAYS = 10;
const FEW = 100;
const MANY = 100_000;

/** Of the plan's parts that read tables: what they read, and the pages of 8 KiB for it. */
interface Cost {
  statements: number;
  rows: number;
  buffers: number;
}
interface Plan {
  readonly "Relation Name"?: string;
  readonly "Actual Rows": number;
  readonly "Actual Loops": number;
  readonly "Rows Removed by Filter"?: number;
  readonly "Rows Removed by Index Recheck"?: number;
  readonly "Shared Hit Blocks": number;
  readonly "Shared Read Blocks": number;
  readonly Plans?: readonly Plan[];
}

type Read = (context: Context) => Promise<unknown>;

describe("what a read looks at", () => {
  let rows: Rows;
  let app: AppId;
  let busy: EndpointId;
  let quiet: EndpointId;
  let node: IncarnationId;
  /** In the middle of what is stored. */
  let some: Sown;

  before(async () => {
    rows = await Rows.open(DAYS);
    app = await rows.app();
    busy = await rows.endpoint(app, 1);
    quiet = await rows.endpoint(app, 1);
    node = await rows.node();
    await sow(FEW);
  });
  after(() => rows.close());

  /** Half of it waits for one endpoint, half is done; every hundredth is the quiet endpoint's, and dead. */
  async function sow(count: number): Promise<void> {
    const now = Date.now();
    const sown = Array.from({ length: count }, (_, n) => {
      const mine = n % 100 === 49;
      return rows.plan({
        app,
        endpoint: mine ? quiet : busy,
        atMs: Math.floor(now - DAYS * DAY + ((n + 1) / (count + 1)) * DAYS * DAY),
        retentionDays: n % 3 === 0 ? 7 : 30,
        state: mine ? "dead_lettered" : n % 2 === 0 ? "pending" : "delivered",
      });
    });
    some = sown[Math.floor(count / 2) + 1] as Sown;
    for (let start = 0; start < count; start += 20_000) await rows.sow(sown.slice(start, start + 20_000));
    await rows.sql("VACUUM ANALYZE");
  }

  /** Named statements as a connection has them after a while: with a plan that knows no values. */
  async function explain({ name, text }: Statement, values: readonly unknown[]): Promise<Plan> {
    const options = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)";
    type Answer = { readonly "QUERY PLAN": readonly [{ readonly Plan: Plan }] };
    let answer: Answer | undefined;
    if (name === undefined) [answer] = await rows.sql<Answer>(`${options} ${text}`, values);
    else {
      const literals = values.map((value) => (value === null ? "NULL" : pg.escapeLiteral(String(value))));
      await rows.sql(`SET plan_cache_mode = force_generic_plan; PREPARE twin AS ${text}`);
      [answer] = await rows.sql<Answer>(
        `${options} EXECUTE twin${literals.length === 0 ? "" : `(${literals.join(", ")})`}`,
      );
      await rows.sql("DEALLOCATE twin; RESET plan_cache_mode");
    }
    assert(answer);
    return answer["QUERY PLAN"][0].Plan;
  }

  async function costOf(read: Read): Promise<Cost> {
    const cost: Cost = { statements: 0, rows: 0, buffers: 0 };
    let turn: Promise<unknown> = Promise.resolve();
    async function look(statement: Statement, values: readonly unknown[]): Promise<unknown[]> {
      const plan = await explain(statement, values);
      cost.statements += 1;
      cost.rows += Math.round(rowsRead(plan));
      cost.buffers += plan["Shared Hit Blocks"] + plan["Shared Read Blocks"];
      return rows.sql(statement.text, values);
    }
    const runSafely = (_purpose: string, statement: Statement, values: readonly unknown[] = []) => {
      const answer = turn.then(() => look(statement, values));
      turn = answer;
      return answer;
    };
    const connections = { advancedMs: 0, runSafely } as unknown as Connections;
    await read({ ...rows.context, connections });
    return cost;
  }

  function rowsRead(plan: Plan): number {
    const removed = (plan["Rows Removed by Filter"] ?? 0) + (plan["Rows Removed by Index Recheck"] ?? 0);
    const own =
      plan["Relation Name"] === undefined ? 0 : (plan["Actual Rows"] + removed) * plan["Actual Loops"];
    return (plan.Plans ?? []).reduce((sum, child) => sum + rowsRead(child), own);
  }

  const limit = 50;
  const page =
    (query: object): Read =>
    (context) =>
      list(context, "delivery", { limit, ...query });
  const events =
    (query: object): Read =>
    (context) =>
      list(context, "event", { limit, ...query });
  /**
   * How many statements a read is, how many rows it may look at, and pages: three for each row of which the planner looks up
   * the endpoint by itself.
   */
  const reads = (): Record<
    string,
    readonly [statements: number, rows: number, buffers: number, read: Read]
  > => ({
    "lanes that are due": [1, 30, 130, (context) => dueLanes(context, { lanesMax: 10, for: node })],
    "the configuration of an app": [1, 20, 60, (context) => config(context, app)],
    "what changed": [1, 20, 60, (context) => refresh(context, [{ endpointId: quiet, version: 0, epoch: 1 }])],
    "an event": [1, 5, 30, (context) => find(context, "event", { id: some.event })],
    "a delivery": [1, 5, 40, (context) => find(context, "delivery", { id: some.delivery })],
    attempts: [1, 5, 40, (context) => list(context, "attempt", { deliveryId: some.delivery, limit })],
    leases: [1, 5, 10, (context) => leases(context, node, { limit })],
    nodes: [1, 10, 20, (context) => list(context, "node", { limit })],
    publications: [1, 1, 10, (context) => publications(context, 100)],
    "deliveries of an app": [2, 600, 500, page({ appId: app })],
    "from the middle on": [2, 600, 500, page({ appId: app, cursor: some.delivery })],
    "from the middle on, forwards": [
      2,
      600,
      300,
      page({ appId: app, cursor: some.delivery, oldestFirst: true }),
    ],
    "from the oldest on": [2, 600, 500, page({ appId: app, oldestFirst: true })],
    "those of an app that wait": [1, 350, 400, page({ appId: app, states: ["pending"] })],
    "those of an app that failed": [2, 600, 500, page({ appId: app, states: ["dead_lettered"] })],
    // Up to 2,000 waiting ones are counted.
    "deliveries of a busy endpoint": [3, 2700, 700, page({ endpointId: busy })],
    "from its middle on": [3, 2700, 700, page({ endpointId: busy, cursor: some.delivery })],
    "deliveries of a quiet endpoint": [3, 600, 700, page({ endpointId: quiet })],
    "deliveries of an event": [2, 10, 100, page({ eventId: some.event })],
    "events of an app": [2, 350, 100, events({ appId: app })],
    "with their payloads": [3, 400, 300, events({ appId: app, oldestFirst: true, payloads: true })],
    "stats of a quiet endpoint": [
      2,
      20,
      50,
      (context) => stats(context, { appId: app, endpointId: quiet, sinceMs: 0, untilMs: 9e12 }),
    ],
    // Up to 10,000 are counted.
    "stats of an app": [
      2,
      20_100,
      900,
      (context) => stats(context, { appId: app, sinceMs: 0, untilMs: 9e12 }),
    ],
  });

  test("is bounded, whatever is stored", async (t) => {
    const few = new Map<string, Cost>();
    for (const [name, [, , , read]] of Object.entries(reads())) few.set(name, await costOf(read));
    await rows.endpoints(await rows.app(), 5000, Date.now() + DAY);
    await rows.endpoints(await rows.app(), 5000, Date.now() - DAY);
    await sow(MANY);
    for (const [name, [statements, rowsMax, buffersMax, read]] of Object.entries(reads())) {
      const cost = await costOf(read);
      t.diagnostic(`${name}: ${JSON.stringify([few.get(name), cost])}`);
      // Of few rows there are fewer to a day, so that more days are looked at.
      assert((few.get(name)?.statements ?? 0) >= statements, name);
      assert.equal(cost.statements, statements, name);
      assert(cost.rows <= rowsMax, `${name}: ${cost.rows} rows`);
      assert(cost.buffers <= buffersMax, `${name}: ${cost.buffers} buffers`);
    }
  });
});
