/** `createReceiver`: the receiver as its users see it. */
import type { IncomingRequest } from "../schemes/scheme.ts";
import type { AnyScheme } from "../schemes/schemes.ts";
import { Bodies } from "./body-limit.ts";
import { countersOf, type ReceiverCounters } from "./counters.ts";
import type { ReceiverDoor } from "./door.ts";
import type { EventMap } from "./event.ts";
import { respond } from "./fetch-door.ts";
import { type ReceiverOptions, setUp } from "./options.ts";
import { Reception } from "./reception.ts";

const GRACE_MS = 30_000;

/** @typeParam Events what its handlers are typed by: `const receiver: Receiver<{ "order.created": Order }> = createReceiver({ ... })` */
export interface Receiver<Events extends object = EventMap> extends ReceiverDoor {
  counters(): ReceiverCounters;
  /**
   * Starts the processors, and takes up what lies in the inbox. Without it the first request does so.
   * @throws whatever keeps a processor from starting
   */
  start(): Promise<void>;
  /**
   * Takes nothing new (503), waits for what is under way, then closes the processors. Stores and inboxes that it was given stay open.
   * @param options.graceMs after as long `signal` is aborted, and nothing waits for the handlers any more; 30 s
   */
  close(options?: { readonly graceMs?: number }): Promise<void>;
  /** For the compiler alone. */
  readonly "~events"?: Events;
}

/**
 * Verifies what a sender sends, handles each event once, and answers as the sender wants it.
 * @typeParam Transaction of the store or the inbox, inferred from it; `any` in `createReceiver<Events>(...)`, as the compiler that is told
 *   one type infers no other, and in memory, where there is none
 * @throws TypeError, RangeError that names the option; VerificationError for a secret that cannot be read
 */
// biome-ignore lint/suspicious/noExplicitAny: see above
export function createReceiver<Events extends object = EventMap, Transaction = any>(
  options: ReceiverOptions<Events, Transaction>,
): Receiver<Events> {
  const reception = new Reception(setUp(options));
  warnOfStrangers(reception.setup.scheme, options.secrets);
  const door = {
    bodies: new Bodies(reception.setup.bodyBytesMax),
    receive: (request: IncomingRequest) => reception.receive(request),
    fail: (error: unknown) => reception.fail(error),
  };
  return {
    ...door,
    fetch: (request) => respond(door, request),
    counters: () => countersOf(reception.tally),
    start: () => reception.start(),
    close: (given) => reception.close(given?.graceMs ?? GRACE_MS),
  };
}

function warnOfStrangers({ name, strength }: AnyScheme, secrets: unknown): void {
  const isOpen = secrets === undefined || (Array.isArray(secrets) && secrets.length === 0);
  if (strength !== "none" || !isOpen) return;
  console.warn(
    `posthorn receiver: the scheme ${name} checks nothing: whoever finds the URL may send events.`,
  );
}
