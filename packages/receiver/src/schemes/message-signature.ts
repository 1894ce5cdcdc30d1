/**
 * HTTP Message Signatures (RFC 9421), any profile of them: which components a signature must cover, and what its parameters
 * must say, is for the caller. What a message's signature covers is its base, a text made from the message on both sides.
 */
import { Buffer } from "node:buffer";
import { createHmac, type KeyObject, timingSafeEqual, verify } from "node:crypto";
import { type HeaderLines, type HeadersInput, linesOf, readHeader } from "../headers.ts";
import { type InnerList, type Item, parseDictionary, serialiseInnerList } from "../structured-fields.ts";
import { VerificationError } from "../verification-error.ts";

/** A request has a method and a url, a response has a status. */
export interface Message {
  readonly method?: string;
  /** Whole, as the sender sees it. */
  readonly url?: string;
  readonly status?: number;
  readonly headers: HeadersInput | HeaderLines;
}

export interface MessageSignature {
  readonly label: string;
  /** The components and the parameters, in the order of `signature-input`. */
  readonly covered: InnerList;
  readonly signature: Uint8Array;
}

/** Checks of signatures per message: a rotation needs two, and whoever sends a message may put hundreds into its headers. */
const MAX_CHECKS = 16;
/** What a signature may cover; the profile of webhooks asks for five. */
const MAX_COMPONENTS = 32;
/** What a header may hold for the base to have only one reading: no line break, above all. */
const ONE_ASCII_LINE = /^[\t\x20-\x7e]*$/;

/**
 * The first signature of a message that `keyFor` has a key for and that is good.
 * @param keyFor the key to check a signature with: a shared secret (hmac-sha256), ed25519 or EC P-256 (ecdsa-p256-sha256);
 *   undefined when the signature is for somebody else. It may throw a VerificationError for one that does not cover enough.
 *   The key decides on the algorithm, never the message.
 * @throws VerificationError why the first one with a key is not good; `no_matching_signature` when none has one
 */
export function verifyMessageSignature(
  message: Message,
  keyFor: (signature: MessageSignature) => KeyObject | undefined,
): MessageSignature {
  const headers = linesOf(message.headers);
  let failure: VerificationError | undefined;
  let checks = 0;
  for (const signature of readSignatures(headers)) {
    try {
      const key = keyFor(signature);
      if (key === undefined) continue;
      checkSignature({ ...message, headers }, signature, key);
      return signature;
    } catch (error) {
      if (!(error instanceof VerificationError)) throw error;
      failure ??= error;
    }
    checks += 1;
    if (checks === MAX_CHECKS) break;
  }
  throw (
    failure ??
    new VerificationError(
      "no_matching_signature",
      "No signature of the message is meant to be checked with one of the keys. Check its keyid and its tag.",
    )
  );
}

/** The signatures of a message; a label stands in both headers or the message is malformed (RFC 9421 4.1, 4.2). */
function readSignatures(headers: HeaderLines): readonly MessageSignature[] {
  const inputs = parseDictionary(
    "signature-input",
    readHeader(headers, "signature-input", { joinedBy: ", " }),
  );
  const values = parseDictionary("signature", readHeader(headers, "signature", { joinedBy: ", " }));
  for (const label of values.keys()) {
    if (!inputs.has(label)) throw malformed(`signature has ${label}, which signature-input has not`);
  }
  return Array.from(inputs, ([label, covered]) => {
    const value = values.get(label);
    if (value === undefined) throw malformed(`signature-input has ${label}, which signature has not`);
    if (!("items" in covered)) throw malformed(`signature-input has no list of components for ${label}`);
    if (!("value" in value) || value.value.kind !== "bytes") {
      throw malformed(`signature has no byte sequence for ${label}`);
    }
    return { label, covered, signature: value.value.value };
  });
}

function checkSignature(message: Message, { covered, signature }: MessageSignature, key: KeyObject): void {
  const algorithm = algorithmOf(key);
  const claimed = covered.parameters.get("alg");
  if (claimed !== undefined && !(claimed.kind === "string" && claimed.value === algorithm)) {
    throw new VerificationError(
      "algorithm_mismatch",
      `The signature says that it is made with another algorithm than ${algorithm}, which is that of the key.`,
    );
  }
  if (isGood(signatureBase(message, covered), signature, key, algorithm)) return;
  throw new VerificationError(
    "no_matching_signature",
    "The signature does not match. Check that the key, the method, the url and the headers are those that the sender signed.",
  );
}

type Algorithm = "ed25519" | "hmac-sha256" | "ecdsa-p256-sha256";

function algorithmOf(key: KeyObject): Algorithm {
  if (key.type === "secret") return "hmac-sha256";
  if (key.asymmetricKeyType === "ed25519") return "ed25519";
  if (key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1") {
    return "ecdsa-p256-sha256";
  }
  throw new VerificationError(
    "invalid_key",
    "The key is none of: a shared secret, an ed25519 key, an EC key on the curve P-256.",
  );
}

