/** The writer thread: the only one that writes. One message, one transaction, one commit, one answer. */

import { closeSync, existsSync, openSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import type { ClaimedLane } from "../store.ts";
import { openForWriting } from "./database.ts";
import { type DataDirLock, lockDataDir } from "./lock.ts";
import { refuseWrongMasterKey, rememberMasterKey } from "./master-key-check.ts";
import { migrate, refuseNewer } from "./migrate.ts";
import type { SqliteSettings } from "./options.ts";
import { createWriterClock } from "./shared-clock.ts";
import { query } from "./statement.ts";
import { runCalls } from "./transaction.ts";
import { type Answer, carry, type FromWorker, Packer, type ToWorker, type WriterVerb } from "./wire.ts";
import { createVerbs } from "./write/verbs.ts";
import { Writing } from "./writing.ts";

const port = parentPort;
if (port === null) throw new Error("writer.ts runs as a worker thread of the store");

try {
  start(workerData as SqliteSettings);
} catch (error) {
  say({ kind: "fatal", error: carry(error) });
  port.close();
}

function say(message: FromWorker, transferList: ArrayBuffer[] = []): void {
  port?.postMessage(message, transferList);
}

function start(settings: SqliteSettings): void {
  const lock = lockDataDir(settings.dataDir);
  let db: DatabaseSync | undefined;
  try {
    db = openDatabase(settings);
    serve(db, lock, settings);
  } catch (error) {
    db?.close();
    lock.release();
    throw error;
  }
  say({ kind: "ready" });
}

function openDatabase(settings: SqliteSettings): DatabaseSync {
  if (existsSync(settings.file)) refuseNewer(settings.file);
  // Whatever the directory's mode is: payloads are for the owner alone. The log takes the mode of the file.
  else closeSync(openSync(settings.file, "a", 0o600));
  return openForWriting(settings.file);
}

function serve(db: DatabaseSync, lock: DataDirLock, settings: SqliteSettings): void {
  refuseWrongMasterKey(db, settings);
  migrate(db);
  rememberMasterKey(db, settings);
  if (settings.pagesMax !== null) db.exec(`PRAGMA max_page_count = ${settings.pagesMax}`);
  const reached = query<{ reachedMs: number }>(
    db,
    `SELECT max(now_ms, ifnull((SELECT accepted_at_ms FROM events ORDER BY seq DESC LIMIT 1), 0)) AS reachedMs FROM store_facts`,
  ).get();
  const clock = createWriterClock(settings.clock, reached?.reachedMs ?? 0);
  const writing = new Writing(db, settings, clock);
  const verbs = createVerbs(writing);

  port?.on("message", (message: ToWorker<WriterVerb>) => {
    try {
      if (message === "close") {
        runCalls(writing, verbs, [{ verb: "advance", args: [0] }]);
        db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
        db.close();
        lock.release();
        port?.close();
        return;
      }
      const answers = runCalls(writing, verbs, message.calls);
      const { packed, transferList } = pack(message.calls, answers);
      say({ kind: "answers", answers: packed }, transferList);
    } catch (error) {
      say({ kind: "fatal", error: carry(error) });
      port?.close();
    }
  });
}

/** Only claims carry bytes back. */
function pack(
  calls: readonly { readonly verb: WriterVerb }[],
  answers: readonly Answer[],
): { packed: readonly Answer[]; transferList: ArrayBuffer[] } {
  if (!calls.some(({ verb }) => verb === "claim")) return { packed: answers, transferList: [] };
  const packer = new Packer();
  const claimed = answers.map((answer, index) =>
    calls[index]?.verb === "claim" && "value" in answer
      ? (answer.value as readonly ClaimedLane[])
      : undefined,
  );
  for (const lane of claimed.flatMap((lanes) => lanes ?? [])) {
    for (const { payload } of lane.deliveries) packer.reserve(payload);
  }
  const packed = answers.map((answer, index): Answer => {
    const lanes = claimed[index];
    return lanes === undefined ? answer : { value: lanes.map((lane) => packLane(lane, packer)) };
  });
  return { packed, transferList: packer.transferList };
}

function packLane(lane: ClaimedLane, packer: Packer): ClaimedLane {
  if (lane.deliveries.length === 0) return lane;
  return {
    ...lane,
    deliveries: lane.deliveries.map((delivery) => ({ ...delivery, payload: packer.pack(delivery.payload) })),
  };
}
