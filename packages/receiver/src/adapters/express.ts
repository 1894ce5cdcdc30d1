/** `@posthorn/receiver/express`, tried with Express 5. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ReceiverDoor } from "../receiver/door.ts";
import { nodeHandler } from "./node.ts";

const PARSED_BY =
  'Mount the receiver before express.json() and other body parsers, or put express.raw({ type: "*/*" }) before it on its own path.';

/** `app.post("/hooks", expressHandler(receiver))`, before `app.use(express.json())`. After express.raw() it works, too. Never rejects. */
export function expressHandler(
  receiver: ReceiverDoor,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return nodeHandler(receiver, PARSED_BY);
}
