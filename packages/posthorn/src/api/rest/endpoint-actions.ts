/** What can be done to an endpoint: its secret, its status, a test event, a replay. */
import { z } from "zod";
import { secretRotateSchema } from "../../domain/endpoint.ts";
import { replayCreateSchema } from "../../domain/replay.ts";
import type { EndpointAction, Endpoints } from "../../engine/engine.ts";
import { endpointView, viewEndpoint } from "./endpoint-view.ts";
import { replayView, viewReplay } from "./replays.ts";
import { json, MANAGE_APP, NO_STORE, type Route, route } from "./route.ts";

const secretsView = z
  .object({
    secret: z
      .string()
      .nullable()
      .describe(
        "`whsec_...`, or what a sender profile has in its place: text, JSON where it has parts; null: the scheme signs with a key alone",
      ),
    publicKey: z
      .string()
      .nullable()
      .describe("`whpk_...`, or PEM for `alipay`; null: the scheme signs with a secret alone"),
    encryptionKey: z
      .string()
      .nullable()
      .describe(
        "Of `dir` encryption: base64url of 32 bytes; null after a rotation, which leaves it as it is",
      ),
  })
  .meta({ id: "Secrets" });
const testView = z.object({ eventId: z.string(), deliveryId: z.string() }).meta({ id: "TestEvent" });
const dryRunView = z
  .object({
    dryRun: z.literal(true),
    examined: z.number().describe("Events looked at, or with states deliveries"),
    matching: z.number().describe("Deliveries that the replay would make"),
    capped: z.boolean().describe("There are more events in the window than the 100,000 that are counted"),
  })
  .meta({ id: "ReplayDryRun" });

const ACTIONS: Readonly<Record<EndpointAction, string>> = {
  enable: "Enable an endpoint; what waits for it is attempted, with a ramp",
  disable: "Disable an endpoint: new events make no delivery, waiting ones are held until their deadline",
  pause: "Pause an endpoint: deliveries are made and held",
  resume: "Resume a paused endpoint, with a ramp",
};

export function endpointActionRoutes(endpoints: Endpoints): Route[] {
  const tag = "Endpoints";
  const secrets = [{ status: 200, description: "What is used from now on", schema: secretsView }];
  return [
    route({
      method: "GET",
      path: "/v1/apps/{app}/endpoints/{endpoint}/secret",
      tag,
      summary: "Reveal what deliveries are signed and encrypted with; the audit log says who did",
      access: MANAGE_APP,
      answers: secrets,
      handle: async ({ params }) => json(200, await endpoints.secret(params.app, params.endpoint), NO_STORE),
    }),
    route({
      method: "POST",
      path: "/v1/apps/{app}/endpoints/{endpoint}/secret/rotate",
      tag,
      summary:
        "Change the signing secret and the signing key; the old ones sign along until the overlap ends",
      access: MANAGE_APP,
      body: { schema: secretRotateSchema, required: false },
      answers: secrets,
      handle: async ({ params, json: body }) =>
        json(200, await endpoints.rotateSecret(params.app, params.endpoint, body() ?? {}), NO_STORE),
    }),
    route({
      method: "POST",
      path: "/v1/apps/{app}/endpoints/{endpoint}/verify",
      tag,
      summary: "Check now whether the endpoint wants its events; what came of it stands in verification",
      access: MANAGE_APP,
      answers: [{ status: 200, description: "The endpoint", schema: endpointView }],
      handle: async ({ params }) =>
        json(200, viewEndpoint(await endpoints.verify(params.app, params.endpoint))),
    }),
    ...(Object.keys(ACTIONS) as EndpointAction[]).map((action) =>
      route({
        method: "POST",
        path: `/v1/apps/{app}/endpoints/{endpoint}/${action}`,
        tag,
        summary: ACTIONS[action],
        access: MANAGE_APP,
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
      access: MANAGE_APP,
      body: { schema: z.strictObject({ eventType: z.string() }), required: true },
      answers: [{ status: 202, description: "The event and its delivery", schema: testView }],
      handle: async ({ params, json: body, key }) =>
        json(202, await endpoints.test(params.app, params.endpoint, body(), key ?? undefined)),
    }),
    route({
      method: "POST",
      path: "/v1/apps/{app}/endpoints/{endpoint}/replay",
      tag,
      summary:
        "Replay stored events; without states: every event of the window that matches the endpoint now",
      access: MANAGE_APP,
      body: { schema: replayCreateSchema, required: true },
      answers: [
        { status: 202, description: "The replay, running", schema: replayView },
        { status: 200, description: "With dryRun: what it would make", schema: dryRunView },
      ],
      async handle({ params, json: body }) {
        const result = await endpoints.replay(params.app, params.endpoint, body());
        if (result.kind === "dry_run") {
          const { examined, matching, capped } = result;
          return json(200, { dryRun: true, examined, matching, capped });
        }
        return json(202, viewReplay(result.replay), { location: `/v1/replays/${result.replay.id}` });
      },
    }),
  ];
}
