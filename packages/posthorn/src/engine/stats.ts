import { notFound, PosthornError } from "../base/errors.ts";
import type { StatsQuery, Store } from "../store/store.ts";
import type { EndpointEdits } from "./endpoint-edits.ts";
import { windowOf } from "./window.ts";

const DAY_MS = 24 * 3_600_000;
/** A series by the minute of more than this is not for reading. */
const WINDOW_MS_MAX = 28 * DAY_MS;

/** Without a window: the last 24 hours. */
export async function readStats(
  store: Store,
  endpoints: Pick<EndpointEdits, "row">,
  appReference: string,
  query: { since?: string; until?: string; endpoint?: string },
) {
  const app = await store.read.find("app", { id: appReference });
  if (app === undefined) throw notFound("app", appReference);
  const { sinceMs: since, untilMs = Date.now() } = windowOf(query);
  const sinceMs = since ?? untilMs - DAY_MS;
  if (sinceMs >= untilMs || untilMs - sinceMs > WINDOW_MS_MAX) {
    throw new PosthornError(
      "invalid_field",
      "since must lie before until, and the window may have at most 28 days.",
      {
        pointer: "/since",
        value: query.since,
      },
    );
  }
  const endpointId =
    query.endpoint === undefined ? undefined : (await endpoints.row(app.id, query.endpoint)).endpoint.id;
  const asked: StatsQuery = {
    appId: app.id,
    sinceMs,
    untilMs,
    ...(endpointId === undefined ? {} : { endpointId }),
  };
  return { ...(await store.read.stats(asked)), sinceMs, untilMs };
}
