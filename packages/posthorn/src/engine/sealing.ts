/** What each sealed column is bound to, so that a ciphertext moved to another row, or another column, does not open. */
import type { AppId, EndpointId } from "../base/ids.ts";
import type { Credentials } from "../domain/authentication.ts";
import type { Vault } from "../security/vault.ts";
import type { EndpointConfig, SealedSecret } from "../store/store.ts";

type Column = "secret" | "signing_key" | "headers" | "credentials";

function bindingOf(appId: AppId, endpointId: EndpointId, column: Column): string {
  return `${appId}|endpoints|${column}|${endpointId}`;
}

export function sealSecret(vault: Vault, appId: AppId, endpointId: EndpointId, secret: string): Uint8Array {
  return vault.seal(secret, bindingOf(appId, endpointId, "secret"));
}

export function openSecret(vault: Vault, appId: AppId, endpointId: EndpointId, sealed: Uint8Array): string {
  return textOf(vault.open(sealed, bindingOf(appId, endpointId, "secret")));
}

/** A signing key, `whsk_...`: bound to a column of its own, so that no key passes for a secret. */
export function sealKey(vault: Vault, appId: AppId, endpointId: EndpointId, key: string): Uint8Array {
  return vault.seal(key, bindingOf(appId, endpointId, "signing_key"));
}

export function openKey(vault: Vault, appId: AppId, endpointId: EndpointId, sealed: Uint8Array): string {
  return textOf(vault.open(sealed, bindingOf(appId, endpointId, "signing_key")));
}

/** null when there are no headers, so that most rows carry nothing. */
export function sealHeaders(
  vault: Vault,
  appId: AppId,
  endpointId: EndpointId,
  headers: Readonly<Record<string, string>>,
): Uint8Array | null {
  if (Object.keys(headers).length === 0) return null;
  return vault.seal(JSON.stringify(headers), bindingOf(appId, endpointId, "headers"));
}

export function openHeaders(
  vault: Vault,
  appId: AppId,
  endpointId: EndpointId,
  sealed: Uint8Array | null,
): Record<string, string> {
  if (sealed === null) return {};
  return JSON.parse(textOf(vault.open(sealed, bindingOf(appId, endpointId, "headers"))));
}

/** null when there are none. */
export function sealCredentials(
  vault: Vault,
  appId: AppId,
  endpointId: EndpointId,
  credentials: Credentials,
): Uint8Array | null {
  if (Object.values(credentials).every((part) => part === null)) return null;
  return vault.seal(JSON.stringify(credentials), bindingOf(appId, endpointId, "credentials"));
}

export function openCredentials(
  vault: Vault,
  appId: AppId,
  endpointId: EndpointId,
  sealed: Uint8Array | null,
): Credentials | null {
  if (sealed === null) return null;
  return JSON.parse(textOf(vault.open(sealed, bindingOf(appId, endpointId, "credentials"))));
}

export type SealedColumns = Pick<EndpointConfig, "secrets" | "sealedHeaders" | "sealedCredentials">;

/** The same, sealed under the vault's own key; null: all of it is already. */
export function resealed(
  vault: Vault,
  config: SealedColumns & Pick<EndpointConfig, "endpoint">,
): SealedColumns | null {
  const { secrets, sealedHeaders, sealedCredentials, endpoint } = config;
  const all = [...secrets.map(({ sealed }) => sealed), sealedHeaders, sealedCredentials];
  if (!all.some((sealed) => sealed !== null && vault.isOld(sealed))) return null;
  const anew = (sealed: Uint8Array, column: Column): Uint8Array => {
    const binding = bindingOf(endpoint.appId, endpoint.id, column);
    return vault.seal(vault.open(sealed, binding), binding);
  };
  return {
    secrets: secrets.map(
      (secret): SealedSecret => ({
        ...secret,
        sealed: anew(secret.sealed, secret.publicKey === null ? "secret" : "signing_key"),
      }),
    ),
    sealedHeaders: sealedHeaders === null ? null : anew(sealedHeaders, "headers"),
    sealedCredentials: sealedCredentials === null ? null : anew(sealedCredentials, "credentials"),
  };
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("utf8");
}
