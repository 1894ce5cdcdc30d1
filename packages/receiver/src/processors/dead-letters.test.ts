import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import type { DeadLetter } from "../receiver/dead-letters.ts";
import { deadLetterFile } from "./dead-letters.ts";

const home = mkdtempSync(path.join(tmpdir(), "posthorn-dead-letters-"));
after(() => rmSync(home, { recursive: true }));

function letterOf(payload: Uint8Array | string, headers: Record<string, string> = {}): DeadLetter {
  return {
    event: {
      id: "evt_1",
      type: "order.created",
      data: null,
      timestampSeconds: null,
      receivedAtMs: 1_700_000_000_000,
      headers,
      payload: Buffer.from(payload),
    },
    receiver: "orders",
    by: "insert orders",
    reason: "column amount\nmust be a number",
    attempts: 1,
    deadLetteredAtMs: 1_700_000_001_000,
  };
}

const read = (file: string) =>
  readFileSync(file, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));

test("each letter is a line with the exact payload and the reason, and without secrets", async () => {
  const file = path.join(home, "letters.ndjson");
  const letters = deadLetterFile(file);
  const bytes = Buffer.from([0xff, 0x00, 0x0a]);
  await Promise.all([
    letters.append(
      letterOf('\ufeff{"a":"ä\\n"}\r\n', {
        "user-agent": "test",
        "webhook-signature": "v1,abc",
        authorization: "Bearer planted",
        "proxy-authorization": "planted",
        cookie: "planted",
        "x-gitlab-token": "planted",
        "x-api-key": "planted",
        "x-telegram-bot-api-secret-token": "planted",
      }),
    ),
    letters.append(letterOf(bytes)),
  ]);
  const [text, binary] = read(file);
  assert.deepEqual(text, {
    at: "2023-11-14T22:13:21.000Z",
    receiver: "orders",
    by: "insert orders",
    reason: "column amount\nmust be a number",
    attempts: 1,
    id: "evt_1",
    type: "order.created",
    receivedAt: "2023-11-14T22:13:20.000Z",
    headers: { "user-agent": "test", "webhook-signature": "v1,abc" },
    encoding: "utf8",
    payload: '\ufeff{"a":"ä\\n"}\r\n',
  });
  assert.ok(!readFileSync(file, "utf8").includes("planted"));
  assert.deepEqual(Buffer.from(binary.payload, binary.encoding), bytes);
  if (process.platform !== "win32") assert.equal(statSync(file).mode & 0o777, 0o600);
});

test("a line that a crash has cut spoils no other, and a file moved away is made anew", async () => {
  const file = path.join(home, "cut.ndjson");
  appendFileSync(file, '{"at":"2023-');
  const letters = deadLetterFile(file);
  await letters.append(letterOf("1"));
  const lines = readFileSync(file, "utf8").split("\n");
  assert.equal(lines[0], '{"at":"2023-');
  assert.equal(JSON.parse(lines[1]!).payload, "1");
  renameSync(file, `${file}.old`);
  await letters.append(letterOf("2"));
  assert.deepEqual(
    read(file).map(({ payload }) => payload),
    ["2"],
  );
});

test("where it cannot write it rejects, and goes on when it can again", async () => {
  const folder = path.join(home, "later");
  const letters = deadLetterFile(path.join(folder, "letters.ndjson"));
  await assert.rejects(letters.append(letterOf("1")), { code: "ENOENT" });
  mkdirSync(folder);
  await letters.append(letterOf("2"));
  assert.equal(read(path.join(folder, "letters.ndjson")).length, 1);
});
