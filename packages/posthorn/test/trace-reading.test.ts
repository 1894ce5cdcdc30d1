import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { judgeTrace } from "./trace-reading.ts";

const WAL = "28</data/posthorn.db-wal>";
const write = `11 pwrite64(${WAL}, "\\0...the-mark...", 4096, 32) = 4096`;
const sync = `11 fdatasync(${WAL}) = 0`;
const answer = `10 write(38<TCP:[127.0.0.1:1->127.0.0.1:2]>, "HTTP/1.1 202 Accepted\\r\\n", 90) = 90`;

const verdictOf = (...lines: string[]) => judgeTrace(lines.join("\n"), "the-mark").kind;

describe("a trace of system calls", () => {
  test("shows a sync between the write and the 202", () => {
    assert.equal(verdictOf(write, sync, answer), "synced");
  });

  test("shows that there was none", () => {
    assert.equal(verdictOf(write, answer), "not_synced");
    assert.equal(verdictOf(sync, write, answer, sync), "not_synced", "before and after do not count");
    assert.equal(
      verdictOf(write, "11 fdatasync(9</data/posthorn.db>) = 0", answer),
      "not_synced",
      "another file",
    );
    assert.equal(
      verdictOf(write, `11 fdatasync(${WAL}) = -1 EIO`, answer),
      "not_synced",
      "a sync that failed",
    );
  });

  test("follows calls that other threads interrupt", () => {
    const begun = `11 fdatasync(${WAL} <unfinished ...>`;
    const ended = "11 <... fdatasync resumed>) = 0";
    assert.equal(verdictOf(write, begun, "12 openat(AT_FDCWD) = 3", ended, answer), "synced");
    assert.equal(
      verdictOf(write, begun, answer, ended),
      "not_synced",
      "the 202 left while it was still syncing",
    );
  });

  test("that lacks the write or the 202 is no proof", () => {
    assert.equal(verdictOf(sync, answer), "unreadable");
    assert.equal(verdictOf(write, sync), "unreadable");
  });
});
