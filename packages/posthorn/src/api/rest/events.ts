/** /v1/events: publish, look up, expunge. */
import { z } from "zod";
import type { Event } from "../../domain/event.ts";
import type { Engine } from "../../engine/engine.ts";
import { publishRoute } from "./publish.ts";
import {
  ADMIN,
  type Answer,
  iso,
  maybeTimeView,
  noContent,
  pageAnswer,
  pageOf,
  pageQuery,
  READ_APP,
  type Route,
  referenceQuery,
  route,
  timeQuery,
  timeView,
} from "./route.ts";

const eventView = z
  .object({
    id: z.string(),
    appId: z.string(),
    type: z.string(),
    uid: z.string().nullable(),
    timestamp: z.string().describe("When it occurred, as it stands in the payload"),
    channels: z.array(z.string()),
    orderingKey: z.string().nullable(),
    deliverAt: maybeTimeView,
    payloadBytes: z.number(),
    fanOut: z.enum(["done", "pending"]),
    acceptedAt: timeView,
    expungedAt: maybeTimeView,
  })
  .meta({ id: "Event" });

const eventWithDataView = eventView
  .extend({ data: z.unknown().describe("Byte for byte as it was accepted; null once expunged") })
  .meta({ id: "EventWithData" });

function viewEvent(event: Event): z.input<typeof eventView> {
  const { id, appId, eventType, uid, timestamp, channels, orderingKey, payloadBytes, fanOut } = event;
  return {
    id,
    appId,
    type: eventType,
    uid,
    timestamp,
    channels: [...channels],
    orderingKey,
    deliverAt: iso(event.deliverAtMs),
    payloadBytes,
    fanOut,
    acceptedAt: iso(event.acceptedAtMs),
    expungedAt: iso(event.expungedAtMs),
  };
}

/** The event's JSON with the bytes of `data` put in as they are: parsing them would change numbers and the order of keys. */
function eventAnswer(event: Event, data: Uint8Array | null): Answer {
  const head = `${JSON.stringify(viewEvent(event)).slice(0, -1)},"data":`;
  const body = Buffer.concat([Buffer.from(head), data ?? Buffer.from("null"), Buffer.from("}")]);
  return { status: 200, body };
}

const eventQuery = pageQuery.extend({
  app: referenceQuery.optional(),
  type: referenceQuery.optional(),
  since: timeQuery.optional(),
  until: timeQuery.optional(),
});

export function eventRoutes(engine: Pick<Engine, "publish" | "standings" | "events">): Route[] {
  const tag = "Events";
  const { events } = engine;
  return [
    publishRoute(engine),
    route({
      method: "GET",
      path: "/v1/events",
      tag,
      summary: "List events, newest first, without their data",
      access: READ_APP,
      scope: "query",
      query: eventQuery,
      answers: [{ status: 200, description: "A page of events", schema: pageOf(eventView) }],
      handle: async ({ query }) => pageAnswer(await events.list(query), viewEvent),
    }),
    route({
      method: "GET",
      path: "/v1/events/{event}",
      tag,
      summary: "Show an event with its data, exactly as accepted",
      access: READ_APP,
      scope: "within",
      answers: [{ status: 200, description: "The event", schema: eventWithDataView }],
      async handle({ params, within }) {
        const { event, data } = await events.get(params.event, within);
        return eventAnswer(event, data);
      },
    }),
    route({
      method: "DELETE",
      path: "/v1/events/{event}/payload",
      tag,
      summary: "Expunge: the payload's bytes are zeroed, unfinished deliveries cancelled",
      access: ADMIN,
      answers: [{ status: 204, description: "Expunged" }],
      async handle({ params }) {
        await events.expunge(params.event);
        return noContent;
      },
    }),
  ];
}
