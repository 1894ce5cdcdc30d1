/**
 * Webhooks signed with HTTP Message Signatures (RFC 9421): the profile. A signature covers the method, the whole URL, the type,
 * the id and, through Content-Digest (RFC 9530), the body; it says when it was made and until when it counts, with which key,
 * and that it is for a webhook, so that a signature made for anything else is none here.
 * The sender and the receiver use this same file.
 */
import { contentDigest, verifyContentDigest } from "../content-digest.ts";
import { type HeadersInput, linesOf, readHeader } from "../headers.ts";
import { checkRawBody } from "../raw-body.ts";
import {
  type BareItem,
  type InnerList,
  type Item,
  serialiseDictionary,
  serialiseInnerList,
} from "../structured-fields.ts";
import { checkTimestamp, isUnixSeconds } from "../timestamp.ts";
import { VerificationError } from "../verification-error.ts";
import {
  componentName,
  type MessageSignature,
  signatureBase,
  verifyMessageSignature,
} from "./message-signature.ts";
import {
  preparePublicKey,
  type StandardKey,
  type StandardPublicKey,
  type StandardPublicKeyInput,
} from "./standard-key.ts";

const COMPONENTS = ["@method", "@target-uri", "content-type", "content-digest", "webhook-id"] as const;
const ALGORITHM = "ed25519";
const TAG = "webhook";
const LABEL = "posthorn";

export interface HttpMessageSignInput {
  readonly method: string;
  /** As the request is sent: the receiver must see the same. */
  readonly url: string;
  readonly headers: { readonly "content-type": string; readonly "webhook-id": string };
  /** The exact body as sent. */
  readonly body: Uint8Array | string;
  /** During a rotation the new key and the old: each makes a signature of its own. */
  readonly keys: readonly StandardKey[];
  /** Unix seconds of this attempt. */
  readonly createdSeconds: number;
  /** Unix seconds from which on the signature counts for nothing. */
  readonly expiresSeconds: number;
}

export interface HttpMessageHeaders {
  readonly "content-digest": string;
  readonly "signature-input": string;
  readonly signature: string;
}

/**
 * The headers to send along; the signatures are labelled `posthorn`, `posthorn-2`, ... in the order of the keys.
 * @throws RangeError when there is no key, or the times are not whole seconds in their order
 */
export function signHttpMessage(input: HttpMessageSignInput): HttpMessageHeaders {
  const { method, url, body, keys, createdSeconds, expiresSeconds } = input;
  if (keys.length === 0) throw new RangeError("there is no key to sign with");
  if (!isUnixSeconds(createdSeconds) || !isUnixSeconds(expiresSeconds) || expiresSeconds <= createdSeconds) {
    throw new RangeError(
      `created ${createdSeconds} and expires ${expiresSeconds} are not whole unix seconds, the first before the second`,
    );
  }
  const digest = contentDigest(body);
  const headers = { ...input.headers, "content-digest": digest };
  const inputs: string[] = [];
  const signatures = new Map<string, Item>();
  for (const [index, key] of keys.entries()) {
    const label = index === 0 ? LABEL : `${LABEL}-${index + 1}`;
    const covered = coveredBy(key, createdSeconds, expiresSeconds);
    inputs.push(`${label}=${serialiseInnerList(covered)}`);
    const value = key.signBytes(signatureBase({ method, url, headers }, covered));
    signatures.set(label, item({ kind: "bytes", value }));
  }
  return {
    "content-digest": digest,
    "signature-input": inputs.join(", "),
    signature: serialiseDictionary(signatures),
  };
}

function coveredBy(key: StandardKey, createdSeconds: number, expiresSeconds: number): InnerList {
  return {
    items: COMPONENTS.map((name) => item({ kind: "string", value: name })),
    parameters: new Map<string, BareItem>([
      ["created", { kind: "integer", value: createdSeconds }],
      ["expires", { kind: "integer", value: expiresSeconds }],
      ["keyid", { kind: "string", value: key.keyId }],
      ["alg", { kind: "string", value: ALGORITHM }],
      ["tag", { kind: "string", value: TAG }],
    ]),
  };
}

function item(value: BareItem): Item {
  return { value, parameters: new Map() };
}

/** A public key, with the `keyid` that its sender gives it when that is not its JWK thumbprint, as it is in Posthorn. */
export type HttpMessagePublicKey =
  | StandardPublicKeyInput
  | { readonly keyId: string; readonly publicKey: StandardPublicKeyInput };

