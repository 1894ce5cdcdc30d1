/** The signing secrets and keys of an endpoint: made, rotated, revealed. What is kept of them is sealed. */
import {
  encodeStandardPublicKey,
  generateStandardKey,
  generateStandardSecret,
  importStandardKey,
  keyIdOf,
} from "@posthorn/receiver";
import { PosthornError } from "../base/errors.ts";
import type { Endpoint, Scheme } from "../domain/endpoint.ts";
import type { Vault } from "../security/vault.ts";
import type { EndpointConfig, SealedSecret } from "../store/store.ts";
import type { EndpointSecrets, PublicKeyView } from "./engine.ts";
import { openCredentials, openSecret, sealKey, sealSecret } from "./sealing.ts";
import { signsWith } from "./signing.ts";

/** A rotation keeps at most so many outgoing secrets, and as many outgoing keys, signing along. */
const OLD_MAX = 10;

type Owner = Pick<Endpoint, "id" | "appId" | "scheme">;
type Config = Pick<EndpointConfig, "endpoint" | "secrets" | "sealedCredentials">;

export interface GivenSecrets {
  readonly secret?: string | undefined;
  readonly signingKey?: string | undefined;
}

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

/** Current ones of all that the scheme signs with: what is given, else made. */
export function newSecrets(vault: Vault, owner: Owner, given: GivenSecrets = {}): SealedSecret[] {
  const uses = signsWith(owner.scheme);
  const made: SealedSecret[] = [];
  if (uses.secret) made.push(sealedSecret(vault, owner, given.secret ?? generateStandardSecret()));
  if (uses.key) made.push(sealedKey(vault, owner, given.signingKey ?? generateStandardKey()));
  return made;
}

/** After a change of the scheme: what it signs with and the endpoint has not. */
export function withMissing(
  vault: Vault,
  owner: Owner,
  secrets: readonly SealedSecret[],
): readonly SealedSecret[] {
  const has = (key: boolean): boolean => secrets.some((each) => isKey(each) === key && isCurrent(each));
  const missing = newSecrets(vault, owner).filter((made) => !has(isKey(made)));
  return missing.length === 0 ? secrets : [...missing, ...secrets];
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
  const made = newSecrets(vault, owner, given);
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
