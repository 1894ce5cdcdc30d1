/**
 * Runs a message of calls as one transaction with one commit. It goes optimistically; only if something throws is it all
 * undone and done again with a savepoint around each element, so that a bad one fails alone.
 */
import { messageOf, PosthornError } from "../../base/errors.ts";
import type { Acceptance, BreakerChange, Settlement } from "../store.ts";
import { failureKind } from "./failure.ts";
import { type Answer, type Call, carry, type WriterVerb } from "./wire.ts";
import type { Verbs } from "./write/verbs.ts";
import type { Writing } from "./writing.ts";

type WriterCall = Call<WriterVerb>;

/** Throws only what must end the process. */
export function runCalls(writing: Writing, verbs: Verbs, calls: readonly WriterCall[]): Answer[] {
  try {
    return inTransaction(writing, () => calls.map((call) => ({ value: runWhole(verbs, call) })));
  } catch (error) {
    throwIfFatal(error);
    if (failureKind(error) === "full") return runShortOfSpace(writing, verbs, calls);
    return runCarefully(writing, verbs, calls);
  }
}

/** What it throws was not committed, or must end the process. */
function inTransaction<Result>(writing: Writing, work: () => Result): Result {
  const result = committed(writing, work);
  writing.emptyOldLog();
  return result;
}

function committed<Result>(writing: Writing, work: () => Result): Result {
  try {
    writing.begin();
    const result = work();
    writing.commit();
    return result;
  } catch (error) {
    throwIfFatal(error);
    writing.rollback();
    throw error;
  }
}

function throwIfFatal(error: unknown): void {
  if (failureKind(error) === "fatal") throw error;
}

function runWhole(verbs: Verbs, { verb, args }: WriterCall): unknown {
  return (verbs[verb] as (...args: readonly unknown[]) => unknown)(...args);
}

function runCarefully(writing: Writing, verbs: Verbs, calls: readonly WriterCall[]): Answer[] {
  try {
    return inTransaction(writing, () => calls.map((call) => runApart(writing, verbs, call)));
  } catch (error) {
    throwIfFatal(error);
    if (failureKind(error) === "full") return runShortOfSpace(writing, verbs, calls);
    return calls.map(() => ({ error: carry(error) }));
  }
}

function runApart(writing: Writing, verbs: Verbs, call: WriterCall): Answer {
  try {
    switch (call.verb) {
      case "accept": {
        const [acceptances] = call.args as [readonly Acceptance[]];
        return {
          value: acceptances.map((acceptance) => element(writing, () => verbs.acceptOne(acceptance))),
        };
      }
      case "settle": {
        const [settlements, breakers] = call.args as [readonly Settlement[], readonly BreakerChange[]];
        const value = settlements.map((settlement) => element(writing, () => verbs.settleOne(settlement)));
        savepoint(writing, () => verbs.setBreakers(breakers));
        return { value };
      }
      default:
        return { value: savepoint(writing, () => runWhole(verbs, call)) };
    }
  } catch (error) {
    // What ended the transaction concerns all of it.
    if (failureKind(error) !== "other" || !writing.db.isTransaction) throw error;
    return { error: carry(error) };
  }
}

function element<Result>(writing: Writing, work: () => Result): Result | { kind: "failed"; message: string } {
  try {
    return savepoint(writing, work);
  } catch (error) {
    if (failureKind(error) !== "other" || !writing.db.isTransaction) throw error;
    return { kind: "failed", message: messageOf(error) };
  }
}

function savepoint<Result>(writing: Writing, work: () => Result): Result {
  const { db } = writing;
  db.exec("SAVEPOINT element");
  try {
    const result = work();
    db.exec("RELEASE element");
    return result;
  } catch (error) {
    if (db.isTransaction) db.exec("ROLLBACK TO element; RELEASE element");
    writing.forget();
    throw error;
  }
}

/** No room: accepting stops, and what room there is goes to settling and the rest. Failing that, nothing of it is stored. */
function runShortOfSpace(writing: Writing, verbs: Verbs, calls: readonly WriterCall[]): Answer[] {
  try {
    return inTransaction(writing, () =>
      calls.map((call): Answer => {
        if (call.verb === "accept") return { value: full(call) };
        return runApart(writing, verbs, call);
      }),
    );
  } catch (error) {
    throwIfFatal(error);
    const noRoom = new PosthornError(
      "storage_full",
      "There is no room on the disk; nothing of this was stored.",
    );
    return calls.map((call) => (call.verb === "accept" ? { value: full(call) } : { error: carry(noRoom) }));
  }
}

function full({ args }: WriterCall): { kind: "full" }[] {
  return (args as [readonly Acceptance[]])[0].map(() => ({ kind: "full" }));
}
