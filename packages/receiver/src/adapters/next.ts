/** `@posthorn/receiver/next`: a route handler of the app router of Next. The pages router takes `nodeHandler` of `@posthorn/receiver/node`. */
import type { ReceiverDoor } from "../receiver/door.ts";
import { respond } from "../receiver/fetch-door.ts";

export interface NextHandlers {
  POST(request: Request): Promise<Response>;
  /** For senders that ask with a GET before they send. Next answers HEAD with it, too. */
  GET(request: Request): Promise<Response>;
}

/** In `app/hooks/route.ts`: `export const { POST, GET } = nextHandlers(receiver)`. */
export function nextHandlers(receiver: ReceiverDoor): NextHandlers {
  const handle = (request: Request) =>
    respond(
      receiver,
      request,
      "Let nothing before the receiver call request.json(), request.text() or request.formData().",
    );
  return { POST: handle, GET: handle };
}
