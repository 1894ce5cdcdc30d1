/** What `insert` does on every database, told as stories. Each dialect runs it in a test file of its own. */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { PoisonError } from "../../receiver/control.ts";
import type { ReceivedEvent } from "../../receiver/event.ts";
import type { ProcessContext } from "../processor.ts";
import { isSameValue, type Written, written } from "./any-value.conformance.ts";
import { COLUMN_TYPES } from "./column-value.ts";
import type { Database } from "./dialect.ts";
import { type InsertOptions, insert } from "./insert.ts";

export interface InsertHarness {
  /** For `into`. */
  readonly database: Database;
  /** On a connection of its own, values as near to the database's as the client gives them: exact. */
  query(sql: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** As the dialect quotes. */
  quote(name: string): string;
  /** Works while somebody else holds the table's rows, and nobody waits for that. */
  whileLocked(table: string, work: () => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

let count = 0;

/** @param data JSON, as the sender wrote it */
export function eventOf(data: string, changes: Partial<ReceivedEvent> = {}): ReceivedEvent {
  count += 1;
  return {
    id: `evt_${count}`,
    type: "order.created",
    timestampSeconds: 1_700_000_000,
    receivedAtMs: 1_700_000_000_250,
    headers: { "user-agent": "test" },
    payload: new TextEncoder().encode(`{"type":"order.created","data":${data}}`),
    data: JSON.parse(data),
    ...changes,
  };
}

export function contextOf(transaction: unknown = undefined): ProcessContext & { commit(): void } {
  const effects: (() => void)[] = [];
  return {
    transaction,
    onCommit: (effect) => void effects.push(effect),
    signal: new AbortController().signal,
    commit: () => {
      for (const effect of effects) effect();
    },
  };
}

export function exerciseInsert(
  name: string,
  open: () => Promise<InsertHarness>,
  { skip = false }: { readonly skip?: string | false } = {},
): void {
  describe(`insert into ${name}`, { skip }, () => {
    let harness: InsertHarness;
    before(async () => {
      harness = await open();
    });
    after(() => harness?.close());

    const fresh = (): string => `orders_${++count}`;
    const rows = (table: string, order: string) => harness.query(`SELECT * FROM ${table} ORDER BY ${order}`);
    const started = async (options: Omit<InsertOptions, "into">) => {
      const processor = insert({ into: harness.database, ...options });
      await processor.start?.();
      return processor;
    };
    const put = async (options: Omit<InsertOptions, "into">, ...events: ReceivedEvent[]) =>
      (await started(options)).process(events, contextOf());

    test("without columns, an event is a row with its data, and a repeat of it changes nothing", async () => {
      const table = fresh();
      const event = eventOf('{"id":7,"tags":["a"]}');
      await put({ table, create: true }, event, eventOf("{}"));
      const first = await rows(table, "event_id");
      assert.equal(first.length, 2);
      assert.deepEqual(Object.keys(first[0]!), ["event_id", "event_type", "received_at", "data"]);
      assert.equal(first[0]!.event_id, event.id);
      assert.ok(isSameValue("timestamp", first[0]!.received_at, '"2023-11-14T22:13:20.250Z"'));
      assert.ok(isSameValue("json", first[0]!.data, '{"id":7,"tags":["a"]}'));

      await put({ table }, { ...event, receivedAtMs: event.receivedAtMs + 60_000 });
      assert.deepEqual(await rows(table, "event_id"), first);
    });

    test("a JSON Schema gives the columns, and what is required", async () => {
      const table = fresh();
      const create = {
        type: "object",
        required: ["id", "note"],
        properties: {
          id: { type: "integer" },
          amount: { type: "number" },
          paid: { type: "boolean" },
          note: { type: ["string", "null"] },
          created: { type: "string", format: "date-time" },
          due: { type: "string", format: "date" },
          lines: { $ref: "#/$defs/lines" },
          anything: {},
        },
        $defs: { lines: { type: "array" } },
      };
      const data = {
        id: "9007199254740993",
        amount: "1.5",
        paid: "true",
        created: '"2026-01-31T12:00:00+01:00"',
        due: '"2026-02-28"',
        lines: '[{"n":9007199254740993}]',
        anything: '"x"',
      };
      const text = Object.entries(data).map(([key, value]) => `"${key}":${value}`);
      await put({ table, create }, eventOf(`{${text.join()}}`));
      const [row] = await rows(table, "event_id");
      assert.ok(isSameValue("integer", row!.id, data.id));
      assert.ok(isSameValue("number", row!.amount, data.amount));
      assert.ok(isSameValue("boolean", row!.paid, data.paid));
      assert.ok(isSameValue("timestamp", row!.created, data.created));
      assert.ok(isSameValue("date", row!.due, data.due));
      assert.ok(isSameValue("json", row!.lines, data.lines));
      assert.ok(isSameValue("json", row!.anything, data.anything));
      assert.equal(row!.note, null);
      await assert.rejects(put({ table, create }, eventOf('{"amount":1}')), (error) => {
        assert.ok(error instanceof PoisonError);
        assert.match(error.message, /column id \(\$\.data\.id\) is missing\. /);
        return true;
      });
      await assert.rejects(put({ table, create }, eventOf('{"id":null}')), /\(\$\.data\.id\) is null\. /);
    });

    test("a key of one's own: the last of a batch stays, and a later event writes over it", async () => {
      const table = fresh();
      const columns = {
        shop: { path: "$.data.shop", type: "text" },
        order_id: { path: "$.data.id", type: "integer" },
        state: { path: "$.data.state", type: "text" },
        event_id: "$.id",
      } as const;
      const options = { table, columns, upsertKey: ["shop", "order_id"], create: true };
      await put(
        options,
        eventOf('{"shop":"a","id":1,"state":"new"}'),
        eventOf('{"shop":"a","id":2,"state":"new"}'),
        eventOf('{"shop":"A","id":1,"state":"other shop"}'),
        eventOf('{"shop":"a","id":1,"state":"paid"}'),
      );
      const states = async () => (await rows(table, "state")).map(({ state }) => state);
      assert.deepEqual(await states(), ["new", "other shop", "paid"]);
      await put(options, eventOf('{"shop":"a","id":2,"state":"sent"}'));
      assert.deepEqual(await states(), ["other shop", "paid", "sent"]);
    });

    test("without a key a repeat makes a row of its own", async () => {
      const table = fresh();
      const event = eventOf("{}");
      const options = { table, columns: { id: "$.id" }, upsertKey: [], create: true };
      await put(options, event);
      await put(options, event);
      assert.equal((await rows(table, "id")).length, 2);
    });

    test("a key and nothing else: a repeat is no error", async () => {
      const table = fresh();
      const event = eventOf("{}");
      await put({ table, columns: { id: "$.id" }, create: true }, event);
      await put({ table, columns: { id: "$.id" } }, event);
      assert.equal((await rows(table, "id")).length, 1);
    });

    test("a batch is one statement, and as many as the parameters need beyond that", async () => {
      const table = fresh();
      const sizes: number[] = [];
      const database: Database = {
        ...harness.database,
        write(statements) {
          sizes.push(statements.length);
          return harness.database.write(statements);
        },
      };
      // Wide, so that few rows need many parameters.
      const names = Array.from({ length: 40 }, (_, index) => `c${index}`);
      const columns = Object.fromEntries(names.map((name) => [name, "$.type"]));
      const processor = insert({ table, columns: { id: "$.id", ...columns }, create: true, into: database });
      await processor.start?.();
      sizes.length = 0;
      await processor.process(
        Array.from({ length: 500 }, () => eventOf("{}")),
        contextOf(),
      );
      const many = Math.floor(database.dialect.parametersMax / 41) + 1;
      await processor.process(
        Array.from({ length: many }, () => eventOf("{}")),
        contextOf(),
      );
      assert.deepEqual(sizes, [1, 2]);
      const [sum] = await harness.query(`SELECT count(*) AS n FROM ${table}`);
      assert.equal(Number(sum!.n), 500 + many);
    });

    test("names are quoted, whatever they hold", async () => {
      const table = `it's "${fresh()}" \`;--`;
      const column = '"); DROP TABLE `x` --\\';
      await put({ table, columns: { [column]: "$.id", select: "$.type" }, create: true }, eventOf("{}"));
      const [row] = await harness.query(`SELECT * FROM ${harness.quote(table)}`);
      assert.deepEqual(Object.keys(row!), [column, "select"]);
      for (const bad of ["", "a\u0000b", "x".repeat(300), "\ud800"]) {
        await assert.rejects(
          started({ table: fresh(), columns: { [bad]: "$.id" }, create: true }),
          RangeError,
        );
      }
    });

    test("values are values: nothing in them is run, and backslashes and quotes arrive", async () => {
      const table = fresh();
      const text = "\\'; DROP TABLE orders; -- \" ? $1 :a \\\\ \n\t %";
      await put({ table, columns: { id: "$.id", t: "$.data" }, create: true }, eventOf(JSON.stringify(text)));
      const [row] = await rows(table, "id");
      assert.ok(isSameValue("json", row!.t, JSON.stringify(text)));
    });

    test("the start fails with what is wrong of the table", async () => {
      const table = fresh();
      await assert.rejects(started({ table }), new RegExp(`has no table ${table}`));
      await assert.rejects(
        started({ table, columns: { id: "$.id", amount: "$.data.amount" }, create: true }),
        /create needs a type for amount/,
      );
      await harness.query(`CREATE TABLE ${table} (id varchar(20) NOT NULL, seen int, needed int NOT NULL)`);
      const columns = { id: "$.id" };
      await assert.rejects(
        started({ table, columns: { id: "$.id", amount: "$.data.amount" } }),
        /no column amount \(\$\.data\.amount\)\. It has id, seen, needed/,
      );
      await assert.rejects(
        started({ table, columns: { seen: "$.data" } }),
        /seen of .* is int.* and \$\.data is json/,
      );
      await assert.rejects(started({ table, columns }), /needs a value for needed/);
      const all = { ...columns, needed: "$.data.n" };
      await assert.rejects(started({ table, columns: all }), /no unique key of id/);
      await harness.query(`CREATE UNIQUE INDEX ${table}_id ON ${table} (id)`);
      await put({ table, columns: all }, eventOf('{"n":1}'));
      assert.equal((await rows(table, "id")).length, 1);
    });

    test("a value that cannot go into its column is poison, named with its path, and nothing of the batch stays", async () => {
      const table = fresh();
      await harness.query(
        `CREATE TABLE ${table} (id varchar(20) PRIMARY KEY, n int, word varchar(3), price decimal(4, 2) NOT NULL, CHECK (n < 100))`,
      );
      const columns = { id: "$.id", n: "$.data.n", word: "$.data.w", price: "$.data.p" };
      const good = eventOf('{"n":1,"w":"abc","p":1.5}');
      const processor = await started({ table, columns });
      const refused = async (data: string, message: RegExp) => {
        await assert.rejects(processor.process([good, eventOf(data)], contextOf()), (error) => {
          assert.ok(error instanceof PoisonError, String(error));
          assert.match(error.message, message);
          return true;
        });
        assert.deepEqual(await rows(table, "id"), []);
      };
      await refused('{"n":"many","p":1}', /insert .*: column n \(\$\.data\.n\) must be a number, not "many"/);
      await refused('{"n":1.5,"p":1}', /column n .* a whole number/);
      await refused('{"n":1}', /column price \(\$\.data\.p\)/);
      await refused('{"n":1,"p":null}', /column price \(\$\.data\.p\)/);
      await refused('{"n":100,"p":1}', /the database refused/);
      await refused('{"w":"\\ud83d","p":1}', /column word .* surrogate/);
      await processor.process([good], contextOf());
      assert.equal((await rows(table, "id")).length, 1);
    });

    test("a JSON Schema that names no properties leaves the data whole", async () => {
      const table = fresh();
      const create = { oneOf: [{ required: ["a"] }, { required: ["b"] }] };
      await put({ table, create }, eventOf('{"a":[1]}'));
      assert.ok(isSameValue("json", (await rows(table, "event_id"))[0]?.data, '{"a":[1]}'));
    });

    test("a table that was repaired takes what it refused before, without another start", async () => {
      const table = fresh();
      const create = (type: string) =>
        harness.query(`CREATE TABLE ${table} (id varchar(20) PRIMARY KEY, n ${type})`);
      await create("int");
      const processor = await started({ table, columns: { id: "$.id", n: "$.data.n" } });
      const process = () => processor.process([eventOf('{"n":"many"}')], contextOf());
      await assert.rejects(process(), PoisonError);
      await harness.query(`DROP TABLE ${table}`);
      await create("varchar(20)");
      await process();
      assert.equal((await rows(table, "id"))[0]?.n, "many");
    });

    test("a batch of several statements is all or nothing, too", async () => {
      const table = fresh();
      const columns = { id: "$.id", note: { path: "$.data", type: "text" } } as const;
      const note = JSON.stringify("x".repeat(1_500_000));
      const event = eventOf(note);
      await put({ table, columns, create: true }, event);
      const again = put({ table, columns, upsertKey: [] }, eventOf(note), event);
      await assert.rejects(again, PoisonError);
      assert.deepEqual(await harness.query(`SELECT id FROM ${table}`), [{ id: event.id }]);
    });

    test("what is passing is thrown as it is: a lock, a table that is gone", async () => {
      const table = fresh();
      const event = eventOf("{}");
      await put({ table, create: true }, event);
      const processor = await started({ table });
      const isPassing = (error: unknown) => error instanceof Error && !(error instanceof PoisonError);
      await harness.whileLocked(table, async () => {
        await assert.rejects(processor.process([event], contextOf()), isPassing);
      });
      await processor.process([event], contextOf());
      await harness.query(`DROP TABLE ${table}`);
      await assert.rejects(processor.process([event], contextOf()), isPassing);
    });

    test("any JSON value of a column's type comes out the same", async () => {
      const columns = Object.fromEntries(
        COLUMN_TYPES.map((type) => [`a_${type}`, { path: `$.data.a_${type}`, type }]),
      );
      const table = fresh();
      const processor = await started({ table, columns: { id: "$.id", ...columns }, create: true });
      await fc.assert(
        fc.asyncProperty(fc.array(written, { minLength: 1, maxLength: 60 }), async (values) => {
          const events = values.map((value) => eventOf(jsonOf(value)));
          await processor.process(events, contextOf());
          const stored = new Map((await rows(table, "id")).map((row) => [row.id, row]));
          values.forEach((value, index) => {
            const row = stored.get(events[index]!.id);
            for (const type of COLUMN_TYPES) {
              const found = row?.[`a_${type}`];
              assert.ok(
                isSameValue(type, found, value[type]),
                `${type}: ${value[type]} came out as ${found}`,
              );
            }
          });
          await harness.query(`DELETE FROM ${table}`);
        }),
        { numRuns: 8 },
      );
    });
  });
}

function jsonOf(value: Written): string {
  return `{${COLUMN_TYPES.map((type) => `"a_${type}":${value[type]}`).join()}}`;
}
