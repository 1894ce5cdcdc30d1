import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { type Table, tableFromIPC, tableToIPC } from "apache-arrow";
import type { ReceivedEvent } from "../../receiver/event.ts";
import { append } from "../append/append.ts";
import { importPeer } from "../duckdb/peer.ts";
import type { ProcessContext } from "../processor.ts";
import { analyse, SqlError } from "./analyse.ts";

const context: ProcessContext = {
  transaction: undefined,
  onCommit: (effect) => effect(),
  signal: new AbortController().signal,
};
const folder = mkdtempSync(path.join(tmpdir(), "posthorn-analyse-"));
after(() => rmSync(folder, { recursive: true }));
const file = path.join(folder, "it's orders.ndjson");
const other = path.join(folder, "secret.ndjson");

function line(id: string, data: string): string {
  return `{"id":"${id}","type":"order.created","occurredAt":"2026-01-31T23:30:00Z","receivedAt":"2026-01-31T23:30:01.5Z","data":${data}}\n`;
}
writeFileSync(
  file,
  line("evt_1", '{"amount":1.5}') + line("evt_2", '{"amount":2}') + line("evt_1", '{"amount":1.5}'),
);
writeFileSync(other, line("evt_3", "{}"));

const events: ReceivedEvent[] = [1, 2, 3].map((number) => ({
  id: `evt_${number}`,
  type: number === 3 ? "order.paid" : "order.created",
  data: { amount: number },
  timestampSeconds: 1_769_846_400,
  payload: new TextEncoder().encode(`{"amount":${number},"id":900719925474099${number}}`),
  headers: {},
  receivedAtMs: 1_769_846_400_250,
}));

test("SQL over a file counts an event once that stands there twice", async () => {
  const rows = await analyse<{ n: number; total: number }>(
    file,
    "SELECT count(*) AS n, sum((data->>'$.amount')::DOUBLE) AS total FROM events",
  );
  assert.deepEqual(rows, [{ n: 2, total: 3.5 }]);
});

test("SQL over given events, with values for its parameters", async () => {
  const sql = "SELECT type, count(*) AS n FROM events WHERE type <> $1 GROUP BY type ORDER BY type";
  assert.deepEqual(await analyse(events, sql, { values: ["order.paid"] }), [{ type: "order.created", n: 2 }]);
  assert.deepEqual(await analyse([], "SELECT count(*) AS n FROM events"), [{ n: 0 }]);
  assert.deepEqual(await analyse(events, "SELECT * FROM events WHERE id = 'evt_1'"), [
    {
      id: "evt_1",
      type: "order.created",
      occurredAt: new Date("2026-01-31T08:00:00.000Z"),
      receivedAt: new Date("2026-01-31T08:00:00.250Z"),
      data: '{"amount":1}',
    },
  ]);
});

const values = `SELECT 9007199254740993 AS big, 9007199254740991 AS safe, sum(3::BIGINT) AS total, 12.50::DECIMAL(18, 2) AS price,
  DATE '2026-01-31' AS day, TIMESTAMP '2026-01-31 08:00:00.123456' AS at, TIME '10:00:00' AS clock, [1, 9007199254740993] AS list,
  {'a': 1.10::DECIMAL(4, 2)} AS struct, NULL AS nothing, true AS yes, 'x' AS text, 1.5::FLOAT AS float, -3::HUGEINT AS huge`;

test("rows lose no digits", async () => {
  const [row] = await analyse([], values);
  assert.deepEqual(row, {
    big: 9007199254740993n,
    safe: 9007199254740991,
    total: 3,
    price: "12.50",
    day: "2026-01-31",
    at: new Date("2026-01-31T08:00:00.123Z"),
    clock: "10:00:00",
    list: [1, 9007199254740993n],
    struct: { a: "1.10" },
    nothing: null,
    yes: true,
    text: "x",
    float: 1.5,
    huge: -3,
  });
});

