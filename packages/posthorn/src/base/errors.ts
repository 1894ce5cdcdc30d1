/**
 * The one table of what can go wrong, as seen from outside. docs/errors.md shows the same table; a test keeps them equal.
 * `status` is the HTTP status that a door answers with.
 */
export const ERRORS = {
  invalid_json: { status: 400, title: "The body is not valid JSON" },
  invalid_utf8: { status: 400, title: "The body is not valid UTF-8" },
  too_deep: { status: 400, title: "The JSON is nested too deeply" },
  duplicate_key: { status: 400, title: "An object in the JSON has the same key twice" },
  unauthorized: { status: 401, title: "A valid API key is required" },
  cross_site: { status: 403, title: "The request comes from another site" },
  forbidden: { status: 403, title: "This key may not do that" },
  not_found: { status: 404, title: "There is no such thing" },
  method_not_allowed: { status: 405, title: "This address does not know that method" },
  request_timeout: { status: 408, title: "The request took too long to arrive" },
  uid_taken: { status: 409, title: "This uid is already in use" },
  name_taken: { status: 409, title: "This name is already in use" },
  idempotency_conflict: { status: 409, title: "This key was used with another request" },
  state_conflict: { status: 409, title: "Its state does not allow that" },
  changed_meanwhile: { status: 409, title: "It was changed by someone else meanwhile" },
  payload_too_large: { status: 413, title: "The payload is too large" },
  batch_too_large: { status: 413, title: "The batch is too large" },
  unsupported_media_type: { status: 415, title: "This content type is not understood" },
  invalid_field: { status: 422, title: "A field has a value that cannot be used" },
  unknown_field: { status: 422, title: "A field is not known here" },
  missing_field: { status: 422, title: "A required field is missing" },
  unknown_event_type: { status: 422, title: "The event type is not registered" },
  schema_mismatch: { status: 422, title: "The data does not match the event type's schema" },
  invalid_schema: { status: 422, title: "The JSON Schema cannot be used" },
  invalid_filter: { status: 422, title: "The filter cannot be used" },
  invalid_url: { status: 422, title: "The URL cannot be used" },
  invalid_retry_schedule: { status: 422, title: "The retry schedule cannot be used" },
  invalid_deliver_at: { status: 422, title: "The delivery time cannot be used" },
  invalid_certificate: { status: 422, title: "The certificate or its key cannot be used" },
  limit_reached: { status: 422, title: "A limit is reached" },
  quota_exceeded: { status: 429, title: "The events of this day are used up" },
  rate_limited: { status: 429, title: "Too many requests" },
  internal: { status: 500, title: "Something went wrong on our side" },
  loop_detected: { status: 508, title: "The event has come through too many webhooks" },
  overloaded: { status: 503, title: "Too much is waiting; nothing was stored" },
  storage_full: { status: 503, title: "The disk is nearly full; nothing was stored" },
  store_unavailable: {
    status: 503,
    title: "The store cannot be reached; what was asked may or may not have been done",
  },
  stopping: { status: 503, title: "The server is stopping; nothing was stored" },
  held: { status: 503, title: "The server is held; nothing was stored" },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof ERRORS;

export interface ErrorFacts {
  /** RFC 6901 pointer to the field in the caller's input, `""` for the whole. */
  pointer?: string;
  /** The value that was refused. Shown cut to 200 characters; never put a secret here. */
  value?: unknown;
  /** Seconds after which trying again makes sense: 429 and 503 only. */
  retryAfterSeconds?: number;
  cause?: unknown;
}

/** An error that a caller may see. `message` names the thing, the value and what to do. */
export class PosthornError extends Error {
  override readonly name = "PosthornError";
  readonly code: ErrorCode;
  readonly pointer: string | undefined;
  readonly value: unknown;
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ErrorCode, message: string, facts: ErrorFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = code;
    this.pointer = facts.pointer;
    this.value = facts.value;
    this.retryAfterSeconds = facts.retryAfterSeconds;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }
}

/** For the end of an exhaustive switch: a value that the types say cannot be. Fails closed. */
export function unreachable(value: never, what: string): never {
  throw new Error(`${what}: unknown value ${JSON.stringify(value)}`);
}

export function notFound(what: string, reference: string): PosthornError {
  return new PosthornError("not_found", `There is no ${what} "${reference.slice(0, 120)}".`, {
    value: reference,
  });
}

/** The text of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
