/** A receiver with a witness: tells of each request what was answered, to which event, and why. */
import { AsyncLocalStorage } from "node:async_hooks";
import type {
  Answer,
  AnyScheme,
  Description,
  ErrorContext,
  Receiver,
  ReceiverCounters,
  Verified,
} from "@posthorn/receiver";
import { VerificationError } from "@posthorn/receiver";
import type { Settings } from "./settings.ts";

export interface Answered {
  /** null: the request was refused before anything was read of it, or asked a question of the provider's own. */
  readonly event: Pick<Description, "id" | "type"> | null;
  readonly answer: Answer;
  /** Why it was refused. */
  readonly code: string | null;
  /** What became of an event that was acknowledged without being handled. */
  readonly instead: Instead | null;
  readonly tookMs: number;
}

export type Instead = "duplicate" | "dead letter";

type Door = Pick<Receiver, "bodies" | "receive" | "fail" | "fetch">;

type Seen = Pick<ReceiverCounters, "duplicates" | "deadLettered">;

const OK: Answer = { status: 200, headers: {}, body: "" };

/** What one request turned out to be. The first word counts: an inbox reads other events in the wake of it. */
interface Note {
  event?: Pick<Description, "id" | "type">;
  code?: string;
  instead?: Instead | null;
}

export class Watch {
  readonly #notes = new AsyncLocalStorage<Note>();
  readonly #mode: Settings["mode"];
  readonly #tell: (answered: Answered) => void;
  #counters: (() => Seen) | undefined;
  #seen: Seen = { duplicates: 0, deadLettered: 0 };

  constructor(mode: Settings["mode"], tell: (answered: Answered) => void) {
    this.#mode = mode;
    this.#tell = tell;
  }

  /** The scheme, which is what reads an event's id and type. */
  scheme(scheme: AnyScheme): AnyScheme {
    return {
      ...scheme,
      verifier: (secrets) => {
        const verify = scheme.verifier(secrets);
        return (request, clock) => this.#acknowledged(verify(request, clock));
      },
      describe: (payload, headers) => {
        const description = scheme.describe(payload, headers);
        const note = this.#notes.getStore();
        if (note !== undefined) note.event ??= description;
        return description;
      },
    };
  }

  /** For `onError`. @returns whether the line of its request tells of it */
  noted(error: unknown, { during }: ErrorContext): boolean {
    const note = this.#notes.getStore();
    if (!(error instanceof VerificationError) || note === undefined) return false;
    if (during !== "verify" && during !== "read") return false;
    note.code = error.code;
    return true;
  }

  door(receiver: Door & Pick<Receiver, "counters">): Door {
    this.#counters = () => receiver.counters();
    return {
      ...receiver,
      receive: async (request) => {
        const told = this.#begin();
        return told(await this.#notes.run(told.note, () => receiver.receive(request)));
      },
      fail: (error) => {
        const told = this.#begin();
        return told(this.#notes.run(told.note, () => receiver.fail(error)));
      },
    };
  }

  #acknowledged(verified: Verified): Verified {
    const note = this.#notes.getStore();
    if (verified.kind !== "event" || note === undefined) return verified;
    const acknowledgement = () => {
      note.instead = this.#grown();
      return verified.acknowledgement?.() ?? OK;
    };
    return { ...verified, acknowledgement };
  }

  /**
   * An event is counted in the very step in which its acknowledgement is made, so what has grown since the one before is its own count.
   * Dead letters of an inbox are counted later, and belong to no request.
   */
  #grown(): Instead | null {
    const before = this.#seen;
    const { duplicates, deadLettered } = this.#counters?.() ?? before;
    this.#seen = { duplicates, deadLettered };
    if (duplicates > before.duplicates) return "duplicate";
    return this.#mode === "process" && deadLettered > before.deadLettered ? "dead letter" : null;
  }

  #begin() {
    const note: Note = {};
    const startedMs = performance.now();
    const told = (answer: Answer): Answer => {
      const { event = null, instead = null } = note;
      const code = note.code ?? codeIn(answer);
      this.#tell({ event, answer, code, instead, tookMs: performance.now() - startedMs });
      return answer;
    };
    return Object.assign(told, { note });
  }
}

/** A refusal is `{"code","message"}`, but for the few schemes that have a form of their own: theirs has no code of the receiver's. */
function codeIn({ status, body }: Answer): string | null {
  if (status < 400) return null;
  return /^\{"code":"([a-z_]+)"/.exec(body)?.[1] ?? null;
}
