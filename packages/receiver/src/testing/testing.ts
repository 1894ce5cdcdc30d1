/** `@posthorn/receiver/testing`: requests as a sender would send them, for tests of your own receiver. */
import { Buffer } from "node:buffer";
import { randomUUID } from "node:crypto";
import type { Scheme, SignedRequest } from "../schemes/scheme.ts";
import { type SchemeName, schemeNamed } from "../schemes/schemes.ts";

export interface TestEvent {
  readonly type: string;
  /** Sent as JSON; bytes and nothing else are sent as they are. */
  readonly data: unknown;
  /** A random one when left out: give it to send the same event twice. */
  readonly id?: string;
  /** When it occurred, ISO 8601; now when left out. */
  readonly timestamp?: string;
}

export interface SignOptions {
  /** Where it is sent. `https://receiver.example/hooks` when left out. */
  readonly url?: string;
  /** When it is signed, unix seconds; now when left out. */
  readonly timestampSeconds?: number;
}

/** A text, as the provider shows it, or what the scheme makes of one; where a key pair signs, the private key. */
export type SigningSecretInput = string | object;

/**
 * `await receiver.fetch(signedRequest("github", secret, { type: "push", data: { ref: "refs/heads/main" } }))`
 * @param secret one, or several: during a rotation the new one and the old
 * @throws RangeError for an unknown scheme; VerificationError for a secret that cannot be read
 */
export function signedRequest(
  scheme: SchemeName | Scheme<unknown, unknown>,
  secret: SigningSecretInput | readonly SigningSecretInput[],
  event: TestEvent,
  options: SignOptions = {},
): Request {
  const { method, url, headers, body } = signedParts(scheme, secret, event, options);
  // A copy: of a view into a larger buffer some runtimes would send the whole.
  return new Request(url, { method, headers, body: new Uint8Array(body) });
}

/** The same in parts, for clients other than fetch, and to spoil something before it is sent. */
export function signedParts(
  scheme: SchemeName | Scheme<unknown, unknown>,
  secret: SigningSecretInput | readonly SigningSecretInput[],
  event: TestEvent,
  {
    url = "https://receiver.example/hooks",
    timestampSeconds = Math.floor(Date.now() / 1000),
  }: SignOptions = {},
): SignedRequest {
  const by = typeof scheme === "string" ? schemeNamed(scheme) : scheme;
  const secrets = (Array.isArray(secret) ? secret : [secret]).map((one) =>
    typeof one === "string" ? by.parseSigningSecret(one) : one,
  );
  const { type, data, id = `evt_${randomUUID()}`, timestamp = new Date().toISOString() } = event;
  const bytes = data instanceof Uint8Array ? data : Buffer.from(JSON.stringify(data ?? null));
  const composition = by.compose({ id, type, timestamp, data: bytes });
  return by.sign({ ...composition, id, type, timestampSeconds, url }, secrets);
}
