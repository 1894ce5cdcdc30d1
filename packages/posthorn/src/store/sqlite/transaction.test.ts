/** What a commit is worth when the log cannot be emptied after it. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { after, afterEach, beforeEach, describe, mock, test } from "node:test";
import { newId } from "../../base/ids.ts";
import type { NewAuditEntry } from "../../domain/audit.ts";
import { type StoreHarness, type TestApp, World } from "../conformance/world.conformance.ts";
import type { Store } from "../store.ts";
import { BUSY_TIMEOUT_MS, openForWriting, pragma } from "./database.ts";
import { migrate } from "./migrate.ts";
import { createClockMemory, createWriterClock } from "./shared-clock.ts";
import { runCalls } from "./transaction.ts";
import type { Answer, Call, WriterVerb } from "./wire.ts";
import { createVerbs } from "./write/verbs.ts";
import { Writing } from "./writing.ts";

const root = mkdtempSync(path.join(tmpdir(), "posthorn-transaction-"));
after(() => rmSync(root, { recursive: true }));

const [FULL, SYNC_FAILED] = [13, 1034];
// What is stored is told by no store here.
const world = new World({} as StoreHarness, {} as Store, newId("inc"));
const app = world.appOf();
const place: TestApp = { id: app.id, locator: 0 };

describe("after a commit", () => {
  let db: DatabaseSync;
  let run: (calls: readonly Call<WriterVerb>[]) => Answer[];
  let nowMs: number;
  /** What emptying the log fails with; undefined: it works. */
  let errcode: number | undefined;
  let attempts: number;

  beforeEach(() => {
    nowMs = 1_000_000;
    errcode = undefined;
    attempts = 0;
    mock.method(performance, "now", () => nowMs);
    const file = path.join(root, `${newId("evt")}.db`);
    db = openForWriting(file);
    migrate(db);
    const settings = {
      dataDir: root,
      file,
      idempotencyMs: 1,
      waitMsMax: 1,
      reserveBytes: 0,
      figuresMs: 1,
      pagesMax: null,
      masterKeyMarks: [],
      clock: createClockMemory(),
    };
    const writing = new Writing(failing(db), settings, createWriterClock(settings.clock, 0));
    const verbs = createVerbs(writing);
    run = (calls) => runCalls(writing, verbs, calls);
    run([{ verb: "save", args: [{ kind: "app", create: true, app }] }]);
  });
  afterEach(() => {
    mock.restoreAll();
    db.close();
  });

  /** The connection, but that a checkpoint fails with `errcode`. */
  function failing(connection: DatabaseSync): DatabaseSync {
    const prepare = connection.prepare.bind(connection);
    mock.method(connection, "prepare", (sql: string) => {
      if (!sql.includes("wal_checkpoint")) return prepare(sql);
      attempts += 1;
      if (errcode !== undefined) throw Object.assign(new Error("checkpoint"), { errcode });
      return prepare(sql);
    });
    return connection;
  }

  const logBytes = (): number => readFileSync(`${db.location()}-wal`).length;
  const count = (table: string): unknown => db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.n;
  const entry = (action: string): NewAuditEntry => ({
    id: newId("aud"),
    actor: { kind: "system" },
    action,
    target: { kind: "app", id: app.id },
    appId: null,
    before: null,
    after: null,
    address: null,
    requestId: null,
  });

  async function stored() {
    const acceptance = await world.acceptance(place, [], { configVersion: 1 });
    const [answer] = run([{ verb: "accept", args: [[acceptance]] }]);
    assert.deepEqual(answer, { value: [{ kind: "accepted", unleased: [] }] });
    return acceptance;
  }

  test("a log that cannot be emptied on a full disk takes nothing back, and nothing is done twice", async () => {
    const { event } = await stored();
    const acceptance = await world.acceptance(place, [], { configVersion: 1 });
    errcode = FULL;
    const answers = run([
      { verb: "accept", args: [[acceptance]] },
      { verb: "use", args: [[{ scope: app.id, events: 1 }]] },
      { verb: "remove", args: [{ kind: "payload", eventId: event.id }, entry("payload.expunge")] },
    ]);
    assert.equal(attempts, 2, "it was tried");
    assert.deepEqual(answers, [
      { value: [{ kind: "accepted", unleased: [] }] },
      { value: undefined },
      { value: true },
    ]);
    assert.equal(count("events"), 2);
    assert.equal(count("audit_log"), 1);
    assert.equal(db.prepare("SELECT sum(events) AS n FROM usage").get()?.n, 1);
    assert.equal(pragma(db, "busy_timeout"), BUSY_TIMEOUT_MS);
  });

  test("it is tried again with the commits that follow, whatever they are, once a second", async () => {
    const { event } = await stored();
    errcode = FULL;
    run([{ verb: "remove", args: [{ kind: "payload", eventId: event.id }] }]);
    errcode = undefined;
    const before = attempts;
    await stored();
    assert.equal(attempts, before);
    assert.notEqual(logBytes(), 0);
    nowMs += 1001;
    await stored();
    assert.equal(attempts, before + 1);
    assert.equal(logBytes(), 0);
    nowMs += 1001;
    await stored();
    assert.equal(attempts, before + 1, "it is empty of what is old");
  });

  test("a disk that fails ends the process", async () => {
    const { event } = await stored();
    errcode = SYNC_FAILED;
    assert.throws(() => run([{ verb: "remove", args: [{ kind: "payload", eventId: event.id }] }]), {
      errcode: SYNC_FAILED,
    });
  });
});
