/** /.well-known/posthorn/jwks.json: the public keys that deliveries are signed with, for whoever receives them. */
import { hash } from "node:crypto";
import { jwkOf } from "@posthorn/receiver";
import { z } from "zod";
import type { Engine, PublicKeyView } from "../../engine/engine.ts";
import { PUBLIC_KEYS_KEPT_MS, PUBLIC_KEYS_MAX, PUBLIC_KEYS_OF_ALL_MAX } from "../../engine/public-keys.ts";
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
      .describe(
        `There are more keys than the ${PUBLIC_KEYS_OF_ALL_MAX} of all apps that were looked at (of one app ${PUBLIC_KEYS_MAX}): ask for those of one app`,
      ),
  })
  .meta({ id: "JwkSet" });

const CACHED = { "cache-control": `public, max-age=${PUBLIC_KEYS_KEPT_MS / 1000}` };

/** What is sent of one list: made once, and as long kept as that is. Serialising 10,000 keys holds the main thread for 25 ms. */
interface Sent {
  readonly body: Buffer;
  readonly etag: string;
}

export function jwksRoutes({ publicKeys }: Pick<Engine, "publicKeys">): Route[] {
  const sent = new WeakMap<readonly PublicKeyView[], Sent>();

  function sentOf(found: readonly PublicKeyView[], max: number): Sent {
    let known = sent.get(found);
    if (known === undefined) {
      const body = Buffer.from(JSON.stringify(keySet(found.slice(0, max), found.length > max)));
      known = { body, etag: `"${hash("sha256", body, "base64url")}"` };
      sent.set(found, known);
    }
    return known;
  }

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
      requestHeaders: { "if-none-match": "The `etag` of an answer that the caller has" },
      answers: [
        { status: 200, description: "The keys", schema: jwksView },
        { status: 304, description: "They are those of `if-none-match`" },
      ],
      async handle({ query: { app, kid }, headers }) {
        const found = await publicKeys(app === undefined ? {} : { app });
        const max = app === undefined ? PUBLIC_KEYS_OF_ALL_MAX : PUBLIC_KEYS_MAX;
        if (kid !== undefined) {
          const at = found.findIndex((key) => key.kid === kid);
          const wanted = at < 0 || at >= max ? [] : found.slice(at, at + 1);
          return json(200, keySet(wanted, found.length > max), CACHED);
        }
        const { body, etag } = sentOf(found, max);
        const known = headers["if-none-match"] === etag;
        return { status: known ? 304 : 200, body: known ? null : body, headers: { ...CACHED, etag } };
      },
    }),
  ];
}

function keySet(keys: readonly PublicKeyView[], isTruncated: boolean) {
  const set = { keys: keys.map(({ publicKey }) => jwkOf(publicKey)) };
  return isTruncated ? { ...set, truncated: true } : set;
}
