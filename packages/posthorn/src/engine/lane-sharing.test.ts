// A lane of which other nodes may be the owner, or send their part.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HOST, laneOf, readyOf } from "../../test/lanes.ts";
import { newId } from "../base/ids.ts";
import type { AttemptOutcome } from "../domain/attempt.ts";
import type { BreakerState } from "../domain/breaker.ts";
import type { LaneRecord } from "../store/store.ts";
import type { Lane } from "./lane.ts";

const me = HOST.incarnation;
const other = newId("inc");
const FAILED: AttemptOutcome = { kind: "rejected", status: 500, retryAfterMs: null, control: null };
const SUCCEEDED: AttemptOutcome = { kind: "succeeded", status: 200, control: null };

const lane = (record: Partial<LaneRecord>, breaker: BreakerState = "closed"): Lane =>
  laneOf({}, breaker, record);
const recordOf = (of: Lane, changes: Partial<LaneRecord>): LaneRecord => ({
  ...of.runtime.config.lane,
  ...changes,
});

function attempt(of: Lane, outcome: AttemptOutcome): void {
  const ready = readyOf(of);
  of.started(ready, 0, 1000);
  of.ended(ready, outcome, 1, 0);
}

describe("who sends for a lane", () => {
  test("every node, unless it is exclusive or has an owner", () => {
    const cases = [
      [{}, "shared", true],
      [{ exclusive: true }, "unclaimed", false],
      [{ exclusive: true, owner: me }, "ours", true],
      [{ exclusive: true, owner: other }, "elsewhere", false],
      [{ owner: other }, "elsewhere", false],
    ] as const;
    for (const [record, ownership, open] of cases) {
      const each = lane(record);
      assert.deepEqual(
        [each.ownership, each.open, each.sendable],
        [ownership, open, open],
        JSON.stringify(record),
      );
      assert.equal(each.maySend(0).kind, open ? "now" : "no");
    }
  });

  test("this node, once a claim has made it the owner", () => {
    const each = lane({ exclusive: true });
    each.claimed({ epoch: 2, elsewhere: false, more: false });
    assert.deepEqual([each.ownership, each.open, each.epoch], ["ours", true, 2]);
    assert.equal(each.doubtful, true, "the record of the new epoch is to be read");
  });

  test("another one, if a claim says so", () => {
    const each = lane({});
    each.claimed({ epoch: 2, elsewhere: true, more: false });
    assert.deepEqual([each.ownership, each.open], ["elsewhere", false]);
  });

  test("a claim that finds the lane not running says nothing about that", () => {
    const each = lane({ exclusive: true, epoch: 3 });
    each.claimed({ epoch: 0, elsewhere: false, more: false });
    assert.deepEqual([each.ownership, each.epoch, each.doubtful], ["unclaimed", 3, true]);
  });
});

test("the cap of a shared lane is divided among the nodes that send; an owned one has it whole", () => {
  const host = { incarnation: me, dispatchers: 3 };
  assert.equal(laneOf({}, "closed", {}, host).cap, 5);
  assert.equal(laneOf({}, "closed", { owner: me, exclusive: true }, host).cap, 16);
  const each = laneOf({ inFlightMax: 1 }, "closed", {}, host);
  assert.equal(each.cap, 1);
});

describe("a breaker", () => {
  test("that opens makes the lane this node's own until it closes", () => {
    const each = lane({});
    for (let n = 0; n < 10; n++) attempt(each, FAILED);
    assert.deepEqual([each.breaker.state, each.ownership], ["open", "ours"]);
    for (let n = 0; n < 5; n++) attempt(each, SUCCEEDED);
    assert.deepEqual([each.breaker.state, each.ownership], ["closed", "shared"]);
  });

  test("that closes leaves an exclusive lane this node's own", () => {
    const each = lane({ exclusive: true, owner: me }, "half_open");
    for (let n = 0; n < 5; n++) attempt(each, SUCCEEDED);
    assert.deepEqual([each.breaker.state, each.ownership], ["closed", "ours"]);
  });

  test("that another node opens is open here, and when that one closes it, closed here with a ramp", () => {
    const each = lane({});
    assert.equal(each.follow(recordOf(each, { epoch: 2, owner: other, breaker: "open" })), true);
    assert.deepEqual([each.breaker.state, each.ownership, each.sendable], ["open", "elsewhere", false]);
    assert.equal(each.follow(recordOf(each, { epoch: 3, owner: null, breaker: "closed" })), true);
    assert.deepEqual([each.breaker.state, each.ownership, each.cap], ["closed", "shared", 1]);
  });

  test("that two open is the first one's: the other follows", () => {
    const each = lane({});
    for (let n = 0; n < 10; n++) attempt(each, FAILED);
    each.follow(recordOf(each, { epoch: 2, owner: other, breaker: "open" }));
    assert.equal(each.ownership, "elsewhere");
  });

  test("of its own lane is not what the store has, which this node writes, but what it is", () => {
    const each = lane({});
    for (let n = 0; n < 10; n++) attempt(each, FAILED);
    attempt(each, SUCCEEDED);
    each.follow(recordOf(each, { epoch: 2, owner: me, breaker: "open" }));
    assert.deepEqual([each.breaker.state, each.epoch], ["half_open", 2]);
  });
});

test("what is not newer than what is known is no news", () => {
  const each = lane({ epoch: 5 });
  for (const epoch of [4, 5]) assert.equal(each.follow(recordOf(each, { epoch, owner: other })), false);
  each.claimed({ epoch: 7, elsewhere: false, more: false });
  assert.equal(each.follow(recordOf(each, { epoch: 6, owner: other })), false);
  assert.equal(each.ownership, "shared");
});

test("failures that another node saw are cleared by a success here, now and then", () => {
  const each = lane({});
  assert.deepEqual(
    [0, 500, 1000, 1001].map((nowMs) => each.clearsForOthers(nowMs, 1000)),
    [true, false, true, false],
  );
  assert.equal(laneOf({}, "closed", { owner: me, exclusive: true }).clearsForOthers(0, 1000), false);
  each.follow(recordOf(each, { epoch: 2, failingForMs: 5 }));
  assert.equal(each.failing, true);
});

test("what it holds is what waits and what is under way", () => {
  const each = lane({});
  const [waiting, started] = [readyOf(each), readyOf(each, 2)];
  each.push(waiting);
  each.started(started, 0, 1000);
  assert.deepEqual([...each.held()], [waiting.id, started.id]);
});
