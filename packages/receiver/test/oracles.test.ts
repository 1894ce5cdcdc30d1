// The official packages of Standard Webhooks and of Svix as judges: they take what our schemes sign, and we take what they sign.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Webhook as StandardOracle } from "standardwebhooks";
import { Webhook as SvixOracle } from "svix";
import { gitlabSigning, type Scheme, standard, svix, VerificationError } from "../src/index.ts";

interface Oracle {
  sign(id: string, at: Date, body: string): string;
  verify(body: string, headers: Record<string, string>): unknown;
}
interface Pairing {
  readonly scheme: Scheme;
  readonly headers: "webhook" | "svix";
  readonly oracle: (secret: string) => Oracle;
}
const pairings: Readonly<Record<string, Pairing>> = {
  "standard and standardwebhooks": {
    scheme: standard,
    headers: "webhook",
    oracle: (secret) => new StandardOracle(secret),
  },
  "standard and svix": { scheme: standard, headers: "webhook", oracle: (secret) => new SvixOracle(secret) },
  "svix and svix": { scheme: svix, headers: "svix", oracle: (secret) => new SvixOracle(secret) },
  "gitlab-signing and standardwebhooks": {
    scheme: gitlabSigning,
    headers: "webhook",
    oracle: (secret) => new StandardOracle(secret),
  },
};

const secrets = fc
  .uint8Array({ minLength: 1, maxLength: 80 })
  .map((bytes) => `whsec_${Buffer.from(bytes).toString("base64")}`);
/** One bit away; two secrets at random may be the same key, since HMAC fills a short one up with zeros. */
function neighbourOf(secret: string): string {
  const bytes = Buffer.from(secret.slice("whsec_".length), "base64");
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  return `whsec_${bytes.toString("base64")}`;
}
const ids = fc.stringMatching(/^(evt|msg)_[A-Za-z0-9]{1,30}$/);
// One of the oracles reads it as JSON.
const data = fc.json({ maxDepth: 3 });
const url = "https://receiver.example/hooks";

for (const [names, { scheme, headers: prefix, oracle }] of Object.entries(pairings)) {
  describe(names, () => {
    const nowSeconds = () => Math.floor(Date.now() / 1000);
    const clock = () => ({ nowSeconds: nowSeconds(), toleranceSeconds: 300 });
    const event = (id: string, json: string) => ({
      ...{ id, type: "order.created", timestamp: "2023-11-14T22:13:20Z", data: Buffer.from(json) },
    });

    test("it takes what we sign, and refuses it with another secret", () => {
      fc.assert(
        fc.property(secrets, ids, data, (secret, id, json) => {
          const { contentType, body } = scheme.compose(event(id, json));
          const input = { id, type: "order.created", contentType, body, url, timestampSeconds: nowSeconds() };
          const signed = scheme.sign(input, [secret]);
          const text = Buffer.from(signed.body).toString();
          oracle(secret).verify(text, { ...signed.headers });
          assert.throws(() => oracle(neighbourOf(secret)).verify(text, { ...signed.headers }));
        }),
      );
    });
    test("during a rotation it takes what we sign with both secrets, with either", () => {
      const [old, next] = ["whsec_b2xkLXNlY3JldC1vbGQ=", "whsec_bmV3LXNlY3JldC1uZXc="] as const;
      const { contentType, body } = scheme.compose(event("evt_1", "{}"));
      const input = { id: "evt_1", type: "a", contentType, body, url, timestampSeconds: nowSeconds() };
      const { headers } = scheme.sign(input, [next, old]);
      for (const secret of [old, next]) oracle(secret).verify(Buffer.from(body).toString(), { ...headers });
    });
    test("we take what it signs, and refuse it with one character more", () => {
      fc.assert(
        fc.property(secrets, ids, data, (secret, id, body) => {
          const at = new Date(nowSeconds() * 1000);
          const headers = {
            [`${prefix}-id`]: id,
            [`${prefix}-timestamp`]: String(at.getTime() / 1000),
            [`${prefix}-signature`]: oracle(secret).sign(id, at, body),
          };
          const verify = scheme.verifier([secret]);
          const verified = verify({ method: "POST", url, headers, body }, clock());
          assert.ok(verified.kind === "event");
          assert.equal(Buffer.from(verified.payload).toString(), body);
          assert.throws(
            () => verify({ method: "POST", url, headers, body: `${body} ` }, clock()),
            (error) => error instanceof VerificationError && error.code === "no_matching_signature",
          );
        }),
      );
    });
  });
}
