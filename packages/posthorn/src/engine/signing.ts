/**
 * One small signer per scheme of our own. Each adds to the headers of one attempt what a verifier of its scheme reads; `webhook-id`
 * and `webhook-timestamp` stand there already.
 */
import { type StandardKey, type StandardSecret, signHttpMessage, signStandard } from "@posthorn/receiver";
import { unreachable } from "../base/errors.ts";
import type { Scheme, SignatureScheme } from "../domain/scheme.ts";
import { profileNamed } from "./profiles.ts";

/** How long a signature of HTTP Message Signatures counts: as long as a receiver takes a timestamp of Standard Webhooks. */
const EXPIRES_AFTER_SECONDS = 300;

export interface Request {
  readonly id: string;
  readonly method: "POST";
  readonly url: string;
  /** The exact bytes, encrypted if they are. */
  readonly body: Uint8Array;
  readonly contentType: string;
  /** Of the attempt. */
  readonly wallMs: number;
  readonly timestampSeconds: number;
}

export type Headers = Record<string, string>;
export type Signer = (request: Request, headers: Headers) => void;

interface Living {
  /** When it stops signing; infinite for the current one. */
  readonly expiresAtMs: number;
}
export interface SigningMaterial {
  /** Current first. */
  readonly secrets: readonly (Living & { readonly secret: StandardSecret })[];
  readonly keys: readonly (Living & { readonly key: StandardKey })[];
}

/** What a scheme signs with: an endpoint has both only if its scheme does, or once did. */
export function signsWith(scheme: Scheme): { readonly secret: boolean; readonly key: boolean } {
  switch (scheme) {
    case "standard":
      return { secret: true, key: false };
    case "standard-ed25519":
    case "http-message":
      return { secret: false, key: true };
    case "standard-both":
      return { secret: true, key: true };
    default: {
      const isKey = profileNamed(scheme).secret.kind === "key";
      return { secret: !isKey, key: isKey };
    }
  }
}

export function signerOf(scheme: SignatureScheme, material: SigningMaterial): Signer {
  switch (scheme) {
    case "standard":
      return (request, headers) => {
        headers["webhook-signature"] = signStandard({
          ...signed(request),
          secrets: secretsAt(material, request),
        });
      };
    case "standard-ed25519":
      return (request, headers) => {
        headers["webhook-signature"] = signStandard({ ...signed(request), keys: keysAt(material, request) });
      };
    case "standard-both":
      return (request, headers) => {
        const [secrets, keys] = [secretsAt(material, request), keysAt(material, request)];
        headers["webhook-signature"] = signStandard({ ...signed(request), secrets, keys });
      };
    case "http-message":
      return (request, headers) => {
        // Named by the signature, so it is ours to set and not the transport's to add.
        headers["content-type"] = request.contentType;
        Object.assign(headers, httpMessage(request, keysAt(material, request)));
      };
    default:
      return unreachable(scheme, "scheme");
  }
}

function signed({ id, timestampSeconds, body }: Request) {
  return { id, timestampSeconds, body };
}

/** RFC 9421 with the profile that receivers of this house demand: see the receiver package. */
function httpMessage(request: Request, keys: readonly StandardKey[]) {
  const { id, method, url, body, contentType, timestampSeconds } = request;
  return signHttpMessage({
    method,
    url,
    headers: { "content-type": contentType, "webhook-id": id },
    body,
    keys,
    createdSeconds: timestampSeconds,
    expiresSeconds: timestampSeconds + EXPIRES_AFTER_SECONDS,
  });
}

function secretsAt({ secrets }: SigningMaterial, { wallMs }: Request): StandardSecret[] {
  const living: StandardSecret[] = [];
  for (const { secret, expiresAtMs } of secrets) if (expiresAtMs > wallMs) living.push(secret);
  return living;
}

function keysAt({ keys }: SigningMaterial, { wallMs }: Request): StandardKey[] {
  const living: StandardKey[] = [];
  for (const { key, expiresAtMs } of keys) if (expiresAtMs > wallMs) living.push(key);
  return living;
}
