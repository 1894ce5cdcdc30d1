import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import { describe, type TestContext, test } from "node:test";
import type { DedupeStore } from "../dedupe/dedupe.ts";
import { memoryDedupe } from "../dedupe/memory/memory-dedupe.ts";
import type { Inbox } from "../inbox/inbox.ts";
import type { ProcessContext, Processor } from "../processors/processor.ts";
import { github } from "../schemes/github.ts";
import { generateStandardSecret } from "../schemes/standard-secret.ts";
import { sqliteDedupe } from "../sqlite.ts";
import { signedParts, signedRequest, type TestEvent } from "../testing/testing.ts";
import { abort, disable, PoisonError, retryAfter } from "./control.ts";
import type { DeadLetter } from "./dead-letters.ts";
import type { ReceivedEvent } from "./event.ts";
import type { ReceiverOptions } from "./options.ts";
import { createReceiver, type Receiver } from "./receiver.ts";
import type { ErrorContext } from "./setup.ts";

const secret = generateStandardSecret();

interface Seen {
  readonly receiver: Receiver;
  readonly errors: (ErrorContext & { readonly error: unknown })[];
  /** The answer to an event: status, body, and the headers beside content-type. */
  send(event: Partial<TestEvent>): Promise<{ status: number; body: string; headers: Record<string, string> }>;
}

function receive<Transaction = undefined>(
  context: TestContext,
  options: Partial<ReceiverOptions<Record<string, unknown>, Transaction>>,
): Seen {
  const errors: Seen["errors"] = [];
  const receiver = createReceiver<Record<string, unknown>, Transaction>({
    scheme: "standard",
    secrets: secret,
    handlers: {},
    onError: (error, given) => errors.push({ error, ...given }),
    ...options,
  });
  context.after(() => receiver.close());
  const send: Seen["send"] = async (event) => {
    const response = await receiver.fetch(
      signedRequest("standard", secret, { type: "order.created", data: {}, ...event }),
    );
    const { "content-type": _type, ...headers } = Object.fromEntries(response.headers);
    return { status: response.status, body: await response.text(), headers };
  };
  return { receiver, errors, send };
}

const processor = (
  process: (events: readonly ReceivedEvent[], context: ProcessContext) => Promise<void> | void,
  rest: Partial<Processor> = {},
): Processor => ({
  kind: "processor",
  name: "a processor",
  process: async (events, context) => process(events, context),
  ...rest,
});

function gate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}
const settled = () => new Promise((resolve) => setImmediate(resolve));

