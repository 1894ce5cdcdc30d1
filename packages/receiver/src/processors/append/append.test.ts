import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { PoisonError } from "../../receiver/control.ts";
import type { ReceivedEvent } from "../../receiver/event.ts";
import { analyse } from "../analyse/analyse.ts";
import type { ProcessContext } from "../processor.ts";
import { append } from "./append.ts";

const folder = mkdtempSync(path.join(tmpdir(), "posthorn-append-"));
after(() => rmSync(folder, { recursive: true }));

let folders = 0;
/** The path of a file in a folder of its own. */
function place(name: string): string {
  folders += 1;
  return path.join(mkdtempSync(path.join(folder, `${folders}-`)), name);
}

const context: ProcessContext = {
  transaction: undefined,
  onCommit: (effect) => effect(),
  signal: new AbortController().signal,
};

function order(number: number, data: unknown = { number }): ReceivedEvent {
  return {
    id: `evt_${number}`,
    type: "order.created",
    data,
    timestampSeconds: 1_769_846_400 + number,
    payload: new TextEncoder().encode(JSON.stringify({ type: "order.created", data })),
    headers: {},
    receivedAtMs: 1_769_846_400_250 + number * 1000,
  };
}

function lines(file: string): string[] {
  return readFileSync(file, "utf8").split("\n").slice(0, -1);
}

function idsIn(file: string): string[] {
  return lines(file).map((line) => JSON.parse(line).id);
}

function namesBeside(file: string): string[] {
  return readdirSync(path.dirname(file)).sort();
}

test("each event is a line, on the disk when process resolves, for its owner alone", async () => {
  const file = place("orders.ndjson");
  const processor = append({ file });
  await processor.start?.();
  await Promise.all([
    processor.process([order(1), order(2)], context),
    processor.process([order(3)], context),
  ]);
  assert.deepEqual(lines(file), [
    '{"id":"evt_1","type":"order.created","occurredAt":"2026-01-31T08:00:01.000Z","receivedAt":"2026-01-31T08:00:01.250Z","data":{"number":1}}',
    '{"id":"evt_2","type":"order.created","occurredAt":"2026-01-31T08:00:02.000Z","receivedAt":"2026-01-31T08:00:02.250Z","data":{"number":2}}',
    '{"id":"evt_3","type":"order.created","occurredAt":"2026-01-31T08:00:03.000Z","receivedAt":"2026-01-31T08:00:03.250Z","data":{"number":3}}',
  ]);
  assert.equal(statSync(file).mode & 0o077, 0);
  await processor.close();
  assert.deepEqual(namesBeside(file), ["orders.ndjson"]);
});

test("what a crash left of a line is cut off at the next start, however long it is", async () => {
  const file = place("orders.ndjson");
  const write = async (number: number, data?: unknown) => {
    const processor = append({ file });
    await processor.process([order(number, data)], context);
    await processor.close();
  };
  await write(1);
  await write(2, { text: "x".repeat(200_000) });
  truncateSync(file, statSync(file).size - 1);
  await write(3);
  assert.deepEqual(idsIn(file), ["evt_1", "evt_3"]);
  writeFileSync(file, "\0\0\0\0");
  await write(4);
  assert.deepEqual(lines(file).length, 1);
});

test("one file, one writer: the same again, and the same name with another ending, are refused until it is closed", async () => {
  const file = place("orders.ndjson");
  const first = append({ file });
  await first.start?.();
  for (const other of ["orders.ndjson", "orders.parquet", "orders.jsonl"]) {
    const second = append({ file: path.join(path.dirname(file), other) });
    await assert.rejects(async () => second.start?.(), /orders\.\w+ is written by this very process already/);
    await assert.rejects(second.process([order(2)], context), /delete .*orders\.lock-/);
  }
  await first.process([order(1)], context);
  await first.close();
  assert.deepEqual(namesBeside(file), ["orders.ndjson"]);
  assert.deepEqual(idsIn(file), ["evt_1"]);
  const second = append({ file: path.join(path.dirname(file), "orders.parquet") });
  await second.process([order(2)], context);
  await second.close();
  assert.deepEqual(namesBeside(file), ["orders-000001.parquet"]);
});

