/** The options of a receiver after they were looked at: what its parts share. */
import type { DedupeStore } from "../dedupe/dedupe.ts";
import type { Inbox } from "../inbox/inbox.ts";
import type { ProcessContext, Processor } from "../processors/processor.ts";
import type { Scheme, Verify } from "../schemes/scheme.ts";
import { callAside } from "./aside.ts";
import type { DeadLetter, DeadLetters } from "./dead-letters.ts";
import type { ReceivedEvent } from "./event.ts";
import type { Route } from "./steps.ts";

/** For logs. `verify`: the request was refused; `read`: it never got so far; `receive`: a fault of this package, or of `decrypt`. */
export interface ErrorContext {
  readonly during:
    | "verify"
    | "read"
    | "receive"
    | "start"
    | "handle"
    | "store"
    | "dead_letters"
    | "after_commit";
  readonly event?: ReceivedEvent;
  /** The processor that failed, or `handler`. */
  readonly by?: string;
}

/** The payload in the clear. @throws VerificationError when it cannot be opened, always with the same text */
export type Decrypt = (payload: Uint8Array) => Uint8Array | Promise<Uint8Array>;

export interface RetryOptions {
  /** Before the second try, the third, ...; the last one is repeated. */
  readonly delaysMs: readonly number[];
  /** After as many an event goes to the dead letters. Without dead letters it stays in the inbox, and is tried for ever. */
  readonly attemptsMax: number;
}

export interface Setup {
  readonly name: string;
  readonly scheme: Scheme<unknown, unknown>;
  readonly verify: Verify;
  readonly url: string | undefined;
  readonly toleranceSeconds: number;
  readonly decrypt: Decrypt | undefined;
  readonly bodyBytesMax: number;
  readonly concurrencyMax: number;
  readonly queueMax: number;
  readonly batch: { readonly sizeMax: number; readonly waitMs: number };
  readonly storage:
    | { readonly mode: "process"; readonly store: DedupeStore<unknown> }
    | { readonly mode: "ack-then-process"; readonly inbox: Inbox<unknown>; readonly retry: RetryOptions };
  readonly routes: readonly Route[];
  routeOf(eventType: string): Route | undefined;
  readonly processors: readonly Processor[];
  readonly onUnhandled: "accept" | "refuse";
  readonly deadLetters: DeadLetters | undefined;
  /** Never throws. */
  report(error: unknown, context: ErrorContext): void;
  nowMs(): number;
}

export function letterOf(
  { name, nowMs }: Pick<Setup, "name" | "nowMs">,
  event: ReceivedEvent,
  { by, error }: { readonly by: string; readonly error: unknown },
  attempts: number,
): DeadLetter {
  const reason = error instanceof Error ? error.message : String(error);
  return { event, receiver: name, by, reason, attempts, deadLetteredAtMs: nowMs() };
}

/** What happens after a commit, and the context that collects it. */
export class Effects {
  #effects: (() => void)[] = [];

  /** A store may run the same work again: what an earlier run collected counts no more. */
  context(transaction: unknown, signal: AbortSignal): ProcessContext {
    const effects: (() => void)[] = [];
    this.#effects = effects;
    return { transaction, signal, onCommit: (effect) => void effects.push(effect) };
  }

  run(report: Setup["report"]): void {
    for (const effect of this.#effects) {
      callAside(effect, (error) => report(error, { during: "after_commit" }));
    }
  }
}
