import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { PosthornError } from "../base/errors.ts";
import { newAppId, newId } from "../base/ids.ts";
import { silentLogger } from "../base/logger.ts";
import type { Publication, StoredPublication } from "../domain/publication.ts";
import { FiguresCounter } from "./figures.ts";
import { PublicationPicker } from "./publications.ts";
import type { PickedUp } from "./publisher.ts";

const incarnation = newId("inc");

describe("the picker of publications", () => {
  let picker: PublicationPicker;
  let waiting: StoredPublication[];
  let isHolder: boolean;
  let reads: number;
  let read: Publication[];
  let refused: { id: string; code: string }[];
  let told: unknown[];
  let outcome: (stored: StoredPublication) => PickedUp;

  beforeEach(() => {
    [waiting, isHolder, reads, read, refused, told] = [[], true, 0, [], [], []];
    outcome = () => ({ kind: "accepted", id: newId("evt"), duplicate: false, deliveries: 0, fanOut: "done" });
    picker = new PublicationPicker({
      store: {
        read: {
          publications: async () => {
            reads += 1;
            return [...waiting];
          },
        },
        write: {
          takeDuty: async () => isHolder,
          refusePublication: async (id: string, { code }: { code: string }) => {
            refused.push({ id, code });
            waiting = waiting.filter((each) => each.id !== id);
            return true;
          },
        },
      } as never,
      figures: new FiguresCounter(),
      news: { publicationRefused: (...args: unknown[]) => told.push(args) } as never,
      logger: silentLogger,
      incarnation: () => incarnation,
      async publish(found) {
        read.push(...found.map((each) => each.read()));
        return new Map(waiting.map((stored) => [stored.id, outcome(stored)]));
      },
    });
  });
  const stored = (envelope: object = {}): StoredPublication => ({
    id: newId("pub"),
    appId: newAppId(),
    envelope: { app: "shop", type: "a", ...envelope },
    data: Buffer.from(" 1 "),
    idempotencyKey: "k",
    createdAtMs: 1000,
    problem: null,
    refusedAtMs: null,
  });

  test("reads each as it was given; one without a time occurred when it was published", async () => {
    waiting = [stored(), stored({ timestamp: "2026-01-31T12:00:00+01:00" }), stored()];
    await picker.duty.runOnce();
    assert.deepEqual(
      read.map(({ envelope, data, idempotencyKey }) => [
        (envelope as { timestamp: string }).timestamp,
        Buffer.from(data ?? []).toString(),
        idempotencyKey,
      ]),
      [
        ["1970-01-01T00:00:01.000Z", "1", "k"],
        ["2026-01-31T12:00:00+01:00", "1", "k"],
        ["1970-01-01T00:00:01.000Z", "1", "k"],
      ],
    );
    assert.deepEqual(read[0]?.raw, read[2]?.raw, "the same again is the same request");
    assert.notDeepEqual(read[0]?.raw, read[1]?.raw);
  });

  test("leaves them to the node that has the duty", async () => {
    waiting = [stored()];
    isHolder = false;
    await picker.duty.runOnce();
    assert.deepEqual([reads, read.length], [0, 0]);
  });

  test("stops at once when another node has taken over", async () => {
    await picker.duty.runOnce();
    waiting = [stored()];
    isHolder = false;
    await picker.duty.runOnce();
    assert.deepEqual([reads, read.length], [2, 0]);
  });

  test("a full page is followed by the next one at once", async () => {
    waiting = Array.from({ length: 500 }, () => stored());
    assert.deepEqual(await picker.duty.runOnce(), { more: true });
    waiting.pop();
    assert.deepEqual(await picker.duty.runOnce(), { more: false });
  });

  test("refuses what can never become an event, and tells of it", async () => {
    const bad = stored();
    waiting = [stored(), bad];
    const error = new PosthornError("schema_mismatch", "no", { pointer: "/data" });
    const accepted = outcome;
    outcome = (each) => (each === bad ? { kind: "refused", error } : accepted(each));
    await picker.duty.runOnce();
    assert.deepEqual(refused, [{ id: bad.id, code: "schema_mismatch" }]);
    assert.deepEqual(told, [
      [bad.appId, bad.id, "a", { code: "schema_mismatch", message: "no", pointer: "/data" }],
    ]);
  });

  test("what fails inside of us is tried a few times before it is refused", async () => {
    waiting = [stored()];
    outcome = () => ({ kind: "refused", error: new PosthornError("internal", "hm") });
    for (let tries = 1; tries < 5; tries++) await picker.duty.runOnce();
    assert.equal(refused.length, 0);
    await picker.duty.runOnce();
    assert.equal(refused.length, 1);
  });

  test("pauses after a failure, and goes on by itself", async () => {
    waiting = [stored()];
    outcome = () => {
      throw new PosthornError("store_unavailable", "away");
    };
    await assert.rejects(picker.duty.runOnce(), { code: "store_unavailable" });
    const before = reads;
    await picker.duty.runOnce();
    assert.equal(reads, before, "it does not ask a store that is away twenty times a second");
    assert.equal(refused.length, 0);
  });
});
