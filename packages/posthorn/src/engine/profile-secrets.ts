/** The secret of a sender profile: read as it is given, made where it is not, and shown as its receiver needs it. */
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { VerificationError } from "@posthorn/receiver";
import { PosthornError, unreachable } from "../base/errors.ts";
import {
  type GivenSecrets,
  isProfile,
  type Scheme,
  type SecretParts,
  secretPartsSchema,
} from "../domain/scheme.ts";
import type { Profile, SecretPart } from "./profile.ts";
import { profileNamed } from "./profiles.ts";

/** RSA2 of Alipay asks for 2048. Beyond 4096 one signature takes longer than the main thread can spare. */
const [RSA_BITS, RSA_BITS_MAX] = [2048, 4096];
const TEXT = /^[\x21-\x7e]{16,256}$/;

const pairOfKeys = promisify(generateKeyPair);
/** A second of work, or two. */
const KEYS_WANTED_MAX = 8;
const KEYS_RETRY_SECONDS = 5;
let keysWanted = 0;
let lastMade: Promise<unknown> = Promise.resolve();

/**
 * One after another: it takes a tenth of a second of one of the four threads that also resolve names.
 * @throws PosthornError `overloaded` when as many wait as may
 */
async function makeRsaKey(): Promise<KeyObject> {
  if (keysWanted >= KEYS_WANTED_MAX) {
    throw new PosthornError(
      "overloaded",
      `${KEYS_WANTED_MAX} endpoints wait for a key to be made. Try again later, or give one (signingKey).`,
      { retryAfterSeconds: KEYS_RETRY_SECONDS },
    );
  }
  keysWanted += 1;
  const made = lastMade.then(() => pairOfKeys("rsa", { modulusLength: RSA_BITS }));
  lastMade = made.catch(() => {});
  try {
    return (await made).privateKey;
  } finally {
    keysWanted -= 1;
  }
}

/** With the RSA key that the scheme will need, made off the main thread. */
export async function withKeyMade<Given extends GivenSecrets>(scheme: Scheme, given: Given): Promise<Given> {
  if (given.signingKey !== undefined || !isProfile(scheme)) return given;
  if (profileNamed(scheme).secret.kind !== "key") return given;
  const key = await makeRsaKey();
  return { ...given, signingKey: key.export({ type: "pkcs8", format: "pem" }) as string };
}

/**
 * The text to seal: what is given, the rest made.
 * @param before of a rotation the current one
 * @throws PosthornError `invalid_field`, naming the part and never showing it
 */
export function secretTextOf(
  profile: Profile,
  appId: string,
  { secret, signingKey }: GivenSecrets,
  before: string | null,
): string {
  const { name, secret: form } = profile;
  switch (form.kind) {
    case "text":
      if (secret === undefined) return form.make();
      if (typeof secret !== "string" || !TEXT.test(secret)) {
        throw refused(
          "/secret",
          `of the scheme ${name} must be text: 16 to 256 letters, digits and signs of ASCII`,
        );
      }
      return checked("/secret", secret, form.check ?? profile.check);
    case "parts": {
      const given = typeof secret === "string" ? objectIn(secret) : (secret ?? {});
      if (given === undefined) {
        throw refused("/secret", `of the scheme ${name} must be an object with ${namesOf(form.parts)}`);
      }
      const parts = partsOf(name, form.parts, { appId, given, before });
      return checked("/secret", JSON.stringify(parts), profile.check);
    }
    case "key":
      if (signingKey === undefined)
        throw new Error(`The scheme ${name} needs a key, and none was made for it.`);
      return checked("/signingKey", privateKeyOf(signingKey, name), profile.check);
    default:
      return unreachable(form, "form of a secret");
  }
}

/** What its receiver needs: never a private key. */
export function shownSecret(
  { secret: { kind } }: Profile,
  text: string,
): { readonly secret: string | null; readonly publicKey: string | null } {
  if (kind !== "key") return { secret: text, publicKey: null };
  return { secret: null, publicKey: createPublicKey(text).export({ type: "spki", format: "pem" }) as string };
}

function partsOf(
  scheme: string,
  parts: Readonly<Record<string, SecretPart>>,
  { appId, given, before }: { appId: string; given: SecretParts; before: string | null },
): SecretParts {
  const unknown = Object.keys(given).find((part) => !Object.hasOwn(parts, part));
  if (unknown !== undefined) {
    const pointer = `/secret/${unknown}`;
    throw new PosthornError(
      "unknown_field",
      `${pointer} is no part of the secret of the scheme ${scheme}, which has ${namesOf(parts)}.`,
      { pointer },
    );
  }
  for (const [part, text] of Object.entries(given)) {
    const { like } = parts[part] as SecretPart;
    if (like === undefined || like.pattern.test(text)) continue;
    throw refused(`/secret/${part}`, `of the scheme ${scheme} must be ${like.wish}`);
  }
  const current: SecretParts = before === null ? {} : JSON.parse(before);
  return Object.fromEntries(
    Object.entries(parts).map(([part, { make, stays }]) => [
      part,
      given[part] ?? (stays ? current[part] : undefined) ?? make(appId),
    ]),
  );
}

/** As it is shown, it can be given. */
function objectIn(text: string): SecretParts | undefined {
  try {
    const parts: object = JSON.parse(text);
    // zod drops it without a word.
    return Object.hasOwn(parts, "__proto__") ? undefined : secretPartsSchema.parse(parts);
  } catch {
    return undefined;
  }
}

/** In the one form that is stored, whatever PEM it came in. */
function privateKeyOf(pem: string, scheme: string): string {
  try {
    const key = createPrivateKey(pem);
    const bits = key.asymmetricKeyDetails?.modulusLength ?? 0;
    if (key.asymmetricKeyType === "rsa" && bits >= RSA_BITS && bits <= RSA_BITS_MAX) {
      return key.export({ type: "pkcs8", format: "pem" }) as string;
    }
  } catch {}
  throw refused(
    "/signingKey",
    `of the scheme ${scheme} must be an RSA private key of ${RSA_BITS} to ${RSA_BITS_MAX} bits, in PEM`,
  );
}

function checked(pointer: string, text: string, check: (text: string) => void): string {
  try {
    check(text);
    return text;
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error;
    throw new PosthornError("invalid_field", `${pointer}: ${error.message}`, { pointer });
  }
}

function namesOf(parts: Readonly<Record<string, unknown>>): string {
  return Object.keys(parts).join(", ");
}

function refused(pointer: string, wish: string): PosthornError {
  return new PosthornError("invalid_field", `${pointer} ${wish}.`, { pointer });
}
