/** /v1/apps/{app}/endpoints: where an app wants its events. */
import { z } from "zod";
import { BREAKER_STATES } from "../../domain/breaker.ts";
import {
  DEAD_LETTER_POLICIES,
  DISABLE_REASONS,
  ENDPOINT_STATUSES,
  endpointCreateSchema,
  endpointUpdateSchema,
  ORDERINGS,
  SCHEMES,
} from "../../domain/endpoint.ts";
import type { Endpoints, EndpointView, Engine } from "../../engine/engine.ts";
import { endpointActionRoutes } from "./endpoint-actions.ts";
import {
  ADMIN,
  iso,
  json,
  maybeTimeView,
  noContent,
  pageAnswer,
  pageOf,
  pageQuery,
  type Route,
  route,
  timeView,
} from "./route.ts";

export const endpointView = z
  .object({
    id: z.string(),
    appId: z.string(),
    uid: z.string().nullable(),
    url: z.string(),
    description: z.string(),
    eventTypes: z
      .array(z.string())
      .describe("Exact names, `order.*` (one segment), `order.**`, `*`; empty: all"),
    channels: z.array(z.string()),
    filter: z.string().nullable().describe("A CEL expression over `event`"),
    headerNames: z.array(z.string()).describe("Of the custom headers; their values are never shown"),
    rateLimitPerSecond: z.number().nullable(),
    inFlightMax: z.number(),
    timeoutMs: z.number(),
    retrySchedule: z.array(z.number()).describe("Seconds after each failed attempt"),
    ordering: z.enum(ORDERINGS),
    onDeadLetter: z.enum(DEAD_LETTER_POLICIES),
    scheme: z.enum(SCHEMES),
    status: z.enum(ENDPOINT_STATUSES),
    disableReason: z.enum(DISABLE_REASONS).nullable(),
    breaker: z.enum(BREAKER_STATES),
    failingForMs: z.number().nullable().describe("For how long every attempt has failed"),
    filterErrors: z.number().describe("Events that the filter could not judge, since the endpoint was made"),
    filterError: z.string().nullable().describe("What the last of these errors said"),
    oldSecretExpiresAt: maybeTimeView.describe("When the outgoing secret of a rotation stops signing"),
    createdAt: timeView,
    updatedAt: timeView,
  })
  .meta({ id: "Endpoint" });

export function viewEndpoint(endpoint: EndpointView): z.input<typeof endpointView> {
  const { id, appId, uid, url, description, filter, rateLimitPerSecond, inFlightMax, timeoutMs } = endpoint;
  const {
    ordering,
    onDeadLetter,
    scheme,
    status,
    disableReason,
    breaker,
    failingForMs,
    filterErrors,
    filterError,
  } = endpoint;
  return {
    id,
    appId,
    uid,
    url,
    description,
    eventTypes: [...endpoint.eventTypes],
    channels: [...endpoint.channels],
    filter,
    headerNames: [...endpoint.headerNames],
    rateLimitPerSecond,
    inFlightMax,
    timeoutMs,
    retrySchedule: [...endpoint.retrySchedule],
    ordering,
    onDeadLetter,
    scheme,
    status,
    disableReason,
    breaker,
    failingForMs,
    filterErrors,
    filterError,
    oldSecretExpiresAt: iso(endpoint.oldSecretExpiresAtMs),
    createdAt: iso(endpoint.createdAtMs),
    updatedAt: iso(endpoint.updatedAtMs),
  };
}

export function endpointRoutes({ endpoints }: Pick<Engine, "endpoints">): Route[] {
  return [...resourceRoutes(endpoints), ...endpointActionRoutes(endpoints, endpointView, viewEndpoint)];
}

function resourceRoutes(endpoints: Endpoints): Route[] {
  const tag = "Endpoints";
  const one = [{ status: 200, description: "The endpoint", schema: endpointView }];
  return [
    route({
      method: "POST",
      path: "/v1/apps/{app}/endpoints",
      tag,
      summary: "Create an endpoint",
      access: ADMIN,
      body: { schema: endpointCreateSchema, required: true },
      answers: [{ status: 201, description: "The new endpoint", schema: endpointView }],
      async handle({ params, json: body }) {
        const endpoint = await endpoints.create(params.app, body());
        const location = `/v1/apps/${endpoint.appId}/endpoints/${endpoint.id}`;
        return json(201, viewEndpoint(endpoint), { location });
      },
    }),
    route({
      method: "GET",
      path: "/v1/apps/{app}/endpoints",
      tag,
      summary: "List an app's endpoints, newest first",
      access: ADMIN,
      query: pageQuery,
      answers: [{ status: 200, description: "A page of endpoints", schema: pageOf(endpointView) }],
      handle: async ({ params, query }) => pageAnswer(await endpoints.list(params.app, query), viewEndpoint),
    }),
    route({
      method: "GET",
      path: "/v1/apps/{app}/endpoints/{endpoint}",
      tag,
      summary: "Show an endpoint",
      access: ADMIN,
      answers: one,
      handle: async ({ params }) => json(200, viewEndpoint(await endpoints.get(params.app, params.endpoint))),
    }),
    route({
      method: "PATCH",
      path: "/v1/apps/{app}/endpoints/{endpoint}",
      tag,
      summary: "Change an endpoint: fields that are given replace, null clears to the default",
      access: ADMIN,
      body: { schema: endpointUpdateSchema, required: true },
      answers: one,
      handle: async ({ params, json: body }) =>
        json(200, viewEndpoint(await endpoints.update(params.app, params.endpoint, body()))),
    }),
    route({
      method: "DELETE",
      path: "/v1/apps/{app}/endpoints/{endpoint}",
      tag,
      summary: "Delete an endpoint; what waits for it is cancelled",
      access: ADMIN,
      answers: [{ status: 204, description: "Deleted" }],
      async handle({ params }) {
        await endpoints.remove(params.app, params.endpoint);
        return noContent;
      },
    }),
  ];
}
