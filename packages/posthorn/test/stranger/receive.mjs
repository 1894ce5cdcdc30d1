// A receiver as a stranger writes it: every door of the package, one event, its mark and its row in one commit.
import { DatabaseSync } from "node:sqlite";
import { createReceiver, generateStandardSecret } from "@posthorn/receiver";
import { expressHandler } from "@posthorn/receiver/express";
import { fastifyReceiver } from "@posthorn/receiver/fastify";
import { honoHandler } from "@posthorn/receiver/hono";
import { jweDecryption } from "@posthorn/receiver/jwe";
import { koaHandler } from "@posthorn/receiver/koa";
import { nextHandlers } from "@posthorn/receiver/next";
import { nodeHandler } from "@posthorn/receiver/node";
import { postgresDedupe } from "@posthorn/receiver/postgres";
import { insert } from "@posthorn/receiver/processors";
import { redisDedupe } from "@posthorn/receiver/redis";
import { sqliteDedupe } from "@posthorn/receiver/sqlite";
import { signedRequest } from "@posthorn/receiver/testing";

const doors = { expressHandler, fastifyReceiver, honoHandler, koaHandler, nextHandlers, nodeHandler };
const others = { jweDecryption, postgresDedupe, redisDedupe };
for (const [name, made] of Object.entries({ ...doors, ...others })) {
  if (typeof made !== "function") throw new Error(`${name} is ${typeof made}`);
}

const database = new DatabaseSync(":memory:");
const secret = generateStandardSecret();
const receiver = createReceiver({
  scheme: "standard",
  secrets: secret,
  dedupe: sqliteDedupe(database),
  handlers: {
    "order.*": insert({
      table: "orders",
      columns: { event_id: "$.id", total: { path: "$.data.total", type: "integer" } },
      create: true,
    }),
  },
});
const event = { id: "evt_1", type: "order.created", data: { total: 7 } };
for (let time = 0; time < 2; time += 1) {
  const { status } = await receiver.fetch(signedRequest("standard", secret, event));
  if (status !== 200) throw new Error(`answered ${status}`);
}
await receiver.close();
console.log("received", JSON.stringify(database.prepare("SELECT * FROM orders").all()));
