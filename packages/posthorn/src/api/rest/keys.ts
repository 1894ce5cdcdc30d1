/** /v1/keys: API keys. The secret is shown once, in the answer that makes it. */
import { z } from "zod";
import { KEY_ROLES, type Key, keyCreateSchema } from "../../domain/key.ts";
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
  route,
  timeView,
} from "./route.ts";

const keyView = z
  .object({
    id: z.string(),
    role: z.enum(KEY_ROLES),
    name: z.string(),
    prefix: z.string().describe("The first characters, to tell keys apart"),
    createdAt: timeView,
    expiresAt: maybeTimeView,
    lastUsedAt: maybeTimeView,
  })
  .meta({ id: "Key" });

const newKeyView = keyView
  .extend({ secret: z.string().describe("The key itself, `phk_...`: shown this once") })
  .meta({ id: "NewKey" });

function viewKey(key: Key): z.input<typeof keyView> {
  const { id, role, name, prefix } = key;
  return {
    id,
    role,
    name,
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
        return json(201, { ...viewKey(key), secret }, NO_STORE);
      },
    }),
    route({
      method: "GET",
      path: "/v1/keys",
      tag,
      summary: "List the API keys, newest first",
      access: ADMIN,
      query: pageQuery,
      answers: [{ status: 200, description: "A page of keys", schema: pageOf(keyView) }],
      handle: async ({ query }) => pageAnswer(await keys.list(query), viewKey),
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
