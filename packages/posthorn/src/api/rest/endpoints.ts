/** /v1/apps/{app}/endpoints: where an app wants its events. */
import { endpointCreateSchema, endpointUpdateSchema } from "../../domain/endpoint.ts";
import type { Endpoints, Engine } from "../../engine/engine.ts";
import { endpointActionRoutes } from "./endpoint-actions.ts";
import { endpointView, viewEndpoint } from "./endpoint-view.ts";
import {
  json,
  MANAGE_APP,
  noContent,
  pageAnswer,
  pageOf,
  pageQuery,
  READ_APP,
  type Route,
  route,
} from "./route.ts";

export function endpointRoutes({ endpoints }: Pick<Engine, "endpoints">): Route[] {
  return [...resourceRoutes(endpoints), ...endpointActionRoutes(endpoints)];
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
      access: MANAGE_APP,
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
      access: READ_APP,
      query: pageQuery,
      answers: [{ status: 200, description: "A page of endpoints", schema: pageOf(endpointView) }],
      handle: async ({ params, query }) => pageAnswer(await endpoints.list(params.app, query), viewEndpoint),
    }),
    route({
      method: "GET",
      path: "/v1/apps/{app}/endpoints/{endpoint}",
      tag,
      summary: "Show an endpoint",
      access: READ_APP,
      answers: one,
      handle: async ({ params }) => json(200, viewEndpoint(await endpoints.get(params.app, params.endpoint))),
    }),
    route({
      method: "PATCH",
      path: "/v1/apps/{app}/endpoints/{endpoint}",
      tag,
      summary: "Change an endpoint: fields that are given replace, null clears to the default",
      access: MANAGE_APP,
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
      access: MANAGE_APP,
      answers: [{ status: 204, description: "Deleted" }],
      async handle({ params }) {
        await endpoints.remove(params.app, params.endpoint);
        return noContent;
      },
    }),
  ];
}
