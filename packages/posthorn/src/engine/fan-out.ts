/** Which endpoints an event goes to: decided once, when it is accepted. */
import type { EventId } from "../base/ids.ts";
import { parseExact } from "../domain/exact-json.ts";
import type { AppRuntime } from "./app-runtime.ts";
import type { EndpointRuntime } from "./endpoint-runtime.ts";
import type { FiguresCounter } from "./figures.ts";

export interface MatchableEvent {
  readonly id: EventId;
  readonly eventType: string;
  readonly timestamp: string;
  readonly channels: readonly string[];
  readonly orderingKey: string | null;
  readonly data: Uint8Array;
}

export function matchingEndpoints(
  app: AppRuntime,
  event: MatchableEvent,
  figures: FiguresCounter,
): readonly EndpointRuntime[] {
  const wanting = app.wanting(event.eventType);
  // The plain case costs nothing beyond the look-up: no channel, no filter, no parsing.
  if (wanting.every((runtime) => runtime.endpoint.channels.length === 0 && runtime.filter === null))
    return wanting;
  const view = filterView(event);
  return wanting.filter((runtime) => matches(runtime, event, view, figures));
}

/** True when a stored event would go to this endpoint now: for replays. */
export function matchesEndpoint(
  runtime: EndpointRuntime,
  event: MatchableEvent,
  figures: FiguresCounter,
): boolean {
  return runtime.wantsType(event.eventType) && matches(runtime, event, filterView(event), figures);
}

type FilterView = ReturnType<typeof filterView>;

function matches(
  runtime: EndpointRuntime,
  event: MatchableEvent,
  view: FilterView,
  figures: FiguresCounter,
): boolean {
  if (!runtime.sharesChannel(event.channels)) return false;
  if (runtime.filter === null) return true;
  const verdict = runtime.filter.matches(view);
  switch (verdict.kind) {
    case "match":
      return true;
    case "no_match":
      return false;
    case "error":
      figures.filterFailed(runtime.endpoint.appId, runtime.endpoint.id, verdict.message);
      return false;
  }
}

/** `event` as a filter sees it. The data is parsed once, by the first filter that looks at it. */
function filterView(event: MatchableEvent) {
  let parsed: { readonly value: unknown } | undefined;
  return {
    id: event.id,
    type: event.eventType,
    timestamp: event.timestamp,
    channels: event.channels,
    ...(event.orderingKey === null ? {} : { orderingKey: event.orderingKey }),
    data: (): unknown => {
      parsed ??= { value: parseExact(event.data) };
      return parsed.value;
    },
  };
}
