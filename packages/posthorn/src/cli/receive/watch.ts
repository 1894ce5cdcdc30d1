/** A receiver with a witness: tells of each request what was answered, to which event, and why. */
import { AsyncLocalStorage } from "node:async_hooks";
import type {
  Answer,
  AnyScheme,
  Description,
  ErrorContext,
  Receiver,
  VerificationErrorCode,
} from "@posthorn/receiver";
import { VerificationError } from "@posthorn/receiver";

export interface Answered {
  /** null: the request was refused before anything was read of it, or asked a question of the provider's own. */
  readonly event: Pick<Description, "id" | "type"> | null;
  readonly answer: Answer;
  /** Why it was refused. */
  readonly code: VerificationErrorCode | null;
  readonly tookMs: number;
}

type Door = Pick<Receiver, "bodies" | "receive" | "fail" | "fetch">;

/** What one request turned out to be. The first word counts: an inbox reads other events in the wake of it. */
interface Note {
  event?: Pick<Description, "id" | "type">;
  code?: VerificationErrorCode;
}

export class Watch {
  readonly #notes = new AsyncLocalStorage<Note>();
  readonly #tell: (answered: Answered) => void;

  constructor(tell: (answered: Answered) => void) {
    this.#tell = tell;
  }

  /** The scheme, which is what reads an event's id and type. */
  scheme(scheme: AnyScheme): AnyScheme {
    return {
      ...scheme,
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

  door(receiver: Door): Door {
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

  #begin() {
    const note: Note = {};
    const startedMs = performance.now();
    const told = (answer: Answer): Answer => {
      const { event = null, code = null } = note;
      this.#tell({ event, answer, code, tookMs: performance.now() - startedMs });
      return answer;
    };
    return Object.assign(told, { note });
  }
}
