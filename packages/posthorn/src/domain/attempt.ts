/** An attempt is one try of a delivery. Its outcome is one of these; every switch over it is exhaustive. */
import type { AppId, AttemptId, DeliveryId, EndpointId, EventId } from "../base/ids.ts";

/** What the receiver asks for in the header `webhook-delivery`, at any status. */
export type ReceiverControl = "abort-message" | "disable";

export const UNREACHABLE_CAUSES = [
  "address_refused", // the address guard: never told apart from `connection_refused` towards app keys
  "dns",
  "connection_refused",
  "connection_reset",
  "tls_expired", // the certificate is over, or not valid yet
  "tls_wrong_host", // the certificate names another host
  "tls_self_signed",
  "tls_untrusted", // signed by an authority that is not known here
  "tls_version", // no version or cipher in common: TLS 1.2 is the least
  "tls_client_certificate", // the receiver wants one, or refuses the endpoint's
  "tls", // any other fault of TLS
  "proxy", // the outbound proxy is down or refuses
  "authorization", // no access token from the OAuth 2.0 token endpoint
  "protocol",
  "network",
] as const;
export type UnreachableCause = (typeof UNREACHABLE_CAUSES)[number];

export type AttemptOutcome =
  /** 200-299 and nothing else; where the endpoint's scheme insists on a certain answer, with that answer. */
  | { readonly kind: "succeeded"; readonly status: number; readonly control: ReceiverControl | null }
  /** Any other status, 3xx included: redirects are never followed. */
  | {
      readonly kind: "rejected";
      readonly status: number;
      /** A 2xx whose body is not the acknowledgement that the endpoint's scheme insists on. Left out: it is the status. */
      readonly cause?: "unacknowledged";
      /** From `Retry-After`, in either form; null when absent or nonsense. */
      readonly retryAfterMs: number | null;
      readonly control: ReceiverControl | null;
    }
  | { readonly kind: "timed_out"; readonly phase: "connect" | "handshake" | "response" }
  | { readonly kind: "unreachable"; readonly cause: UnreachableCause; readonly detail: string }
  /** The request could not even be built (a secret that cannot be opened, a body that cannot be signed). */
  | { readonly kind: "invalid"; readonly detail: string }
  /** The node died while the delivery was leased: it may have been sent. */
  | { readonly kind: "unknown" };

export type OutcomeKind = AttemptOutcome["kind"];
export const OUTCOME_KINDS: readonly OutcomeKind[] = [
  "succeeded",
  "rejected",
  "timed_out",
  "unreachable",
  "invalid",
  "unknown",
];

export interface Attempt {
  readonly id: AttemptId;
  readonly deliveryId: DeliveryId;
  readonly endpointId: EndpointId;
  readonly eventId: EventId;
  readonly appId: AppId;
  /** 1, 2, 3 ... within the delivery, `unknown` ones included. */
  readonly number: number;
  readonly startedAtMs: number;
  readonly durationMs: number;
  readonly outcome: AttemptOutcome;
  /** The first 4 KiB of what came back, as bytes; null when nothing did. */
  readonly responseBody: Uint8Array | null;
  readonly url: string;
}

/** True for outcomes that count against the endpoint: for its breaker, its auto-disable and the retry schedule. */
export function isFailure(outcome: AttemptOutcome): boolean {
  return outcome.kind !== "succeeded" && outcome.kind !== "unknown";
}
