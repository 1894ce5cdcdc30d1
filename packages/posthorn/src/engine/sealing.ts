/** What each sealed column is bound to, so that a ciphertext moved to another row does not open. */
import type { AppId, EndpointId } from "../base/ids.ts";
import type { Vault } from "../security/vault.ts";

const secretBinding = (appId: AppId, endpointId: EndpointId): string =>
  `${appId}|endpoints|secret|${endpointId}`;
const headersBinding = (appId: AppId, endpointId: EndpointId): string =>
  `${appId}|endpoints|headers|${endpointId}`;

export function sealSecret(vault: Vault, appId: AppId, endpointId: EndpointId, secret: string): Uint8Array {
  return vault.seal(secret, secretBinding(appId, endpointId));
}

export function openSecret(vault: Vault, appId: AppId, endpointId: EndpointId, sealed: Uint8Array): string {
  return Buffer.from(vault.open(sealed, secretBinding(appId, endpointId))).toString("utf8");
}

/** null when there are no headers, so that most rows carry nothing. */
export function sealHeaders(
  vault: Vault,
  appId: AppId,
  endpointId: EndpointId,
  headers: Readonly<Record<string, string>>,
): Uint8Array | null {
  if (Object.keys(headers).length === 0) return null;
  return vault.seal(JSON.stringify(headers), headersBinding(appId, endpointId));
}

export function openHeaders(
  vault: Vault,
  appId: AppId,
  endpointId: EndpointId,
  sealed: Uint8Array | null,
): Record<string, string> {
  if (sealed === null) return {};
  return JSON.parse(Buffer.from(vault.open(sealed, headersBinding(appId, endpointId))).toString("utf8"));
}
