/** What can be done to an endpoint: its secret, its status, a test event, a replay. */
import { z } from "zod";
import { secretRotateSchema } from "../../domain/endpoint.ts";
import { replayCreateSchema } from "../../domain/replay.ts";
import type { EndpointAction, Endpoints, EndpointView } from "../../engine/engine.ts";
import { replayView, viewReplay } from "./replays.ts";
import { ADMIN, json, NO_STORE, type Route, route } from "./route.ts";

const secretView = z.object({ secret: z.string().describe("`whsec_...`") }).meta({ id: "Secret" });
const testView = z.object({ eventId: z.string(), deliveryId: z.string() }).meta({ id: "TestEvent" });
const dryRunView = z
  .object({
    dryRun: z.literal(true),
    examined: z.number().describe("Events in the window"),
    matching: z.number().describe("Deliveries that the replay would make"),
  })
  .meta({ id: "ReplayDryRun" });

const ACTIONS: Readonly<Record<EndpointAction, string>> = {
  enable: "Enable an endpoint; what waits for it is attempted, with a ramp",
  disable: "Disable an endpoint: new events make no delivery, waiting ones are held until their deadline",
  pause: "Pause an endpoint: deliveries are made and held",
  resume: "Resume a paused endpoint, with a ramp",
};

export function endpointActionRoutes(
  endpoints: Endpoints,
  endpointView: z.ZodType,
  viewEndpoint: (endpoint: EndpointView) => unknown,
): Route[] {
  const tag = "Endpoints";
  const secret = [{ status: 200, description: "The signing secret", schema: secretView }];
  return [
    route({
      method: "GET",
      path: "/v1/apps/{app}/endpoints/{endpoint}/secret",
      tag,
      summary: "Reveal the signing secret",
      access: ADMIN,
      answers: secret,
      handle: async ({ params }) =>
        json(200, { secret: await endpoints.secret(params.app, params.endpoint) }, NO_STORE),
    }),
    route({
      method: "POST",
      path: "/v1/apps/{app}/endpoints/{endpoint}/secret/rotate",
      tag,
      summary: "Change the signing secret; the old one signs along until the overlap ends",
      access: ADMIN,
      body: { schema: secretRotateSchema, required: false },
      answers: secret,
      handle: async ({ params, json: body }) => {
        const rotated = await endpoints.rotateSecret(params.app, params.endpoint, body() ?? {});
        return json(200, { secret: rotated }, NO_STORE);
      },
    }),
    ...(Object.keys(ACTIONS) as EndpointAction[]).map((action) =>
      route({
        method: "POST",
        path: `/v1/apps/{app}/endpoints/{endpoint}/${action}`,
        tag,
        summary: ACTIONS[action],
        access: ADMIN,
        answers: [{ status: 200, description: "The endpoint", schema: endpointView }],
        handle: async ({ params }) =>
          json(200, viewEndpoint(await endpoints.act(params.app, params.endpoint, action))),
      }),
    ),
    route({
      method: "POST",
      path: "/v1/apps/{app}/endpoints/{endpoint}/test",
      tag,
      summary: "Send a test event, made of the type's example, to this endpoint alone",
      access: ADMIN,
      body: { schema: z.strictObject({ eventType: z.string() }), required: true },
      answers: [{ status: 202, description: "The event and its delivery", schema: testView }],
      handle: async ({ params, json: body }) =>
        json(202, await endpoints.test(params.app, params.endpoint, body())),
    }),
    route({
      method: "POST",
      path: "/v1/apps/{app}/endpoints/{endpoint}/replay",
      tag,
      summary:
        "Replay stored events; without states: every event of the window that matches the endpoint now",
      access: ADMIN,
      body: { schema: replayCreateSchema, required: true },
      answers: [
        { status: 202, description: "The replay, running", schema: replayView },
        { status: 200, description: "With dryRun: what it would make", schema: dryRunView },
      ],
      async handle({ params, json: body }) {
        const result = await endpoints.replay(params.app, params.endpoint, body());
        if (result.kind === "dry_run") {
          return json(200, { dryRun: true, examined: result.examined, matching: result.matching });
        }
        return json(202, viewReplay(result.replay), { location: `/v1/replays/${result.replay.id}` });
      },
    }),
  ];
}
