/** `@posthorn/receiver/node`: for node:http and node:https, and for what hands out their requests, such as the pages router of Next. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ReceiverDoor } from "../receiver/door.ts";
import { answerTo, write } from "./node-door.ts";

const PARSED_BY =
  "Let nothing read the request before. In the pages router of Next: export const config = { api: { bodyParser: false } }.";

/** `createServer(nodeHandler(receiver))`. Never rejects. */
export function nodeHandler(
  receiver: ReceiverDoor,
  parsedBy = PARSED_BY,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    try {
      const answer = await answerTo(receiver, request, { parsedBy, body: keptBody(request) });
      // Somebody else may have answered meanwhile, such as a time limit of the server's own.
      if (answer !== null && !response.headersSent) write(response, answer);
    } catch (error) {
      receiver.fail(error);
      response.destroy();
    }
  };
}

/** Raw bytes that were read before: by express.raw(), or by a platform that keeps them as `rawBody` beside what it parsed. */
function keptBody(request: IncomingMessage): unknown {
  const { rawBody, body } = request as { rawBody?: unknown; body?: unknown };
  return rawBody instanceof Uint8Array ? rawBody : body;
}
