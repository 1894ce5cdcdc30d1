/** Reads what queries have in common: pages, time windows. */
import { PosthornError } from "../base/errors.ts";
import type { AppId } from "../base/ids.ts";
import { DEFAULTS, LIMITS } from "../domain/defaults.ts";
import { timestampSchema } from "../domain/event.ts";
import type { Reference } from "../store/store.ts";
import type { PageQuery } from "./engine.ts";

/** @throws PosthornError `invalid_field` */
export function pageOf(query: PageQuery): { limit: number; cursor?: string } {
  const limit = query.limit ?? DEFAULTS.pageLimit;
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMITS.pageLimitMax) {
    throw new PosthornError(
      "invalid_field",
      `limit must be a whole number from 1 to ${LIMITS.pageLimitMax} (got ${limit}).`,
      {
        pointer: "/limit",
        value: limit,
      },
    );
  }
  return query.cursor === undefined ? { limit } : { limit, cursor: query.cursor };
}

/** @throws PosthornError `invalid_field` */
export function windowOf(query: { since?: string; until?: string }): { sinceMs?: number; untilMs?: number } {
  const window: { sinceMs?: number; untilMs?: number } = {};
  if (query.since !== undefined) window.sinceMs = timeOfField("since", query.since);
  if (query.until !== undefined) window.untilMs = timeOfField("until", query.until);
  return window;
}

/** A thing by its id; of the one app that the caller may see, if there is one: what belongs to another is not found. */
export function referenceTo(id: string, within: AppId | undefined): Reference {
  return within === undefined ? { id } : { id, appId: within };
}

function timeOfField(field: string, text: string): number {
  if (!timestampSchema.safeParse(text).success) {
    throw new PosthornError(
      "invalid_field",
      `${field} must be an ISO 8601 time such as 2026-01-31T12:00:00Z (got "${text.slice(0, 100)}").`,
      {
        pointer: `/${field}`,
        value: text,
      },
    );
  }
  return Date.parse(text);
}