describe("one event", () => {
  test("reaches its handler once, as the sender sent it", async (context) => {
    const events: ReceivedEvent[] = [];
    const { receiver, send } = receive(context, {
      handlers: { "order.*": (event) => events.push(event), "*": () => assert.fail("not the nearest") },
    });
    const event = { id: "evt_1", data: { total: 7 } };
    assert.deepEqual(await send(event), { status: 200, body: "", headers: {} });
    assert.deepEqual(await send(event), { status: 200, body: "", headers: {} });
    const [{ headers, payload, receivedAtMs, timestampSeconds, ...rest } = assert.fail()] = events;
    assert.deepEqual(rest, { id: "evt_1", type: "order.created", data: { total: 7 } });
    assert.equal(headers["webhook-id"], "evt_1");
    assert.match(Buffer.from(payload).toString(), /^\{"type":"order\.created",.*"data":\{"total":7\}\}$/);
    assert.ok(Math.abs(receivedAtMs / 1000 - (timestampSeconds ?? 0)) < 60);
    const { received, verified, handled, duplicates, waiting } = receiver.counters();
    assert.deepEqual([events.length, received, verified, handled, duplicates, waiting], [1, 2, 2, 1, 1, 0]);
  });

  test("without an id is never a duplicate", async (context) => {
    const ids: string[] = [];
    const token = "a token that is long enough";
    const given = { scheme: "none", secrets: token } as const;
    const { receiver } = receive(context, { ...given, handlers: { "*": ({ id }) => ids.push(id) } });
    const headers = { "x-webhook-token": token };
    for (const _ of "ab") {
      await receiver.fetch(new Request("https://receiver.example/", { method: "POST", headers, body: "{}" }));
    }
    assert.equal(new Set(ids).size, 2);
    assert.match(ids[0] ?? "", /^rcv_[0-9a-f]{32}$/);
  });

  test("with an id of any length and any characters is known again", async (context) => {
    let handled = 0;
    const { send } = receive(context, { scheme: "none", secrets: [], handlers: { "*": () => handled++ } });
    for (const id of ["x".repeat(2000), "x".repeat(2000), "x".repeat(1999)]) {
      assert.equal((await send({ id })).status, 200);
    }
    assert.equal(handled, 2);
  });

  test("with an id that only half a surrogate pair tells from another is another", async (context) => {
    let handled = 0;
    const given = { scheme: "stripe", secrets: "whsec_abc" } as const;
    const { receiver } = receive(context, { ...given, handlers: { "*": () => handled++ } });
    for (const id of ["evt_\ud800", "evt_\ud801", "evt_\ud800"]) {
      await receiver.fetch(signedRequest("stripe", "whsec_abc", { type: "a.b", data: {}, id }));
    }
    assert.equal(handled, 2);
  });

  test("that has no handler is acknowledged, or refused when that is asked for", async (context) => {
    const accepting = receive(context, { handlers: { "user.*": () => {} } });
    assert.equal((await accepting.send({})).status, 200);
    assert.equal(accepting.receiver.counters().unhandled, 1);
    const refusing = receive(context, { handlers: { "user.*": () => {} }, onUnhandled: "refuse" });
    const { status, body } = await refusing.send({});
    assert.deepEqual([status, JSON.parse(body).code], [422, "unhandled_type"]);
  });

  test("does not carry the sender's token to handlers", async (context) => {
    let headers: Readonly<Record<string, string>> = {};
    const { receiver } = receive(context, {
      scheme: "gitlab",
      secrets: "a token of gitlab",
      handlers: { "*": (event) => ({ headers } = event) },
    });
    await receiver.fetch(
      signedRequest("gitlab", "a token of gitlab", { type: "Push Hook", data: { object_kind: "push" } }),
    );
    assert.ok("content-type" in headers);
    assert.ok(!JSON.stringify(headers).includes("a token"));
  });
});

