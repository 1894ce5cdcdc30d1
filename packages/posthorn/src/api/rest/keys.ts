/** /v1/keys: API keys. The secret is shown once, in the answer that makes it. */
import { z } from "zod";
import { KEY_ROLES, type Key, keyCreateSchema } from "../../domain/key.ts";
import { keyLimitsSchema } from "../../domain/limits.ts";
import type { Engine } from "../../engine/engine.ts";
import {
  ADMIN,
  iso,
  json,
  maybeTimeView,
  NO_STORE,
  noContent,
  pageAnswer,
  pageOf,
  pageQuery,
  type Route,
  referenceQuery,
  route,
  timeView,
} from "./route.ts";

export const keyView = z
  .object({
    id: z.string(),
    role: z.enum(KEY_ROLES).describe("What it may do: see docs/security.md"),
    appId: z.string().nullable().describe("The one app of a key with the role `app`"),
    name: z.string(),
    limits: keyLimitsSchema,
    prefix: z.string().describe("The first characters, to tell keys apart"),
    createdAt: timeView,
    expiresAt: maybeTimeView,
    lastUsedAt: maybeTimeView,
  })
  .meta({ id: "Key" });

const newKeyView = keyView
  .extend({ secret: z.string().describe("The key itself, `phk_...`: shown this once") })
  .meta({ id: "NewKey" });

export function viewKey(key: Key): z.input<typeof keyView> {
  const { id, role, appId, name, limits, prefix } = key;
  return {
    id,
    role,
    appId,
    name,
    limits,
    prefix,
    createdAt: iso(key.createdAtMs),
    expiresAt: iso(key.expiresAtMs),
    lastUsedAt: iso(key.lastUsedAtMs),
  };
}

export function keyRoutes({ keys }: Pick<Engine, "keys">): Route[] {
  const tag = "Keys";
  return [
    route({
      method: "POST",
      path: "/v1/keys",
      tag,
      summary: "Create an API key; its secret is shown this once",
      access: ADMIN,
      body: { schema: keyCreateSchema, required: true },
      answers: [{ status: 201, description: "The new key with its secret", schema: newKeyView }],
      async handle(input) {
        const { key, secret } = await keys.create(input.json());
        return json(201, { ...viewKey(key), secret }, { ...NO_STORE, location: `/v1/keys/${key.id}` });
      },
    }),
    route({
      method: "GET",
      path: "/v1/keys",
      tag,
      summary: "List the API keys, newest first",
      access: ADMIN,
      query: pageQuery.extend({ app: referenceQuery.optional() }),
      answers: [{ status: 200, description: "A page of keys", schema: pageOf(keyView) }],
      handle: async ({ query }) => pageAnswer(await keys.list(query), viewKey),
    }),
    route({
      method: "GET",
      path: "/v1/keys/{key}",
      tag,
      summary: "Show an API key, by its id; never its secret",
      access: ADMIN,
      answers: [{ status: 200, description: "The key", schema: keyView }],
      handle: async ({ params }) => json(200, viewKey(await keys.get(params.key))),
    }),
    route({
      method: "DELETE",
      path: "/v1/keys/{key}",
      tag,
      summary: "Revoke an API key, by its id",
      access: ADMIN,
      answers: [{ status: 204, description: "Revoked" }],
      async handle({ params }) {
        await keys.remove(params.key);
        return noContent;
      },
    }),
  ];
}
