import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { newAppId, newId } from "../base/ids.ts";
import type { AttemptOutcome } from "../domain/attempt.ts";
import { type EndpointFigures, emptyFigures } from "../domain/figures.ts";
import type { StoreWriter } from "../store/store.ts";
import { FiguresCounter } from "./figures.ts";

const app = newAppId();
const incarnation = newId("inc");
const SUCCEEDED: AttemptOutcome = { kind: "succeeded", status: 200, control: null };

function recorder() {
  const written: (readonly EndpointFigures[])[] = [];
  const write = {
    async record(_incarnation: string, figures: readonly EndpointFigures[]) {
      written.push(figures);
    },
  } as unknown as StoreWriter;
  return { written, write };
}

describe("figures", () => {
  test("are counted per endpoint and in all, and written once", async () => {
    const { written, write } = recorder();
    const figures = new FiguresCounter();
    const [one, other] = [newId("ep"), newId("ep")];
    figures.created(app, one, 3);
    figures.created(app, other);
    figures.attempted(app, one, SUCCEEDED, 7);
    figures.ended(app, one, "delivered");
    figures.filterFailed(app, other, "no such key");
    await figures.flush(write, incarnation);
    await figures.flush(write, incarnation);

    assert.equal(written.length, 1);
    const [first, second] = written[0] ?? [];
    const latency = emptyFigures().latency.map((_, bucket) => (bucket === 6 ? 1 : 0));
    assert.deepEqual(first, {
      ...emptyFigures(),
      endpointId: one,
      appId: app,
      filterError: null,
      created: 3,
      finals: { delivered: 1, dead_lettered: 0, cancelled: 0 },
      attempts: { ...emptyFigures().attempts, succeeded: 1 },
      latency,
    });
    assert.deepEqual([second?.endpointId, second?.created, second?.filterErrors], [other, 1, 1]);
    assert.equal(second?.filterError, "no such key");
    assert.deepEqual([figures.total.created, figures.total.filterErrors, figures.latencySumMs], [4, 1, 7]);
  });

  test("latency is that of attempts that were answered or timed out", () => {
    const figures = new FiguresCounter();
    const endpoint = newId("ep");
    for (const outcome of [
      SUCCEEDED,
      { kind: "rejected", status: 500, retryAfterMs: null, control: null },
      { kind: "timed_out", phase: "response" },
      { kind: "unreachable", cause: "connection_refused", detail: "" },
      { kind: "invalid", detail: "" },
    ] as const) {
      figures.attempted(app, endpoint, outcome, 10);
    }
    const { attempts, latency } = figures.total;
    assert.deepEqual(attempts, {
      succeeded: 1,
      rejected: 1,
      timed_out: 1,
      unreachable: 1,
      invalid: 1,
      unknown: 0,
    });
    assert.equal(
      latency.reduce((sum, count) => sum + count, 0),
      3,
    );
    assert.equal(figures.latencySumMs, 30);
  });

  test("that could not be written go with the next interval, each endpoint once", async () => {
    const { written, write } = recorder();
    const figures = new FiguresCounter();
    const [one, other] = [newId("ep"), newId("ep")];
    const away = {
      record: () => Promise.reject(new Error("the database is away")),
    } as unknown as StoreWriter;
    figures.created(app, one, 3);
    const flushed = figures.flush(away, incarnation);
    figures.created(app, one, 2);
    figures.created(app, other);
    await assert.rejects(flushed);
    await figures.flush(write, incarnation);
    assert.deepEqual(
      written[0]?.map(({ endpointId, created }) => [endpointId, created]),
      [
        [one, 5],
        [other, 1],
      ],
    );
    await figures.flush(write, incarnation);
    assert.equal(written.length, 1);
  });
});
