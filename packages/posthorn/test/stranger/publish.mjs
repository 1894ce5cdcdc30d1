// What a stranger writes first: the engine in this process, an endpoint on this machine, one event.
import { once } from "node:events";
import { createServer } from "node:http";
import { openPosthorn } from "posthorn";

const receiver = createServer(async (request, response) => {
  const chunks = await request.toArray();
  response.writeHead(204).end(() => receiver.emit("delivered", request.headers, Buffer.concat(chunks)));
}).listen(0, "127.0.0.1");
await once(receiver, "listening");

const posthorn = await openPosthorn({
  dataDir: "./engine-data",
  allowNetworks: ["127.0.0.0/8"],
  allowPorts: "all",
});
const app = await posthorn.apps.create({ name: "Shop" });
await posthorn.endpoints.create(app.id, { url: `http://127.0.0.1:${receiver.address().port}/` });

const delivered = once(receiver, "delivered");
await posthorn.publish({ app: app.id, type: "order.created", data: { order: 1 } });
const [headers, body] = await delivered;
console.log("delivered", JSON.parse(body).type, headers["webhook-id"]);

await posthorn.close();
receiver.close();
receiver.closeAllConnections();
