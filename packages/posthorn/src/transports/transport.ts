/**
 * CONTRACT of a transport: carries one payload to one address and says what came of it. It never throws for what the
 * other side does, never retries, follows nothing, and keeps to the deadline in total, not between bytes.
 */
import type { AttemptOutcome } from "../domain/attempt.ts";

export interface Shipment {
  /** Where to, as the endpoint has it. Checked by the address guard when the connection is made. */
  readonly url: string;
  /** Lower-case names, values free of CR, LF and NUL; signature and custom headers included. */
  readonly headers: Readonly<Record<string, string>>;
  /** The exact bytes to send. */
  readonly body: Uint8Array;
  /** For the whole attempt: connect, send, and read the answer. */
  readonly timeoutMs: number;
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
  /** @throws PosthornError `invalid_url` when an endpoint may not have this address: form, scheme, port, literal address. Resolves no names. */
  checkUrl(url: string): void;
  /** Ends idle connections; shipments under way keep going to their deadline. */
  close(): Promise<void>;
}
