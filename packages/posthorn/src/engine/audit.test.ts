// What is written to the audit log, by whom, and that what did not happen does not stand in it. Endpoints, keys and apps have
// stories of their own beside their files.
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, test } from "node:test";
import { PosthornError } from "../base/errors.ts";
import type { AuditEntry } from "../domain/audit.ts";
import { auditFault } from "../domain/audit.ts";
import { type Acting, actAs, auditEntry } from "./acting.ts";
import { rejected, World } from "./engine-harness.ts";

const ALICE: Acting = {
  actor: { kind: "key", keyId: "key_alice", role: "admin", name: "Alice" },
  address: "192.0.2.7",
  requestId: "req_1",
};

let world: World;
let seen = 0;
before(async () => {
  world = await World.open();
});
after(() => world.close());
beforeEach(async () => {
  seen = (await log()).length;
});

async function log(): Promise<readonly AuditEntry[]> {
  return (await world.engine.audit.list({ oldestFirst: true, limit: 250 })).data;
}
/** What was appended since the test began. */
async function added(): Promise<readonly AuditEntry[]> {
  return (await log()).slice(seen);
}

describe("an entry", () => {
  test("says who did what to what, from where, and what changed", async () => {
    await actAs(ALICE, async () => {
      await world.engine.eventTypes.create({ name: "order.created", description: "An order" });
      await world.engine.eventTypes.put("order.created", { description: "A new order" });
      await world.engine.eventTypes.remove("order.created");
    });
    const [created, changed, removed, ...more] = await added();
    assert.deepEqual(more, []);
    for (const entry of [created, changed, removed]) {
      assert.deepEqual(entry?.actor, ALICE.actor);
      assert.deepEqual([entry?.address, entry?.requestId], ["192.0.2.7", "req_1"]);
      assert.deepEqual(entry?.target, { kind: "event_type", id: "order.created" });
    }
    assert.deepEqual(
      [created?.action, changed?.action, removed?.action],
      ["event_type.create", "event_type.update", "event_type.remove"],
    );
    assert.deepEqual([created?.before, created?.after?.description], [null, "An order"]);
    assert.deepEqual(changed?.before, { description: "An order" });
    assert.deepEqual(changed?.after, { description: "A new order" });
    assert.deepEqual([removed?.before?.description, removed?.after], ["A new order", null]);
    assert.deepEqual(await world.engine.audit.get(created?.id ?? ""), created);
  });

  test("holds of a long value only its size and its hash", async () => {
    const schema = { description: "x".repeat(10_000) };
    await world.engine.eventTypes.create({ name: "long.schema", schema });
    const [entry] = await added();
    const bytes = JSON.stringify(schema).length;
    const shown = entry?.after?.schema as { bytes: number; sha256: string };
    assert.deepEqual([Object.keys(shown), shown.bytes], [["bytes", "sha256"], bytes]);
  });

  test("is not made for what was refused or is not there", async () => {
    await world.engine.eventTypes.create({ name: "once" });
    seen += 1;
    await assert.rejects(world.engine.eventTypes.create({ name: "once" }));
    await assert.rejects(world.engine.eventTypes.put("once", { schema: { type: "no type" } }));
    await assert.rejects(world.engine.eventTypes.remove("never"));
    await assert.rejects(world.engine.publications.remove("pub_never"));
    await assert.rejects(world.engine.hold.take({ seconds: 0 }));
    await assert.rejects(world.engine.sessions.open("phk_never"));
    const [refusal, ...more] = await added();
    assert.equal(refusal?.action, "session.refuse");
    assert.deepEqual(more, []);
  });

  test("is not made for reading", async () => {
    await world.engine.eventTypes.list();
    await world.engine.audit.list();
    await world.engine.health();
    assert.deepEqual(await added(), []);
  });
});

test("what a policy does in the wake of someone's request is not that one's doing", async () => {
  const app = await world.app("quits");
  world.transport.answer = () => rejected(410);
  await actAs(ALICE, async () => {
    await world.endpoint(app);
    await world.publish(app, "order.created", {});
    await world.transport.shipped(1);
  });
  let disabled: AuditEntry | undefined;
  while (disabled === undefined) disabled = (await added()).find(({ after }) => after?.status === "disabled");
  assert.deepEqual([disabled.actor, disabled.target.kind], [{ kind: "system" }, "endpoint"]);
});

test("a hold is taken by someone, and ends by itself or by someone; its last entry says how far it was prolonged", async () => {
  let prolonged: object | undefined;
  await actAs(ALICE, async () => {
    await world.engine.hold.take({ seconds: 60 });
    prolonged = await world.engine.hold.take({ seconds: 600 });
    await world.engine.hold.release();
    await world.engine.hold.release();
  });
  const [taken, released, ...more] = await added();
  assert.deepEqual(more, []);
  assert.deepEqual([taken?.action, taken?.after], ["hold.take", { seconds: 60 }]);
  assert.deepEqual([released?.action, released?.actor], ["hold.release", ALICE.actor]);
  assert.deepEqual([released?.before, released?.after], [prolonged, null]);
});

