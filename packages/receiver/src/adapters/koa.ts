/** `@posthorn/receiver/koa`, tried with Koa 3. */
import type { IncomingMessage } from "node:http";
import type { ReceiverDoor } from "../receiver/door.ts";
import { answerTo } from "./node-door.ts";

const PARSED_BY = "Use the receiver before koa-bodyparser, koa-body and other body parsers.";

/** What is needed of a context of Koa. */
export interface KoaContext {
  readonly req: IncomingMessage;
  status: number;
  body: unknown;
  set(headers: { [name: string]: string }): void;
  remove(name: string): void;
}

/** `router.post("/hooks", koaHandler(receiver))`, before any body parser. Never rejects. */
export function koaHandler(receiver: ReceiverDoor): (context: KoaContext) => Promise<void> {
  return async (context) => {
    const answer = await answerTo(receiver, context.req, { parsedBy: PARSED_BY });
    if (answer === null) return;
    const { status, headers, body } = answer;
    context.status = status;
    context.set(headers);
    context.body = body;
    // Koa gives every text a type, an empty one too.
    if (!("content-type" in headers)) context.remove("content-type");
  };
}
