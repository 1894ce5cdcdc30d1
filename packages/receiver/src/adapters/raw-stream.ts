/** Reads the raw body of a request of Node, which every framework on node:http has underneath. */
import type { IncomingMessage } from "node:http";
import type { Readable } from "node:stream";
import type { ReceiverDoor } from "../receiver/door.ts";
import type { IncomingRequest } from "../schemes/scheme.ts";

/** The sender went away before its body was here: there is nobody to answer. */
export class SenderGone extends Error {
  override readonly name = "SenderGone";
}

export interface RawStreamOptions {
  readonly bodies: ReceiverDoor["bodies"];
  /** What may have read the body before, and what to do about it. */
  readonly parsedBy: string;
  /** What a framework put in place of the body. */
  readonly body?: unknown;
}

/**
 * @throws VerificationError `body_too_large`; BodiesFull; TypeError when something parsed the body before; SenderGone
 */
export async function readRawRequest(
  request: IncomingMessage,
  options: RawStreamOptions,
): Promise<IncomingRequest> {
  const { method = "GET", headers, headersDistinct } = request;
  const { url = "/" } = request;
  return {
    method,
    // Only its query counts: a scheme that signs the URL has it from the receiver's options, as Host is whatever a stranger writes.
    url: `http://receiver.invalid${url.startsWith("/") ? url : `/?${url.split("?", 2)[1] ?? ""}`}`,
    // Line by line where there are lines: joined ones hide that a signature came twice.
    headers: headersDistinct ?? headers,
    body: await readRawBody(request, options),
  };
}

async function readRawBody(
  request: IncomingMessage,
  { bodies, parsedBy, body }: RawStreamOptions,
): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return body;
  if (request.readableDidRead || request.readableEnded) {
    throw new TypeError(
      `The body of the request was read before the receiver got it, and a parsed body cannot be verified. ${parsedBy}`,
    );
  }
  return bodies.read(request.headers["content-length"], (add) => readStream(request, add));
}

/** Not `for await`, which would destroy the connection when it stops early, and with it the answer. */
export function readStream(stream: Readable, add: (chunk: Uint8Array) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (settled: () => void) => {
      stream.off("data", onData).off("end", onEnd).off("error", onGone).off("close", onGone);
      settled();
    };
    const onData = (chunk: Uint8Array) => {
      try {
        add(chunk);
      } catch (error) {
        stream.pause();
        settle(() => reject(error));
      }
    };
    const onEnd = () => settle(resolve);
    const onGone = () => settle(() => reject(new SenderGone("The sender closed the connection.")));
    stream.on("data", onData).on("end", onEnd).on("error", onGone).on("close", onGone);
  });
}
