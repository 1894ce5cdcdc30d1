/** An endpoint as the API shows it. */
import { z } from "zod";
import { BREAKER_STATES } from "../../domain/breaker.ts";
import {
  DEAD_LETTER_POLICIES,
  DISABLE_REASONS,
  ENDPOINT_STATUSES,
  type Endpoint,
  ORDERINGS,
} from "../../domain/endpoint.ts";
import { OWNERSHIP_POLICIES, type Verification } from "../../domain/ownership.ts";
import { SCHEMES } from "../../domain/scheme.ts";
import type { EndpointView, PublicKeyView } from "../../engine/engine.ts";
import { iso, maybeTimeView, timeView } from "./route.ts";

const authenticationView = z
  .looseObject({ kind: z.enum(["basic", "bearer", "header", "oauth2"]) })
  .describe(
    "How deliveries authenticate themselves, without what is secret: `basic` has `username`, `header` has `name`, `oauth2` has `tokenUrl`, `clientId`, `scope`, `audience` and `clientAuthentication`",
  );
const encryptionView = z
  .looseObject({ kind: z.enum(["dir", "ecdh-es"]), kid: z.string() })
  .describe("JWE with A256GCM: `dir` with a shared key, `ecdh-es` with the receiver's `publicKey`");
const certificateView = z.object({
  subject: z.string(),
  notAfter: timeView,
  fingerprint: z.string().describe("SHA-256 of the certificate, hex"),
});
const publicKeyView = z.object({
  kid: z.string().describe("The `keyid` of signatures, and the `kid` in the JWK set"),
  publicKey: z.string().describe("ed25519, base64url of 32 bytes"),
  expiresAt: maybeTimeView.describe("When it stops signing along; null: the current one"),
});
const verificationView = z.object({
  policy: z.enum(OWNERSHIP_POLICIES).exclude(["off"]),
  verifiedAt: maybeTimeView.describe("null: not yet"),
  checkedAt: maybeTimeView,
  problem: z.string().nullable().describe("Why the last check failed"),
  origin: z.string().nullable().describe("The `WebHook-Request-Origin` of each delivery"),
  grantedPerMinute: z.number().nullable().describe("Requests that the receiver granted; null: no bound"),
  callbackUntil: maybeTimeView.describe("Until when the receiver may still consent by its callback"),
});

export const endpointView = z
  .object({
    id: z.string(),
    appId: z.string(),
    uid: z.string().nullable(),
    url: z.string(),
    description: z.string(),
    eventTypes: z
      .array(z.string())
      .describe("Exact names, `order.*` (one segment), `order.**`, `*`; empty: all"),
    channels: z.array(z.string()),
    filter: z.string().nullable().describe("A CEL expression over `event`"),
    headerNames: z.array(z.string()).describe("Of the custom headers; their values are never shown"),
    rateLimitPerSecond: z.number().nullable(),
    inFlightMax: z.number(),
    timeoutMs: z.number(),
    retrySchedule: z.array(z.number()).describe("Seconds after each failed attempt"),
    ordering: z.enum(ORDERINGS),
    onDeadLetter: z.enum(DEAD_LETTER_POLICIES),
    scheme: z.enum(SCHEMES),
    publicKeys: z.array(publicKeyView).describe("Of the keys that sign now, the current one first"),
    authentication: authenticationView.nullable(),
    clientCertificate: certificateView.nullable(),
    certificateAuthorities: z.string().nullable().describe("PEM, in place of those that the server trusts"),
    encryption: encryptionView.nullable(),
    verification: verificationView
      .nullable()
      .describe("Whether it has proved that it wants its events; null: it need not"),
    status: z.enum(ENDPOINT_STATUSES),
    disableReason: z.enum(DISABLE_REASONS).nullable(),
    breaker: z.enum(BREAKER_STATES),
    failingForMs: z.number().nullable().describe("For how long every attempt has failed"),
    filterErrors: z.number().describe("Events that the filter could not judge, since the endpoint was made"),
    filterError: z.string().nullable().describe("What the last of these errors said"),
    oldSecretExpiresAt: maybeTimeView.describe("When the outgoing secret of a rotation stops signing"),
    warnings: z
      .array(z.string())
      .describe("What will need somebody soon: a client certificate that is about to end"),
    createdAt: timeView,
    updatedAt: timeView,
  })
  .meta({ id: "Endpoint" });

export function viewEndpoint(endpoint: EndpointView): z.input<typeof endpointView> {
  const { id, appId, uid, url, description, filter, rateLimitPerSecond, inFlightMax, timeoutMs } = endpoint;
  const { ordering, onDeadLetter, scheme, status, disableReason, breaker, failingForMs } = endpoint;
  const { filterErrors, filterError, authentication, encryption, certificateAuthorities } = endpoint;
  return {
    id,
    appId,
    uid,
    url,
    description,
    eventTypes: [...endpoint.eventTypes],
    channels: [...endpoint.channels],
    filter,
    headerNames: [...endpoint.headerNames],
    rateLimitPerSecond,
    inFlightMax,
    timeoutMs,
    retrySchedule: [...endpoint.retrySchedule],
    ordering,
    onDeadLetter,
    scheme,
    publicKeys: endpoint.publicKeys.map(viewKey),
    authentication: authentication === null ? null : { ...authentication },
    clientCertificate: viewCertificate(endpoint.clientCertificate),
    certificateAuthorities,
    encryption: encryption === null ? null : { ...encryption },
    verification: viewVerification(endpoint.verification),
    status,
    disableReason,
    breaker,
    failingForMs,
    filterErrors,
    filterError,
    oldSecretExpiresAt: iso(endpoint.oldSecretExpiresAtMs),
    warnings: [...endpoint.warnings],
    createdAt: iso(endpoint.createdAtMs),
    updatedAt: iso(endpoint.updatedAtMs),
  };
}

function viewKey({ kid, publicKey, expiresAtMs }: PublicKeyView) {
  return { kid, publicKey: Buffer.from(publicKey).toString("base64url"), expiresAt: iso(expiresAtMs) };
}

function viewCertificate(certificate: Endpoint["clientCertificate"]) {
  if (certificate === null) return null;
  const { subject, notAfterMs, fingerprint } = certificate;
  return { subject, notAfter: iso(notAfterMs), fingerprint };
}

/** Of the callback only how long it may be used: what opens it is nobody's but the receiver's. */
function viewVerification(verification: Verification | null) {
  if (verification === null) return null;
  const { policy, verifiedAtMs, checkedAtMs, problem, origin, grantedPerMinute, callback } = verification;
  return {
    policy,
    verifiedAt: iso(verifiedAtMs),
    checkedAt: iso(checkedAtMs),
    problem,
    origin,
    grantedPerMinute,
    callbackUntil: iso(callback?.expiresAtMs ?? null),
  };
}
