import assert from "node:assert/strict";
import { test } from "node:test";
import { openDuckDb } from "./duckdb.ts";

test("a database cannot be opened to the world again from inside", async () => {
  const { connection, close } = await openDuckDb([]);
  try {
    for (const sql of ["SET enable_external_access = true", "SET threads = 1", "RESET allowed_paths"]) {
      await assert.rejects(connection.run(sql), /locked|disabled/, sql);
    }
  } finally {
    close();
  }
});
