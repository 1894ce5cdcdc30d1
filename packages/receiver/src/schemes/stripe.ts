/**
 * Stripe: `Stripe-Signature: t=...,v1=...` holds the unix seconds of the attempt and HMAC-SHA256 signatures in hex over
 * `t.body`. The key is the secret as it stands, `whsec_` included; nothing of it is decoded.
 * Source: https://docs.stripe.com/webhooks#verify-manually
 */
import { linesOf, readHeader } from "../headers.ts";
import { checkRawBody } from "../raw-body.ts";
import { checkTimestamp } from "../timestamp.ts";
import { VerificationError } from "../verification-error.ts";
import { macOf } from "./hmac.ts";
import { bytesOf, isObject, readObject, spliceData, textMember, unixSecondsOf } from "./payload.ts";
import type { Scheme, Verify } from "./scheme.ts";
import { importTextSecrets, isOneOf, parseTextSecret } from "./text-secret.ts";

const MAC = { algorithm: "sha256", encoding: "hex", prefix: "" } as const;

export const stripe: Scheme = {
  name: "stripe",
  strength: "strong",
  signsUrl: false,
  needsSecret: true,
  verifier,
  describe(payload) {
    const event = readObject(payload, "Stripe");
    return {
      id: textMember(event, "id", "Stripe"),
      type: textMember(event, "type", "Stripe"),
      data: dataOf(event),
    };
  },
  parseSecret: parseTextSecret,
  parseSigningSecret: parseTextSecret,
  compose({ id, type, timestamp, data }) {
    const created = unixSecondsOf(timestamp);
    const before = `{"id":${JSON.stringify(id)},"object":"event","api_version":null,"created":${created},"type":${JSON.stringify(type)},"data":{"object":`;
    const after = `},"livemode":true,"pending_webhooks":1,"request":{"id":null,"idempotency_key":null}}`;
    return { contentType: "application/json; charset=utf-8", body: spliceData(before, data, after) };
  },
  sign({ url, contentType, body, timestampSeconds }, secrets) {
    const signatures = importTextSecrets(secrets).map(
      (key) => `v1=${macOf(key, MAC, `${timestampSeconds}.`, body)}`,
    );
    const header = [`t=${timestampSeconds}`, ...signatures].join(",");
    return {
      method: "POST",
      url,
      headers: { "content-type": contentType, "stripe-signature": header },
      body,
    };
  },
};

function verifier(secrets: readonly string[]): Verify {
  const keys = importTextSecrets(secrets);
  return ({ headers, body }, clock) => {
    checkRawBody(body);
    const { timestamp, signatures } = readSignature(readHeader(linesOf(headers), "stripe-signature"));
    const timestampSeconds = checkTimestamp("t of stripe-signature", timestamp, clock);
    if (!keys.some((key) => isOneOf(signatures, macOf(key, MAC, `${timestamp}.`, body)))) {
      throw new VerificationError(
        "no_matching_signature",
        signatures.length === 0
          ? "stripe-signature has no v1 entry. Check that the request comes from Stripe; v0 entries are not signatures of live events."
          : "No signature matches. Check that the secret is the one of this endpoint (the Stripe CLI has another) and that the body is byte for byte as received.",
      );
    }
    return { kind: "event", payload: bytesOf(body), timestampSeconds, acknowledgement: null };
  };
}

/** Entries of other versions, such as the `v0` of test events, are skipped. */
function readSignature(header: string): {
  readonly timestamp: string;
  readonly signatures: readonly string[];
} {
  const valuesOf = (name: string) =>
    header
      .split(",")
      .filter((entry) => entry.startsWith(`${name}=`))
      .map((entry) => entry.slice(name.length + 1));
  const [timestamp, ...more] = valuesOf("t");
  if (timestamp !== undefined && more.length === 0) return { timestamp, signatures: valuesOf("v1") };
  throw new VerificationError(
    "invalid_header",
    "stripe-signature must hold exactly one t=<unix seconds>, as in t=1700000000,v1=<hex>.",
  );
}

/** Of a snapshot event its object; of a thin one its `data`, or else what it is about. */
function dataOf({ data, related_object }: { readonly [name: string]: unknown }): unknown {
  if (isObject(data) && "object" in data) return data.object;
  return data ?? related_object ?? null;
}
