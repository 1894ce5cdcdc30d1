/**
 * PayPal: RSA with SHA-256 over `id|time|webhookId|crc32(body)`, the checksum in decimal. `weak`, since a checksum is no hash: whoever
 * holds one signed request can make another body with the same CRC-32, as long as the time of that request counts.
 * Source: https://developer.paypal.com/api/rest/webhooks/rest/#verify-self
 *
 * The certificate is the user's to fetch, from the URL that {@link paypalCertificateUrl} lets through: verifying goes to no network.
 */
import { Buffer } from "node:buffer";
import { type KeyObject, X509Certificate } from "node:crypto";
import { crc32 } from "../crc32.ts";
import { type HeaderLines, type HeadersInput, linesOf, readHeader } from "../headers.ts";
import { checkRawBody } from "../raw-body.ts";
import { checkTimestamp } from "../timestamp.ts";
import { VerificationError } from "../verification-error.ts";
import { bytesOf, type JsonObject, readObject, spliceData, textMember } from "./payload.ts";
import { importRsaPrivateKey, importRsaPublicKey, isCertificate, signRsa, verifyRsa } from "./rsa-sha256.ts";
import type { Clock, Scheme, Verify } from "./scheme.ts";
import { checkParts, checkSome, parseParts, textPart } from "./secret-parts.ts";

export type PayPalSecret = {
  /** As the developer dashboard shows it for this URL: it is signed, but not sent. */
  readonly webhookId: string;
} & (
  | {
      /** PEM; of a chain the first one, which is PayPal's own. It counts while it is valid. */
      readonly certificate: string;
      readonly publicKey?: undefined;
    }
  | {
      /** PEM, in place of a certificate; it counts for ever. */
      readonly publicKey: string;
      readonly certificate?: undefined;
    }
);

export interface PayPalSigningSecret {
  readonly webhookId: string;
  /** PKCS #8, PEM. */
  readonly privateKey: string;
  /** What `paypal-cert-url` says; left out, it is not sent. */
  readonly certificateUrl?: string;
}

const ALGORITHM = "SHA256withRSA";
const HEADER = {
  id: "paypal-transmission-id",
  time: "paypal-transmission-time",
  signature: "paypal-transmission-sig",
  algorithm: "paypal-auth-algo",
  certificateUrl: "paypal-cert-url",
} as const;
const FORM = '{"webhookId": "...", "certificate": "<PEM>"}, or "publicKey" in place of "certificate"';
const SIGNING_FORM = '{"webhookId": "...", "privateKey": "<PEM>"}, and perhaps "certificateUrl"';
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;
const WEBHOOK_ID = /^[A-Za-z0-9]{1,64}$/;

/** As text both secrets are JSON: `{"webhookId","certificate"}` or `{"webhookId","publicKey"}`, and `{"webhookId","privateKey"}`. */
export const paypal: Scheme<PayPalSecret, PayPalSigningSecret> = {
  name: "paypal",
  strength: "weak",
  signsUrl: false,
  needsSecret: true,
  verifier,
  describe(payload) {
    const event = readObject(payload, "PayPal");
    return {
      id: textMember(event, "id", "PayPal"),
      type: textMember(event, "event_type", "PayPal"),
      data: event.resource ?? null,
    };
  },
  parseSecret(text) {
    const secret = parseParts(text, FORM);
    importSecret(secret);
    return secret as unknown as PayPalSecret;
  },
  parseSigningSecret(text) {
    const secret = parseParts(text, SIGNING_FORM);
    importSigningSecret(secret);
    return secret as unknown as PayPalSigningSecret;
  },
  compose({ id, type, timestamp, data }) {
    const before = `{"id":${JSON.stringify(id)},"event_version":"1.0","create_time":${JSON.stringify(timestamp)},"event_type":${JSON.stringify(type)},"resource":`;
    return { contentType: "application/json", body: spliceData(before, data, ',"links":[]}') };
  },
  sign({ id, url, contentType, body, timestampSeconds }, secrets) {
    const { webhookId, key, certificateUrl } = importSigningSecret(checkSome(secrets)[0]);
    const time = new Date(timestampSeconds * 1000).toISOString().replace(".000Z", "Z");
    const headers = {
      "content-type": contentType,
      [HEADER.id]: id,
      [HEADER.time]: time,
      [HEADER.algorithm]: ALGORITHM,
      [HEADER.signature]: signRsa(key, Buffer.from(paypalSignedContent({ id, time, webhookId, body }))),
      ...(certificateUrl === undefined ? {} : { [HEADER.certificateUrl]: certificateUrl }),
    };
    return { method: "POST", url, headers, body };
  },
};

export function paypalSignedContent(parts: {
  readonly id: string;
  readonly time: string;
  readonly webhookId: string;
  readonly body: Uint8Array | string;
}): string {
  return [parts.id, parts.time, parts.webhookId, crc32(bytesOf(parts.body))].join("|");
}

/**
 * Where the certificate of a request is to be had. Whoever sends a request writes this header, so only a URL of PayPal's is returned.
 * @throws VerificationError `missing_header`; `invalid_header` unless it is https on a host below paypal.com
 */