describe("sessions", () => {
  test("begin and end in the log, by the key that they were opened with", async () => {
    const { secret, key } = await world.engine.keys.create({ name: "Alice", role: "admin" });
    seen = (await log()).length;
    const opened = await world.engine.sessions.open(secret);
    const replacing = await world.engine.sessions.open(secret, opened.token);
    const entries = await added();
    assert.deepEqual(
      entries.map(({ action, target }) => [action, target.id]),
      [
        ["session.create", opened.session.id],
        ["session.create", replacing.session.id],
        ["session.remove", opened.session.id],
      ],
    );
    for (const { actor } of entries)
      assert.deepEqual(actor, { kind: "session", keyId: key.id, role: "admin", name: "Alice" });
    const texts = JSON.stringify(entries);
    for (const secretText of [secret, opened.token, opened.csrfToken]) assert.ok(!texts.includes(secretText));
    assert.equal(await world.engine.sessions.authenticate(opened.token), undefined);
    assert.equal((await world.engine.sessions.authenticate(replacing.token))?.key.id, key.id);
  });

  test("are opened ten times a minute with one key, and fill the log with no more", async () => {
    const [busy, other] = [
      await world.engine.keys.create({ name: "Busy", role: "viewer" }),
      await world.engine.keys.create({ name: "Other", role: "viewer" }),
    ];
    seen = (await log()).length;
    const opened = await Promise.allSettled(
      Array.from({ length: 30 }, () => world.engine.sessions.open(busy.secret)),
    );
    assert.equal(opened.filter(({ status }) => status === "fulfilled").length, 10);
    await assert.rejects(
      world.engine.sessions.open(busy.secret),
      (error: PosthornError) => error.code === "rate_limited" && (error.retryAfterSeconds ?? 0) > 50,
    );
    await world.engine.sessions.open(other.secret);
    assert.equal((await added()).length, 11);
  });

  test("are not forgotten for what strangers send, and what is no token is not even looked up", async () => {
    const { secret } = await world.engine.keys.create({ name: "Carol", role: "viewer" });
    const { token } = await world.engine.sessions.open(secret);
    assert.ok(await world.engine.sessions.authenticate(token));
    const { find } = world.store.read;
    let asked = 0;
    world.store.read.find = async () => {
      asked += 1;
      return undefined;
    };
    try {
      for (const junk of ["", "x".repeat(42), `${token}x`, "x".repeat(15_000), "=".repeat(43)])
        assert.equal(await world.engine.sessions.authenticate(junk), undefined);
      assert.equal(asked, 0);
      for (let n = 0; n <= 10_000; n += 1)
        await world.engine.sessions.authenticate(String(n).padStart(43, "A"));
      assert.equal(asked, 10_001);
      assert.ok(await world.engine.sessions.authenticate(token), "it is known by heart");
    } finally {
      world.store.read.find = find;
    }
  });

  test("end after their time, whatever was done meanwhile", async () => {
    const short = await World.open({ sessionMs: 30 });
    try {
      const { secret } = await short.engine.keys.create({ name: "Bob", role: "admin" });
      const { session, token } = await short.engine.sessions.open(secret);
      assert.ok(session.expiresAtMs - session.createdAtMs === 30);
      let known = await short.engine.sessions.authenticate(token);
      while (Date.now() < session.expiresAtMs) known = await short.engine.sessions.authenticate(token);
      known = await short.engine.sessions.authenticate(token);
      assert.equal(known, undefined);
    } finally {
      await short.close();
    }
  });

  test("strangers who fail to open one fill 30 entries a minute, and are counted beyond", async () => {
    const other = await World.open();
    try {
      for (let n = 0; n < 40; n += 1) await assert.rejects(other.engine.sessions.open(`phk_${n}`));
      const { data } = await other.engine.audit.list({ limit: 250 });
      assert.equal(data.filter(({ action }) => action === "session.refuse").length, 30);
    } finally {
      await other.close();
    }
  });
});

describe("reading the log", () => {
  test("is newest first, oldest first, of one app, of a window", async () => {
    const app = await world.app("audited");
    const deed = (action: string) => ({
      action,
      target: { kind: "app", id: app },
      appId: app as `app_${string}`,
    });
    for (const action of ["x.one", "x.two"])
      await world.store.write.save({ kind: "audit" }, auditEntry(deed(action)));
    const actions = async (query: object) =>
      (await world.engine.audit.list(query)).data
        .map(({ action }) => action)
        .filter((one) => /^x\./.test(one));
    assert.deepEqual(await actions({ app: "audited" }), ["x.two", "x.one"]);
    assert.deepEqual(await actions({ app, oldestFirst: true }), ["x.one", "x.two"]);
    assert.deepEqual(await actions({ app, until: "2020-01-01T00:00:00Z" }), []);
    assert.deepEqual(await actions({ app, since: "2020-01-01T00:00:00Z" }), ["x.two", "x.one"]);
    await world.engine.apps.remove(app);
    assert.deepEqual(await actions({ app }), ["x.two", "x.one"], "an app's log outlives it");
    const missing = (error: unknown) => error instanceof PosthornError && error.code === "not_found";
    await assert.rejects(world.engine.audit.list({ app: "nobody" }), missing);
    await assert.rejects(world.engine.audit.get("aud_nothing"), missing);
  });

  test("its chain is whole", async () => {
    const entries = await log();
    assert.ok(entries.length > 10);
    let previous: AuditEntry | null = null;
    for (const entry of entries) {
      assert.equal(auditFault(previous, entry), null);
      previous = entry;
    }
  });
});
