import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, mock, test } from "node:test";
import { verifyStandard } from "@posthorn/receiver";
import type { Question, Reply } from "../transports/transport.ts";
import { actAs } from "./acting.ts";
import { rejected, replyOf, SUCCEEDED, World } from "./engine-harness.ts";

const OPTIONS = { ownershipApartMs: 0, publicUrl: "https://hooks.example.com", requestRatePerMinute: 120 };

/** Gives a challenge back, to POST or to GET. */
function answersTo(method: "POST" | "GET", form: (value: string) => string = (value) => value) {
  return (question: Question): Reply => {
    if (question.method !== method) return replyOf(404);
    const value =
      method === "POST"
        ? JSON.parse(Buffer.from(question.body ?? []).toString()).challenge
        : new URL(question.url).searchParams.get("challenge");
    return replyOf(200, form(value));
  };
}

/** Fails when it does not come to be within 5 s. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 5000;
  while (!(await condition())) {
    assert.ok(performance.now() < endMs, "it took too long");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("the ownership check", () => {
  let world: World;
  let app: string;
  let nth = 0;
  before(async () => {
    world = await World.open(OPTIONS);
  });
  after(() => world.close());
  beforeEach(() => {
    world.transport.shipments.length = 0;
    world.transport.questions.length = 0;
    world.transport.answer = () => SUCCEEDED;
    nth += 1;
  });
  afterEach(() => mock.restoreAll());

  async function appWith(ownershipCheck: "challenge" | "cloudevents" | "off") {
    app = (await world.engine.apps.create({ name: `shop${nth}`, ownershipCheck })).id;
  }
  const get = (id: string) => world.engine.endpoints.get(app, id);
  const verify = (id: string) => world.engine.endpoints.verify(app, id);

  /** Made, and asked once; who comes while it is being asked waits for that. */
  async function asked(more: Record<string, unknown> = {}) {
    const { id } = await world.endpoint(app, more);
    return verify(id);
  }

  describe("challenge", () => {
    beforeEach(() => appWith("challenge"));

    test("is made at once, signed like a delivery; until it comes back nothing else is sent", async () => {
      const answer = Promise.withResolvers<void>();
      world.transport.reply = async (question) => {
        await answer.promise;
        return answersTo("POST")(question);
      };
      const made = await world.endpoint(app);
      assert.deepEqual([made.status, made.verification?.verifiedAtMs], ["unverified", null]);
      await world.publish(app, "order.created", { id: 1 });
      const tested = await world.engine.endpoints.test(app, made.id, { eventType: "order.created" });
      assert.equal((await world.engine.deliveries.get(tested.deliveryId)).delivery.state, "pending");
      const [question] = world.transport.questions;
      const { secret } = await world.engine.endpoints.secret(app, made.id);
      assert.ok(question?.body && secret);
      verifyStandard({ headers: question.headers, body: question.body, secrets: [secret] });
      const { type, challenge, ...rest } = JSON.parse(Buffer.from(question.body).toString());
      assert.deepEqual([type, rest], ["posthorn.endpoint.verification", {}]);
      assert.ok(challenge.length >= 32);
      assert.equal(world.transport.shipments.length, 0);
      const shipped = world.transport.shipped(2);
      answer.resolve();
      await shipped;
      const verified = await get(made.id);
      assert.equal(verified.status, "enabled");
      assert.ok(verified.verification?.verifiedAtMs);
      assert.equal(world.transport.questions.length, 1);
    });

    test("may come back as JSON, and by GET beside the URL's own query", async () => {
      world.transport.reply = answersTo("POST", (challenge) => JSON.stringify({ challenge, ok: true }));
      assert.equal((await asked()).status, "enabled");
      world.transport.reply = answersTo("GET", (value) => `${value}\n`);
      assert.equal((await asked({ url: "https://r.example/h?a=%20b&c" })).status, "enabled");
      const got = world.transport.questions.at(-1);
      assert.match(got?.url ?? "", /^https:\/\/r\.example\/h\?a=%20b&c&challenge=[\w-]{32}$/);
      assert.equal(got?.body, null);
    });

    test("no answer but the value itself is consent", async () => {
      const value = (question: Question) => JSON.parse(Buffer.from(question.body ?? []).toString()).challenge;
      const replies: [string, (question: Question) => Reply][] = [
        ["an empty 200", () => replyOf(200)],
        ["another value", () => replyOf(200, "x".repeat(32))],
        ["more than the value", (q) => replyOf(200, q.method === "POST" ? `your value: ${value(q)}` : "")],
        ["the value with 500", (q) => replyOf(500, q.method === "POST" ? value(q) : "")],
        ["an echo of the question", (q) => replyOf(200, Buffer.from(q.body ?? []).toString())],
        ["an array", (q) => replyOf(200, q.method === "POST" ? JSON.stringify([value(q)]) : "[]")],
      ];
      for (const [name, reply] of replies) {
        world.transport.reply = reply;
        const { status, verification } = await asked();
        assert.equal(status, "unverified", name);
        assert.match(
          verification?.problem ?? "",
          /^It answered \d+ to POST and \d+ to GET, and not with/,
          name,
        );
      }
      assert.equal(world.transport.shipments.length, 0);
    });

    test("an address that cannot be reached looks the same whatever lies behind it; the audit log knows better", async () => {
      const problems = new Set<string>();
      for (const cause of ["address_refused", "connection_refused", "dns"] as const) {
        const outcome = { kind: "unreachable", cause, detail: `detail of ${cause}` } as const;
        world.transport.reply = () => ({ outcome, headers: {}, body: Buffer.alloc(0) });
        problems.add((await asked()).verification?.problem ?? "");
      }
      assert.equal(problems.size, 1);
      assert.equal(world.transport.questions.length, 3, "who cannot be reached by POST is not asked by GET");
      const { data } = await world.engine.audit.list({ app });
      assert.match(JSON.stringify(data), /detail of address_refused/);
    });

    test("another URL is unverified again, and asked anew", async () => {
      world.transport.reply = answersTo("POST");
      const { id } = await asked();
      world.transport.reply = () => replyOf(404);
      const moved = await world.engine.endpoints.update(app, id, { url: "https://victim.example/" });
      assert.deepEqual([moved.status, moved.verification?.verifiedAtMs], ["unverified", null]);
      assert.equal((await verify(id)).status, "unverified");
      assert.equal(world.transport.questions.at(-1)?.url.startsWith("https://victim.example/"), true);
      await world.publish(app, "order.created", {});
      assert.equal(world.transport.shipments.length, 0);
    });

    test("an answer about a URL that was replaced meanwhile proves nothing", async () => {
      const answers = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      let asking = 0;
      world.transport.reply = async (question) => {
        await answers[asking++]?.promise;
        return question.url.includes("victim") ? replyOf(404) : answersTo("POST")(question);
      };
      const made = await world.endpoint(app);
      const first = verify(made.id);
      await world.engine.endpoints.update(app, made.id, { url: "https://victim.example/" });
      for (const each of answers) each.resolve();
      await first;
      // Which it asks at once.
      await until(() => world.transport.questions.length === 3);
      assert.deepEqual(
        world.transport.questions.map(({ method, url }) => [method, new URL(url).host]),
        [
          ["POST", "receiver.example"],
          ["POST", "victim.example"],
          ["GET", "victim.example"],
        ],
      );
      assert.deepEqual(
        [(await get(made.id)).status, (await get(made.id)).verification?.verifiedAtMs],
        ["unverified", null],
      );
    });

    test("enabling by hand asks, and does not get around the check", async () => {
      world.transport.reply = () => replyOf(404);
      const { id } = await asked();
      const before = world.transport.questions.length;
      assert.equal((await world.engine.endpoints.act(app, id, "enable")).status, "unverified");
      assert.equal(
        (await world.engine.endpoints.update(app, id, { status: "enabled" })).status,
        "unverified",
      );
      await verify(id);
      assert.ok(world.transport.questions.length > before);
      await world.engine.apps.update(app, { ownershipCheck: "off" });
      assert.equal((await world.engine.endpoints.act(app, id, "enable")).status, "enabled");
    });

    test("redeliveries and replays wait like everything else", async () => {
      world.transport.reply = answersTo("POST");
      const { id } = await asked();
      const ended = world.ended();
      await world.publish(app, "order.created", {});
      const { deliveryId } = await ended;
      world.transport.reply = () => replyOf(404);
      await world.engine.endpoints.update(app, id, { url: "https://victim.example/" });
      await verify(id);
      const redelivery = await world.engine.deliveries.redeliver(deliveryId);
      await world.engine.endpoints.replay(app, id, { since: new Date(0).toISOString() });
      assert.equal((await world.engine.deliveries.get(redelivery)).delivery.state, "pending");
      assert.equal(world.transport.shipments.length, 1);
      const shipped = world.transport.shipped(2);
      world.transport.reply = answersTo("POST");
      assert.equal((await verify(id)).status, "enabled");
      await shipped;
      assert.equal(world.transport.shipments[1]?.url, "https://victim.example/");
    });

    test("a failing check takes back no consent", async () => {
      world.transport.reply = answersTo("POST");
      const { id } = await asked();
      world.transport.reply = () => replyOf(503);
      const again = await verify(id);
      assert.equal(again.status, "enabled");
      assert.match(again.verification?.problem ?? "", /^It answered 503/);
    });

    test("is not for endpoints that need not", async () => {
      await appWith("off");
      const { id, status, verification } = await world.endpoint(app);
      assert.deepEqual([status, verification], ["enabled", null]);
      await assert.rejects(verify(id), { code: "state_conflict" });
      assert.equal(world.transport.questions.length, 0);
    });
  });

  describe("the handshake of CloudEvents", () => {
    beforeEach(() => appWith("cloudevents"));
    const allows = (headers: Record<string, string>, status = 200) => {
      world.transport.reply = () => replyOf(status, "", headers);
    };

    test("CEW-07: OPTIONS to the exact URL, with our name, a callback and the rate that is wanted", async () => {
      allows({ "webhook-allowed-origin": "*", "webhook-allowed-rate": "*" });
      await asked({ url: "https://r.example/h?a=1" });
      const [question] = world.transport.questions;
      assert.equal(question?.method, "OPTIONS");
      assert.equal(question.url, "https://r.example/h?a=1");
      assert.equal(question.headers["webhook-request-origin"], "hooks.example.com");
      assert.equal(question.headers["webhook-request-rate"], "120");
      const callback = question.headers["webhook-request-callback"] ?? "";
      assert.match(callback, /^https:\/\/hooks\.example\.com\/v1\/verifications\/ep_[a-z0-9]+\.[\w-]{32}$/);
    });

    test("CEW-08, CEW-13: consent is * or our name in WebHook-Allowed-Origin, whatever the status", async () => {
      for (const [headers, status, granted] of [
        [{ "webhook-allowed-origin": "*", "webhook-allowed-rate": "60" }, 200, 60],
        [{ "webhook-allowed-origin": "Hooks.Example.Com", "webhook-allowed-rate": "*" }, 404, null],
        [{ "webhook-allowed-origin": "hooks.example.com" }, 204, 120],
      ] as const) {
        allows(headers, status);
        const endpoint = await asked();
        assert.equal(endpoint.status, "enabled", JSON.stringify(headers));
        assert.equal(endpoint.verification?.grantedPerMinute, granted);
        assert.equal(endpoint.verification?.origin, "hooks.example.com");
      }
    });

    test("CEW-08, CEW-13: a status is no consent, nor is another origin, nor a rate that is none", async () => {
      for (const headers of [
        {},
        { "webhook-allowed-origin": "other.example" },
        { "webhook-allowed-origin": "" },
        ...["0", "-1", "abc", "1.5", ""].map((rate) => ({
          "webhook-allowed-origin": "*",
          "webhook-allowed-rate": rate,
        })),
      ]) {
        allows(headers as Record<string, string>);
        const endpoint = await asked();
        assert.equal(endpoint.status, "unverified", JSON.stringify(headers));
        assert.ok(endpoint.verification?.problem, JSON.stringify(headers));
      }
    });

    test("CEW-10, CEW-13: each delivery names us, and the rate that was granted is kept", async () => {
      allows({ "webhook-allowed-origin": "*", "webhook-allowed-rate": "60" });
      const { id } = await asked();
      const ended = world.ended();
      for (let i = 0; i < 3; i++) await world.publish(app, "order.created", { i });
      await ended;
      const [shipment] = world.transport.shipments;
      assert.equal(shipment?.headers["webhook-request-origin"], "hooks.example.com");
      assert.equal(world.transport.shipments.length, 1, "one a second");
      await world.engine.endpoints.remove(app, id);
    });

    /** The key of the callback that the last question offered. */
    const offered = () =>
      (world.transport.questions.at(-1)?.headers["webhook-request-callback"] ?? "").split("/").at(-1) ?? "";

    test("CEW-09: a callback grants once, at the rate that comes with it, and the log says from where", async () => {
      allows({});
      const { id, verification } = await asked();
      assert.ok(verification?.callback && !JSON.stringify(verification).includes(offered()));
      assert.match(verification.problem ?? "", /now or by the callback/);
      const stranger = { actor: { kind: "stranger" }, address: "203.0.113.9", requestId: null } as const;
      const grant = (key: string, ratePerMinute: number | null = null) =>
        actAs(stranger, () => world.engine.endpoints.grant(key, { ratePerMinute }));
      for (const key of [`${offered()}x`, `${id}.`, id, "", `ep_${"0".repeat(31)}.x`])
        await assert.rejects(grant(key), { code: "not_found" }, key);
      await grant(offered(), 30);
      const granted = await get(id);
      assert.deepEqual([granted.status, granted.verification?.grantedPerMinute], ["enabled", 30]);
      await assert.rejects(grant(offered(), 300), { code: "not_found" });
      assert.equal((await get(id)).verification?.grantedPerMinute, 30);
      const { data } = await world.engine.audit.list({ app });
      const entry = data.find(({ action }) => action === "endpoint.grant");
      assert.deepEqual([entry?.actor.kind, entry?.address], ["stranger", "203.0.113.9"]);
    });

    test("CEW-09: without a rate the requested one applies; after 24 h, and after a refusal, nothing grants", async () => {
      allows({});
      const { id } = await asked();
      const key = offered();
      const later = Date.now() + 24 * 3_600_000 + 1;
      const clock = mock.method(Date, "now", () => later);
      await assert.rejects(world.engine.endpoints.grant(key, { ratePerMinute: null }), { code: "not_found" });
      clock.mock.restore();
      await world.engine.endpoints.grant(key, { ratePerMinute: null });
      assert.equal((await get(id)).verification?.grantedPerMinute, 120);
      allows({ "webhook-allowed-origin": "other.example" });
      await asked();
      await assert.rejects(world.engine.endpoints.grant(offered(), { ratePerMinute: null }), {
        code: "not_found",
      });
    });

    test("a callback grants nothing once the app asks for another proof", async () => {
      allows({});
      const { id } = await asked();
      const key = offered();
      await world.engine.apps.update(app, { ownershipCheck: "challenge" });
      await assert.rejects(world.engine.endpoints.grant(key, { ratePerMinute: null }), { code: "not_found" });
      assert.equal((await get(id)).status, "unverified");
      await world.engine.apps.update(app, { ownershipCheck: null });
    });

    test("a callback that comes before the answer is not undone by it", async () => {
      const answer = Promise.withResolvers<void>();
      const question = Promise.withResolvers<void>();
      world.transport.reply = async () => {
        question.resolve();
        await answer.promise;
        return replyOf(200);
      };
      const { id } = await world.endpoint(app);
      await question.promise;
      await world.engine.endpoints.grant(offered(), { ratePerMinute: 10 });
      const check = verify(id);
      answer.resolve();
      await check;
      const granted = await get(id);
      assert.deepEqual([granted.status, granted.verification?.problem], ["enabled", null]);
    });
  });

  describe("a receiver that took its consent back", () => {
    /** An endpoint that consented, and whose receiver answers 410 from now on. */
    async function gone() {
      await appWith("challenge");
      world.transport.reply = answersTo("POST");
      const { id } = await asked({ retrySchedule: [] });
      world.transport.answer = () => rejected(410);
      world.transport.reply = () => replyOf(404);
      return id;
    }
    const isGone = (id: string) => until(async () => (await get(id)).disableReason === "gone");
    const act = (id: string, action: "enable" | "disable" | "pause" | "resume") =>
      world.engine.endpoints.act(app, id, action);

    test("is asked again before it gets anything more, whatever way is tried", async () => {
      const id = await gone();
      const patch = (status: string) => world.engine.endpoints.update(app, id, { status });
      await world.publish(app, "order.created", {});
      await isGone(id);
      const questions = world.transport.questions.length;
      for (const move of [() => patch("paused"), () => act(id, "pause"), () => act(id, "resume")])
        await assert.rejects(move, { code: "state_conflict" });
      // Disabled by hand as well it is gone still.
      await act(id, "disable");
      await patch("disabled");
      assert.equal((await get(id)).disableReason, "gone");
      assert.equal((await patch("enabled")).status, "unverified");
      await assert.rejects(patch("paused"), { code: "state_conflict" });
      await verify(id);
      assert.equal(world.transport.questions.length > questions, true);
      await act(id, "disable");
      assert.equal((await act(id, "enable")).status, "unverified");
      await verify(id);
      assert.equal((await get(id)).verification?.verifiedAtMs, null);
      assert.equal(world.transport.shipments.length, 1);
    });

    test("is heard also when it says so to an endpoint that was paused or disabled meanwhile", async () => {
      for (const action of ["pause", "disable"] as const) {
        const id = await gone();
        const answer = Promise.withResolvers<void>();
        world.transport.answer = async () => {
          await answer.promise;
          return rejected(410);
        };
        const shipped = world.transport.shipped(world.transport.shipments.length + 1);
        await world.publish(app, "order.created", {});
        await shipped;
        await act(id, action);
        answer.resolve();
        await isGone(id);
        assert.equal((await act(id, "enable")).status, "unverified", action);
        nth += 1;
      }
    });
  });

  describe("asks no faster than its pace", () => {
    let strict: World;
    let shop: string;
    const VICTIM = "https://victim.example/hook";
    const victims = () => strict.transport.questions.filter(({ url }) => url.includes("victim")).length;
    before(async () => {
      strict = await World.open({
        ownershipCheck: "challenge",
        ownershipApartMs: 60_000,
        ownershipEveryMs: 10,
      });
    });
    after(() => strict.close());
    beforeEach(async () => {
      strict.transport.questions.length = 0;
      shop = await strict.app(`paced${nth}`);
    });

    test("by hand", async () => {
      const { id } = await strict.endpoint(shop);
      await strict.engine.endpoints.verify(shop, id);
      await assert.rejects(strict.engine.endpoints.verify(shop, id), { code: "rate_limited" });
      assert.equal(strict.transport.questions.length, 1);
    });

    test("by disabling and enabling it, and a moment later the duty asks", async () => {
      const { id } = await strict.endpoint(shop, { url: VICTIM });
      await strict.engine.endpoints.verify(shop, id).catch(() => {});
      for (let turn = 0; turn < 10; turn++) {
        await strict.engine.endpoints.act(shop, id, "disable");
        assert.equal((await strict.engine.endpoints.act(shop, id, "enable")).status, "unverified");
        await strict.engine.endpoints.update(shop, id, { status: "enabled", description: String(turn) });
      }
      assert.equal(victims(), 1);
      const later = Date.now() + 61_000;
      mock.method(Date, "now", () => later);
      await until(() => victims() === 2);
      await strict.engine.endpoints.remove(shop, id);
    });

    test("by other URLs, or by many endpoints, and the duty keeps to it", async () => {
      const { id } = await strict.endpoint(shop, { url: `${VICTIM}?0` });
      for (let turn = 1; turn < 5; turn++)
        await strict.engine.endpoints.update(shop, id, { url: `${VICTIM}?${turn}` });
      const others = await Promise.all(
        Array.from({ length: 10 }, (_, turn) => strict.endpoint(shop, { url: `${VICTIM}/${turn}` })),
      );
      await assert.rejects(strict.engine.endpoints.verify(shop, others[9]?.id ?? ""), {
        code: "rate_limited",
      });
      // The duty has looked at all of them once it has asked one that was made later.
      const other = await strict.app(`witness${nth}`);
      const witness = await strict.endpoint(other, { url: "https://witness.example/" });
      const checks = async () => (await strict.engine.endpoints.get(other, witness.id)).verification?.checks;
      await until(async () => (await checks()) === 1);
      const startMs = Date.now();
      mock.method(Date, "now", () => startMs + 61_000);
      await until(async () => (await checks()) === 2);
      assert.equal(victims(), 5);
    });

    test("and what had to wait is asked by the duty", async () => {
      const quick = await World.open({
        ownershipCheck: "challenge",
        ownershipApartMs: 20,
        ownershipEveryMs: 10,
      });
      try {
        shop = await quick.app();
        const made = await Promise.all(
          Array.from({ length: 12 }, () => quick.endpoint(shop, { url: VICTIM })),
        );
        for (const { id } of made)
          await until(async () => (await quick.engine.endpoints.get(shop, id)).verification?.checks === 1);
      } finally {
        await quick.close();
      }
    });
  });

  test("the duty asks whom a crash left unasked", async () => {
    const crashed = await World.open({ ownershipCheck: "challenge", ownershipEveryMs: 10 });
    try {
      const shop = await crashed.app();
      const hang = Promise.withResolvers<Reply>();
      crashed.transport.reply = () => hang.promise;
      const { id } = await crashed.endpoint(shop);
      const left = crashed.engine;
      await crashed.crash();
      crashed.transport.reply = answersTo("POST");
      await until(async () => (await crashed.engine.endpoints.get(shop, id)).status === "enabled");
      hang.resolve(replyOf(404));
      await left.stop().catch(() => {});
    } finally {
      await crashed.close();
    }
  });

  test("the handshake as the server's policy needs a name", async () => {
    await assert.rejects(World.open({ ownershipCheck: "cloudevents" }), /no name to ask with/);
  });
});
