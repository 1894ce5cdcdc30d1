/** The end of every request: an answer, or a problem. */
import type { FastifyReply, FastifyRequest } from "fastify";
import { PosthornError } from "../../base/errors.ts";
import type { Logger } from "../../base/logger.ts";
import { noRoute } from "./no-route.ts";
import {
  type HttpErrorCode,
  HttpFault,
  httpProblem,
  PROBLEM_CONTENT_TYPE,
  type Problem,
  problemOf,
  publicError,
  retryAfterOf,
} from "./problem.ts";
import { NDJSON } from "./publish.ts";
import type { Answer } from "./route.ts";
import { NOSNIFF } from "./security-headers.ts";

const JSON_CONTENT_TYPE = "application/json; charset=utf-8";

export function sendAnswer(reply: FastifyReply, { status, body, contentType, headers }: Answer): void {
  reply.code(status);
  if (headers !== undefined) reply.headers(headers);
  if (body === null) reply.send();
  else reply.header("content-type", contentType ?? JSON_CONTENT_TYPE).send(body);
}

export function sendError(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  logger: Logger,
): void {
  // Once more: what the router refuses has not passed the gate.
  reply.header("x-request-id", request.id).headers(NOSNIFF);
  const httpError = httpErrorOf(error);
  if (httpError !== undefined) {
    const detail = error instanceof Error ? error.message : "The request is not valid HTTP.";
    sendProblem(reply, httpProblem(httpError, detail, request.id));
    return;
  }
  const shown = publicError(fromFastify(error, request));
  if (shown.code === "internal") {
    logger.error({ requestId: request.id, error: stackOf(shown.cause) }, "request.failed");
  }
  if (shown.code === "unauthorized") reply.header("www-authenticate", 'Bearer realm="posthorn"');
  const retryAfterSeconds = retryAfterOf(shown);
  if (retryAfterSeconds !== undefined) reply.header("retry-after", String(retryAfterSeconds));
  sendProblem(reply, problemOf(shown, request.id));
}

function sendProblem(reply: FastifyReply, problem: Problem): void {
  reply.code(problem.status).header("content-type", PROBLEM_CONTENT_TYPE).send(JSON.stringify(problem));
}

/** A bad URL, a length that does not fit, a body whose sender went away. */
function httpErrorOf(error: unknown): HttpErrorCode | undefined {
  if (error instanceof HttpFault) return error.httpCode;
  const { code, statusCode } = error as { readonly code?: unknown; readonly statusCode?: unknown };
  if (code === "ECONNRESET") return "malformed_request";
  return String(code).startsWith("FST_ERR") && statusCode === 400 ? "malformed_request" : undefined;
}

function fromFastify(error: unknown, request: FastifyRequest): unknown {
  const { code, statusCode } = error as { readonly code?: unknown; readonly statusCode?: unknown };
  // A parameter longer than any id or uid.
  if (statusCode === 414) return noRoute(request.url);
  if (code !== "FST_ERR_CTP_INVALID_MEDIA_TYPE") return error;
  const value = request.headers["content-type"] ?? null;
  const message = `Send application/json or, to publish, ${NDJSON}. (got ${value})`;
  return new PosthornError("unsupported_media_type", message, { pointer: "/content-type", value });
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
