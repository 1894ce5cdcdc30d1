/**
 * CONTRACT of a transport: carries one payload to one address and says what came of it. It never throws for what the
 * other side does, follows nothing, and keeps to the deadline in total, not between bytes. It never retries, but for one
 * thing: a 401 to an access token makes it fetch a new one and send once more, within the same deadline; for one access
 * once in 5 s, whatever its receiver answers.
 */
import type { AttemptOutcome } from "../domain/attempt.ts";
import type { UrlRules } from "../security/address-guard.ts";

export interface Shipment {
  /** Where to, as the endpoint has it. Checked by the address guard when the connection is made. */
  readonly url: string;
  /** Lower-case names, values free of CR, LF and NUL; signature and custom headers included. */
  readonly headers: Readonly<Record<string, string>>;
  /** The exact bytes to send. */
  readonly body: Uint8Array;
  /** For the whole attempt: connect, send, and read the answer. */
  readonly timeoutMs: number;
  /** Most receivers ask for nothing of this. */
  readonly access?: ShipmentAccess;
}

/** What some receivers ask for beyond headers. One frozen object per endpoint and version, so that it can be known again. */
export interface ShipmentAccess {
  /** Access tokens, and the connections made with `tls`, are shared by what has the same id, and by nothing else. */
  readonly id: string;
  readonly tls: TlsAccess | null;
  readonly oauth2: OAuth2Client | null;
}

/** All PEM. */
export interface TlsAccess {
  readonly clientCertificate: string | null;
  readonly clientKey: string | null;
  /** In place of those that Node trusts: its own list, and that of NODE_EXTRA_CA_CERTS. */
  readonly certificateAuthorities: string | null;
}

/** Client credentials, RFC 6749 4.4. */
export interface OAuth2Client {
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope: string | null;
  readonly audience: string | null;
  readonly clientAuthentication: "basic" | "body";
}

/** A request whose answer is read: the ownership check, a token. */
export interface Question {
  readonly method: "GET" | "POST" | "OPTIONS";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | null;
  readonly timeoutMs: number;
  readonly access?: ShipmentAccess;
}

export interface Reply {
  readonly outcome: AttemptOutcome;
  /** Names in lower case; several lines of one joined with a comma. Empty when nothing came. */
  readonly headers: Readonly<Record<string, string>>;
  /** At most 64 KiB; empty when nothing came. */
  readonly body: Uint8Array;
}

export interface Receipt {
  readonly outcome: AttemptOutcome;
  /** Whole milliseconds of the attempt. */
  readonly durationMs: number;
  /** The first 4 KiB of the answer's body as they came, never decompressed; null when nothing came. */
  readonly responseBody: Uint8Array | null;
}

export interface Transport {
  ship(shipment: Shipment): Promise<Receipt>;
  /** Asks through the same guard, with the same rules. */
  ask(question: Question): Promise<Reply>;
  /**
   * @throws PosthornError `invalid_url` when an endpoint may not have this address: form, scheme, port, literal address.
   * Resolves no names.
   */
  checkUrl(url: string, rules?: UrlRules): void;
  /** Reads the parts of TLS. @throws PosthornError `invalid_certificate` naming the field and what to do */
  checkTls(tls: TlsAccess): void;
  /** Ends idle connections; shipments under way keep going to their deadline. */
  close(): Promise<void>;
}
