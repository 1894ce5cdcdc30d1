import assert from "node:assert/strict";
import { test } from "node:test";
import { type Fault, mysqlFault, type OwnNames, postgresFault, sqliteFault } from "./fault.ts";

const PASSING: Fault = { kind: "passing" };
const value = (at: Extract<Fault, { kind: "value" }>["at"] = null): Fault => ({ kind: "value", at });

type Case = readonly [what: string, error: unknown, fault: Fault];

const expect = (
  name: string,
  read: (error: unknown, own: OwnNames) => Fault,
  cases: readonly Case[],
): void => {
  const columns = ["id", "amount", "word", "price", "n", "data"];
  const own = {
    tables: name === "PostgreSQL" ? ["public.orders", "public.orders_2026"] : ["orders"],
    columns,
  };
  test(`${name}: only what blames the value is poison`, () => {
    for (const [what, error, fault] of cases) assert.deepEqual(read(error, own), fault, what);
    for (const other of [new Error("?"), new TypeError("?"), null, undefined, "22001", { code: 22001 }]) {
      assert.deepEqual(read(other, own), PASSING, String(other));
    }
  });
};

expect("PostgreSQL", postgresFault, [
  ["too long", { code: "22001" }, value()],
  ["out of range", { code: "22003" }, value()],
  ["U+0000", { code: "22021" }, value()],
  ["cannot be read", { code: "22P02", where: "unnamed portal parameter $3" }, value({ parameter: 3 })],
  [
    "cannot be read, the value shown",
    { code: "22P02", where: `unnamed portal parameter $12 = 'abc'` },
    value({ parameter: 12 }),
  ],
  ["not null", { code: "23502", column: "amount" }, value({ column: "amount" })],
  [
    "not null, in a partition",
    { code: "23502", column: "amount", schema: "public", table: "orders_2026" },
    value({ column: "amount" }),
  ],
  [
    "not null, of a table that a rule writes",
    { code: "23502", column: "amount", schema: "public", table: "audit" },
    PASSING,
  ],
  [
    "a check of another schema's table",
    { code: "23514", schema: "other", table: "orders", constraint: "c" },
    PASSING,
  ],
  ["no partition yet", { code: "23514", schema: "public", table: "orders" }, PASSING],
  ["the code of a trigger", { code: "22012", where: "PL/pgSQL function f() line 1 at PERFORM" }, PASSING],
  ["of a function in a check", { code: "22012", where: 'SQL function "f" statement 1' }, PASSING],
  [
    "JSON that cannot be read",
    { code: "22P05", where: "JSON data, line 1: ...\nunnamed portal parameter $4" },
    value({ parameter: 4 }),
  ],
  ["another unique key", { code: "23505", schema: "public", table: "orders", constraint: "c" }, value()],
  ["check", { code: "23514", constraint: "c" }, value()],
  ["a key too long for the index", { code: "54000" }, value()],
  ["foreign key: the other row may still come", { code: "23503" }, PASSING],
  ["deadlock", { code: "40P01" }, PASSING],
  ["serialization", { code: "40001" }, PASSING],
  ["lock timeout", { code: "55P03" }, PASSING],
  ["disk full", { code: "53100" }, PASSING],
  ["too many connections", { code: "53300" }, PASSING],
  ["shutdown", { code: "57P01" }, PASSING],
  ["read only", { code: "25006" }, PASSING],
  ["no right", { code: "42501" }, PASSING],
  ["no such column", { code: "42703" }, PASSING],
  ["a row twice", { code: "21000" }, PASSING],
  ["raised by a trigger", { code: "P0001" }, PASSING],
  ["refused connection", { code: "ECONNREFUSED" }, PASSING],
]);

const mysqlError = (errno: number, sqlMessage = "") => ({ code: "ER_SOMETHING", errno, sqlMessage });

