// Whoever hears news about Posthorn itself may act upon it: nobody else can make any.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { World } from "./engine-harness.ts";

describe("what is reserved for Posthorn itself", () => {
  let world: World;
  before(async () => {
    world = await World.open({ roles: [] });
    await world.app("shop");
  });
  after(() => world.close());

  async function refused(app: string, type: string, pointer: string): Promise<void> {
    const outcome = await world.publish(app, type, {});
    assert.ok(outcome.kind === "refused", `${app} ${type}`);
    assert.deepEqual([outcome.error.code, outcome.error.pointer], ["invalid_field", pointer]);
  }

  test("is no type that can be published", async () => {
    await refused("shop", "posthorn.endpoint.disabled", "/type");
    await refused("operator", "posthorn.endpoint.disabled", "/type");
    assert.equal((await world.publish("shop", "posthorns.sold", {})).kind, "accepted");
  });

  test("is no app that can be published to, by whatever name", async () => {
    const { id } = await world.engine.apps.get("operator");
    for (const app of ["operator", id]) await refused(app, "order.created", "/app");
  });

  test("can be tried with the test button, which reaches one endpoint of whoever presses it", async () => {
    const { id } = await world.endpoint("operator");
    const sent = await world.engine.endpoints.test("operator", id, {
      eventType: "posthorn.endpoint.failing",
    });
    assert.ok(sent.deliveryId);
  });
});
