/** The signing secrets and keys of an endpoint: made, rotated, revealed. What is kept of them is sealed. */
import {
  encodeStandardPublicKey,
  generateStandardKey,
  generateStandardSecret,
  importStandardKey,
  importStandardSecret,
  keyIdOf,
} from "@posthorn/receiver";
import { PosthornError } from "../base/errors.ts";
import { DEFAULTS } from "../domain/defaults.ts";
import type { Endpoint } from "../domain/endpoint.ts";
import { type GivenSecret, type GivenSecrets, isProfile, type Scheme } from "../domain/scheme.ts";
import type { Vault } from "../security/vault.ts";
import type { EndpointConfig, SealedSecret } from "../store/store.ts";
import type { EndpointSecrets, PublicKeyView } from "./engine.ts";
import { secretTextOf, shownSecret } from "./profile-secrets.ts";
import { profileNamed } from "./profiles.ts";
import { openCredentials, openSecret, sealKey, sealSecret } from "./sealing.ts";
import { signsWith } from "./signing.ts";

/** A rotation keeps at most so many outgoing secrets, and as many outgoing keys, signing along. */
const OLD_MAX = 10;

type Owner = Pick<Endpoint, "id" | "appId" | "scheme">;
type Config = Pick<EndpointConfig, "endpoint" | "secrets" | "sealedCredentials">;

const isKey = ({ publicKey }: SealedSecret): boolean => publicKey !== null;
const isCurrent = ({ expiresAtMs }: SealedSecret): boolean => expiresAtMs === null;

/** @throws PosthornError `invalid_field`: a secret, or a key, that the scheme would never sign with */
export function refuseUnused(scheme: Scheme, given: GivenSecrets): void {
  const uses = signsWith(scheme);
  const refuse = (pointer: string, what: string): never => {
    throw new PosthornError(
      "invalid_field",
      `${pointer} is not used: the scheme ${scheme} signs with a ${what} alone. Leave it out, or choose another scheme.`,
      { pointer },
    );
  };
  if (given.secret !== undefined && !uses.secret) refuse("/secret", "signing key");
  if (given.signingKey !== undefined && !uses.key) refuse("/signingKey", "signing secret");
}

/**
 * Current ones of all that the scheme signs with: what is given, else made.
 * @param before what the endpoint has now
 * @throws PosthornError `invalid_field`: nothing could be signed with it
 */
export function newSecrets(
  vault: Vault,
  owner: Owner,
  given: GivenSecrets = {},
  before: readonly SealedSecret[] = [],
): SealedSecret[] {
  if (isProfile(owner.scheme)) {
    const current = before.find(isCurrent);
    const text = current === undefined ? null : openSecret(vault, owner.appId, owner.id, current.sealed);
    const secret = secretTextOf(profileNamed(owner.scheme), owner.appId, given, text);
    return [sealedSecret(vault, owner, secret)];
  }
  const uses = signsWith(owner.scheme);
  const made: SealedSecret[] = [];
  if (uses.secret) {
    made.push(sealedSecret(vault, owner, standardSecretOf(given.secret) ?? generateStandardSecret()));
  }
  if (uses.key) made.push(sealedKey(vault, owner, standardKeyOf(given.signingKey) ?? generateStandardKey()));
  return made;
}

function standardSecretOf(secret: GivenSecret | undefined): string | undefined {
  if (secret === undefined) return undefined;
  try {
    if (typeof secret === "string" && secret.startsWith("whsec_")) {
      importStandardSecret(secret, { strict: true });
      return secret;
    }
  } catch {}
  throw new PosthornError(
    "invalid_field",
    "/secret must be whsec_ followed by the base64 of 24 to 64 bytes.",
    {
      pointer: "/secret",
    },
  );
}

function standardKeyOf(key: string | undefined): string | undefined {
  if (key === undefined) return undefined;
  try {
    importStandardKey(key);
    return key;
  } catch {
    throw new PosthornError(
      "invalid_field",
      "/signingKey must be whsk_ followed by the base64 of an ed25519 key of 64 bytes: seed and public key.",
      { pointer: "/signingKey" },
    );
  }
}

/**
 * After a change of the scheme: what it signs with and the endpoint has not. The schemes of our own share theirs; what a sender
 * profile has is of use to no other scheme, and does not stay.
 */
export function withMissing(
  vault: Vault,
  owner: Owner,
  before: Pick<EndpointConfig, "secrets"> & { readonly endpoint: Pick<Endpoint, "scheme"> },
  given: GivenSecrets = {},
): readonly SealedSecret[] {
  const { secrets, endpoint } = before;
  if (owner.scheme === endpoint.scheme) return secrets;
  if (isProfile(owner.scheme) || isProfile(endpoint.scheme)) return newSecrets(vault, owner, given);
  const has = (key: boolean): boolean => secrets.some((each) => isKey(each) === key && isCurrent(each));
  const missing = newSecrets(vault, owner).filter((made) => !has(isKey(made)));
  return missing.length === 0 ? secrets : [...missing, ...secrets];
}

