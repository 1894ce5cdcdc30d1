import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import type { Inbox } from "../inbox/inbox.ts";
import type { Processor } from "../processors/processor.ts";
import { generateStandardSecret } from "../schemes/standard-secret.ts";
import { sqliteInbox } from "../sqlite.ts";
import { signedRequest } from "../testing/testing.ts";
import { abort, disable, PoisonError, retryAfter } from "./control.ts";
import type { DeadLetter } from "./dead-letters.ts";
import type { Handlers } from "./handlers.ts";
import type { ReceiverOptions } from "./options.ts";
import { createReceiver } from "./receiver.ts";

const secret = generateStandardSecret();
/** Of a receiver that is given none. */
const RECEIVER = "standard";
type Events = Record<string, unknown>;

function openDatabase(context: TestContext): DatabaseSync {
  const folder = mkdtempSync(path.join(tmpdir(), "posthorn-inbox-mode-"));
  const database = new DatabaseSync(path.join(folder, "inbox.db"));
  database.exec("create table orders (id text)");
  context.after(() => {
    database.close();
    rmSync(folder, { recursive: true });
  });
  return database;
}

function receive(
  context: TestContext,
  inbox: Inbox<DatabaseSync>,
  handlers: Handlers<Events, DatabaseSync>,
  options: Partial<ReceiverOptions<Events, DatabaseSync>> = {},
) {
  const letters: DeadLetter[] = [];
  const errors: unknown[] = [];
  const receiver = createReceiver<Events, DatabaseSync>({
    scheme: "standard",
    secrets: secret,
    mode: "ack-then-process",
    inbox,
    handlers,
    retry: { delaysMs: [1], attemptsMax: 3 },
    deadLetters: { append: async (letter) => void letters.push(letter) },
    onError: (error) => errors.push(error),
    ...options,
  });
  context.after(() => receiver.close());
  const send = async (id: string, type = "order.created") =>
    (await receiver.fetch(signedRequest("standard", secret, { id, type, data: { id } }))).status;
  return { receiver, letters, errors, send };
}

