/**
 * Encrypted payloads: JSON Web Encryption, compact form (RFC 7516), of the two kinds that are safe to take from a stranger:
 * `dir` with a shared key, and `ECDH-ES` with the receiver's own key pair, both with A256GCM. What a header asks for beyond
 * that is refused, never negotiated.
 */
import { Buffer } from "node:buffer";
import { createDecipheriv } from "node:crypto";
import { decodeStrictly } from "../base64.ts";
import { checkRawBody } from "../raw-body.ts";
import { VerificationError } from "../verification-error.ts";
import { agreedKey, importPrivateKey, type PrivateKeyInput } from "./key-agreement.ts";

/** Content encryptions and the bytes of their keys (RFC 7518 5.3). */
const KEY_BYTES = { A256GCM: 32, A128GCM: 16 } as const;
export type ContentEncryption = keyof typeof KEY_BYTES;
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** `kid`: used only for payloads whose header names it, or names none; without one, for all. */
export type DecryptionKey =
  /** For `dir`: the raw bytes. */
  | { readonly kid?: string; readonly secret: Uint8Array }
  /** For `ECDH-ES`: on P-256, P-384, P-521 or X25519. Import a JWK once (`createPrivateKey`) when you decrypt often. */
  | { readonly kid?: string; readonly privateKey: PrivateKeyInput };

export interface DecryptInput {
  /** The body as received; verify its signature first, which is made over the encrypted bytes. */
  readonly body: Uint8Array | string;
  /** During a rotation the new one and the old. */
  readonly keys: readonly DecryptionKey[];
  /** A256GCM alone when left out. A128GCM is for `dir` only, and for other senders: Posthorn never sends it. */
  readonly contentEncryptions?: readonly ContentEncryption[];
}

export interface DecryptedPayload {
  readonly payload: Uint8Array;
  /** Authentic, as the payload is. */
  readonly header: Readonly<Record<string, unknown>>;
}

/**
 * Decrypts a payload in compact form.
 * @throws VerificationError `invalid_body`, `invalid_key` for what the caller gave; `invalid_encryption` for a body that is not of
 *   this form and `unsupported_encryption` for one that asks for more than this reader takes, both seen without a key;
 *   `decryption_failed`, always with the same text, when no key opens it
 */
export function decryptPayload(input: DecryptInput): DecryptedPayload {
  const { body, contentEncryptions = ["A256GCM"] } = input;
  checkRawBody(body);
  const keys = input.keys.map((key) => prepareKey(key, contentEncryptions));
  if (keys.length === 0) throw new VerificationError("invalid_key", "There is no key to decrypt with.");
  const sealed = parseCompact(typeof body === "string" ? body : Buffer.from(body).toString("latin1"));
  const method = checkMethod(sealed.header, contentEncryptions);
  if (sealed.encryptedKey !== "") throw invalid("its second segment must be empty");
  const { kid } = sealed.header;
  for (const key of keys) {
    if (kid !== undefined && key.kid !== undefined && key.kid !== kid) continue;
    const contentKey = contentKeyOf(key, method, sealed.header);
    const payload = contentKey && openContent(sealed, method.contentEncryption, contentKey);
    if (payload !== undefined) return { payload, header: sealed.header };
  }
  // One text for every reason: which it was would tell a forger how far he came.
  throw new VerificationError(
    "decryption_failed",
    "The payload cannot be decrypted with any of the keys. Check that the key is the one of this endpoint and that the body is byte for byte as received.",
  );
}

/** Throws away what no payload could be decrypted with before any payload is looked at. */
function prepareKey(key: DecryptionKey, contentEncryptions: readonly ContentEncryption[]): PreparedKey {
  if ("privateKey" in key) return { kid: key.kid, privateKey: importPrivateKey(key.privateKey) };
  if (contentEncryptions.some((name) => KEY_BYTES[name] === key.secret.length)) return key;
  throw new VerificationError(
    "invalid_key",
    `The decryption key has ${key.secret.length} bytes; it must have ${contentEncryptions.map((name) => KEY_BYTES[name]).join(" or ")}.`,
  );
}

type PreparedKey =
  | { readonly kid?: string | undefined; readonly secret: Uint8Array }
  | { readonly kid?: string | undefined; readonly privateKey: ReturnType<typeof importPrivateKey> };

