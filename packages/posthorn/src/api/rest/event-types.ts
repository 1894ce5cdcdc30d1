/** /v1/event-types: the event catalogue. */
import { z } from "zod";
import { type EventType, eventTypeCreateSchema, eventTypePutSchema } from "../../domain/event-type.ts";
import type { Engine } from "../../engine/engine.ts";
import {
  ADMIN,
  iso,
  json,
  noContent,
  pageAnswer,
  pageOf,
  pageQuery,
  READ_CATALOGUE,
  type Route,
  route,
  timeView,
} from "./route.ts";

const eventTypeView = z
  .object({
    name: z.string(),
    description: z.string(),
    schema: z.unknown().describe("JSON Schema 2020-12 of `data`; null accepts any"),
    example: z.unknown(),
    group: z.string().nullable(),
    deprecated: z.boolean(),
    createdAt: timeView,
    updatedAt: timeView,
  })
  .meta({ id: "EventType" });

function viewEventType(eventType: EventType): z.input<typeof eventTypeView> {
  const { name, description, schema, example, group, deprecated, createdAtMs, updatedAtMs } = eventType;
  const times = { createdAt: iso(createdAtMs), updatedAt: iso(updatedAtMs) };
  return { name, description, schema, example, group, deprecated, ...times };
}

export function eventTypeRoutes({ eventTypes }: Pick<Engine, "eventTypes">): Route[] {
  const tag = "Event types";
  const one = [{ status: 200, description: "The event type", schema: eventTypeView }];
  return [
    route({
      method: "POST",
      path: "/v1/event-types",
      tag,
      summary: "Add an event type to the catalogue",
      access: ADMIN,
      body: { schema: eventTypeCreateSchema, required: true },
      answers: [{ status: 201, description: "The new event type", schema: eventTypeView }],
      async handle(input) {
        const eventType = await eventTypes.create(input.json());
        return json(201, viewEventType(eventType), { location: `/v1/event-types/${eventType.name}` });
      },
    }),
    route({
      method: "GET",
      path: "/v1/event-types",
      tag,
      summary: "List the catalogue by name",
      access: READ_CATALOGUE,
      scope: "catalogue",
      query: pageQuery,
      answers: [{ status: 200, description: "A page of event types", schema: pageOf(eventTypeView) }],
      handle: async ({ query }) => pageAnswer(await eventTypes.list(query), viewEventType),
    }),
    route({
      method: "GET",
      path: "/v1/event-types/{name}",
      tag,
      summary: "Show an event type",
      access: READ_CATALOGUE,
      scope: "catalogue",
      answers: one,
      handle: async ({ params }) => json(200, viewEventType(await eventTypes.get(params.name))),
    }),
    route({
      method: "PUT",
      path: "/v1/event-types/{name}",
      tag,
      summary: "Create or replace an event type",
      access: ADMIN,
      body: { schema: eventTypePutSchema, required: true },
      answers: one,
      handle: async ({ params, json: body }) =>
        json(200, viewEventType(await eventTypes.put(params.name, body()))),
    }),
    route({
      method: "DELETE",
      path: "/v1/event-types/{name}",
      tag,
      summary: "Remove an event type from the catalogue; stored events keep it",
      access: ADMIN,
      answers: [{ status: 204, description: "Removed" }],
      async handle({ params }) {
        await eventTypes.remove(params.name);
        return noContent;
      },
    }),
  ];
}
