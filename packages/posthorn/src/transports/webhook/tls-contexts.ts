/**
 * What a TLS connection is opened with: certificate authorities, a client certificate, and the session of the last
 * connection to the same place. What an endpoint has of its own is never used for another one.
 */
import tls from "node:tls";
import type { ShipmentAccess, TlsAccess } from "../transport.ts";
import { TlsAccessError } from "./failure.ts";
import { Recent } from "./recent.ts";

export interface TlsContexts {
  /** @throws TlsAccessError when OpenSSL cannot use what the endpoint has */
  contextFor(access: ShipmentAccess | undefined): tls.SecureContext;
  /** `place`: host, port, and whose access. */
  sessionFor(place: string): KeptSession | undefined;
  keepSession(place: string, session: KeptSession): void;
}

export interface KeptSession {
  readonly session: Buffer;
  /** When the receiver last showed its certificate: resuming a session, which makes the next, it does not. Monotonic. */
  readonly checkedAtMs: number;
}

export interface TlsContextsOptions {
  /** In place of Node's certificate authorities, PEM. */
  readonly certificateAuthorities: readonly string[] | undefined;
  /** TLS sessions kept for resumption, about 2 KiB each. */
  readonly sessionsMax: number;
  /** Monotonic, in milliseconds. */
  readonly now: () => number;
}

/** Contexts of endpoints with TLS of their own, about 40 KiB each; making one takes 0.2 ms, a handshake eight times that. */
const CONTEXTS_MAX = 1000;

/** For how long a certificate is believed without being seen: it may have expired. */
const SESSION_AGE_MS_MAX = 3600 * 1000;

export function createTlsContexts({
  certificateAuthorities,
  sessionsMax,
  now,
}: TlsContextsOptions): TlsContexts {
  const sessions = new Recent<KeptSession>(sessionsMax);
  const contexts = new Recent<tls.SecureContext>(CONTEXTS_MAX);
  let common: tls.SecureContext | undefined;

  return {
    contextFor(access) {
      if (!access?.tls) {
        common ??= createContext(withAuthorities(certificateAuthorities));
        return common;
      }
      const known = contexts.get(access.id);
      if (known !== undefined) return known;
      const context = contextOf(access.tls, certificateAuthorities);
      contexts.set(access.id, context);
      return context;
    },
    sessionFor(place) {
      const kept = sessions.get(place);
      return kept !== undefined && now() < kept.checkedAtMs + SESSION_AGE_MS_MAX ? kept : undefined;
    },
    keepSession: (place, session) => sessions.set(place, session),
  };
}

/**
 * The context for one endpoint's TLS. Its own authorities are trusted as they stand, an intermediate one as well.
 * @throws TlsAccessError
 */
export function contextOf(
  { clientCertificate, clientKey, certificateAuthorities }: TlsAccess,
  otherwise?: readonly string[],
): tls.SecureContext {
  return createContext({
    ...(clientCertificate !== null && { cert: clientCertificate }),
    ...(clientKey !== null && { key: clientKey }),
    ...(certificateAuthorities === null
      ? withAuthorities(otherwise)
      : { ca: certificateAuthorities, allowPartialTrustChain: true }),
  });
}

function withAuthorities(authorities: readonly string[] | undefined): tls.SecureContextOptions {
  return authorities === undefined ? {} : { ca: [...authorities] };
}

function createContext(options: tls.SecureContextOptions): tls.SecureContext {
  try {
    return tls.createSecureContext({ minVersion: "TLSv1.2", ...options });
  } catch (error) {
    const { reason, code } = error as { reason?: string; code?: string };
    throw new TlsAccessError(
      `The client certificate, its key or the certificate authorities cannot be used (${reason ?? code ?? "unknown"}).`,
    );
  }
}
