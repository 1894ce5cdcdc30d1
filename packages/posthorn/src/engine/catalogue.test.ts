import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { EventType } from "../domain/event-type.ts";
import type { Store } from "../store/store.ts";
import { Catalogue } from "./catalogue.ts";

/** Another node's view of the catalogue: what is put there, this one is not told. */
function typesElsewhere(shared: boolean) {
  const types = new Map<string, Partial<EventType>>();
  let looked = 0;
  const store = {
    shared,
    read: {
      find: async (_kind: string, { id = "" }: { id?: string }) => {
        looked += 1;
        return types.get(id);
      },
    },
  } as unknown as Store;
  return { types, store, looked: () => looked };
}

const DATA = Buffer.from('{"total":3}');
const WANTS_TEXT = { schema: { properties: { total: { type: "string" } } } };

describe("what is known of an event type", () => {
  test("is asked for once, and serves from then on without waiting", async () => {
    const { types, store, looked } = typesElsewhere(true);
    types.set("order.created", { schema: null });
    const catalogue = new Catalogue(store, true);
    await catalogue.check("order.created", DATA);
    assert.equal(catalogue.check("order.created", DATA), undefined);
    assert.equal(looked(), 1);
  });

  test("refuses nothing by what another node has changed since", async () => {
    const { types, store } = typesElsewhere(true);
    const catalogue = new Catalogue(store, true);
    await assert.rejects(async () => catalogue.check("order.created", DATA), { code: "unknown_event_type" });
    types.set("order.created", WANTS_TEXT);
    await assert.rejects(async () => catalogue.check("order.created", DATA), { code: "schema_mismatch" });
    types.set("order.created", { schema: null });
    await catalogue.check("order.created", DATA);
  });

  test("is believed on a store for one node, where no other could have changed it", async () => {
    const { types, store, looked } = typesElsewhere(false);
    types.set("order.created", WANTS_TEXT);
    const catalogue = new Catalogue(store, false);
    for (let n = 0; n < 3; n++)
      await assert.rejects(async () => catalogue.check("order.created", DATA), { code: "schema_mismatch" });
    assert.equal(looked(), 1);
  });

  test("is not needed for Posthorn's own news", async () => {
    const catalogue = new Catalogue(typesElsewhere(true).store, true);
    await catalogue.check("posthorn.endpoint.failing", DATA);
  });
});