describe("what a handler throws", () => {
  const cases: [string, () => unknown, number, string, Record<string, string>][] = [
    ["any error", () => new Error("no such table: password"), 500, "handler_failed", {}],
    ["retryAfter", () => retryAfter(77), 503, "busy", { "retry-after": "77" }],
    ["abort", () => abort(), 422, "aborted", { "webhook-delivery": "abort-message" }],
    ["disable", () => disable(), 410, "disabled", { "webhook-delivery": "disable" }],
    [
      "PoisonError",
      () => new PoisonError("x"),
      422,
      "unprocessable",
      { "webhook-delivery": "abort-message" },
    ],
  ];
  for (const [name, error, status, code, headers] of cases) {
    test(`${name}: ${status} ${code}, and the event may come again`, async (context) => {
      let tries = 0;
      const { send } = receive(context, {
        handlers: {
          "*": () => {
            tries += 1;
            if (tries === 1) throw error();
          },
        },
      });
      const answer = await send({ id: "evt_1" });
      assert.deepEqual(
        [answer.status, JSON.parse(answer.body).code, answer.headers],
        [status, code, headers],
      );
      assert.doesNotMatch(answer.body, /password/);
      assert.equal((await send({ id: "evt_1" })).status, 200);
      assert.equal(tries, 2);
    });
  }

  test("a processor's error is 503 with Retry-After: what it writes to is down", async (context) => {
    const down = processor(() => Promise.reject(new Error("connection refused")));
    const { send, errors } = receive(context, { handlers: { "*": down } });
    const { status, headers } = await send({});
    assert.deepEqual([status, headers], [503, { "retry-after": "30" }]);
    assert.deepEqual([errors[0]?.during, errors[0]?.by], ["handle", "a processor"]);
  });

  test("a store that is down is 503 with Retry-After, and no handler runs in vain", async (context) => {
    const dedupe: DedupeStore = {
      once: () => Promise.reject(new Error("connection refused")),
      onceMax: 1,
      close: async () => {},
    };
    const { send, errors } = receive(context, { dedupe, handlers: { "*": () => assert.fail() } });
    const { status, headers } = await send({});
    assert.deepEqual([status, headers, errors[0]?.during], [503, { "retry-after": "30" }, "store"]);
  });

  test("an event that another process works at is 503 for now", async (context) => {
    const dedupe: DedupeStore = {
      once: async (keys) => keys.map(() => "busy" as const),
      onceMax: 1,
      close: async () => {},
    };
    const { send } = receive(context, { dedupe, handlers: { "*": () => assert.fail() } });
    assert.equal((await send({})).status, 503);
  });

  test("poison goes to the dead letters with its reason, is acknowledged, and does not come back", async (context) => {
    const letters: DeadLetter[] = [];
    let tries = 0;
    const { receiver, send } = receive(context, {
      deadLetters: { append: async (letter) => void letters.push(letter) },
      handlers: {
        "*": () => {
          tries += 1;
          throw new PoisonError("total is missing");
        },
      },
    });
    for (const _ of "ab")
      assert.deepEqual(await send({ id: "evt_1" }), { status: 200, body: "", headers: {} });
    assert.equal(tries, 1);
    const [letter = assert.fail()] = letters;
    assert.deepEqual(
      [letter.event.id, letter.reason, letter.by, letter.receiver, letter.attempts, letters.length],
      ["evt_1", "total is missing", "handler", "standard", 1, 1],
    );
    assert.equal(receiver.counters().deadLettered, 1);
  });

  test("poison that came twice at the same time is one dead letter", async (context) => {
    const first = gate();
    const letters: string[] = [];
    const poison = async () => {
      await first.opened;
      throw new PoisonError("x");
    };
    const { send } = receive(context, {
      deadLetters: { append: async ({ event }) => void letters.push(event.id) },
      handlers: { batched: processor(poison), alone: poison },
    });
    const ids = ["busy", "a", "a", "b"];
    const answers = ["batched", "alone"].flatMap((type) =>
      ids.map((id) => send({ type, id: `${type} ${id}` })),
    );
    await settled();
    first.open();
    for (const { status } of await Promise.all(answers)) assert.equal(status, 200);
    const expected = ["alone", "batched"].flatMap((type) => ["a", "b", "busy"].map((id) => `${type} ${id}`));
    assert.deepEqual(letters.sort(), expected);
  });

  test("poison that the dead letters do not take is not acknowledged", async (context) => {
    const { send } = receive(context, {
      deadLetters: { append: () => Promise.reject(new Error("disk full")) },
      handlers: { "*": () => Promise.reject(new PoisonError("x")) },
    });
    for (const _ of "ab") assert.equal((await send({ id: "evt_1" })).status, 503);
  });

  test("undoes what it wrote, with the mark", async (context) => {
    const database = new DatabaseSync(":memory:");
    context.after(() => database.close());
    database.exec("create table orders (id text)");
    let tries = 0;
    const { send } = receive(context, {
      dedupe: sqliteDedupe(database),
      handlers: {
        "*": ({ id }, { transaction }) => {
          transaction.prepare("insert into orders values (?)").run(id);
          tries += 1;
          if (tries === 1) throw new Error("no");
        },
      },
    });
    const statuses = [];
    for (const _ of "abc") statuses.push((await send({ id: "evt_1" })).status);
    assert.deepEqual(statuses, [500, 200, 200]);
    assert.equal(database.prepare("select * from orders").all().length, 1);
  });
});

