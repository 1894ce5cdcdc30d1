/** `@posthorn/receiver/hono`, tried with Hono 4. */
import type { ReceiverDoor } from "../receiver/door.ts";
import { respond } from "../receiver/fetch-door.ts";

/** What is needed of a context of Hono. */
export interface HonoContext {
  readonly req: { readonly raw: Request };
}

/** `app.post("/hooks", honoHandler(receiver))`: no middleware before it may call `c.req.json()` and the like. Never rejects. */
export function honoHandler(receiver: ReceiverDoor): (context: HonoContext) => Promise<Response> {
  return (context) =>
    respond(
      receiver,
      context.req.raw,
      "Let no middleware before the receiver call c.req.json(), c.req.text() or c.req.parseBody().",
    );
}
