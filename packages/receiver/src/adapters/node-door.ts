/** From a request of node:http to the receiver, and the answer back to whoever sends it on. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { BodiesFull } from "../receiver/body-limit.ts";
import type { ReceiverDoor } from "../receiver/door.ts";
import type { Answer } from "../schemes/scheme.ts";
import { VerificationError } from "../verification-error.ts";
import { type RawStreamOptions, readRawRequest, SenderGone } from "./raw-stream.ts";

/** @returns null when the sender went away and waits for no answer */
export async function answerTo(
  receiver: ReceiverDoor,
  request: IncomingMessage,
  options: Omit<RawStreamOptions, "bodies">,
): Promise<Answer | null> {
  try {
    const { bodies } = receiver;
    return await receiver.receive(await readRawRequest(request, { bodies, ...options }));
  } catch (error) {
    if (error instanceof SenderGone) return null;
    return closing(receiver.fail(error), error);
  }
}

/** What is left of a body that nobody reads is not worth waiting for. */
function closing(answer: Answer, error: unknown): Answer {
  const isLeftUnread =
    error instanceof BodiesFull || (error instanceof VerificationError && error.code === "body_too_large");
  return isLeftUnread ? { ...answer, headers: { ...answer.headers, connection: "close" } } : answer;
}

/** Node itself knows that answers to HEAD, and 204, have no body. */
export function write(response: ServerResponse, { status, headers, body }: Answer): void {
  response.statusCode = status;
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.end(body);
}