function isGood(base: Buffer, signature: Uint8Array, key: KeyObject, algorithm: Algorithm): boolean {
  switch (algorithm) {
    case "ed25519":
      return verify(null, base, key, signature);
    case "ecdsa-p256-sha256":
      return signature.length === 64 && verify("sha256", base, key, derOf(signature));
    case "hmac-sha256": {
      const expected = createHmac("sha256", key).update(base).digest();
      return expected.length === signature.length && timingSafeEqual(expected, signature);
    }
  }
}

/**
 * `r || s` of P-256 (RFC 9421 3.3.4) as the DER that every runtime's `verify` takes: workerd has no other encoding. An integer of DER has no
 * leading zeros, but one before a set high bit.
 */
function derOf(signature: Uint8Array): Buffer {
  const integers = [signature.subarray(0, 32), signature.subarray(32)].map((half) => {
    const first = half.findIndex((byte) => byte !== 0);
    const digits = first === -1 ? half.subarray(31) : half.subarray(first);
    const padded = (digits[0] ?? 0) >= 0x80 ? [0, ...digits] : [...digits];
    return [0x02, padded.length, ...padded];
  });
  const content = integers.flat();
  return Buffer.from([0x30, content.length, ...content]);
}

/**
 * The signature base (RFC 9421 2.5): a line per component, then the list of the components with its parameters.
 * @throws VerificationError `missing_component` when the message has not got one of them, `invalid_header` when one is listed
 *   twice or has no single reading, or there are too many; `invalid_url` when a part of the URL is one and it is not whole
 */
export function signatureBase(message: Message, covered: InnerList): Buffer {
  if (covered.items.length > MAX_COMPONENTS)
    throw malformed(`it covers more than ${MAX_COMPONENTS} components`);
  const headers = linesOf(message.headers);
  const lines = new Map<string, string>();
  for (const item of covered.items) {
    const name = componentName(item);
    if (lines.has(name)) throw malformed(`signature-input lists ${name} twice`);
    const value = name.startsWith("@") ? derivedComponent(message, name) : fieldComponent(headers, name);
    if (!ONE_ASCII_LINE.test(value)) throw malformed(`${name} is not one line of ASCII`);
    lines.set(name, `"${name}": ${value}\n`);
  }
  return Buffer.from(`${[...lines.values()].join("")}"@signature-params": ${serialiseInnerList(covered)}`);
}

/** Parameters of a component (`sf`, `key`, `bs`, `req`, `tr`) take another value from the message: ignoring one would be a hole. */
export function componentName({ value, parameters }: Item): string {
  if (value.kind !== "string" || !/^@?[!#$%&'*+.^_`|~0-9a-z-]+$/.test(value.value)) {
    throw malformed("signature-input lists a component that is not a string in lower case");
  }
  if (parameters.size > 0)
    throw malformed(`signature-input has parameters of ${value.value}, which are not supported`);
  return value.value;
}

/** RFC 9421 2.1: the lines, trimmed, with a comma and a space between them. */
function fieldComponent(headers: HeaderLines, name: string): string {
  const lines = headers(name);
  if (lines.length === 0) throw missing(name);
  return lines.map((line) => line.trim()).join(", ");
}

/** RFC 9421 2.2. */
function derivedComponent({ method, url, status }: Message, name: string): string {
  if (name === "@method") return method ?? absent(name);
  if (name === "@status") return status === undefined ? absent(name) : String(status);
  const target = targetOf(url ?? absent(name));
  switch (name) {
    case "@target-uri":
      return target.href;
    case "@authority":
      return target.host;
    case "@scheme":
      return target.protocol.slice(0, -1);
    case "@path":
      return target.pathname;
    case "@query":
      return target.search === "" ? "?" : target.search;
    default:
      throw malformed(`signature-input lists ${name}, which is not supported`);
  }
}

/** What of a URL goes over the wire: no fragment, no user, and no question mark with nothing behind it. */
function targetOf(url: string): URL {
  if (!URL.canParse(url)) {
    throw new VerificationError(
      "invalid_url",
      "The url is not whole. Give the one that the sender was given, like https://example.com/hooks, and not only its path.",
    );
  }
  const target = new URL(url);
  target.hash = "";
  target.username = "";
  target.password = "";
  if (target.search === "") target.search = "";
  return target;
}

function absent(name: string): never {
  throw missing(name);
}

function missing(name: string): VerificationError {
  return new VerificationError(
    "missing_component",
    `The signature covers ${name}, which the message has not. Check that no proxy or framework removes it.`,
  );
}

function malformed(what: string): VerificationError {
  return new VerificationError("invalid_header", `The message is not signed as RFC 9421 has it: ${what}.`);
}