describe("processors", () => {
  test("get what came while they worked as one batch, in the order of the list, effects after the commit", async (context) => {
    const log: string[] = [];
    const first = gate();
    const committed: string[] = [];
    const writes = processor(async (events, { onCommit }) => {
      log.push(`write ${events.map(({ id }) => id)}`);
      if (log.length === 1) await first.opened;
      onCommit(() => committed.push(...events.map(({ id }) => id)));
    });
    const counts = processor((events) => {
      assert.ok(!events.some(({ id }) => committed.includes(id)), "nothing is committed yet");
      log.push(`count ${events.length}`);
    });
    const { receiver, send } = receive(context, { handlers: { "*": [writes, counts] } });
    const ids = ["a", "b", "c", "d", "b"];
    const answers = ids.map((id) => send({ id }));
    await settled();
    assert.equal(receiver.counters().waiting, 5);
    first.open();
    for (const { status } of await Promise.all(answers)) assert.equal(status, 200);
    assert.deepEqual(log, ["write a", "count 1", "write b,c,d", "count 3"]);
    assert.deepEqual(committed, ["a", "b", "c", "d"]);
    assert.equal(receiver.counters().duplicates, 1);
  });

  test("of a batch that fails only the bad event fails", async (context) => {
    const first = gate();
    const stored: string[] = [];
    const writes = processor(async (events, { onCommit }) => {
      await first.opened;
      if (events.some(({ id }) => id === "bad")) throw new PoisonError("bad");
      if (events.some(({ id }) => id === "slow")) throw retryAfter(9);
      onCommit(() => stored.push(...events.map(({ id }) => id)));
    });
    const { send } = receive(context, { handlers: { "*": writes } });
    const answers = ["a", "b", "bad", "slow", "c"].map((id) => send({ id }));
    await settled();
    first.open();
    assert.deepEqual(
      (await Promise.all(answers)).map(({ status }) => status),
      [200, 200, 422, 503, 200],
    );
    assert.deepEqual(stored, ["a", "b", "c"]);
  });

  test("that fail three events in a row are down: the rest of the batch is not tried", async (context) => {
    const first = gate();
    const tried: string[] = [];
    const writes = processor(async (events) => {
      await first.opened;
      tried.push(events.map(({ id }) => id).join());
      throw new Error("down");
    });
    const { send } = receive(context, { handlers: { "*": writes } });
    const answers = ["a", "b", "c", "d", "e", "f"].map((id) => send({ id }));
    await settled();
    first.open();
    for (const { status } of await Promise.all(answers)) assert.equal(status, 503);
    assert.deepEqual(tried, ["a", "b,c,d,e,f", "b", "c", "d"]);
  });

  test("are started once before the first event; one that cannot start is asked again by the next", async (context) => {
    const log: string[] = [];
    const named = (name: string, start: () => void) =>
      processor(() => void log.push(`${name} processes`), {
        start: async () => {
          log.push(`${name} starts`);
          start();
        },
        close: async () => void log.push(`${name} closes`),
      });
    const first = named("first", () => {});
    const second = named("second", () => {
      if (log.length === 2) throw new Error("no database");
    });
    const { receiver, send } = receive(context, { handlers: { "a.*": first, "*": [first, second] } });
    await assert.rejects(receiver.start(), /no database/);
    assert.equal((await send({})).status, 200);
    assert.equal((await send({ type: "a.b" })).status, 200);
    await receiver.close();
    assert.deepEqual(log, [
      "first starts",
      "second starts",
      "second starts",
      "first processes",
      "second processes",
      "first processes",
      "first closes",
      "second closes",
    ]);
  });
});