export interface HttpMessageVerifyInput {
  readonly method: string;
  /** The URL that the sender was given, whole; not `request.url`, which is only its path. Behind a proxy, put it together from what you know, never from the request's headers. */
  readonly url: string;
  readonly headers: HeadersInput;
  /** The exact body as received, before any parser touched it. */
  readonly body: Uint8Array | string;
  /** Any one of them may have signed. */
  readonly publicKeys: readonly HttpMessagePublicKey[];
  /** How far `created` may lie in the past or the future, both ends included. */
  readonly toleranceSeconds?: number;
  /** Unix seconds; the clock when left out. */
  readonly nowSeconds?: number;
}

export interface VerifiedHttpMessage {
  /** Use it as idempotency key: attempts of one event share it. */
  readonly id: string;
  /** When this attempt was signed. */
  readonly timestampSeconds: number;
  /** Of the key that signed. */
  readonly keyId: string;
}

/**
 * Checks that a request was signed with one of the keys, for this method and URL, not long ago and over exactly this body.
 * Signatures with another tag or an unknown key are for others, and skipped; one good signature is enough.
 * @throws VerificationError whose `code` says what is wrong and whose text says what to check
 */
export function verifyHttpMessage(input: HttpMessageVerifyInput): VerifiedHttpMessage {
  const { method, url, body, toleranceSeconds = 300, nowSeconds = Math.floor(Date.now() / 1000) } = input;
  checkRawBody(body);
  const headers = linesOf(input.headers);
  const keys = keysById(input.publicKeys);
  const signature = verifyMessageSignature({ method, url, headers }, (candidate) => {
    if (text(candidate, "tag") !== TAG) return undefined;
    const key = keys.get(text(candidate, "keyid") ?? "");
    if (key === undefined) return undefined;
    checkCoverage(candidate);
    checkTimes(candidate, { nowSeconds, toleranceSeconds });
    return key.key;
  });
  verifyContentDigest(readHeader(headers, "content-digest", { joinedBy: ", " }), body);
  return {
    id: readHeader(headers, "webhook-id"),
    timestampSeconds: Number(seconds(signature, "created")),
    keyId: text(signature, "keyid") ?? "",
  };
}

function keysById(inputs: readonly HttpMessagePublicKey[]): ReadonlyMap<string, StandardPublicKey> {
  if (inputs.length === 0) {
    throw new VerificationError("invalid_key", "There is no public key to check with.");
  }
  return new Map(
    inputs.map((input) => {
      if (typeof input === "object" && "keyId" in input && "publicKey" in input) {
        return [input.keyId, preparePublicKey(input.publicKey)];
      }
      const key = preparePublicKey(input);
      return [key.keyId, key];
    }),
  );
}

function checkCoverage({ covered }: MessageSignature): void {
  const names = new Set(covered.items.map(componentName));
  for (const name of COMPONENTS) {
    if (names.has(name)) continue;
    throw new VerificationError(
      "missing_component",
      `The signature does not cover ${name}. Check that the sender signs ${COMPONENTS.join(", ")}.`,
    );
  }
  if (covered.parameters.has("alg")) return;
  throw new VerificationError("algorithm_mismatch", `The signature does not say alg="${ALGORITHM}".`);
}

function checkTimes(
  signature: MessageSignature,
  clock: { readonly nowSeconds: number; readonly toleranceSeconds: number },
): void {
  checkTimestamp("created", seconds(signature, "created"), clock);
  const expires = seconds(signature, "expires");
  if (!isUnixSeconds(expires)) {
    throw new VerificationError("invalid_timestamp", "expires must be unix seconds.");
  }
  if (clock.nowSeconds < Number(expires)) return;
  throw new VerificationError(
    "signature_expired",
    `The signature expired ${clock.nowSeconds - Number(expires)} s ago. Check this machine's clock, and that the request was not recorded and sent again.`,
  );
}

/** Empty when there is none or it is no integer. */
function seconds({ covered }: MessageSignature, name: "created" | "expires"): string {
  const parameter = covered.parameters.get(name);
  return parameter?.kind === "integer" ? String(parameter.value) : "";
}

function text({ covered }: MessageSignature, name: "keyid" | "tag"): string | undefined {
  const parameter = covered.parameters.get(name);
  return parameter?.kind === "string" ? parameter.value : undefined;
}
