import { createReceiver, type Receiver } from "@posthorn/receiver";
import { openPosthorn } from "posthorn";

const posthorn = await openPosthorn({ dataDir: "./typed-data" });
const app = await posthorn.apps.create({ name: "Shop" });
const { id } = await posthorn.publish({ app: app.id, type: "order.created", data: { order: 1 } });
const text: string = id;
// @ts-expect-error the types are there: an event without a type is refused
await posthorn.publish({ app: text, data: {} });

interface Orders {
  "order.created": { total: number };
}
export const receiver: Receiver<Orders> = createReceiver({
  scheme: "github",
  secrets: "a secret",
  handlers: {
    "order.created": (event) => {
      const total: number = event.data.total;
      return total;
    },
    // @ts-expect-error no event has this type
    "order.lost": () => {},
  },
});