describe("bounds", () => {
  test("a store is not asked for more than it can do at a time, over all patterns", async (context) => {
    const first = gate();
    const store = memoryDedupe();
    let running = 0;
    const dedupe: DedupeStore = {
      ...store,
      onceMax: 2,
      async once(keys, work) {
        running += 1;
        assert.ok(running <= 2, `${running} at a time`);
        const outcomes = await store.once(keys, work);
        running -= 1;
        return outcomes;
      },
    };
    const handle = () => first.opened;
    const { send } = receive(context, {
      dedupe,
      handlers: { "a.*": handle, "b.*": processor(handle), "*": handle },
    });
    const answers = ["a.a", "b.b", "c", "a.d", "b.e", "f"].map((type) => send({ type }));
    await settled();
    const ranAtOnce = running;
    first.open();
    assert.equal(ranAtOnce, 2);
    for (const { status } of await Promise.all(answers)) assert.equal(status, 200);
  });

  test("more than queueMax are answered 503, and handled when they come again", async (context) => {
    const first = gate();
    const { send } = receive(context, { queueMax: 2, handlers: { "*": () => first.opened } });
    const answers = [send({ id: "a" }), send({ id: "b" })];
    await settled();
    const { status, headers } = await send({ id: "c" });
    assert.deepEqual([status, headers], [503, { "retry-after": "5" }]);
    first.open();
    for (const answer of answers) assert.equal((await answer).status, 200);
    assert.equal((await send({ id: "c" })).status, 200);
  });

  test("closing answers 503, waits for what is under way, and aborts the signal when it waits no longer", async (context) => {
    const first = gate();
    const signals: AbortSignal[] = [];
    const handlers = {
      "*": async (_event: ReceivedEvent, { signal }: ProcessContext) => {
        signals.push(signal);
        await first.opened;
      },
    };
    const patient = receive(context, { handlers });
    const answer = patient.send({});
    await settled();
    const closed = patient.receiver.close();
    assert.equal((await patient.send({})).status, 503);
    first.open();
    await closed;
    assert.deepEqual([(await answer).status, signals[0]?.aborted], [200, false]);
    const stuck = gate();
    const waits = (_event: ReceivedEvent, { signal }: ProcessContext) => {
      signals.push(signal);
      return stuck.opened;
    };
    const impatient = receive(context, { handlers: { "*": waits } });
    void impatient.send({});
    await settled();
    await impatient.receiver.close({ graceMs: 1 });
    assert.equal(signals[1]?.aborted, true);
    stuck.open();
  });
});

