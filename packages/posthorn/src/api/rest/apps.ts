/** /v1/apps: the tenants. Every `{app}` is an id or a uid. */
import { z } from "zod";
import { type App, appCreateSchema, appUpdateSchema } from "../../domain/app.ts";
import { appLimitsSchema } from "../../domain/limits.ts";
import { ownershipPolicySchema } from "../../domain/ownership.ts";
import type { Engine } from "../../engine/engine.ts";
import {
  ADMIN,
  iso,
  json,
  noContent,
  pageAnswer,
  pageOf,
  pageQuery,
  READ_ALL,
  READ_APP,
  type Route,
  route,
  timeView,
} from "./route.ts";

export const appView = z
  .object({
    id: z.string(),
    uid: z.string().nullable(),
    name: z.string(),
    metadata: z.record(z.string(), z.string()),
    retentionDays: z.number(),
    limits: appLimitsSchema,
    ownershipCheck: ownershipPolicySchema
      .nullable()
      .describe("How its endpoints prove that they want their events; null: as the server has it"),
    createdAt: timeView,
    updatedAt: timeView,
  })
  .meta({ id: "App" });

function viewApp(app: App): z.input<typeof appView> {
  const { id, uid, name, metadata, retentionDays, limits, ownershipCheck } = app;
  return {
    id,
    uid,
    name,
    metadata,
    retentionDays,
    limits,
    ownershipCheck,
    createdAt: iso(app.createdAtMs),
    updatedAt: iso(app.updatedAtMs),
  };
}

export function appRoutes({ apps }: Pick<Engine, "apps">): Route[] {
  const tag = "Apps";
  const one = [{ status: 200, description: "The app", schema: appView }];
  return [
    route({
      method: "POST",
      path: "/v1/apps",
      tag,
      summary: "Create an app",
      access: ADMIN,
      body: { schema: appCreateSchema, required: true },
      answers: [{ status: 201, description: "The new app", schema: appView }],
      async handle(input) {
        const app = await apps.create(input.json());
        return json(201, viewApp(app), { location: `/v1/apps/${app.id}` });
      },
    }),
    route({
      method: "GET",
      path: "/v1/apps",
      tag,
      summary: "List the apps, newest first",
      access: READ_ALL,
      query: pageQuery,
      answers: [{ status: 200, description: "A page of apps", schema: pageOf(appView) }],
      handle: async ({ query }) => pageAnswer(await apps.list(query), viewApp),
    }),
    route({
      method: "GET",
      path: "/v1/apps/{app}",
      tag,
      summary: "Show an app",
      access: READ_APP,
      answers: one,
      handle: async ({ params }) => json(200, viewApp(await apps.get(params.app))),
    }),
    route({
      method: "PATCH",
      path: "/v1/apps/{app}",
      tag,
      summary: "Change an app: fields that are given replace, null clears",
      access: ADMIN,
      body: { schema: appUpdateSchema, required: true },
      answers: one,
      handle: async ({ params, json: body }) => json(200, viewApp(await apps.update(params.app, body()))),
    }),
    route({
      method: "DELETE",
      path: "/v1/apps/{app}",
      tag,
      summary: "Delete an app with its endpoints; what waits for them is cancelled",
      access: ADMIN,
      answers: [{ status: 204, description: "Deleted" }],
      async handle({ params }) {
        await apps.remove(params.app);
        return noContent;
      },
    }),
  ];
}
