/** Pages and their cursors. A cursor is the id of the page's last row, as far as not said otherwise. */
import { PosthornError } from "../../../base/errors.ts";
import { type IdKind, isId } from "../../../base/ids.ts";
import type { Page } from "../../store.ts";

export const EMPTY_PAGE: Page<never> = { data: [], nextCursor: null };

/** Of one row more than the page holds: it tells whether there is a next one. */
export function pageOf<Row, Thing>(
  rows: readonly Row[],
  limit: number,
  cursorOf: (row: Row) => string,
  map: (row: Row) => Thing,
): Page<Thing> {
  const shown = rows.slice(0, limit);
  const last = rows.length > limit ? shown.at(-1) : undefined;
  return { data: shown.map(map), nextCursor: last === undefined ? null : cursorOf(last) };
}

/** @throws PosthornError `invalid_field` */
export function checkedCursor(kind: IdKind, cursor: string): string {
  if (isId(kind, cursor)) return cursor;
  throw strangeCursor(cursor);
}

export function strangeCursor(cursor: string): PosthornError {
  return new PosthornError(
    "invalid_field",
    `/cursor is not one that we gave (got "${cursor.slice(0, 40)}").`,
    {
      pointer: "/cursor",
      value: cursor,
    },
  );
}
