import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { readyOf, runtimeOf } from "../../test/lanes.ts";
import { newId } from "../base/ids.ts";
import type { EndpointRuntime } from "./endpoint-runtime.ts";
import { LaneTable, type LaneTableLimits } from "./lane-table.ts";

function table(limits: Partial<LaneTableLimits> = {}): LaneTable {
  const lanes = new LaneTable({
    laneWindowMax: 256,
    windowMax: 1000,
    windowBytesMax: 1e6,
    dispatch: true,
    ...limits,
  });
  lanes.incarnation = newId("inc");
  return lanes;
}

const ensure = (lanes: LaneTable, runtime: EndpointRuntime) => lanes.ensure(runtime, runtime.config.lane);

describe("a place in memory for a fresh delivery", () => {
  test("is promised in the name of this node, and counted until it is given back", () => {
    const lanes = table();
    const runtime = runtimeOf();
    assert.equal(lanes.reserve(runtime, 100), lanes.incarnation);
    assert.deepEqual([lanes.used, lanes.usedBytes, lanes.get(runtime.endpoint.id)?.window], [1, 100, 1]);
    lanes.drop(100);
    assert.deepEqual([lanes.used, lanes.usedBytes], [0, 0]);
  });

  test("is refused beyond the window of the lane, of the node, and of its bytes", () => {
    for (const limits of [{ laneWindowMax: 2 }, { windowMax: 2 }, { windowBytesMax: 250 }]) {
      const lanes = table(limits);
      const runtime = runtimeOf();
      const promised = Array.from({ length: 3 }, () => lanes.reserve(runtime, 100) !== null);
      assert.deepEqual(promised, [true, true, false], JSON.stringify(limits));
      assert.deepEqual([lanes.used, lanes.usedBytes], [2, 200]);
    }
  });

  test("is refused where the delivery could not be sent at once", () => {
    const lanes = table();
    assert.equal(lanes.reserve(runtimeOf({ status: "paused" }), 1), null);
    assert.equal(lanes.reserve(runtimeOf({}, "open"), 1), null);
    const runtime = runtimeOf();
    ensure(lanes, runtime).backlog = true;
    assert.equal(lanes.reserve(runtime, 1), null);
    lanes.incarnation = null;
    assert.equal(lanes.reserve(runtimeOf(), 1), null);
    assert.deepEqual([lanes.used, lanes.usedBytes], [0, 0]);
    assert.equal(table({ dispatch: false }).reserve(runtimeOf(), 1), null);
  });
});

describe("the lanes", () => {
  test("are made once, and follow the newest version of their endpoint, never an older one", () => {
    const lanes = table();
    const runtime = runtimeOf({ version: 2 });
    const { id } = runtime.endpoint;
    const lane = ensure(lanes, runtime);
    assert.equal(ensure(lanes, runtimeOf({ id, version: 3, status: "paused" })), lane);
    assert.equal(lane.runnable, false);
    ensure(lanes, runtimeOf({ id, version: 2 }));
    assert.equal(lane.runnable, false);
    assert.deepEqual([lanes.size, [...lanes.all()]], [1, [lane]]);
    lanes.remove(id);
    assert.equal(lanes.get(id), undefined);
  });

  test("have room for what the lane and the node have left", () => {
    const lanes = table({ laneWindowMax: 10, windowMax: 12 });
    const [one, other] = [ensure(lanes, runtimeOf()), ensure(lanes, runtimeOf())];
    for (let i = 0; i < 8; i++) {
      one.push(readyOf(one));
      lanes.hold(50);
    }
    assert.deepEqual([lanes.roomOf(one), lanes.roomOf(other)], [2, 4]);
    assert.equal(lanes.bytesRoom, 1e6 - 400);
  });

  test("that starved hear once when half of the window is free", () => {
    const lanes = table({ windowMax: 4 });
    for (let i = 0; i < 4; i++) lanes.hold(1);
    assert.equal(lanes.relieved(), false);
    lanes.starved = true;
    lanes.drop(1);
    assert.equal(lanes.relieved(), false);
    lanes.drop(1);
    assert.equal(lanes.relieved(), true);
    assert.equal(lanes.relieved(), false);
  });

  test("beyond 20,000 those with nothing to remember are forgotten, and no other", () => {
    const lanes = table();
    const template = runtimeOf();
    // Structure sharing keeps this quick: only the id differs.
    const more = (count: number): void => {
      for (let i = 0; i < count; i++) {
        const endpoint = { ...template.endpoint, id: newId("ep") };
        lanes.ensure(Object.create(template, { endpoint: { value: endpoint } }), template.config.lane);
      }
    };
    const kept = [runtimeOf(), runtimeOf(), runtimeOf(), runtimeOf({}, "half_open")].map((runtime) =>
      ensure(lanes, runtime),
    );
    kept[0]!.reserved = 1;
    kept[1]!.backlog = true;
    kept[2]!.claiming = true;
    more(20_000);
    assert.ok(lanes.size < 18_100, String(lanes.size));
    for (const lane of kept) assert.equal(lanes.get(lane.id), lane);
  });

  test("that are all busy are not looked through again for each new one", () => {
    const lanes = table();
    const template = runtimeOf();
    let looks = 0;
    for (let i = 0; i < 24_000; i++) {
      const endpoint = { ...template.endpoint, id: newId("ep") };
      const lane = lanes.ensure(
        Object.create(template, { endpoint: { value: endpoint } }),
        template.config.lane,
      );
      Object.defineProperty(lane, "window", { get: () => (looks += 1) });
    }
    assert.ok(looks < 30_000, `${looks} looks`);
  });
});
