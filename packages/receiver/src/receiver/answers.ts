/** What goes back to the sender. Of one kind of failure the answer is the same to the byte, whatever was behind it: no oracle. */
import type { Answer } from "../schemes/scheme.ts";
import type { VerificationError } from "../verification-error.ts";
import type { Control } from "./control.ts";

export const OK: Answer = { status: 200, headers: {}, body: "" };

export interface Refusal {
  readonly status: number;
  /** Stable. VerificationErrorCode, or one of those below. */
  readonly code: string;
  /** Nothing of the receiver's insides: strangers read it. */
  readonly message: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const BUSY_RETRY_SECONDS = 5;
const UNAVAILABLE_RETRY_SECONDS = 30;

/** As many are under way as may be, the receiver closes, or another process works at this very event. */
export const BUSY: Refusal = {
  status: 503,
  code: "busy",
  message: "The receiver takes nothing at this moment. Send it again later.",
  headers: { "retry-after": String(BUSY_RETRY_SECONDS) },
};

/** A processor, or the store of what was handled, cannot work. */
export const UNAVAILABLE: Refusal = {
  status: 503,
  code: "unavailable",
  message: "What the receiver writes to is not available. Send it again later.",
  headers: { "retry-after": String(UNAVAILABLE_RETRY_SECONDS) },
};

export const FAILED: Refusal = { status: 500, code: "handler_failed", message: "The handler failed." };

/** Not the request's fault: the receiver is built in wrongly, or has a fault. Its log says more. */
export const BROKEN: Refusal = { status: 500, code: "internal_error", message: "The receiver failed." };

/** It can never be processed, and there are no dead letters to keep it: the sender does. */
export const UNPROCESSABLE: Refusal = {
  status: 422,
  code: "unprocessable",
  message: "The event can never be processed.",
  headers: { "webhook-delivery": "abort-message" },
};

export const UNHANDLED: Refusal = {
  status: 422,
  code: "unhandled_type",
  message: "The receiver has no handler for this type of event.",
};

export function wrongMethod(allow: string): Refusal {
  return {
    status: 405,
    code: "method_not_allowed",
    message: `The receiver takes ${allow}.`,
    headers: { allow },
  };
}

/** 400 for what was signed and cannot be read, 413 for what is too large, 401 for what is not proven to come from the sender. */
export function refusalOf({ code, message }: VerificationError): Refusal {
  const status = code === "body_too_large" ? 413 : code === "invalid_payload" ? 400 : 401;
  return { status, code, message };
}

export function controlled(control: Control): Refusal {
  switch (control.kind) {
    case "retry_after":
      return { ...BUSY, headers: { "retry-after": String(control.seconds) } };
    case "abort":
      return {
        status: 422,
        code: "aborted",
        message: "The receiver never wants this event.",
        headers: { "webhook-delivery": "abort-message" },
      };
    case "disable":
      return {
        status: 410,
        code: "disabled",
        message: "The receiver wants no more events.",
        headers: { "webhook-delivery": "disable" },
      };
  }
}

/** @param body the scheme's own form of a refusal, where it has one */
export function refuse(
  { status, code, message, headers }: Refusal,
  body: ((message: string) => string) | undefined,
): Answer {
  return {
    status,
    headers: { "content-type": "application/json", ...headers },
    body: body === undefined ? JSON.stringify({ code, message }) : body(message),
  };
}
