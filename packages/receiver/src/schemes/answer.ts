/** Answers that providers wait for. */
import type { Answer } from "./scheme.ts";

/** 200 with exactly this text. Parts of a request may be echoed in it, so no browser may take it for a page. */
export function textAnswer(body: string): Answer {
  const headers = { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" };
  return { status: 200, headers, body };
}

export function jsonAnswer(value: unknown): Answer {
  const headers = { "content-type": "application/json; charset=utf-8" };
  return { status: 200, headers, body: JSON.stringify(value) };
}

export function isSuccessStatus(status: number): boolean {
  return status >= 200 && status <= 299;
}
