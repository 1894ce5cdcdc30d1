/** The options of createReceiver, their defaults, and what is refused at once. */
import type { DedupeStore } from "../dedupe/dedupe.ts";
import { memoryDedupe } from "../dedupe/memory/memory-dedupe.ts";
import type { Inbox } from "../inbox/inbox.ts";
import type { Scheme } from "../schemes/scheme.ts";
import { type AnyScheme, type SchemeName, schemeNamed } from "../schemes/schemes.ts";
import { VerificationError } from "../verification-error.ts";
import { callAside } from "./aside.ts";
import type { DeadLetters } from "./dead-letters.ts";
import type { Handlers } from "./handlers.ts";
import { checkName } from "./names.ts";
import type { Decrypt, ErrorContext, RetryOptions, Setup } from "./setup.ts";
import { routesOf } from "./steps.ts";

/** A text, as the provider shows it, or what the scheme makes of one. */
export type SecretInput = string | object;

export interface ReceiverOptions<Events extends object, Transaction> {
  /** How the sender signs: a name such as `github`, or a scheme object. */
  readonly scheme: SchemeName | Scheme<unknown, unknown>;
  /** Any one of them may have signed: during a rotation the new one and the old. */
  readonly secrets?: SecretInput | readonly SecretInput[];
  /** The URL that the sender was given, where its signature covers the URL: what arrives here may name a proxy's host or path. */
  readonly url?: string;
  /** How far a timestamp may lie in the past or the future. 300. */
  readonly toleranceSeconds?: number;
  /** For encrypted payloads: `jweDecryption({ keys })` of `@posthorn/receiver/jwe`. */
  readonly decrypt?: Decrypt;
  /** Remembers what was handled. In memory, for 7 days, when left out. In the mode `ack-then-process` the inbox does that. */
  readonly dedupe?: DedupeStore<Transaction>;
  /**
   * `process`, the default: answers after the handlers. `ack-then-process`: answers once the event is in the inbox, and handles it
   * later: for senders that wait only seconds.
   */
  readonly mode?: "process" | "ack-then-process";
  readonly inbox?: Inbox<Transaction>;
  /** When the inbox tries again what failed. 1 s, 5 s, 30 s, 2 min, 10 min, then each hour; 75 times. A delay is at most 30 days. */
  readonly retry?: Partial<RetryOptions>;
  /**
   * By event type: a function, a processor, or a list of them, worked through in its order. `order.*` is for one segment more, `order.**`
   * for one or more, `*` for all. The most specific pattern gets the event, and no other.
   */
  readonly handlers: Handlers<NoInfer<Events>, NoInfer<Transaction>>;
  /** What has no handler is acknowledged (`accept`, the default), or answered 422. */
  readonly onUnhandled?: "accept" | "refuse";
  /** Of refused requests, and of whatever failed; for logs. All but refused requests go to `console.error` when left out. */
  onError?(error: unknown, context: ErrorContext): void;
  /** Where events go that can never be processed. Without it the sender is told to keep them, and an inbox does. */
  readonly deadLetters?: DeadLetters;
  /** Larger bodies are answered 413; 503 while more than 64 MiB of all bodies are being read. What the scheme says, 256 KiB for those with small events, else 5 MiB. */
  readonly bodyBytesMax?: number;
  /** How many functions of one pattern may be under way, as far as the store or the inbox can be used at a time. 16. */
  readonly concurrencyMax?: number;
  /** How many events may wait or be under way before more are answered 503. 1,000. */
  readonly queueMax?: number;
  /** Processors get what came in while they worked, at most `sizeMax` events, 100; `waitMs` waits for more before that, 0. */
  readonly batch?: { readonly sizeMax?: number; readonly waitMs?: number };
  /**
   * Tells its keys, and its entries in an inbox, from those of other receivers in the same store: those of one name count as one. The
   * scheme's name.
   */
  readonly name?: string;
  /** Milliseconds; for tests. */
  now?(): number;
}

/** An object, so that the compiler misses the name of a new option here. */
const OPTIONS: { readonly [Name in keyof ReceiverOptions<object, unknown>]-?: true } = {
  scheme: true,
  secrets: true,
  url: true,
  toleranceSeconds: true,
  decrypt: true,
  dedupe: true,
  mode: true,
  inbox: true,
  retry: true,
  handlers: true,
  onUnhandled: true,
  onError: true,
  deadLetters: true,
  bodyBytesMax: true,
  concurrencyMax: true,
  queueMax: true,
  batch: true,
  name: true,
  now: true,
};

const SECONDS = 1000;
const RETRY_DELAY_MS_MAX = 30 * 24 * 3600 * SECONDS;
const RETRY: RetryOptions = {
  delaysMs: [SECONDS, 5 * SECONDS, 30 * SECONDS, 120 * SECONDS, 600 * SECONDS, 3600 * SECONDS],
  attemptsMax: 75,
};