test("the lock of another process is refused with its number, and taken over once it has ended", async (context_) => {
  const file = place("orders.ndjson");
  const module = JSON.stringify(path.join(import.meta.dirname, "append.ts"));
  const code = `const { append } = await import(${module}); await append({ file: ${JSON.stringify(file)} }).start();
    process.send("open"); process.on("message", () => {});`;
  const other = spawn(process.execPath, ["--input-type=module", "-e", code], {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  context_.after(() => other.kill("SIGKILL"));
  await once(other, "message");
  const processor = append({ file });
  const { size } = statSync(file);
  writeFileSync(file, '{"id":"half of');
  await assert.rejects(
    async () => processor.start?.(),
    new RegExp(`written by process ${other.pid} already`),
  );
  assert.equal(statSync(file).size, size + 14);
  other.kill("SIGKILL");
  await once(other, "exit");
  await processor.process([order(1)], context);
  await processor.close();
  assert.deepEqual(idsIn(file), ["evt_1"]);
});

test("what an ended process left is no lock, and of many that start at once never two have the file", async () => {
  const file = place("orders.ndjson");
  // As after the restart of a container, and of a process that is no more.
  const left = [
    ...(process.platform === "linux" ? [`${process.pid}-1-00000000`] : []),
    "999999999-5-00000000",
  ];
  for (const name of left) writeFileSync(path.join(path.dirname(file), `orders.lock-${name}`), "");
  const processors = Array.from({ length: 8 }, () => append({ file }));
  const starts = await Promise.allSettled(processors.map(async (processor) => processor.start?.()));
  assert.ok(starts.filter(({ status }) => status === "fulfilled").length <= 1);
  for (const processor of processors) await processor.close();
  const last = append({ file });
  await last.process([order(1)], context);
  await last.close();
  assert.deepEqual(namesBeside(file), ["orders.ndjson"]);
});

test("a file that holds something else is refused, and stays as it is", async () => {
  for (const content of ["SQLite format 3\0\0", "a,b\n1,2\n", '{"id":7}', "\0\0\0\0\0\0\0x"]) {
    const file = place("shop.db");
    writeFileSync(file, content);
    await assert.rejects(async () => append({ file }).start?.(), /shop\.db holds something else/);
    assert.equal(readFileSync(file, "utf8"), content);
    assert.deepEqual(namesBeside(file), ["shop.db"]);
  }
});

test("a write whose sync fails rejects, and nothing of it is left once another succeeds", async (context_) => {
  const file = place("orders.ndjson");
  const probe = await open(import.meta.filename);
  await probe.close();
  const handles = Object.getPrototypeOf(probe) as { datasync(): Promise<void> };
  const processor = append({ file });
  await processor.process([order(1)], context);
  const datasync = context_.mock.method(handles, "datasync", () =>
    Promise.reject(new Error("the disk is full")),
  );
  await assert.rejects(processor.process([order(2)], context), /the disk is full/);
  await assert.rejects(processor.process([order(2)], context), /the disk is full/);
  datasync.mock.restore();
  await processor.process([order(3)], context);
  await processor.close();
  assert.deepEqual(idsIn(file), ["evt_1", "evt_3"]);
});

test("a folder that is not there is an error at the start, and after it was made there is none", async () => {
  const file = path.join(place("missing"), "orders.ndjson");
  const processor = append({ file });
  await assert.rejects(async () => processor.start?.(), { code: "ENOENT" });
  await assert.rejects(processor.process([order(1)], context), { code: "ENOENT" });
  mkdirSync(path.dirname(file));
  await processor.process([order(1)], context);
  await processor.close();
  assert.deepEqual(idsIn(file), ["evt_1"]);
});

test("parts that fill up while others are written keep every event", async () => {
  const file = place("orders.ndjson");
  const processor = append({ file, rotate: { bytesMax: 1 } });
  const numbers = Array.from({ length: 40 }, (_, index) => index);
  await Promise.all(
    numbers.map(async (number) => {
      await processor.process([order(number)], context);
      await processor.process([order(number + 100)], context);
    }),
  );
  await processor.close();
  const parts = namesBeside(file).map((name) => idsIn(path.join(path.dirname(file), name)));
  assert.ok(parts.every((part) => part.length > 0));
  const ids = parts.flat();
  assert.equal(ids.length, 80);
  assert.equal(new Set(ids).size, 80);
});

test("NDJSON is split into parts by size, and the numbers go on after a restart", async () => {
  const file = place("orders.ndjson");
  for (const [first, second] of [
    [1, 2],
    [3, 4],
  ] as const) {
    const processor = append({ file, rotate: { bytesMax: 200 } });
    for (const number of [first, second])
      await processor.process([order(number), order(number + 10)], context);
    await processor.close();
  }
  assert.deepEqual(
    namesBeside(file),
    [1, 2, 3, 4].map((number) => `orders-00000${number}.ndjson`),
  );
  const ids = await analyse(path.dirname(file), "SELECT id FROM events ORDER BY id");
  assert.deepEqual(
    ids.map(({ id }) => id),
    [1, 11, 12, 13, 14, 2, 3, 4].map((number) => `evt_${number}`),
  );
});

test("a part is complete after its time, too", async (context_) => {
  context_.mock.timers.enable({ apis: ["setTimeout"] });
  const file = place("orders.ndjson");
  const processor = append({ file, rotate: { everyMs: 60_000 } });
  await processor.process([order(1)], context);
  context_.mock.timers.tick(59_999);
  await processor.process([order(2)], context);
  context_.mock.timers.tick(1);
  await processor.process([order(3)], context);
  context_.mock.timers.tick(60_000);
  await processor.process([order(4)], context);
  await processor.close();
  assert.deepEqual(namesBeside(file), ["orders-000001.ndjson", "orders-000002.ndjson", "orders.ndjson"]);
  assert.equal(lines(path.join(path.dirname(file), "orders-000001.ndjson")).length, 2);
});

test("Parquet has typed columns, and the journal is gone when it is closed", async () => {
  const file = place("orders.parquet");
  const processor = append({
    file,
    rotate: { bytesMax: 600 },
    columns: {
      amount: { path: "$.data.amount", type: "numeric" },
      big: { path: "$.data.big", type: "integer" },
      placed: { path: "$.data.placed", type: "timestamp" },
      note: "$.data.note",
    },
  });
  const placed = "2026-01-31T10:00:00.123456+02:00";
  const big = {
    ...order(1),
    payload: new TextEncoder().encode('{"data":{"amount":"19.90","big":9007199254740993}}'),
  };
  await processor.process(
    [{ ...big, data: JSON.parse('{"amount":"19.90","big":9007199254740993}') }],
    context,
  );
  await processor.process([order(2, { amount: 0.1, placed, note: "it's" }), order(3, {})], context);
  await processor.process([order(4, { amount: 5 })], context);
  await processor.close();
  assert.deepEqual(namesBeside(file), ["orders-000001.parquet", "orders-000002.parquet"]);
  assert.equal(statSync(path.join(path.dirname(file), "orders-000001.parquet")).mode & 0o077, 0);
  const rows = await analyse(
    path.dirname(file),
    "SELECT amount, big, note, placed::VARCHAR AS placed, data->>'$.amount' AS raw FROM events ORDER BY id",
  );
  assert.deepEqual(rows, [
    { amount: "19.900000000", big: 9007199254740993n, note: null, placed: null, raw: "19.90" },
    {
      amount: "0.100000000",
      big: null,
      note: "it's",
      placed: "2026-01-31 08:00:00.123456+00",
      raw: "0.1",
    },
    { amount: null, big: null, note: null, placed: null, raw: null },
    { amount: "5.000000000", big: null, note: null, placed: null, raw: "5" },
  ]);
});

test("without events there is no part", async () => {
  const file = place("orders.parquet");
  const processor = append({ file });
  await processor.start?.();
  await processor.close();
  assert.deepEqual(namesBeside(file), ["orders.ndjson"]);
});

test("a crash while a part is written as Parquet loses nothing and repeats nothing", async () => {
  const file = place("orders.parquet");
  const beside = (name: string) => path.join(path.dirname(file), name);
  const before = append({ file: beside("orders.ndjson"), rotate: { bytesMax: 1 } });
  for (const number of [1, 2, 3]) await before.process([order(number)], context);
  await before.close();
  writeFileSync(beside("orders-000001.parquet.unfinished"), "half of a file");
  writeFileSync(beside("orders.ndjson"), '{"id":"evt_9","type":"order.cre');

  const after = append({ file });
  await after.process([order(4)], context);
  await after.close();
  assert.deepEqual(
    namesBeside(file),
    [1, 2, 3, 4].map((number) => `orders-00000${number}.parquet`),
  );
  const [counted] = await analyse(
    path.dirname(file),
    "SELECT count(*) AS n, count(DISTINCT id) AS ids FROM events",
  );
  assert.deepEqual(counted, { n: 4, ids: 4 });
});

test("a part that cannot be written as Parquet stays, is reported, and holds up no other", async () => {
  const file = place("orders.parquet");
  const beside = (name: string) => path.join(path.dirname(file), name);
  writeFileSync(beside("orders-000001.ndjson"), "this is no JSON\n");
  const errors: string[] = [];
  const processor = append({ file, onError: (error) => errors.push((error as Error).message) });
  await processor.process([order(1)], context);
  await assert.rejects(processor.close(), /orders-000001.ndjson could not be written as Parquet; it stays/);
  assert.match(errors[0] ?? "", /orders-000001.ndjson/);
  assert.deepEqual(namesBeside(file), ["orders-000001.ndjson", "orders-000002.parquet"]);
});

test("a value that is not of its column's type is poison, and nothing of its batch is written", async () => {
  const file = place("orders.ndjson");
  const processor = append({ file, columns: { amount: { path: "$.data.amount", type: "numeric" } } });
  for (const amount of ["12 EUR", 1e30, "0.0000000001", [1]]) {
    const isPoison = (error: unknown) =>
      error instanceof PoisonError && /\$\.data\.amount/.test(error.message);
    await assert.rejects(processor.process([order(1), order(2, { amount })], context), isPoison);
  }
  const huge = { ...order(3), id: "x".repeat(16 * 1024 * 1024) };
  await assert.rejects(processor.process([huge], context), /at most 16777216 can be read/);
  await processor.close();
  assert.ok(!existsSync(file) || lines(file).length === 0);
});

test("options that cannot be are refused with what to do", () => {
  for (const [options, reason] of [
    [{ rotation: {} }, /append: rotation is unknown; use file, format/],
    [{ format: "csv" }, /"ndjson" or "parquet"/],
    [{ rotate: { bytesMax: 0 } }, /rotate.bytesMax is a whole number of at least 1, not 0/],
    [{ rotate: { everyMs: 2 ** 31 } }, /rotate.everyMs is at most/],
    [{ columns: { Data: "$.data" } }, /a column "Data" already/],
    [{ columns: { a: { path: "$.data.a", type: "money" } } }, /columns.a.type is one of text, integer/],
    [{ columns: { a: "a" } }, /begins with \$/],
  ] as const) {
    assert.throws(() => append({ file: "orders.ndjson", ...options } as never), reason);
  }
});
