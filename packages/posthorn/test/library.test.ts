// Posthorn as a library: the engine in this process, through the package's public surface alone.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { type FeedEntry, openPosthorn, type Posthorn, PosthornError } from "../src/index.ts";

describe("the library", () => {
  const dataDir = mkdtempSync(path.join(tmpdir(), "posthorn-library-"));
  const bodies: string[] = [];
  const receiver = createServer(async (request, response) => {
    bodies.push((await buffer(request)).toString());
    response.writeHead(204).end();
  });
  let posthorn: Posthorn;
  before(async () => {
    await once(receiver.listen(0, "127.0.0.1"), "listening");
    posthorn = await openPosthorn({
      dataDir,
      allowNetworks: ["127.0.0.0/8"],
      allowPorts: "all",
      diskReserveBytes: 0,
    });
  });
  after(async () => {
    await posthorn.close();
    receiver.close();
    rmSync(dataDir, { recursive: true });
  });

  test("publishes, delivers, and shows what became of it", async () => {
    const delivered = Promise.withResolvers<void>();
    const entries: FeedEntry[] = [];
    const stop = posthorn.feed.subscribe((entry) => {
      entries.push(entry);
      if (entries.filter(({ kind }) => kind === "attempt").length === 3) delivered.resolve();
    });
    const app = await posthorn.apps.create({ uid: "shop", name: "The shop" });
    const { port } = receiver.address() as AddressInfo;
    const endpoint = await posthorn.endpoints.create("shop", {
      url: `http://127.0.0.1:${port}/`,
      retrySchedule: [],
    });
    assert.match((await posthorn.endpoints.secret("shop", endpoint.id)).secret ?? "", /^whsec_/);

    const timestamp = new Date(0);
    const exact = '{"2":1,"1":2,"n":9007199254740993,"d":1.0}';
    const { id, deliveries } = await posthorn.publish({
      app: app.id,
      type: "order.created",
      timestamp,
      dataJson: exact,
    });
    assert.equal(deliveries, 1);
    const [second, third, refused] = await posthorn.publish([
      { app: "shop", type: "order.created", timestamp, data: { a: 1 } },
      { app: "shop", type: "order.created", timestamp, data: null, uid: "mine" },
      { app: "nobody", type: "order.created", data: 1 },
    ]);
    assert.deepEqual([second?.kind, third?.kind], ["accepted", "accepted"]);
    assert.equal(refused?.kind === "refused" && refused.error.code, "not_found");
    await delivered.promise;
    stop();

    const payload = (data: string) =>
      `{"type":"order.created","timestamp":"1970-01-01T00:00:00.000Z","data":${data}}`;
    assert.deepEqual(bodies.sort(), [payload(exact), payload('{"a":1}'), payload("null")].sort());
    const { data } = await posthorn.events.get(id);
    assert.equal(Buffer.from(data ?? []).toString(), exact);
    assert.equal(
      (await posthorn.publish({ app: "shop", type: "order.created", timestamp, data: null, uid: "mine" }))
        .duplicate,
      true,
    );
  });

  test("throws errors that name the field, the value and what to do", async () => {
    await assert.rejects(posthorn.publish({ app: "shop", type: "not a type", data: 1 }), (error) => {
      assert.ok(error instanceof PosthornError);
      assert.deepEqual([error.code, error.pointer, error.status], ["invalid_field", "/type", 422]);
      assert.match(error.message, /not a type/);
      return true;
    });
    await assert.rejects(openPosthorn({ dataDir, port: 1 } as never), /option port is not known/);
    await assert.rejects(openPosthorn({ dataDir: `${dataDir}-2`, pollMs: 0 }), /pollMs/);
    await assert.rejects(openPosthorn({ dataDir }));
  });
});
