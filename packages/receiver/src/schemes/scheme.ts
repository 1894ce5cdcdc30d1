/**
 * CONTRACT of a scheme: how one kind of sender signs, and what a receiver of it checks, answers and reads. A scheme is a plain
 * object of pure functions; `sign` and `verifier` stand side by side in one file, and the sender and the receiver use the same.
 *
 * What holds for each of them: it works over raw bytes, compares in constant time, reads strictly (one spelling of a signature, of
 * a number, of base64), takes several secrets, refuses what lacks a signature, and never shows a secret. What can only go wrong after
 * the signature was good (padding of a cipher, the receiver's id in it) is refused with the very error of a wrong signature.
 */
import type { HeaderLines, HeadersInput } from "../headers.ts";

/** A request as it came over the wire. */
export interface IncomingRequest {
  /** Upper case. */
  readonly method: string;
  /** Whole: some schemes sign it, others carry the signature in its query. */
  readonly url: string;
  readonly headers: HeadersInput;
  /** The exact bytes (or text) as received, before any parser touched them; empty for a GET. */
  readonly body: Uint8Array | string;
}

export interface Clock {
  /** Unix seconds. */
  readonly nowSeconds: number;
  /** How far a timestamp may lie in the past or the future, both ends included. Schemes without a timestamp do not look. */
  readonly toleranceSeconds: number;
}

/** What goes back to the sender. */
export interface Answer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What an event says of itself. */
export interface Description {
  /** The provider's own id of the event, the same for each attempt: what it is deduplicated by. null: this provider has none. */
  readonly id: string | null;
  /** Such as `order.created`; where the provider has no types, the name of the scheme. */
  readonly type: string;
  /** The domain part, parsed. */
  readonly data: unknown;
}

export type Verified =
  /** The sender asks whether we are there: the answer goes back at once, nothing is stored, no handler runs. */
  | { readonly kind: "handshake"; readonly answer: Answer }
  | {
      readonly kind: "event";
      /** What the signature vouches for, decrypted. */
      readonly payload: Uint8Array;
      /** When the sender signed; null: the scheme does not say. */
      readonly timestampSeconds: number | null;
      /** The answer that this sender insists on after success; null: 200 without a body. Made only when it is wanted. */
      readonly acknowledgement: (() => Answer) | null;
    };

/** @throws VerificationError whose `code` says what is wrong and whose text says what to check */
export type Verify = (request: IncomingRequest, clock: Clock) => Verified;

/** An event on its way out. */
export interface OutgoingEvent {
  readonly id: string;
  readonly type: string;
  /** When it occurred: ISO 8601. */
  readonly timestamp: string;
  /** JSON, byte for byte. */
  readonly data: Uint8Array;
}

/** The body in the form that receivers of a scheme know. Not yet encrypted. */
export interface Composition {
  readonly contentType: string;
  readonly body: Uint8Array;
}

export interface SignInput extends Composition {
  readonly id: string;
  readonly type: string;
  /** Of this attempt: unix seconds. */
  readonly timestampSeconds: number;
  /** Where it is sent. */
  readonly url: string;
}

/** All of a request: a scheme may add to the URL's query, and put an encrypted body in place of the one given. */
export interface SignedRequest {
  readonly method: "POST";
  readonly url: string;
  /** Names in lower case; `content-type` among them. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What strangers can do about it. `weak`: SHA-1, or a hash without a key; `token`: the secret itself travels; `none`: anyone may send. */
export type Strength = "strong" | "weak" | "token" | "none";

/**
 * @typeParam Secret what verifies: a shared secret, or a public key
 * @typeParam SigningSecret what signs: the same, or the private key
 */
export interface Scheme<Secret = string, SigningSecret = Secret> {
  /** Of the profile, such as `github`. */
  readonly name: string;
  readonly strength: Strength;
  /** The signature covers the URL, so the receiver must be told the one that the sender was given. */
  readonly signsUrl: boolean;
  /** False for `none` alone, which verifies with nothing. */
  readonly needsSecret: boolean;
  /** Its handshake comes as a GET. Left out: nothing but POST is ever verified. */
  readonly handshakesByGet?: true;
  /** Its events may come as a GET, all of them in the query. */
  readonly eventsByGet?: true;
  /** What this provider's requests never exceed: the default of a receiver's limit. Left out: 5 MiB. */
  readonly bodyBytesMax?: number;
  /**
   * Reads the secrets once; any one of them may have signed.
   * @throws VerificationError `invalid_secret`, `invalid_key`, never holding it; also when there is none
   */
  verifier(secrets: readonly Secret[]): Verify;
  /**
   * Reads what `verifier` vouched for; verifying itself parses nothing. Pure, so that an inbox can call it again later.
   * @throws VerificationError `invalid_payload`: signed, but not in this provider's form
   */
  describe(payload: Uint8Array, headers: HeaderLines): Description;
  /** A secret from the text of a file, an option or a sealed column; JSON where it has parts. @throws VerificationError `invalid_secret`, `invalid_key` */
  parseSecret(text: string): Secret;
  parseSigningSecret(text: string): SigningSecret;
  compose(event: OutgoingEvent): Composition;
  /** @param secrets during a rotation the new one and the old; schemes whose header holds one signature use the first */
  sign(input: SignInput, secrets: readonly SigningSecret[]): SignedRequest;
  /** Whether a 2xx says what this sender wants to hear. Left out: any 2xx does. */
  isAcknowledged?(answer: Pick<Answer, "status" | "body">, secrets: readonly SigningSecret[]): boolean;
  /** The body of a refusal, where the provider's documents ask for one. Left out: `{"code","message"}`. */
  refusal?(message: string): string;
}
