/** `@posthorn/receiver/fastify`, tried with Fastify 5. */
import type { IncomingMessage } from "node:http";
import type { ReceiverDoor } from "../receiver/door.ts";
import { answerTo } from "./node-door.ts";

const PARSED_BY =
  "Register fastifyReceiver as a plugin of its own, and let no hook read the request before it.";

/** What is needed of an instance of Fastify. */
export interface FastifyScope {
  addHook(
    name: "onRequest",
    hook: (request: FastifyRequestLike, reply: unknown, done: () => void) => void,
  ): unknown;
  removeAllContentTypeParsers(): void;
  addContentTypeParser(contentType: string, parser: ContentTypeParser): unknown;
  all(
    path: string,
    handler: (request: FastifyRequestLike, reply: FastifyReplyLike) => Promise<unknown>,
  ): unknown;
}

type ContentTypeParser = (
  request: unknown,
  payload: IncomingMessage,
  done: (error: Error | null, body?: unknown) => void,
) => void;

export interface FastifyRequestLike {
  readonly raw: IncomingMessage;
}

export interface FastifyReplyLike {
  code(status: number): this;
  headers(values: { [name: string]: string }): this;
  send(body?: string): this;
  hijack(): this;
}

export interface FastifyReceiverOptions {
  readonly receiver: ReceiverDoor;
  /** `/` when left out, behind the prefix of `register`. */
  readonly path?: string;
}

/** `app.register(fastifyReceiver, { receiver, path: "/hooks" })`. Its scope reads no body, so that the receiver gets it raw; other routes keep their parsers. */
export function fastifyReceiver(
  scope: FastifyScope,
  { receiver, path = "/" }: FastifyReceiverOptions,
  done: () => void,
): void {
  // Fastify answers a malformed one itself. The receiver has the headers from the lines as they came.
  scope.addHook("onRequest", ({ raw }, _reply, done) => {
    delete raw.headers["content-type"];
    done();
  });
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser("*", (_request, _payload, done) => done(null));
  scope.all(path, async (request, reply) => {
    const answer = await answerTo(receiver, request.raw, { parsedBy: PARSED_BY });
    if (answer === null) return reply.hijack();
    const { status, headers, body } = answer;
    return reply
      .code(status)
      .headers(headers)
      .send(body === "" ? undefined : body);
  });
  done();
}