test("an Arrow table has the same values, and survives its own file format", async () => {
  const made = await analyse<Table>([], `${values} UNION ALL BY NAME SELECT NULL::BIGINT AS big`, {
    as: "arrow",
  });
  const table = tableFromIPC(tableToIPC(made));
  assert.equal(table.numRows, 2);
  const types = Object.fromEntries(table.schema.fields.map(({ name, type }) => [name, String(type)]));
  assert.deepEqual(types, {
    big: "Int64",
    safe: "Int64",
    total: "Decimal[38e0]",
    price: "Decimal[18e+2]",
    day: "Date32<DAY>",
    at: "Timestamp<MICROSECOND>",
    clock: "Utf8",
    list: "Utf8",
    struct: "Utf8",
    nothing: "Int32",
    yes: "Bool",
    text: "Utf8",
    float: "Float32",
    huge: "Decimal[38e0]",
  });
  const row = table.get(0)?.toJSON() ?? {};
  assert.equal(row.big, 9007199254740993n);
  assert.deepEqual([String(row.total), String(row.price), String(row.huge)], ["3", "1250", "-3"]);
  assert.equal(row.day, Date.parse("2026-01-31"));
  assert.ok(Math.abs(row.at - (Date.parse("2026-01-31T08:00:00Z") + 123.456)) < 0.001);
  assert.deepEqual(
    [row.clock, row.list, row.struct],
    ["10:00:00", '["1","9007199254740993"]', '{"a":"1.10"}'],
  );
  assert.deepEqual([row.nothing, row.yes, row.text, row.float], [null, true, "x", 1.5]);
  assert.ok(Object.values(table.get(1)?.toJSON() ?? {}).every((value) => value === null));
});

test("an Arrow table without rows has its columns, too", async () => {
  const made = await analyse<Table>([], `FROM (${values}) WHERE false`, { as: "arrow" });
  const table = tableFromIPC(tableToIPC(made));
  assert.equal(table.numRows, 0);
  const one = await analyse<Table>([], values, { as: "arrow" });
  const shape = ({ schema }: Table) => schema.fields.map(({ name, type }) => [name, String(type)]);
  assert.deepEqual(shape(table), shape(one));
});

test("while append completes parts, a folder is read without gaps, and without errors", async () => {
  const home = mkdtempSync(path.join(folder, "live-"));
  for (const file of ["orders.ndjson", "orders.parquet"]) {
    const processor = append({ file: path.join(home, file), rotate: { bytesMax: 1 } });
    await processor.start?.();
    for (let count = 1; count <= 4; count += 1) {
      const one = { ...events[0]!, id: `${file} ${count}` };
      const counted = async () =>
        (await analyse<{ n: number }>(home, "SELECT count(*) AS n FROM events"))[0]!.n;
      const before = await counted();
      const [during] = await Promise.all([counted(), processor.process([one], context)]);
      assert.ok(during >= before, `${during} of ${before}`);
    }
    await processor.close();
  }
});

test("wrong SQL is answered with what is wrong", async () => {
  for (const [sql, reason] of [
    ["SELEC 1", /syntax error at or near "SELEC"/],
    ["SELECT nothing FROM events", /"nothing" not found/],
    ["SELECT 1 WHERE $1 = 2", /parameter/i],
    [" ; ", /holds no statement/],
  ] as const) {
    const isSqlError = (error: unknown) => error instanceof SqlError && reason.test(error.message);
    await assert.rejects(analyse(events, sql), isSqlError);
  }
});

test("SQL reads the given files and no others, and writes none", async () => {
  for (const sql of [
    `SELECT * FROM read_json('${other}')`,
    `SELECT * FROM read_text('/etc/hostname')`,
    `COPY (SELECT 1) TO '${other}'`,
    `COPY (SELECT 1) TO '${file.replace("'", "''")}'`,
    `ATTACH '${path.join(folder, "new.db")}'`,
    "SET enable_external_access = true",
    "INSTALL httpfs",
    "LOAD json; SELECT 1",
    `EXPLAIN ANALYZE COPY (SELECT 1) TO '${file.replace("'", "''")}'`,
    `PREPARE writing AS COPY (SELECT 1) TO '${file.replace("'", "''")}'; EXECUTE writing`,
  ]) {
    await assert.rejects(analyse(file, sql), SqlError, sql);
  }
  assert.deepEqual(await analyse(file, "CREATE TABLE t AS SELECT 1 AS one; SELECT * FROM t"), [{ one: 1 }]);
  assert.equal((await analyse(folder, "SELECT id FROM events")).length, 3);
});

test("files that are not there, or cannot be read, are named", async () => {
  await assert.rejects(
    analyse(path.join(folder, "no.ndjson"), "SELECT 1"),
    /no\.ndjson.*no such file or folder/,
  );
  await assert.rejects(
    analyse(import.meta.filename, "SELECT 1"),
    /its name ends in .ndjson, .jsonl or .parquet/,
  );
  await assert.rejects(analyse(import.meta.dirname, "SELECT 1"), /holds no .ndjson, .jsonl or .parquet file/);
});

test("a package that is not installed is named, with how to install it", async () => {
  const missing = "@duckdb/node-apiary";
  await assert.rejects(
    importPeer(missing, () => import(missing)),
    /npm install @duckdb\/node-apiary/,
  );
});
