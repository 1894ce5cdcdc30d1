/** What Slack and Zoom share: `v0=` and the HMAC-SHA256 in hex over `v0:timestamp:body`, the time in a header of its own. */
import type { KeyObject } from "node:crypto";
import { type HeadersInput, linesOf, readHeader } from "../headers.ts";
import { checkRawBody } from "../raw-body.ts";
import { checkTimestamp } from "../timestamp.ts";
import { VerificationError } from "../verification-error.ts";
import { macOf } from "./hmac.ts";
import type { Clock, SignedRequest, SignInput } from "./scheme.ts";
import { importTextSecrets, isOneOf } from "./text-secret.ts";

const MAC = { algorithm: "sha256", encoding: "hex", prefix: "v0=" } as const;

/** Names in lower case. */
export interface V0Headers {
  readonly signature: string;
  readonly timestamp: string;
}

/** @throws VerificationError `invalid_secret` */
export function signRequestV0(
  { url, contentType, body, timestampSeconds }: SignInput,
  names: V0Headers,
  secrets: readonly string[],
): SignedRequest {
  const timestamp = String(timestampSeconds);
  const signature = signV0(importTextSecrets(secrets)[0], timestamp, body);
  const headers = {
    "content-type": contentType,
    [names.timestamp]: timestamp,
    [names.signature]: signature,
  };
  return { method: "POST", url, headers, body };
}

function signV0(key: KeyObject, timestamp: string, body: Uint8Array | string): string {
  return macOf(key, MAC, `v0:${timestamp}:`, body);
}

/**
 * @returns the time of the signature, and the key that made it
 * @throws VerificationError
 */
export function verifyV0(
  { headers, body }: { readonly headers: HeadersInput; readonly body: Uint8Array | string },
  names: V0Headers,
  keys: readonly KeyObject[],
  clock: Clock,
): { readonly timestampSeconds: number; readonly key: KeyObject } {
  checkRawBody(body);
  const lines = linesOf(headers);
  const signature = readHeader(lines, names.signature);
  const timestamp = readHeader(lines, names.timestamp);
  const timestampSeconds = checkTimestamp(names.timestamp, timestamp, clock);
  const key = keys.find((candidate) => isOneOf([signature], signV0(candidate, timestamp, body)));
  if (key !== undefined) return { timestampSeconds, key };
  throw new VerificationError(
    "no_matching_signature",
    signature.startsWith("v0=")
      ? "The signature does not match. Check that the secret is the one of this app and that the body is byte for byte as received."
      : `${names.signature} is not v0= followed by hex.`,
  );
}