/** Resolves when it was called so often. */
function countdown(times: number): { readonly done: Promise<void>; count(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  let left = times;
  return {
    done: promise,
    count: () => {
      left -= 1;
      if (left === 0) resolve();
    },
  };
}

const processor = (process: Processor<DatabaseSync>["process"]): Processor<DatabaseSync> => ({
  kind: "processor",
  name: "a processor",
  process,
});

/** As another process, or an older one, put it in. */
const entry = (id: string, type = "order.created", receiver = RECEIVER) => ({
  receiver,
  key: `${receiver}:${id}`,
  id,
  type,
  timestampSeconds: 1,
  receivedAtMs: 1,
  headers: { "webhook-id": id },
  payload: Buffer.from(`{"type":"${type}","timestamp":"2026-01-01T00:00:00Z","data":{}}`),
});

/** Once nothing waits any more. */
async function emptied(inbox: Inbox<DatabaseSync>): Promise<void> {
  while ((await inbox.waiting(RECEIVER)) > 0) await new Promise((resolve) => setTimeout(resolve, 1));
}
const rows = (database: DatabaseSync) =>
  database
    .prepare("select id from orders order by id")
    .all()
    .map(({ id }) => id);

test("an event is answered before it is handled, once, and its handler writes with the mark", async (context) => {
  const database = openDatabase(context);
  const inbox = sqliteInbox(database);
  const { receiver, send } = receive(context, inbox, {
    "*": ({ id, data, type, timestampSeconds }, { transaction, attempt }) => {
      assert.deepEqual(
        [data, type, attempt, typeof timestampSeconds],
        [{ id }, "order.created", 1, "number"],
      );
      transaction.prepare("insert into orders values (?)").run(id);
    },
  });
  assert.deepEqual([await send("a"), await send("b"), await send("a")], [200, 200, 200]);
  await emptied(inbox);
  assert.deepEqual(rows(database), ["a", "b"]);
  assert.deepEqual([receiver.counters().duplicates, receiver.counters().waiting], [1, 0]);
});

test("what a crash left is found at the start", async (context) => {
  const database = openDatabase(context);
  const stuck = receive(
    context,
    sqliteInbox(database),
    { "*": processor(() => assert.fail("it never worked")) },
    { retry: { delaysMs: [0] } },
  );
  // Acknowledged, and the process is gone before it worked: closed at the same time, so that nothing is taken.
  const sent = stuck.send("a");
  await sent;
  await stuck.receiver.close();
  const inbox = sqliteInbox(database);
  assert.equal(await inbox.waiting(RECEIVER), 1);
  const next = receive(context, inbox, {
    "*": ({ id }, { transaction }) => transaction.prepare("insert into orders values (?)").run(id),
  });
  await next.receiver.start();
  await emptied(inbox);
  assert.deepEqual(rows(database), ["a"]);
});

test("what fails is tried again, more and more seldom, then goes to the dead letters; the others do not wait for it", async (context) => {
  const database = openDatabase(context);
  const inbox = sqliteInbox(database);
  const attempts: unknown[] = [];
  const { receiver, letters, errors, send } = receive(context, inbox, {
    "*": ({ id }, { transaction, attempt }) => {
      transaction.prepare("insert into orders values (?)").run(id);
      if (id !== "bad") return;
      attempts.push(attempt);
      throw new Error("not today");
    },
  });
  for (const id of ["bad", "a", "b"]) await send(id);
  await emptied(inbox);
  assert.deepEqual([attempts, rows(database), errors.length], [[1, 2, 3], ["a", "b"], 3]);
  const [letter = assert.fail()] = letters;
  assert.deepEqual(
    [letter.event.id, letter.event.data, letter.reason, letter.attempts],
    ["bad", { id: "bad" }, "not today", 3],
  );
  const { failed, deadLettered, handled } = receiver.counters();
  assert.deepEqual([failed, deadLettered, handled], [2, 1, 2]);
  assert.equal(await send("bad"), 200);
  assert.equal(await inbox.waiting(RECEIVER), 0, "it is known, and not taken again");
});

test("processors get whole batches; of one that fails only the bad event is put off", async (context) => {
  const database = openDatabase(context);
  const inbox = sqliteInbox(database);
  const batches: string[] = [];
  const writes = processor(async (events, { transaction }) => {
    batches.push(events.map(({ id }) => id).join());
    for (const { id } of events) transaction.prepare("insert into orders values (?)").run(id);
    if (events.some(({ id }) => id === "bad")) throw new PoisonError("no total");
  });
  await inbox.put(["a", "bad", "b", "c"].map((id) => entry(id)));
  const { receiver, letters } = receive(context, inbox, { "*": writes });
  await receiver.start();
  await emptied(inbox);
  assert.deepEqual(batches, ["a,bad,b,c", "a", "bad", "b", "c"]);
  assert.deepEqual(rows(database), ["a", "b", "c"]);
  assert.deepEqual([letters.length, letters[0]?.reason, letters[0]?.by], [1, "no total", "a processor"]);
});

/** Notes what is put off. */
function noting(inbox: Inbox<DatabaseSync>) {
  const postponed: {
    readonly keys: readonly string[];
    readonly afterMs: number;
    readonly isFailure: boolean;
  }[] = [];
  const noted: Inbox<DatabaseSync> = {
    ...inbox,
    postpone: async (keys, { reason, ...later }) => {
      await inbox.postpone(keys, { ...later, reason });
      postponed.push({ keys, ...later });
    },
  };
  return { inbox: noted, postponed };
}

test("receivers that share an inbox take their own alone", async (context) => {
  const inbox = sqliteInbox(openDatabase(context));
  const handled: string[] = [];
  const named = (name: string) =>
    receive(context, inbox, { [`${name}.*`]: ({ id }) => handled.push(`${name} ${id}`) }, { name });
  const shops = ["north", "south"].map((name) => ({ name, ...named(name) }));
  for (const id of ["1", "2", "3"]) {
    for (const { name, send } of shops) assert.equal(await send(id, `${name}.paid`), 200);
  }
  while (handled.length < 6) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.deepEqual(handled.sort(), ["north 1", "north 2", "north 3", "south 1", "south 2", "south 3"]);
  for (const { name } of shops) assert.equal(await inbox.waiting(name), 0);
});

for (const onUnhandled of ["accept", "refuse"] as const) {
  test(`an entry without a handler is left to a process that has one (${onUnhandled})`, async (context) => {
    const database = openDatabase(context);
    const { inbox, postponed } = noting(sqliteInbox(database));
    const writes = processor(async (events, { transaction }) => {
      for (const { id } of events) transaction.prepare("insert into orders values (?)").run(id);
    });
    await inbox.put([entry("a"), entry("new", "order.renewed"), entry("b"), entry("newer", "order.renewed")]);
    const { receiver, letters, errors } = receive(
      context,
      inbox,
      { "order.created": writes },
      { onUnhandled },
    );
    await receiver.start();
    while (rows(database).length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
    const keys = ["standard:new", "standard:newer"];
    assert.deepEqual(
      [rows(database), postponed],
      [["a", "b"], [{ keys, afterMs: 60_000, isFailure: false }]],
    );
    assert.equal(String(errors), "Error: there is no handler for order.renewed: left in the inbox");
    assert.deepEqual([letters, await inbox.waiting(RECEIVER)], [[], 2]);
    assert.deepEqual([receiver.counters().handled, receiver.counters().failed], [2, 0]);
  });
}

test("what a crash left is found when its sender sends it again", async (context) => {
  const database = openDatabase(context);
  const inbox = sqliteInbox(database);
  await inbox.put([entry("a"), entry("b")]);
  const { receiver, send } = receive(context, inbox, {
    "*": ({ id }, { transaction }) => transaction.prepare("insert into orders values (?)").run(id),
  });
  assert.equal(await send("a"), 200);
  await emptied(inbox);
  assert.deepEqual([rows(database), receiver.counters().duplicates], [["a", "b"], 1]);
});

test("the first event takes up what lies in the inbox, with as many takes as the inbox can do", async (context) => {
  let taking = 0;
  const none = Promise.withResolvers<number>();
  const inbox: Inbox<DatabaseSync> = {
    ...sqliteInbox(openDatabase(context)),
    takesMax: 3,
    take: () => {
      taking += 1;
      return none.promise;
    },
  };
  const { send } = receive(context, inbox, { "*": () => {} });
  assert.equal(await send("a"), 200);
  await new Promise((resolve) => setImmediate(resolve));
  const tookAtOnce = taking;
  none.resolve(0);
  assert.equal(tookAtOnce, 3);
});

for (const kind of ["function", "processor"]) {
  test(`dead letters that take nothing are in nobody's way (${kind})`, {
    timeout: 10_000,
  }, async (context) => {
    const database = openDatabase(context);
    const { inbox, postponed } = noting(sqliteInbox(database));
    const write = ({ id }: { id: string }, { transaction }: { transaction: DatabaseSync }) => {
      if (id === "bad") throw new PoisonError("no total");
      transaction.prepare("insert into orders values (?)").run(id);
    };
    const writes = processor(async (events, given) => events.forEach((event) => void write(event, given)));
    const contexts: unknown[] = [];
    const { receiver } = receive(
      context,
      inbox,
      { "*": kind === "function" ? write : writes },
      {
        retry: { delaysMs: [3_600_000] },
        deadLetters: { append: () => Promise.reject(new Error("disk full")) },
        onError: (error, { during }) => contexts.push([String(error), during]),
      },
    );
    await inbox.put(["bad", "a", "b"].map((id) => entry(id)));
    await receiver.start();
    while (rows(database).length < 2 || postponed.length === 0)
      await new Promise((resolve) => setTimeout(resolve, 1));
    assert.deepEqual(contexts, [
      ["PoisonError: no total", "handle"],
      ["Error: disk full", "dead_letters"],
    ]);
    assert.deepEqual(postponed, [{ keys: ["standard:bad"], afterMs: 3_600_000, isFailure: true }]);
    assert.deepEqual([await inbox.waiting(RECEIVER), receiver.counters().deadLettered], [1, 0]);
  });
}

test("what waits is counted once, and then as it comes and goes", async (context) => {
  let counted = 0;
  const inbox = sqliteInbox(openDatabase(context));
  const counting: Inbox<DatabaseSync> = {
    ...inbox,
    waiting: (receiver) => {
      counted += 1;
      return inbox.waiting(receiver);
    },
  };
  await inbox.put([entry("left", "later")]);
  const { receiver, send } = receive(context, counting, {
    later: () => {
      throw retryAfter(1000);
    },
    "*": () => {},
  });
  for (const id of ["a", "b", "c"]) {
    assert.equal(await send(id), 200);
    while (receiver.counters().waiting !== 1) await new Promise((resolve) => setTimeout(resolve, 1));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.deepEqual([counted, receiver.counters().waiting, receiver.counters().handled], [1, 1, 3]);
});

test("retryAfter waits as long; abort and disable bury, and disable answers 410 from then on", async (context) => {
  const { inbox, postponed } = noting(sqliteInbox(openDatabase(context)));
  const tried = countdown(1);
  const { letters, errors, send } = receive(context, inbox, {
    later: () => {
      tried.count();
      throw retryAfter(1000);
    },
    never: () => {
      throw abort("no such customer");
    },
    off: () => {
      throw disable();
    },
  });
  assert.equal(await send("1", "later"), 200);
  await tried.done;
  assert.equal(await send("2", "never"), 200);
  assert.equal(await send("3", "off"), 200);
  while (letters.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(await send("4", "later"), 410);
  assert.equal(await inbox.waiting(RECEIVER), 1);
  const nextDueInMs = await inbox.nextDueInMs(RECEIVER);
  assert.ok(nextDueInMs !== null && nextDueInMs > 900_000, `due in ${nextDueInMs} ms`);
  assert.deepEqual(postponed, [{ keys: ["standard:1"], afterMs: 1_000_000, isFailure: false }]);
  assert.deepEqual(
    [letters.map(({ reason }) => reason), errors],
    [["no such customer", "not wanted any more"], []],
  );
});

test("without dead letters nothing is given up: it stays in the inbox", async (context) => {
  const database = openDatabase(context);
  const inbox = sqliteInbox(database);
  const tried = countdown(6);
  const { send } = receive(
    context,
    inbox,
    {
      bad: () => {
        tried.count();
        throw new Error("no");
      },
      poison: () => {
        tried.count();
        throw new PoisonError("no");
      },
    },
    { deadLetters: undefined, retry: { delaysMs: [0], attemptsMax: 1 } },
  );
  await send("a", "bad");
  await send("b", "poison");
  await tried.done;
  assert.equal(await inbox.waiting(RECEIVER), 2);
});

test("an inbox that is down: 503 for the sender", async (context) => {
  const inbox = sqliteInbox(openDatabase(context));
  const down: Inbox<DatabaseSync> = { ...inbox, put: () => Promise.reject(new Error("disk full")) };
  const { send, errors } = receive(context, down, { "*": () => {} });
  assert.equal(await send("a"), 503);
  assert.match(String(errors[0]), /disk full/);
});

test("a processor that is down makes the inbox rest instead of trying all that waits", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const inbox = sqliteInbox(openDatabase(context));
  let tries = 0;
  const tried = countdown(3);
  const { receiver, send } = receive(
    context,
    inbox,
    {
      "*": processor(async () => {
        tries += 1;
        tried.count();
        throw new Error("connection refused");
      }),
    },
    { batch: { sizeMax: 1 }, retry: { delaysMs: [3_600_000] } },
  );
  for (let id = 0; id < 20; id += 1) assert.equal(await send(`evt_${id}`), 200);
  await tried.done;
  while (receiver.counters().failed < 3) await new Promise((resolve) => setImmediate(resolve));
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(tries, 3);
  context.mock.timers.tick(1000);
  while (receiver.counters().failed < 6) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(await inbox.waiting(RECEIVER), 20);
});
