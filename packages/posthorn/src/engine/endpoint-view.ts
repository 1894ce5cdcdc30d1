/** An endpoint as it is shown: to its owner, and in the audit log. Neither holds a secret. */
import type { Endpoint } from "../domain/endpoint.ts";
import { isProfile, type Scheme } from "../domain/scheme.ts";
import type { Vault } from "../security/vault.ts";
import type { EndpointConfig, EndpointRow } from "../store/store.ts";
import { publicKeysOf } from "./endpoint-secrets.ts";
import type { EndpointView } from "./engine.ts";
import { profileNamed } from "./profiles.ts";
import { openHeaders } from "./sealing.ts";

/** A certificate that ends sooner is worth a warning: a month is enough to get another one. */
const CERTIFICATE_WARNING_MS = 30 * 24 * 3_600_000;

export function viewOf(vault: Vault, row: EndpointRow): EndpointView {
  const { endpoint, secrets, lane, filterErrors, filterError } = row;
  const expiries = secrets.flatMap(({ expiresAtMs }) =>
    expiresAtMs !== null && expiresAtMs > Date.now() ? [expiresAtMs] : [],
  );
  return {
    ...endpoint,
    publicKeys: publicKeysOf(row),
    headerNames: headerNamesOf(vault, row),
    breaker: lane.breaker,
    failingForMs: lane.failingForMs,
    filterErrors,
    filterError,
    oldSecretExpiresAtMs: expiries.length === 0 ? null : Math.max(...expiries),
    warnings: warningsOf(endpoint),
  };
}

function warningsOf({ scheme, clientCertificate }: EndpointConfig["endpoint"]): string[] {
  return [...strengthWarnings(scheme), ...certificateWarnings(clientCertificate)];
}

function strengthWarnings(scheme: Scheme): string[] {
  if (!isProfile(scheme)) return [];
  switch (profileNamed(scheme).strength) {
    case "weak":
      return [
        `The scheme ${scheme} signs with a hash that is weak by today's measure. Let the URL be https.`,
      ];
    case "token":
      return [`The scheme ${scheme} sends its secret along and signs nothing. Let the URL be https.`];
    default:
      return [];
  }
}

function certificateWarnings(clientCertificate: Endpoint["clientCertificate"]): string[] {
  if (clientCertificate === null) return [];
  const { notAfterMs } = clientCertificate;
  const end = new Date(notAfterMs).toISOString();
  if (notAfterMs <= Date.now()) return [`The client certificate ended at ${end}. Replace it.`];
  if (notAfterMs - Date.now() > CERTIFICATE_WARNING_MS) return [];
  return [`The client certificate ends at ${end}. Replace it before.`];
}

type Audited = Pick<EndpointConfig, "sealedHeaders"> & {
  /** Of a row, or of a change that is about to make one. */
  readonly endpoint: Omit<Endpoint, "createdAtMs" | "updatedAtMs"> & Partial<Endpoint>;
};

/** What the audit log may hold of an endpoint: of headers and certificates what tells them apart, of credentials nothing. */
export function auditedOf(vault: Vault, config: Audited) {
  const { id: _id, appId: _appId, version: _version, createdAtMs: _createdAtMs, ...rest } = config.endpoint;
  const { updatedAtMs: _updatedAtMs, clientCertificate, verification, ...facts } = rest;
  return {
    ...facts,
    headerNames: headerNamesOf(vault, config),
    clientCertificate:
      clientCertificate === null
        ? null
        : { subject: clientCertificate.subject, fingerprint: clientCertificate.fingerprint },
    verification:
      verification === null ? null : { ...verification, callback: verification.callback !== null },
  };
}

function headerNamesOf(vault: Vault, { endpoint, sealedHeaders }: Audited): string[] {
  return Object.keys(openHeaders(vault, endpoint.appId, endpoint.id, sealedHeaders));
}
