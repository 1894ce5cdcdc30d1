import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import type { FeedEntry } from "../../engine/feed.ts";
import { feedLine } from "./feed-line.ts";

const AT = new Date("2026-01-31T10:20:30.456Z");
const ids = { appId: "app_1", endpointId: "ep_1", eventId: "evt_1", deliveryId: "dlv_1" } as const;
const attempt: Extract<FeedEntry, { kind: "attempt" }> = {
  kind: "attempt",
  ...ids,
  eventType: "order.created",
  number: 2,
  outcome: { kind: "rejected", status: 503, retryAfterMs: null, control: null },
  durationMs: 12.4,
  next: { retryInMs: 5200 },
};
const plain = (entry: FeedEntry) => stripVTControlCharacters(feedLine(entry, AT) ?? "nothing");

test("an attempt is one line: what came of it, of what, where to, and what follows", () => {
  assert.equal(
    plain(attempt),
    "10:20:30.456 ✗ 503 order.created evt_1 -> ep_1 attempt 2 12 ms, again in 5.2 s",
  );
  const outcome = { kind: "succeeded", status: 204, control: null } as const;
  const success = { ...attempt, outcome, next: "delivered" } as const;
  assert.equal(plain(success), "10:20:30.456 ✓ 204 order.created evt_1 -> ep_1 attempt 2 12 ms");
});

test("an end is a line of its own only where no attempt has said it", () => {
  const end = { kind: "final", ...ids, state: "dead_lettered", reason: "expired" } as const;
  assert.equal(plain(end), "10:20:30.456 dead_lettered evt_1 -> ep_1 (expired)");
  assert.equal(feedLine({ ...end, state: "delivered", reason: null }, AT), null);
});
