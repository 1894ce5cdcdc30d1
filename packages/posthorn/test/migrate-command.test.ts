import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { schemaVersion } from "../src/store/postgres/migrate.ts";
import { openTestDatabase, type TestDatabase } from "./postgres-database.ts";

const POSTHORN = fileURLToPath(new URL("../bin/posthorn.js", import.meta.url));

interface Ended {
  readonly code: unknown;
  readonly stdout: string;
  readonly stderr: string;
}

describe("posthorn migrate", () => {
  let database: TestDatabase;

  before(async () => {
    database = await openTestDatabase({ empty: true });
  });
  after(() => database.drop());

  function posthorn(store: string, ...args: string[]): Promise<Ended> {
    const env = { ...process.env, POSTHORN_STORE: store, NO_COLOR: "1" };
    return new Promise((resolve) => {
      execFile(process.execPath, [POSTHORN, "migrate", ...args], { env }, (error, stdout, stderr) =>
        resolve({ code: error?.code ?? 0, stdout, stderr }),
      );
    });
  }

  test("makes the schema once, and says what it did", async () => {
    const version = schemaVersion();
    const first = await posthorn(database.url);
    assert.equal(first.code, 0, first.stderr);
    assert.equal(first.stderr.match(/^Ran \d{4}.*\.sql\.$/gm)?.length, version);
    assert.match(first.stderr, new RegExp(`The schema is up to date: version ${version}\\.`));
    const second = await posthorn(database.url, "--json");
    assert.deepEqual(JSON.parse(second.stdout), { schemaVersion: version, files: [] });
  });

  test("a database that cannot be used is one line, without the password", async () => {
    const url = new URL(database.url);
    const { password } = url;
    url.pathname = "/no_such_database";
    const { code, stderr } = await posthorn(url.href);
    assert.equal(code, 1);
    assert.match(stderr, /^Error: There is no database "no_such_database" at [^\n]+\n$/);
    assert(!stderr.includes(password));
  });

  test("the embedded store needs no command", async () => {
    const { code, stderr } = await posthorn("sqlite:");
    assert.equal(code, 2);
    assert.match(stderr, /which its server brings up to date when it starts/);
  });
});
