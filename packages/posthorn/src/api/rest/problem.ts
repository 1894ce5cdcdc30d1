/** Errors as RFC 9457 problem documents. What may be a secret is never echoed, whoever wrote the message. */
import { ERRORS, PosthornError } from "../../base/errors.ts";
import { maskSecrets, pointsAtSecret } from "../../base/masking.ts";

export interface Problem {
  /** A relative reference to the page that explains the code. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly requestId?: string;
  readonly retryAfterSeconds?: number;
  /** The field at fault (RFC 6901 pointer into the body or the query) and its value. */
  readonly errors?: readonly {
    readonly pointer: string;
    readonly value?: unknown;
    readonly detail: string;
  }[];
}

export const PROBLEM_CONTENT_TYPE = "application/problem+json; charset=utf-8";

/** What HTTP itself refuses, before a request reaches a route. docs/errors.md lists these with the table of `base/errors.ts`. */
export const HTTP_ERRORS = {
  malformed_request: { status: 400, title: "The request is not valid HTTP" },
  headers_too_large: { status: 431, title: "The request's headers are too large" },
} as const;
export type HttpErrorCode = keyof typeof HTTP_ERRORS;

/** A request that is against the rules of HTTP, found by ourselves. */
export class HttpFault extends Error {
  readonly httpCode: HttpErrorCode;

  constructor(httpCode: HttpErrorCode, message: string) {
    super(message);
    this.httpCode = httpCode;
  }
}

export function problemOf(error: PosthornError, requestId?: string): Problem {
  const { status, title } = ERRORS[error.code];
  const detail = safeDetail(error);
  return {
    type: `/docs/errors#${error.code}`,
    title,
    status,
    detail,
    code: error.code,
    ...(requestId === undefined ? {} : { requestId }),
    ...(retryAfterOf(error) === undefined ? {} : { retryAfterSeconds: retryAfterOf(error) }),
    ...(error.pointer === undefined
      ? {}
      : { errors: [{ pointer: maskSecrets(error.pointer), ...shownValue(error), detail }] }),
  };
}

export function httpProblem(code: HttpErrorCode, detail: string, requestId?: string): Problem {
  const { status, title } = HTTP_ERRORS[code];
  return {
    type: `/docs/errors#${code}`,
    title,
    status,
    detail: maskSecrets(detail),
    code,
    ...(requestId === undefined ? {} : { requestId }),
  };
}

/** Seconds for `Retry-After`: on 429 and 503 always, so that nobody has to guess. */
export function retryAfterOf(error: PosthornError): number | undefined {
  if (error.status !== 429 && error.status !== 503) return undefined;
  return Math.max(1, Math.ceil(error.retryAfterSeconds ?? 1));
}

/** What was thrown, as an error that a caller may see: anything unforeseen is `internal`, and its text stays here. */
export function publicError(error: unknown): PosthornError {
  if (error instanceof PosthornError) return error;
  return new PosthornError(
    "internal",
    "Something went wrong on our side. Quote the requestId when you report it.",
    {
      cause: error,
    },
  );
}

/** Messages end with the value, ` (got ...)`: it is put there anew, in a form that is safe to show. */
function safeDetail(error: PosthornError): string {
  const message = error.message.replace(/ \(got [\s\S]*\)$/, "");
  if (message === error.message) return maskSecrets(withoutValue(message, error));
  const { value } = shownValue(error);
  return maskSecrets(value === undefined ? message : `${message} (got ${JSON.stringify(value)})`);
}

function withoutValue(message: string, error: PosthornError): string {
  const { pointer, value } = error;
  const secret =
    pointer !== undefined && pointsAtSecret(pointer) && typeof value === "string" && value !== "";
  return secret && error.code !== "unknown_field" ? message.replaceAll(value, "***") : message;
}

const VALUE_CHARACTERS_MAX = 200;

function shownValue({ pointer, value, code }: PosthornError): { value?: unknown } {
  if (value === undefined) return {};
  // The value of `unknown_field` is the field's name.
  if (pointer !== undefined && pointsAtSecret(pointer) && code !== "unknown_field") return {};
  if (typeof value === "number" || typeof value === "boolean" || value === null) return { value };
  const text = typeof value === "string" ? value : JSON.stringify(value, hideSecrets);
  if (text === undefined) return {};
  const masked = maskSecrets(text);
  return {
    value: masked.length > VALUE_CHARACTERS_MAX ? `${masked.slice(0, VALUE_CHARACTERS_MAX)}...` : masked,
  };
}

function hideSecrets(key: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  return pointsAtSecret(`/${key}`) ? "***" : value;
}
