// Types of handlers: `npm run types` compiles this file, and every line that must not compile says so.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { PostgresClient } from "../clients/postgres.ts";
import type { SqliteDatabase } from "../clients/sqlite.ts";
import type { DedupeStore } from "../dedupe/dedupe.ts";
import type { Inbox } from "../inbox/inbox.ts";
import type { Processor } from "../processors/processor.ts";
import { generateStandardSecret } from "../schemes/standard-secret.ts";
import type { ReceivedEvent } from "./event.ts";
import { createReceiver, type Receiver } from "./receiver.ts";

interface Order {
  readonly total: number;
}
interface Events {
  "order.created": Order;
  "order.paid": { readonly at: string };
  "order.item.added": { readonly sku: string };
}
type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <_Claim extends true>(): void => {};

declare const sqlite: DedupeStore<SqliteDatabase>;
declare const postgres: Inbox<PostgresClient>;
declare const anyProcessor: Processor;
declare const sqliteProcessor: Processor<SqliteDatabase>;
declare const postgresProcessor: Processor<PostgresClient>;
const common = { scheme: "standard", secrets: generateStandardSecret() } as const;

/** Never called: its types are the test. */
export function typed(): Receiver<Events>[] {
  const byAnnotation: Receiver<Events> = createReceiver({
    ...common,
    dedupe: sqlite,
    handlers: {
      "order.created": (event, { transaction }) => {
        is<Equal<typeof event, ReceivedEvent<"order.created", Order>>>();
        is<Equal<typeof transaction, SqliteDatabase>>();
      },
      "order.*": [
        (event) => {
          is<Equal<typeof event.type, "order.created" | "order.paid">>();
          if (event.type === "order.paid") is<Equal<typeof event.data, { readonly at: string }>>();
        },
        anyProcessor,
        sqliteProcessor,
      ],
      "order.**": (event) => is<Equal<typeof event.type, keyof Events>>(),
      "order.item.*": (event) => is<Equal<typeof event.type, "order.item.added">>(),
      "*": (event) => is<Equal<typeof event.type, keyof Events>>(),
    },
  });
  const byArgument = createReceiver<Events, PostgresClient>({
    ...common,
    mode: "ack-then-process",
    inbox: postgres,
    handlers: { "order.paid": (event, { transaction }) => transaction.query(event.data.at) },
  });
  const byEventsAlone = createReceiver<Events>({
    ...common,
    dedupe: sqlite,
    handlers: {
      "order.created": (event, { transaction }) => {
        is<Equal<typeof event, ReceivedEvent<"order.created", Order>>>();
        transaction.prepare("insert into orders values (?)").run(event.data.total);
      },
      "order.paid": sqliteProcessor,
    },
  });
  const mixed: Receiver<Events> = createReceiver({
    ...common,
    dedupe: sqlite,
    // @ts-expect-error: a processor that needs transactions of PostgreSQL
    handlers: { "order.paid": postgresProcessor },
  });
  const misspeltToo = createReceiver<Events>({
    ...common,
    dedupe: sqlite,
    // @ts-expect-error: there is no such event
    handlers: { "order.craeted": () => {} },
  });
  const inMemory: Receiver<Events> = createReceiver({
    ...common,
    handlers: { "order.paid": (event) => is<Equal<typeof event.data, { readonly at: string }>>() },
  });
  // @ts-expect-error: there is no such event
  const misspelt: Receiver<Events> = createReceiver({ ...common, handlers: { "order.craeted": () => {} } });
  // @ts-expect-error: no event begins so
  const nothing: Receiver<Events> = createReceiver({ ...common, handlers: { "invoice.*": () => {} } });
  const wrongTransaction = createReceiver<Events, PostgresClient>({
    ...common,
    // @ts-expect-error: the store has transactions of SQLite
    dedupe: sqlite,
    handlers: {},
  });
  // @ts-expect-error: there is no such scheme
  createReceiver({ scheme: "gihtub", handlers: {} });
  return [
    byAnnotation,
    byArgument,
    byEventsAlone,
    inMemory,
    misspelt,
    misspeltToo,
    mixed,
    nothing,
    wrongTransaction,
  ];
}

test("without an event map every pattern is taken, and data is unknown", async () => {
  const receiver = createReceiver({
    ...common,
    handlers: { "any.thing": (event) => is<Equal<typeof event.data, unknown>>() },
  });
  assert.equal(typeof receiver.fetch, "function");
  await receiver.close();
});
