/** What only a store for many nodes reads: owners, epochs, nodes, publications; and what cannot be found. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Rows } from "../../../../test/postgres-rows.ts";
import {
  type EndpointId,
  type IncarnationId,
  newAppId,
  newId,
  type PublicationId,
} from "../../../base/ids.ts";
import type { DueQuery, ResourceKind } from "../../store.ts";
import { dueLanes } from "./due-lanes.ts";
import { config, refresh } from "./endpoints.ts";
import { find } from "./find.ts";
import { leases } from "./leases.ts";
import { list } from "./list.ts";
import { publications } from "./publications.ts";

const DAY = 86_400_000;

describe("reading", () => {
  let rows: Rows;

  before(async () => {
    rows = await Rows.open(1);
  });
  after(() => rows.close());

  async function own(endpoint: EndpointId, node: IncarnationId): Promise<void> {
    await rows.sql(
      `UPDATE posthorn.lanes SET owner = (SELECT number FROM posthorn.incarnations WHERE id = $2), epoch = epoch + 1 WHERE endpoint_id = $1`,
      [endpoint, node],
    );
  }

  test("what is no id finds nothing, and neither does a text that cannot be stored", async () => {
    const app = await rows.app();
    const kinds: ResourceKind[] = [
      "app",
      "endpoint",
      "event_type",
      "key",
      "event",
      "delivery",
      "attempt",
      "replay",
      "node",
      "publication",
    ];
    for (const kind of kinds) {
      for (const id of [
        "",
        "nobody",
        "x\0y",
        "evt_1",
        "' OR true --",
        "dlv_uuuuuuuuuuuuuuuuuuuuuuuuuuuuuu",
      ]) {
        const reference = { id, appId: app, deliveryId: newId("dlv") };
        assert.equal(await find(rows.context, kind, reference), undefined, `${kind} ${id}`);
      }
    }
    assert.equal(
      await find(rows.context, "attempt", { deliveryId: "dlv_1" as never, id: "att_1" }),
      undefined,
    );
    assert.equal(await config(rows.context, "x\0y"), undefined);
    for (const query of [
      { appId: "x\0y" },
      { endpointId: "nobody" },
      { eventId: "evt_1" },
      { eventType: "x\0y" },
    ]) {
      assert.deepEqual((await list(rows.context, "delivery", { limit: 5, ...(query as object) })).data, []);
      assert.deepEqual((await list(rows.context, "event", { limit: 5, ...(query as object) })).data, []);
    }
  });

  test("an app's configVersion counts changes of the catalogue too", async () => {
    const app = await rows.app();
    const versions = async () => [
      (await config(rows.context, app))?.app.configVersion,
      (await find(rows.context, "app", { id: app }))?.configVersion,
      (await list(rows.context, "app", { limit: 1 })).data[0]?.configVersion,
    ];
    const before = await versions();
    await rows.sql("UPDATE posthorn.facts SET catalogue_version = catalogue_version + 1");
    assert.deepEqual(
      await versions(),
      before.map((version) => (version ?? 0) + 1),
    );
  });

  test("an app's configuration is whole, and there without endpoints too", async () => {
    const app = await rows.app();
    assert.deepEqual((await config(rows.context, app))?.endpoints, []);
    const endpoints = await rows.endpoints(app, 3, null);
    const whole = await config(rows.context, app);
    assert.deepEqual(
      whole?.endpoints.map(({ endpoint }) => endpoint.id),
      endpoints,
    );
    assert.deepEqual(whole?.app.metadata, { a: "b" });
    for (const { secrets } of whole?.endpoints ?? []) {
      assert.deepEqual(
        secrets.map(({ sealed }) => [...sealed]),
        [[0, 1, 2]],
      );
    }
  });

  test("a lane whose epoch changed has changed, where the epoch is known", async () => {
    const [same, taken, unasked] = (await rows.endpoints(await rows.app(), 3, null)) as [
      EndpointId,
      EndpointId,
      EndpointId,
    ];
    const node = await rows.node();
    await own(taken, node);
    await own(unasked, node);
    const { changed, gone } = await refresh(rows.context, [
      { endpointId: same, version: 1, epoch: 1 },
      { endpointId: taken, version: 1, epoch: 1 },
      { endpointId: unasked, version: 1 },
    ]);
    assert.deepEqual(
      changed.map(({ lane }) => [lane.endpointId, lane.owner, lane.epoch]),
      [[taken, node, 2]],
    );
    assert.deepEqual(gone, []);
    assert.deepEqual(await refresh(rows.context, []), { changed: [], gone: [] });
  });

  test("lanes that another living node owns are not due for this one", async () => {
    const [mine, theirs, nobodys, orphan] = (await rows.endpoints(await rows.app(), 4, 1)) as [
      EndpointId,
      EndpointId,
      EndpointId,
      EndpointId,
    ];
    const [me, other, dead] = [await rows.node(), await rows.node(), await rows.node({ ended: "silent" })];
    await own(mine, me);
    await own(theirs, other);
    await own(orphan, dead);
    const due = async (query: Omit<DueQuery, "lanesMax">) => {
      const found: Record<EndpointId, IncarnationId | null> = {};
      for (let after: string | undefined; ; ) {
        const page = await dueLanes(rows.context, {
          lanesMax: 2,
          ...query,
          ...(after === undefined ? {} : { after }),
        });
        for (const { endpointId, owner } of page.lanes) found[endpointId] = owner;
        if (page.cursor === null) return found;
        after = page.cursor;
      }
    };
    assert.deepEqual(await due({}), { [mine]: me, [theirs]: other, [nobodys]: null, [orphan]: null });
    assert.deepEqual(await due({ for: me }), { [mine]: me, [nobodys]: null, [orphan]: null });
    assert.deepEqual(await due({ for: newId("inc") }), { [nobodys]: null, [orphan]: null });
    assert.deepEqual(await due({ after: "nonsense" }), await due({}));

    const inAnHour = Date.now() + 3_600_000;
    await rows.sql("UPDATE posthorn.lanes SET next_due_at_ms = $2 WHERE endpoint_id = $1", [
      theirs,
      inAnHour,
    ]);
    await rows.sql("UPDATE posthorn.lanes SET next_due_at_ms = $2 WHERE endpoint_id = $1", [
      mine,
      inAnHour + 60_000,
    ]);
    const next = async (incarnation: IncarnationId) =>
      Math.round(((await dueLanes(rows.context, { lanesMax: 9, for: incarnation })).nextInMs ?? 0) / 60_000);
    assert.equal(await next(other), 60);
    assert.equal(await next(me), 61);
  });

  test("nodes are alive, silent or retired, with what they hold; those that ended are shown for a day", async () => {
    const app = await rows.app();
    const [one, two, three] = (await rows.endpoints(app, 3, null)) as [EndpointId, EndpointId, EndpointId];
    const alive = await rows.node();
    const silent = await rows.node({ beatAgoMs: 60_000 });
    const givenUp = await rows.node({ ended: "silent", beatAgoMs: 60_000 });
    const retired = await rows.node({ ended: "retired" });
    const old = await rows.node({ ended: "retired", endedAgoMs: DAY + 1000 });
    await own(one, alive);
    await own(two, alive);
    const held = [40_000, 5000].map((agoMs) =>
      rows.plan({ app, endpoint: three, atMs: Date.now() - agoMs, state: "pending" }),
    );
    await rows.sow(held);
    await rows.sql(
      `UPDATE posthorn.deliveries SET leased_by = (SELECT number FROM posthorn.incarnations WHERE id = $1) WHERE endpoint_id = $2`,
      [alive, three],
    );

    const first = await list(rows.context, "node", { limit: 2 });
    assert.deepEqual(
      first.data.map(({ id }) => id),
      [retired, givenUp],
    );
    const { data } = await list(rows.context, "node", { limit: 2, cursor: first.nextCursor as string });
    assert.deepEqual(
      [...first.data, ...data].map(({ state }) => state),
      ["retired", "silent", "silent", "alive"],
    );
    const [hushed, living] = data;
    assert.equal(hushed?.id, silent);
    assert((hushed?.beatAgoMs ?? 0) >= 60_000 && hushed?.lagMs === null);
    assert.deepEqual(
      [living?.id, living?.leased, living?.ownedLanes, living?.roles],
      [alive, 2, 2, ["api", "dispatch"]],
    );
    assert((living?.lagMs ?? 0) >= 40_000 && (living?.lagMs ?? 0) < 100_000);
    assert.equal((await find(rows.context, "node", { id: old }))?.state, "retired");

    const page = await leases(rows.context, alive, { limit: 1 });
    assert.deepEqual(page, [
      { deliveryId: held[0]?.delivery, appId: app, endpointId: three, eventId: held[0]?.event },
    ]);
    const rest = await leases(rows.context, alive, { limit: 5, after: held[0]?.delivery as never });
    assert.deepEqual(
      rest.map(({ deliveryId }) => deliveryId),
      [held[1]?.delivery],
    );
    assert.deepEqual(await leases(rows.context, newId("inc"), { limit: 5 }), []);
  });

  test("publications wait in the order of their numbers; refused ones are listed", async () => {
    const app = await rows.app();
    const publish = async (bytes: number, problem: object | null = null): Promise<PublicationId> => {
      const id = newId("pub");
      await rows.sql(
        `INSERT INTO posthorn.publications (created_at_ms, refused_at_ms, id, app_id, envelope, idempotency_key, problem, data)
        VALUES (5, $1, $2, $3, '{"type":"a.b"}', 'k', $4, decode(repeat('20', $5), 'hex'))`,
        [problem === null ? null : 6, id, app, problem === null ? null : JSON.stringify(problem), bytes],
      );
      return id;
    };
    const problem = { code: "unknown_event_type", message: "no", pointer: "/type" };
    const refused = [await publish(1, problem), await publish(2, problem)];
    const mib = 1024 * 1024;
    const waiting = [await publish(3), await publish(5 * mib), await publish(5 * mib), await publish(1)];

    const found = await publications(rows.context, 10);
    assert.deepEqual(
      found.map(({ id }) => id),
      waiting.slice(0, 3),
      "8 MiB, and the one that reaches beyond",
    );
    assert.deepEqual(
      { ...found[0], data: found[0]?.data.length },
      {
        id: waiting[0],
        appId: app,
        envelope: { type: "a.b" },
        data: 3,
        idempotencyKey: "k",
        createdAtMs: 5,
        problem: null,
        refusedAtMs: null,
      },
    );
    assert.deepEqual(
      (await publications(rows.context, 2)).map(({ id }) => id),
      waiting.slice(0, 2),
    );

    const first = await list(rows.context, "publication", { limit: 1, appId: app });
    const second = await list(rows.context, "publication", {
      limit: 1,
      appId: app,
      cursor: first.nextCursor as string,
    });
    assert.deepEqual(
      [...first.data, ...second.data].map(({ id }) => id),
      refused.toReversed(),
    );
    assert.equal(second.nextCursor, null);
    assert.deepEqual(first.data[0]?.problem, problem);
    assert.deepEqual((await list(rows.context, "publication", { limit: 1, appId: newAppId() })).data, []);
    for (const id of [refused[0], waiting[3]]) {
      assert.equal((await find(rows.context, "publication", { id: id as string }))?.id, id);
    }
    assert.equal(
      await find(rows.context, "publication", { id: refused[0] as string, appId: newAppId() }),
      undefined,
    );
  });
});