describe("what a sender sees", () => {
  test("refusals of one kind are the same to the byte, and reach onError, never a handler", async (context) => {
    const { receiver, errors } = receive(context, { handlers: { "*": () => assert.fail("handled") } });
    const parts = signedParts("standard", secret, { type: "a", data: { text: "x".repeat(50) } });
    const other = signedParts("standard", generateStandardSecret(), { type: "a", data: {} });
    const spoilt = [
      { ...parts, body: parts.body.subarray(0, 40) },
      {
        ...parts,
        body: Buffer.from(JSON.stringify(JSON.parse(Buffer.from(parts.body).toString()), null, 1)),
      },
      { ...parts, body: new Uint8Array() },
      other,
    ];
    const answers = new Set<string>();
    for (const { url, headers, body } of spoilt) {
      const response = await receiver.fetch(new Request(url, { method: "POST", headers, body }));
      answers.add(
        JSON.stringify([response.status, Object.fromEntries(response.headers), await response.text()]),
      );
    }
    assert.equal(answers.size, 1);
    assert.match([...answers][0] ?? "", /^\[401,.*no_matching_signature/);
    assert.deepEqual([errors.length, errors[0]?.during], [4, "verify"]);
    assert.deepEqual(receiver.counters().refused, { no_matching_signature: 4 });
  });

  test("signed, and not in the sender's form: 400", async (context) => {
    const { receiver } = receive(context, {
      scheme: "github",
      handlers: { "*": () => assert.fail("handled") },
    });
    const request = signedRequest("github", secret, { type: "push", data: Buffer.from("{") });
    const response = await receiver.fetch(request);
    assert.deepEqual([response.status, JSON.parse(await response.text()).code], [400, "invalid_payload"]);
  });

  test("a handshake is answered at once, a GET where the scheme has one, as Twilio has for events, and nothing else but POST", async (context) => {
    const { receiver } = receive(context, {
      scheme: "meta",
      secrets: '{"appSecret":"app secret","verifyToken":"a token"}',
      handlers: { "*": () => assert.fail("handled") },
    });
    const ask = (token: string, method = "GET") =>
      receiver.fetch(
        new Request(
          `https://receiver.example/?hub.mode=subscribe&hub.verify_token=${token}&hub.challenge=1158201444`,
          { method },
        ),
      );
    const asked = await ask("a%20token");
    assert.deepEqual([asked.status, await asked.text()], [200, "1158201444"]);
    const head = await ask("a%20token", "HEAD");
    assert.deepEqual([head.status, await head.text()], [200, ""]);
    assert.equal((await ask("guessed")).status, 401);
    assert.equal((await ask("a%20token", "PUT")).status, 405);
    assert.equal(receiver.counters().handshakes, 2);
    const twilio = receive(context, {
      scheme: "twilio",
      url: "https://r.example/",
      handlers: { "*": () => {} },
    });
    const url = "https://r.example/?CallSid=CA1&CallStatus=ringing";
    const signature = createHmac("sha1", secret).update(url).digest("base64");
    const taken = await twilio.receiver.fetch(
      new Request(url, { headers: { "x-twilio-signature": signature } }),
    );
    assert.deepEqual([taken.status, await taken.text()], [200, "<Response/>"]);
    assert.equal(twilio.receiver.counters().handled, 1);
    const github = receive(context, { scheme: "github" });
    const refused = await github.receiver.fetch(new Request("https://receiver.example/"));
    assert.deepEqual([refused.status, refused.headers.get("allow")], [405, "POST"]);
  });

  test("the acknowledgement that it insists on, for duplicates, too", async (context) => {
    const token = "a-token-of-wechat";
    const handlers = { "*": () => {} };
    const { receiver } = receive(context, { scheme: "wechat-plain", secrets: token, handlers });
    const event = { type: "event.SCAN", data: {}, id: "evt_1" };
    for (const _ of "ab") {
      const response = await receiver.fetch(signedRequest("wechat-plain", token, event));
      assert.deepEqual([response.status, await response.text()], [200, "success"]);
    }
  });

  test("its own form of a refusal, where it has one", async (context) => {
    const scheme = { ...github, refusal: (message: string) => `<${message}>` };
    const { receiver } = receive(context, { scheme });
    const response = await receiver.fetch(new Request("https://receiver.example/", { method: "POST" }));
    assert.match(await response.text(), /^<The header x-hub-signature-256 is missing/);
  });

  test("a signed URL is the one that the sender was given, whatever a proxy made of it", async (context) => {
    const url = "https://hooks.example.com/in";
    const { receiver } = receive(context, { scheme: "square", url, handlers: { "*": () => {} } });
    const { headers, body } = signedParts("square", secret, { type: "payment.created", data: {} }, { url });
    const response = await receiver.fetch(
      new Request("http://10.0.0.7:8080/behind/a/proxy", { method: "POST", headers, body }),
    );
    assert.equal(response.status, 200, await response.text());
  });
});

test("what fails later, after a commit or in onError, is reported and ends no process", async (context) => {
  const { errors, send } = receive(context, {
    handlers: {
      "*": (_event, { onCommit }) => {
        onCommit(async () => {
          await settled();
          throw new Error("nobody to notify");
        });
      },
    },
  });
  assert.equal((await send({})).status, 200);
  while (errors.length === 0) await settled();
  assert.deepEqual(
    [String(errors[0]?.error), errors[0]?.during],
    ["Error: nobody to notify", "after_commit"],
  );
  const log = context.mock.method(console, "error", () => {});
  const failing = receive(context, {
    onError: async () => {
      throw new Error("the log is down");
    },
  });
  assert.equal(
    (await failing.receiver.fetch(new Request("https://receiver.example/", { method: "POST" }))).status,
    401,
  );
  while (log.mock.callCount() === 0) await settled();
  assert.match(String(log.mock.calls[0]?.arguments), /onError failed:,Error: the log is down/);
});

test("receivers of one name may not share a store: each would take the other's events for duplicates", async () => {
  const given = { scheme: "standard", secrets: secret, handlers: {}, dedupe: memoryDedupe() } as const;
  const first = createReceiver(given);
  createReceiver({ ...given, name: "standard 2" });
  createReceiver({ ...given, dedupe: memoryDedupe() });
  assert.throws(
    () => createReceiver(given),
    /^TypeError: name: another receiver named "standard" .* a `name` of its own/,
  );
  await first.close();
  const second = createReceiver(given);
  await first.close();
  assert.throws(() => createReceiver(given), /^TypeError: name: /);
  await second.close();
});

test("the scheme that checks nothing says so, with an empty list of secrets, too", (context) => {
  const log = context.mock.method(console, "warn", () => {});
  for (const secrets of [undefined, [], "a token that is long enough"]) {
    createReceiver({ scheme: "none", handlers: {}, ...(secrets === undefined ? {} : { secrets }) });
  }
  assert.equal(log.mock.callCount(), 2);
  assert.match(String(log.mock.calls[1]?.arguments), /the scheme none checks nothing/);
});

test("options that cannot be are refused by name", () => {
  const inbox = { takesMax: 1 } as Inbox;
  const cases: [Partial<ReceiverOptions<Record<string, unknown>, undefined>>, RegExp][] = [
    [{ dedup: memoryDedupe() } as object, /^createReceiver: dedup is unknown; use scheme, .*dedupe, /],
    [{ scheme: "gihtub" as "github" }, /There is no scheme "gihtub"\. There are standard, /],
    [{ scheme: {} as never }, /^scheme: /],
    [{ secrets: [] }, /secret/],
    [{ secrets: "" }, /secret/],
    [{ scheme: "square" }, /^url: the scheme square signs the URL/],
    [{ scheme: "square", url: "/in" }, /^url: "\/in" is not a whole URL/],
    [{ handlers: { "order*": () => {} } }, /^handlers: "order\*" is not/],
    [{ handlers: { "*": [] } }, /^handlers: the list of \* is empty/],
    [{ handlers: { "*": {} as never } }, /^handlers: \* must be a function/],
    [{ mode: "later" as never }, /^mode: "later"/],
    [{ mode: "ack-then-process" }, /^inbox: /],
    [{ inbox: {} as never }, /^inbox: /],
    [{ dedupe: {} as never }, /^dedupe: it must be an object whose onceMax/],
    [{ mode: "ack-then-process", inbox: {} as never }, /^inbox: it must be an object whose takesMax/],
    [
      { mode: "ack-then-process", inbox, retry: { delaysMs: [31 * 24 * 3600 * 1000] } },
      /^retry\.delaysMs: 2678400000/,
    ],
    [{ name: "shop:eu" }, /^name: "shop:eu" must be/],
    [{ name: "" }, /^name: "" must be/],
    [{ queueMax: 0 }, /^queueMax: 0/],
    [{ bodyBytesMax: 1.5 }, /^bodyBytesMax: 1\.5/],
    [{ toleranceSeconds: Number.NaN }, /^toleranceSeconds: NaN/],
    [{ batch: { sizeMax: 0 } }, /^batch\.sizeMax: 0/],
  ];
  for (const [options, message] of cases) {
    const given = { scheme: "standard", secrets: secret, handlers: {}, ...options } as const;
    assert.throws(() => createReceiver(given), { message }, JSON.stringify(options));
  }
});
