/** /.well-known/posthorn/jwks.json: the public keys that deliveries are signed with, for whoever receives them. */
import { jwkOf } from "@posthorn/receiver";
import { z } from "zod";
import type { Engine } from "../../engine/engine.ts";
import { PUBLIC_KEYS_KEPT_MS, PUBLIC_KEYS_MAX } from "../../engine/public-keys.ts";
import { json, type Route, referenceQuery, route } from "./route.ts";

const jwksView = z
  .object({
    keys: z.array(
      z.object({
        kty: z.literal("OKP"),
        crv: z.literal("Ed25519"),
        x: z.string(),
        kid: z.string(),
        use: z.literal("sig"),
        alg: z.literal("EdDSA"),
      }),
    ),
    truncated: z
      .literal(true)
      .optional()
      .describe(`There are more than ${PUBLIC_KEYS_MAX} keys: ask for those of one app`),
  })
  .meta({ id: "JwkSet" });

const CACHED = { "cache-control": `public, max-age=${PUBLIC_KEYS_KEPT_MS / 1000}` };

export function jwksRoutes({ publicKeys }: Pick<Engine, "publicKeys">): Route[] {
  return [
    route({
      method: "GET",
      path: "/.well-known/posthorn/jwks.json",
      tag: "Public keys",
      summary: "The public keys of signatures, as a JWK set (RFC 7517)",
      access: "open",
      audited: false,
      query: z.strictObject({
        app: referenceQuery.optional().meta({ description: "Only those of one app, by id or uid" }),
        kid: referenceQuery.optional().meta({ description: "Only this one: the keyid of a signature" }),
      }),
      answers: [{ status: 200, description: "The keys", schema: jwksView }],
      async handle({ query: { app, kid } }) {
        const found = await publicKeys(app === undefined ? {} : { app });
        const all = found.slice(0, PUBLIC_KEYS_MAX);
        const wanted = kid === undefined ? all : all.filter((key) => key.kid === kid);
        const keys = wanted.map(({ publicKey }) => jwkOf(publicKey));
        return json(200, found.length > all.length ? { keys, truncated: true } : { keys }, CACHED);
      },
    }),
  ];
}