export interface SealedContent {
  readonly header: Readonly<Record<string, unknown>>;
  /** The first segment as it stands, which is authenticated along. */
  readonly protectedHeader: string;
  readonly encryptedKey: string;
  readonly iv: Uint8Array;
  readonly ciphertext: Uint8Array;
  readonly tag: Uint8Array;
}

/** RFC 7516 7.1: five segments of base64url with dots between them. */
export function parseCompact(text: string): SealedContent {
  const segments = text.split(".", 6);
  if (segments.length !== 5) throw invalid("it must have five segments with dots between them");
  const [protectedHeader = "", encryptedKey = "", ...rest] = segments;
  const [iv, ciphertext, tag] = rest.map((segment) => decodeStrictly(segment, "base64url"));
  if (iv === undefined || ciphertext === undefined || tag === undefined) {
    throw invalid("its segments must be base64url, without padding");
  }
  return { header: parseHeader(protectedHeader), protectedHeader, encryptedKey, iv, ciphertext, tag };
}

function parseHeader(segment: string): Readonly<Record<string, unknown>> {
  let header: unknown;
  try {
    header = JSON.parse(decodeStrictly(segment, "base64url")?.toString() ?? "");
  } catch {
    // Falls through to the refusal below.
  }
  if (typeof header === "object" && header !== null && !Array.isArray(header)) {
    return header as Record<string, unknown>;
  }
  throw invalid("its header must be a JSON object");
}

interface Method {
  readonly agreement: "dir" | "ECDH-ES";
  readonly contentEncryption: ContentEncryption;
}

function checkMethod(
  { alg, enc, zip, crit }: Readonly<Record<string, unknown>>,
  contentEncryptions: readonly ContentEncryption[],
): Method {
  // Compressed plaintext gives its content away by its length; and no extension that would have to be understood is.
  if (zip !== undefined) throw unsupported("a compressed payload (zip)");
  if (crit !== undefined) throw unsupported("an extension (crit)");
  if (alg !== "dir" && alg !== "ECDH-ES") throw unsupported("another alg than dir or ECDH-ES");
  const contentEncryption = contentEncryptions.find((name) => name === enc);
  if (contentEncryption === undefined || (alg === "ECDH-ES" && contentEncryption !== "A256GCM")) {
    throw unsupported(`another enc than ${alg === "dir" ? contentEncryptions.join(" or ") : "A256GCM"}`);
  }
  return { agreement: alg, contentEncryption };
}

/** Undefined when the key is not of the kind or the size that the payload asks for. */
function contentKeyOf(
  key: PreparedKey,
  { agreement, contentEncryption }: Method,
  header: Readonly<Record<string, unknown>>,
): Uint8Array | undefined {
  switch (agreement) {
    case "dir":
      return "secret" in key && key.secret.length === KEY_BYTES[contentEncryption] ? key.secret : undefined;
    case "ECDH-ES":
      return "privateKey" in key
        ? agreedKey(key.privateKey, header, contentEncryption, KEY_BYTES[contentEncryption])
        : undefined;
  }
}

/**
 * The plaintext; undefined when the key does not open it or anything of it was changed.
 * @throws VerificationError `invalid_encryption` for lengths that GCM of JWE never has (RFC 7518 5.3): a short tag is a weak one
 */
export function openContent(
  { protectedHeader, iv, ciphertext, tag }: SealedContent,
  contentEncryption: ContentEncryption,
  contentKey: Uint8Array,
): Buffer | undefined {
  if (iv.length !== IV_BYTES || tag.length !== TAG_BYTES) {
    throw invalid(`its initialisation vector must have ${IV_BYTES} bytes and its tag ${TAG_BYTES}`);
  }
  const cipher = contentEncryption === "A256GCM" ? "aes-256-gcm" : "aes-128-gcm";
  const decipher = createDecipheriv(cipher, contentKey, iv, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(protectedHeader, "latin1"));
  decipher.setAuthTag(tag);
  const plaintext = decipher.update(ciphertext);
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return plaintext;
}

function invalid(what: string): VerificationError {
  return new VerificationError("invalid_encryption", `The body is not a JWE in compact form: ${what}.`);
}

function unsupported(what: string): VerificationError {
  return new VerificationError(
    "unsupported_encryption",
    `The payload asks for ${what}, which is refused. Check that the sender encrypts for this endpoint as agreed.`,
  );
}
