/** What came over a connection and is no request: answered by hand, because there is no request to answer. */
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { ERRORS, PosthornError } from "../../base/errors.ts";
import { httpProblem, PROBLEM_CONTENT_TYPE, type Problem, problemOf } from "./problem.ts";

interface ClientError extends Error {
  readonly code?: string;
}

/** Fastify's clientErrorHandler. */
export function answerClientError(error: ClientError, socket: Socket): void {
  const broken = error.code === "ECONNRESET" || socket.destroyed || !socket.writable;
  // An answer that has begun cannot be followed by another one: only the end of the connection tells.
  if (broken || answering(socket)) return void socket.destroy();
  endWithProblem(socket, problemFor(error));
}

/** Writes the answer by hand, and ends the connection. */
export function endWithProblem(socket: Duplex, problem: Problem): void {
  const body = JSON.stringify(problem);
  socket.end(
    `HTTP/1.1 ${problem.status} ${REASONS[problem.status] ?? ""}\r\nconnection: close\r\nx-content-type-options: nosniff\r\ncontent-type: ${PROBLEM_CONTENT_TYPE}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  // Node has dropped the connection from its time limits by now: a client that never closes its side would keep it for ever.
  setTimeout(() => socket.destroy(), LINGER_MS).unref();
}

/** For the answer to arrive. */
const LINGER_MS = 1000;

const REASONS: Readonly<Record<number, string>> = {
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
};

function problemFor({ code, message }: ClientError): Problem {
  switch (code) {
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return problemOf(
        new PosthornError(
          "request_timeout",
          `${ERRORS.request_timeout.title}. Send it anew, without pauses.`,
        ),
      );
    case "HPE_HEADER_OVERFLOW":
      return httpProblem(
        "headers_too_large",
        "The headers are larger than 16 KiB. Send fewer or shorter ones.",
      );
    default:
      return httpProblem("malformed_request", `The bytes that came are no HTTP/1.1 request: ${message}.`);
  }
}

/** Node keeps the response under way on its socket. */
function answering(socket: Socket): boolean {
  const { _httpMessage: response } = socket as Socket & {
    _httpMessage?: { readonly headersSent?: boolean } | null;
  };
  return response?.headersSent === true;
}
