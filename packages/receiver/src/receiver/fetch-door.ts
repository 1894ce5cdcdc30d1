/** `Request` in, `Response` out: what Bun, Deno, workers, Hono and Next speak. */
import type { Answer, IncomingRequest } from "../schemes/scheme.ts";
import type { ReceiverDoor } from "./door.ts";

type Door = Pick<ReceiverDoor, "bodies" | "receive" | "fail">;

/** @param parsedBy what to do when the body was read before, for the error */
export async function respond(
  door: Door,
  request: Request,
  parsedBy = "Give the receiver the request before anything calls json(), text() or another of its readers.",
): Promise<Response> {
  try {
    const answer = await door.receive(await readRequest(request, door.bodies, parsedBy));
    return toResponse(answer, request.method);
  } catch (error) {
    return toResponse(door.fail(error), request.method);
  }
}

/**
 * @throws VerificationError `body_too_large`; BodiesFull; TypeError when something read the body before
 */
async function readRequest(
  request: Request,
  bodies: Door["bodies"],
  parsedBy: string,
): Promise<IncomingRequest> {
  if (request.bodyUsed) throw new TypeError(`The body of the request was read already. ${parsedBy}`);
  const { method, url, headers, body: stream } = request;
  const incoming = { method: method.toUpperCase(), url, headers: Object.fromEntries(headers) };
  if (stream === null) return { ...incoming, body: new Uint8Array() };
  const body = await bodies.read(headers.get("content-length"), (add) => readStream(stream, add));
  return { ...incoming, body };
}

async function readStream(
  stream: ReadableStream<Uint8Array>,
  add: (chunk: Uint8Array) => void,
): Promise<void> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      add(value);
    }
  } catch (error) {
    // Nobody reads the rest.
    reader.cancel(error).catch(() => {});
    throw error;
  }
}

/** @param method an answer to HEAD has no body */
function toResponse({ status, headers, body }: Answer, method: string): Response {
  return new Response(body === "" || method === "HEAD" ? null : body, { status, headers });
}
