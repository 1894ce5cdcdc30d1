import assert from "node:assert/strict";
import { beforeEach, describe, test } from "node:test";
import { PosthornError } from "../base/errors.ts";
import { newAppId, newId, type PublicationId } from "../base/ids.ts";
import { silentLogger } from "../base/logger.ts";
import type { Acceptance, AcceptResult } from "../store/store.ts";
import { FiguresCounter } from "./figures.ts";
import { ENGINE_DEFAULTS } from "./options.ts";
import { type FoundPublication, publishInOrder } from "./publish-in-order.ts";
import { Publisher } from "./publisher.ts";

const MIB = 1024 * 1024;
const ACCEPTED: AcceptResult = { kind: "accepted", unleased: [] };
const away = new PosthornError("store_unavailable", "The database cannot be reached.");

/** A publisher before a store that answers as it is told; apps have no endpoints. */
class Scene {
  readonly apps = new Map([["shop", newAppId()]]);
  /** What reached the store: for each call the `data` of its events. */
  readonly calls: string[][] = [];
  /** How many events were counted for the limits of their apps. */
  counted = 0;
  configVersion = 1;
  /** The types that are known. */
  types = new Set(["a"]);
  answer: (acceptance: Acceptance, call: number) => AcceptResult = () => ACCEPTED;

  run(found: readonly FoundPublication[]) {
    const write = {
      accept: async (acceptances: readonly Acceptance[]) => {
        this.calls.push(acceptances.map(({ event }) => dataOf(event)));
        return acceptances.map((acceptance) => this.answer(acceptance, this.calls.length));
      },
    };
    const apps = {
      get: async (reference: string) => {
        const id = this.apps.get(reference);
        const app = { id, uid: reference, configVersion: this.configVersion };
        return id && { app, limited: true, wanting: () => [] };
      },
      forget: () => {},
    };
    const catalogue = {
      check: (type: string) => {
        if (!this.types.has(type)) throw new PosthornError("unknown_event_type", `What is ${type}?`);
      },
      forget: () => {},
    };
    const dispatcher = { stopping: false, unreserve: () => {} };
    const options = { ...ENGINE_DEFAULTS, payloadBytesMax: 8 * MIB };
    const needs = {
      write,
      apps,
      catalogue,
      dispatcher,
      options,
      hold: { check: () => {} },
      limits: {
        admit: () => Promise.reject(new PosthornError("quota_exceeded", "The day is used up.")),
        count: () => {
          this.counted += 1;
        },
      },
      figures: new FiguresCounter(),
      logger: silentLogger,
    };
    const publisher = new Publisher({ ...needs, fanOutPending: () => {} } as never);
    return publishInOrder({ ...needs, publisher } as never, found);
  }
}

function dataOf({ payload, dataStart, dataEnd }: Acceptance["event"]): string {
  return Buffer.from(payload.subarray(dataStart, dataEnd)).toString().trim();
}

function found(data: number, { app = "shop", type = "a", bytes = 1 } = {}): FoundPublication {
  const text = String(data).padEnd(bytes);
  return {
    id: newId("pub"),
    read: () => ({
      envelope: { app, type },
      data: Buffer.from(text),
      raw: Buffer.from(text),
      idempotencyKey: null,
    }),
  };
}

describe("publishing in order", () => {
  let scene: Scene;
  beforeEach(() => {
    scene = new Scene();
  });
  const kinds = async (all: readonly FoundPublication[]): Promise<string[]> => {
    const outcomes = await scene.run(all);
    return all.map(({ id }) => {
      const outcome = outcomes.get(id as PublicationId);
      return outcome?.kind === "refused" ? outcome.error.code : String(outcome?.kind);
    });
  };

  test("one transaction for all, in the order given; each names what it was made of", async () => {
    const all = [found(1), found(2), found(3)];
    const names: unknown[] = [];
    scene.answer = ({ publication }) => {
      names.push(publication);
      return ACCEPTED;
    };
    assert.deepEqual(await kinds(all), ["accepted", "accepted", "accepted"]);
    assert.deepEqual(scene.calls, [["1", "2", "3"]]);
    assert.deepEqual(
      names,
      all.map(({ id }) => id),
    );
  });

  test("what is stale is planned anew, with all that follows it and in the same order", async () => {
    scene.answer = ({ configVersion, event }) => {
      // The configuration changes after the first one.
      if (dataOf(event) === "1") scene.configVersion = 2;
      return dataOf(event) === "1" || configVersion === 2 ? ACCEPTED : { kind: "stale" };
    };
    assert.deepEqual(await kinds([found(1), found(2), found(3)]), ["accepted", "accepted", "accepted"]);
    assert.deepEqual(scene.calls, [
      ["1", "2", "3"],
      ["2", "3"],
    ]);
  });

  test("none is lost to a limit, and each that is new is counted for its app once", async () => {
    const duplicate = { kind: "duplicate", eventId: "evt_1", deliveries: 0, fanOut: "done" } as const;
    scene.answer = ({ configVersion, event }, call) => {
      if (dataOf(event) === "1") return duplicate;
      scene.configVersion = 2;
      return call === 1 && configVersion === 1 ? { kind: "stale" } : ACCEPTED;
    };
    assert.deepEqual(await kinds([found(1), found(2), found(3)]), ["accepted", "accepted", "accepted"]);
    assert.equal(scene.counted, 2);
  });

  test("what cannot become an event stands aside", async () => {
    const unreadable: FoundPublication = {
      id: newId("pub"),
      read: () => {
        throw new PosthornError("too_deep", "too deep");
      },
    };
    scene.answer = ({ event }) => (dataOf(event) === "5" ? { kind: "taken" } : ACCEPTED);
    const all = [
      found(1, { app: "nobody" }),
      found(2),
      found(3, { type: "a..b" }),
      unreadable,
      found(5),
      found(6, { type: "b" }),
    ];
    assert.deepEqual(await kinds(all), [
      "not_found",
      "accepted",
      "invalid_field",
      "too_deep",
      "taken",
      "unknown_event_type",
    ]);
    assert.deepEqual(scene.calls, [["2", "5"]]);
  });

  test("what is reserved for Posthorn itself stands aside, too", async () => {
    scene.types.add("posthorn.endpoint.disabled");
    scene.apps.set("operator", newAppId());
    const all = [found(1, { type: "posthorn.endpoint.disabled" }), found(2, { app: "operator" }), found(3)];
    assert.deepEqual(await kinds(all), ["invalid_field", "invalid_field", "accepted"]);
    assert.deepEqual(scene.calls, [["3"]]);
  });

  test("when the store is away, nothing that follows is tried", async () => {
    scene.answer = (_, call) => {
      if (call === 2) throw away;
      return ACCEPTED;
    };
    const bytes = 5 * MIB;
    await assert.rejects(scene.run([found(1, { bytes }), found(2, { bytes }), found(3, { bytes })]), away);
    assert.deepEqual(scene.calls, [["1"], ["2"]]);
  });

  test("when there is no room, none is refused for it", async () => {
    scene.answer = () => ({ kind: "full" });
    await assert.rejects(scene.run([found(1), found(2)]), { code: "storage_full" });
  });

  test("when the app cannot be read, nothing is stored", async () => {
    scene.apps.get = () => {
      throw away;
    };
    await assert.rejects(scene.run([found(1)]), away);
    assert.deepEqual(scene.calls, []);
  });
});