/**
 * How long what is replaced signs along.
 * @throws PosthornError `invalid_field` where a request of the scheme holds one signature
 */
export function overlapMsOf(scheme: Scheme, overlapSeconds: number | undefined): number {
  const overlaps = !isProfile(scheme) || profileNamed(scheme).overlaps;
  if (overlaps) return (overlapSeconds ?? DEFAULTS.secretOverlapSeconds) * 1000;
  if (overlapSeconds === undefined || overlapSeconds === 0) return 0;
  throw new PosthornError(
    "invalid_field",
    `/overlapSeconds must be 0 or left out: a request of the scheme ${scheme} holds one signature, so a new secret counts at once. Let the receiver take both, then rotate to a secret that you give.`,
    { pointer: "/overlapSeconds", value: overlapSeconds },
  );
}

/**
 * New ones of all that the scheme signs with. The ones before sign along until the overlap ends, and earlier ones until
 * theirs does; what the scheme does not sign with stays.
 */
export function rotated(
  vault: Vault,
  owner: Owner,
  secrets: readonly SealedSecret[],
  given: GivenSecrets & { readonly overlapMs: number },
): SealedSecret[] {
  const made = newSecrets(vault, owner, given, secrets);
  const isRotated = (each: SealedSecret): boolean => made.some((anew) => isKey(anew) === isKey(each));
  return [
    ...made,
    ...secrets.filter((each) => !isRotated(each)),
    ...outgoing(
      secrets.filter((each) => isRotated(each) && isKey(each)),
      given.overlapMs,
    ),
    ...outgoing(
      secrets.filter((each) => isRotated(each) && !isKey(each)),
      given.overlapMs,
    ),
  ];
}

function outgoing(secrets: readonly SealedSecret[], overlapMs: number): SealedSecret[] {
  const now = Date.now();
  return secrets
    .map((each) => ({ ...each, expiresAtMs: each.expiresAtMs ?? now + overlapMs }))
    .filter(({ expiresAtMs }) => expiresAtMs > now)
    .slice(0, OLD_MAX);
}

/** What the endpoint's deliveries are signed and encrypted with now, opened. */
export function revealed(vault: Vault, { endpoint, secrets, sealedCredentials }: Config): EndpointSecrets {
  const { appId, id, scheme, encryption } = endpoint;
  if (isProfile(scheme)) {
    const current = secrets.find(isCurrent);
    if (current === undefined) return { secret: null, publicKey: null, encryptionKey: null };
    const text = openSecret(vault, appId, id, current.sealed);
    return { ...shownSecret(profileNamed(scheme), text), encryptionKey: null };
  }
  const uses = signsWith(scheme);
  const secret = uses.secret ? secrets.find((each) => isCurrent(each) && !isKey(each)) : undefined;
  const key = uses.key ? secrets.find((each) => isCurrent(each) && isKey(each)) : undefined;
  const credentials = encryption === null ? null : openCredentials(vault, appId, id, sealedCredentials);
  return {
    secret: secret === undefined ? null : openSecret(vault, appId, id, secret.sealed),
    publicKey: key === undefined || key.publicKey === null ? null : encodeStandardPublicKey(key.publicKey),
    encryptionKey: credentials?.encryptionKey ?? null,
  };
}

/** Of the keys that sign now, the current one first. */
export function publicKeysOf({
  endpoint,
  secrets,
}: Pick<EndpointConfig, "endpoint" | "secrets">): PublicKeyView[] {
  if (!signsWith(endpoint.scheme).key) return [];
  return secrets.flatMap(({ publicKey, expiresAtMs }) => {
    if (publicKey === null || (expiresAtMs !== null && expiresAtMs <= Date.now())) return [];
    const { id: endpointId, appId } = endpoint;
    return { endpointId, appId, kid: keyIdOf(publicKey), publicKey, expiresAtMs };
  });
}

function sealedSecret(vault: Vault, { appId, id }: Owner, secret: string): SealedSecret {
  return { sealed: sealSecret(vault, appId, id, secret), expiresAtMs: null, publicKey: null };
}

function sealedKey(vault: Vault, { appId, id }: Owner, key: string): SealedSecret {
  const { publicKey } = importStandardKey(key);
  return { sealed: sealKey(vault, appId, id, key), expiresAtMs: null, publicKey };
}