export function paypalCertificateUrl(headers: HeadersInput): string {
  const text = readHeader(linesOf(headers), HEADER.certificateUrl);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPayPal = url?.protocol === "https:" && url.hostname.endsWith(".paypal.com") && url.port === "";
  if (isPayPal && url.username === "" && url.password === "") return url.href;
  throw new VerificationError(
    "invalid_header",
    `${HEADER.certificateUrl} is not an https URL on a host of paypal.com. Whoever wrote it is not PayPal: do not fetch it.`,
  );
}

function verifier(secrets: readonly PayPalSecret[]): Verify {
  const imported = checkSome(secrets).map(importSecret);
  return ({ headers, body }, clock) => {
    checkRawBody(body);
    const lines = linesOf(headers);
    const id = readHeader(lines, HEADER.id);
    const time = readHeader(lines, HEADER.time);
    const timestampSeconds = checkTime(time, clock);
    const signature = readSignature(lines);
    const signers = imported.filter(({ webhookId, key }) =>
      verifyRsa(key, Buffer.from(paypalSignedContent({ id, time, webhookId, body })), signature),
    );
    checkSigners(signers, clock);
    return { kind: "event", payload: bytesOf(body), timestampSeconds, acknowledgement: null };
  };
}

/** Several: a certificate and the one that renews it may have the same key. */
function checkSigners(signers: readonly ImportedSecret[], { nowSeconds }: Clock): void {
  const [first] = signers;
  if (first === undefined) {
    throw new VerificationError(
      "no_matching_signature",
      "The signature does not match. Check the webhook id, that the certificate is the one behind paypal-cert-url (PayPal changes it from time to time), and that the body is byte for byte as received.",
    );
  }
  // Written so that a date which cannot be read, NaN, is none within which anything counts.
  const isValid = ({ validity }: ImportedSecret) =>
    validity === null ||
    (nowSeconds * 1000 >= Date.parse(validity.from) && nowSeconds * 1000 <= Date.parse(validity.to));
  if (signers.some(isValid)) return;
  throw new VerificationError(
    "invalid_key",
    `The certificate is valid from ${first.validity?.from} to ${first.validity?.to}, which is not now. Fetch the one that ${HEADER.certificateUrl} names, or check this machine's clock.`,
  );
}

function readSignature(lines: HeaderLines): string {
  if (readHeader(lines, HEADER.algorithm) === ALGORITHM) return readHeader(lines, HEADER.signature);
  throw new VerificationError("algorithm_mismatch", `${HEADER.algorithm} must be ${ALGORITHM}.`);
}

function checkTime(time: string, clock: Clock): number {
  const ms = ISO_TIME.test(time) ? Date.parse(time) : Number.NaN;
  if (Number.isNaN(ms)) {
    throw new VerificationError("invalid_timestamp", `${HEADER.time} must be a time in ISO 8601.`);
  }
  return checkTimestamp(HEADER.time, String(Math.floor(ms / 1000)), clock);
}

interface ImportedSecret {
  readonly webhookId: string;
  readonly key: KeyObject;
  /** As the certificate writes them, such as `May 18 00:00:00 2026 GMT`; null: for ever. */
  readonly validity: { readonly from: string; readonly to: string } | null;
}

function importSecret(given: unknown): ImportedSecret {
  const secret = checkParts(given, FORM);
  const webhookId = webhookIdOf(secret, FORM);
  if (secret.certificate !== undefined) return { webhookId, ...importCertificate(secret.certificate) };
  if (!isCertificate(String(secret.publicKey))) {
    return { webhookId, key: importRsaPublicKey(secret.publicKey, "publicKey"), validity: null };
  }
  throw new VerificationError(
    "invalid_key",
    `publicKey is a certificate: give it as certificate, so that its dates count: ${FORM}.`,
  );
}

function importCertificate(pem: unknown): Pick<ImportedSecret, "key" | "validity"> {
  const key = importRsaPublicKey(isCertificate(String(pem)) ? pem : "", "certificate");
  const { validFrom, validTo } = new X509Certificate(String(pem).trim());
  return { key, validity: { from: validFrom, to: validTo } };
}

function importSigningSecret(given: unknown): {
  readonly webhookId: string;
  readonly key: KeyObject;
  readonly certificateUrl: string | undefined;
} {
  const secret = checkParts(given, SIGNING_FORM);
  return {
    webhookId: webhookIdOf(secret, SIGNING_FORM),
    key: importRsaPrivateKey(secret.privateKey, "privateKey"),
    certificateUrl:
      secret.certificateUrl === undefined ? undefined : textPart(secret, "certificateUrl", SIGNING_FORM),
  };
}

function webhookIdOf(secret: JsonObject, form: string): string {
  const webhookId = textPart(secret, "webhookId", form);
  if (WEBHOOK_ID.test(webhookId)) return webhookId;
  throw new VerificationError(
    "invalid_secret",
    "webhookId must be the id that the developer dashboard shows for this webhook, letters and digits only.",
  );
}