expect("MySQL", mysqlFault, [
  ["not null", mysqlError(1048, "Column 'amount' cannot be null"), value({ column: "amount" })],
  ["too long", mysqlError(1406, "Data too long for column 'word' at row 2"), value({ column: "word" })],
  [
    "out of range",
    mysqlError(1264, "Out of range value for column 'price' at row 1"),
    value({ column: "price" }),
  ],
  [
    "cannot be read",
    mysqlError(1366, "Incorrect integer value: 'abc' for column `shop`.`orders`.`n` at row 1"),
    value({ column: "n" }),
  ],
  [
    "a message that holds the text of another",
    mysqlError(1366, "Incorrect integer value: 'for column `x` at' for column `shop`.`orders`.`n` at row 1"),
    value({ column: "n" }),
  ],
  [
    "JSON",
    mysqlError(4025, "CONSTRAINT `orders.data` failed for `shop`.`orders`"),
    value({ column: "data" }),
  ],
  ["another unique key", mysqlError(1062, "Duplicate entry 'a' for key 'mail'"), value()],
  [
    "another unique key, as MySQL says it",
    mysqlError(1062, "Duplicate entry 'a' for key 'orders.mail'"),
    value(),
  ],
  [
    "a key of a table that a trigger writes",
    mysqlError(1062, "Duplicate entry 'a' for key 'audit.mail'"),
    PASSING,
  ],
  ["a column of a table that a trigger writes", mysqlError(1048, "Column 'day' cannot be null"), PASSING],
  ["a check", mysqlError(4025, "CONSTRAINT `CONSTRAINT_1` failed for `shop`.`orders`"), value()],
  [
    "a check of a table that a trigger writes",
    mysqlError(4025, "CONSTRAINT `audit.data` failed for `shop`.`audit`"),
    PASSING,
  ],
  [
    "a value for a table that a trigger writes",
    mysqlError(1366, "Incorrect integer value: 'abc' for column `shop`.`audit`.`n` at row 1"),
    PASSING,
  ],
  ["packet too large: batches are tried one by one", mysqlError(1153), value()],
  ["foreign key: the other row may still come", mysqlError(1452), PASSING],
  ["deadlock", mysqlError(1213), PASSING],
  ["lock timeout", mysqlError(1205), PASSING],
  ["disk full", mysqlError(1021), PASSING],
  ["table full", mysqlError(1114), PASSING],
  ["read only", mysqlError(1290), PASSING],
  ["no such column", mysqlError(1054), PASSING],
  ["no right", mysqlError(1142), PASSING],
  ["connection lost", { code: "PROTOCOL_CONNECTION_LOST" }, PASSING],
]);

expect("SQLite", sqliteFault, [
  [
    "not null",
    { code: "ERR_SQLITE_ERROR", errcode: 1299, message: "NOT NULL constraint failed: orders.amount" },
    value({ column: "amount" }),
  ],
  [
    "type of a STRICT table",
    { errcode: 3091, message: "cannot store TEXT value in INTEGER column orders.n" },
    value({ column: "n" }),
  ],
  ["check", { errcode: 275, message: "CHECK constraint failed: n < 100" }, value()],
  ["another unique key", { errcode: 2067, message: "UNIQUE constraint failed: Orders.mail" }, value()],
  [
    "not null, of a table that a trigger writes",
    { errcode: 1299, message: "NOT NULL constraint failed: audit.amount" },
    PASSING,
  ],
  [
    "a key of a table that a trigger writes",
    { errcode: 1555, message: "UNIQUE constraint failed: audit.id" },
    PASSING,
  ],
  [
    "a type of a table that a trigger writes",
    { errcode: 3091, message: "cannot store TEXT value in INTEGER column audit.n" },
    PASSING,
  ],
  ["too big", { errcode: 18, message: "string or blob too big" }, value()],
  [
    "better-sqlite3",
    { code: "SQLITE_CONSTRAINT_NOTNULL", message: "NOT NULL constraint failed: orders.amount" },
    value({ column: "amount" }),
  ],
  ["bun:sqlite", { code: "SQLITE_CONSTRAINT_CHECK", errno: 275, message: "" }, value()],
  ["foreign key: the other row may still come", { errcode: 787 }, PASSING],
  ["raised by a trigger", { errcode: 1811 }, PASSING],
  ["busy", { errcode: 5 }, PASSING],
  ["locked", { errcode: 6 }, PASSING],
  ["disk full", { errcode: 13 }, PASSING],
  ["I/O", { errcode: 778 }, PASSING],
  ["read only", { errcode: 8 }, PASSING],
  ["no such column", { errcode: 1 }, PASSING],
  ["corrupt", { errcode: 11 }, PASSING],
]);
