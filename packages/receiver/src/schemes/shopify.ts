/**
 * Shopify: `X-Shopify-Hmac-Sha256` is the HMAC-SHA256 of the body in base64. It wants its answer within 5 s.
 * Source: https://shopify.dev/docs/apps/build/webhooks/subscribe/https
 */
import { readHeader } from "../headers.ts";
import { type MacHeader, macOf, parseChosenSecret, verifyBodyMac } from "./hmac.ts";
import { readJson } from "./payload.ts";
import type { Scheme } from "./scheme.ts";
import { importTextSecrets } from "./text-secret.ts";

const SIGNATURE: MacHeader = {
  header: "x-shopify-hmac-sha256",
  algorithm: "sha256",
  encoding: "base64",
  prefix: "",
};

export const shopify: Scheme = {
  name: "shopify",
  strength: "strong",
  signsUrl: false,
  needsSecret: true,
  verifier: (secrets) => verifyBodyMac(secrets, SIGNATURE),
  /** The type is the topic, such as `orders/create`. Ids in the data go beyond 2^53: they are exact only in the payload. */
  describe: (payload, headers) => ({
    id: readHeader(headers, "x-shopify-webhook-id"),
    type: readHeader(headers, "x-shopify-topic"),
    data: readJson(payload, "Shopify"),
  }),
  parseSecret: parseChosenSecret,
  parseSigningSecret: parseChosenSecret,
  compose: ({ data }) => ({ contentType: "application/json", body: data }),
  sign({ id, type, url, contentType, body }, secrets) {
    const [key] = importTextSecrets(secrets);
    const headers = {
      "content-type": contentType,
      "x-shopify-topic": type,
      "x-shopify-webhook-id": id,
      [SIGNATURE.header]: macOf(key, SIGNATURE, body),
    };
    return { method: "POST", url, headers, body };
  },
};
