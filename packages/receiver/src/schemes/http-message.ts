/**
 * HTTP Message Signatures (RFC 9421) as a scheme: ed25519 keys. What is signed stands with the profile.
 */
import { readHeader } from "../headers.ts";
import { VerificationError } from "../verification-error.ts";
import { composeEnvelope, openEnvelope } from "./envelope.ts";
import { chosen, parseTextOrParts } from "./hmac.ts";
import { type HttpMessagePublicKey, signHttpMessage, verifyHttpMessage } from "./http-message-profile.ts";
import { bytesOf, readJson } from "./payload.ts";
import type { Scheme, Verify } from "./scheme.ts";
import { importStandardKey, importStandardPublicKey } from "./standard-key.ts";

/** `whpk_...`, with the `keyid` of a sender that does not use the key's thumbprint. */
export type HttpMessageSecret = string | { readonly keyId: string; readonly publicKey: string };

const FORM = '{"keyId":"...","publicKey":"whpk_..."}';
/** How long a signature counts: as long as a timestamp of Standard Webhooks is taken. */
const EXPIRES_AFTER_SECONDS = 300;

/** @typeParam SigningSecret `whsk_...` */
export const httpMessage: Scheme<HttpMessageSecret, string> = {
  name: "http-message",
  strength: "strong",
  signsUrl: true,
  needsSecret: true,
  verifier,
  describe: (payload, headers) => ({
    id: readHeader(headers, "webhook-id"),
    ...openEnvelope(readJson(payload, "HTTP Message Signatures"), "http-message"),
  }),
  parseSecret(text) {
    const parts = parseTextOrParts(text.trim(), FORM);
    const secret =
      typeof parts === "string" ? parts : { keyId: chosen(parts.keyId), publicKey: chosen(parts.publicKey) };
    importKey(secret);
    return secret;
  },
  parseSigningSecret(text) {
    const key = text.trim();
    importStandardKey(key);
    return key;
  },
  compose: composeEnvelope,
  sign({ id, url, contentType, body, timestampSeconds }, secrets) {
    const covered = { "content-type": contentType, "webhook-id": id };
    const signature = signHttpMessage({
      method: "POST",
      url,
      headers: covered,
      body,
      keys: given(secrets).map(importStandardKey),
      createdSeconds: timestampSeconds,
      expiresSeconds: timestampSeconds + EXPIRES_AFTER_SECONDS,
    });
    return { method: "POST", url, headers: { ...covered, ...signature }, body };
  },
};

function verifier(secrets: readonly HttpMessageSecret[]): Verify {
  const publicKeys = given(secrets).map(importKey);
  return (request, clock) => {
    const { timestampSeconds } = verifyHttpMessage({ ...request, publicKeys, ...clock });
    return { kind: "event", payload: bytesOf(request.body), timestampSeconds, acknowledgement: null };
  };
}

function importKey(secret: HttpMessageSecret): HttpMessagePublicKey {
  if (typeof secret === "string") return importStandardPublicKey(secret);
  return { keyId: chosen(secret?.keyId), publicKey: importStandardPublicKey(chosen(secret.publicKey)) };
}

function given<Key>(secrets: readonly Key[]): readonly Key[] {
  if (secrets.length > 0) return secrets;
  throw new VerificationError("invalid_key", "There is no key to sign or to check with.");
}