/** @throws TypeError that names the option; RangeError for an unknown scheme; VerificationError for a secret that cannot be read */
export function setUp<Events extends object, Transaction>(
  options: ReceiverOptions<Events, Transaction>,
): Setup {
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(OPTIONS, name));
  if (unknown !== undefined) {
    throw new TypeError(`createReceiver: ${unknown} is unknown; use ${Object.keys(OPTIONS).join(", ")}`);
  }
  const scheme: AnyScheme = typeof options.scheme === "string" ? schemeNamed(options.scheme) : options.scheme;
  if (typeof scheme?.verifier !== "function") {
    throw new TypeError("scheme: it must be the name of a scheme, or a scheme object.");
  }
  if (scheme.signsUrl && options.url === undefined) {
    throw new TypeError(
      `url: the scheme ${scheme.name} signs the URL, so the receiver must know the one that the sender was given, such as https://hooks.example.com/in.`,
    );
  }
  if (options.url !== undefined && !URL.canParse(options.url)) {
    throw new TypeError(`url: ${JSON.stringify(options.url)} is not a whole URL with its https://.`);
  }
  const whole = (name: string, value: number | undefined, initial: number, min: number) =>
    wholeNumber(name, value ?? initial, min);
  return {
    name: checkName(options.name ?? scheme.name),
    scheme,
    verify: scheme.verifier(secretsOf(scheme, options.secrets)),
    url: options.url,
    toleranceSeconds: whole("toleranceSeconds", options.toleranceSeconds, 300, 0),
    decrypt: options.decrypt,
    bodyBytesMax: whole("bodyBytesMax", options.bodyBytesMax, scheme.bodyBytesMax ?? 5 * 1024 * 1024, 1),
    concurrencyMax: whole("concurrencyMax", options.concurrencyMax, 16, 1),
    queueMax: whole("queueMax", options.queueMax, 1000, 1),
    batch: {
      sizeMax: whole("batch.sizeMax", options.batch?.sizeMax, 100, 1),
      waitMs: whole("batch.waitMs", options.batch?.waitMs, 0, 0),
    },
    storage: storageOf(options),
    ...routesOf(options.handlers),
    onUnhandled: options.onUnhandled ?? "accept",
    deadLetters: options.deadLetters,
    report: reporter(options.onError),
    nowMs: options.now ?? Date.now,
  };
}

function wholeNumber(name: string, value: number, min: number): number {
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw new TypeError(`${name}: ${value} is not a whole number of at least ${min}.`);
}

function secretsOf(
  scheme: AnyScheme,
  given: SecretInput | readonly SecretInput[] | undefined,
): readonly unknown[] {
  const list: readonly SecretInput[] = given === undefined ? [] : Array.isArray(given) ? given : [given];
  return list.map((secret) => (typeof secret === "string" ? scheme.parseSecret(secret) : secret));
}

function storageOf<Events extends object, Transaction>({
  mode = "process",
  dedupe,
  inbox,
  retry,
}: ReceiverOptions<Events, Transaction>): Setup["storage"] {
  switch (mode) {
    case "process":
      if (inbox !== undefined) throw new TypeError('inbox: it is for the mode "ack-then-process" only.');
      return { mode, store: checkStore("dedupe", "onceMax", dedupe ?? memoryDedupe()) };
    case "ack-then-process": {
      if (inbox === undefined) throw new TypeError('inbox: the mode "ack-then-process" needs one.');
      if (dedupe !== undefined) {
        throw new TypeError('dedupe: in the mode "ack-then-process" the inbox deduplicates; leave it out.');
      }
      const { delaysMs = RETRY.delaysMs, attemptsMax = RETRY.attemptsMax } = retry ?? {};
      if (delaysMs.length === 0) throw new TypeError("retry.delaysMs: it is empty.");
      for (const delayMs of delaysMs) {
        if (wholeNumber("retry.delaysMs", delayMs, 0) <= RETRY_DELAY_MS_MAX) continue;
        throw new TypeError(`retry.delaysMs: ${delayMs} is more than 30 days (${RETRY_DELAY_MS_MAX}).`);
      }
      return {
        mode,
        inbox: checkStore("inbox", "takesMax", inbox),
        retry: { delaysMs, attemptsMax: wholeNumber("retry.attemptsMax", attemptsMax, 1) },
      };
    }
    default:
      throw new TypeError(`mode: ${JSON.stringify(mode)} is neither "process" nor "ack-then-process".`);
  }
}

/** Without its bound nothing would ever be taken. @throws TypeError */
function checkStore<Key extends string, Store extends { readonly [key in Key]: number }>(
  option: string,
  key: Key,
  store: Store,
): Store {
  if (typeof store === "object" && store !== null && store[key] >= 1) return store;
  throw new TypeError(`${option}: it must be an object whose ${key} is a number of at least 1.`);
}

/** Whoever logs must not be able to break what is logged. */
function reporter(onError: ReceiverOptions<object, unknown>["onError"]): Setup["report"] {
  return (error, context) => {
    if (onError !== undefined) {
      callAside(
        () => onError(error, context),
        (failed) => console.error("posthorn receiver: onError failed:", failed),
      );
    } else if (!(error instanceof VerificationError)) {
      console.error("posthorn receiver:", context.during, error);
    }
  };
}
