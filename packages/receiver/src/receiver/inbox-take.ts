/** One batch out of the inbox: handled and marked in one transaction; what fails alone is postponed, or buried. */
import { linesOf } from "../headers.ts";
import type { Inbox, InboxEntry, Postponement } from "../inbox/inbox.ts";
import type { ProcessContext } from "../processors/processor.ts";
import { PoisonError } from "./control.ts";
import type { Tally } from "./counters.ts";
import type { ReceivedEvent } from "./event.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import { Effects, letterOf, type RetryOptions, type Setup } from "./setup.ts";
import { goThrough, type Load, type Route, StepError } from "./steps.ts";

export type Taken =
  | "done"
  /** None is due. */
  | "none"
  /** A batch of several failed as a whole, and waits as before: it is to be taken again, one by one. */
  | { readonly failedTogether: number }
  /** One entry failed, and is due again later. */
  | "put_off"
  | "processor_failed"
  /** Nothing can be done at this moment; all waits as before. */
  | "down";

export interface InboxOptions {
  readonly setup: Setup;
  readonly inbox: Inbox<unknown>;
  readonly retry: RetryOptions;
  readonly tally: Tally;
  readonly signal: AbortSignal;
  /** A handler wants no more events of this sender. */
  onDisable(): void;
}

/**
 * Entries that failed, by key. Until one is put off it waits as before: another worker that takes it in between lets go of it at once,
 * and waits until that is done.
 */
export type Settling = Map<string, PromiseWithResolvers<void>>;

class BeingSettled extends Error {
  readonly done: Promise<void>;

  constructor({ promise }: PromiseWithResolvers<void>) {
    super("it is being put off");
    this.done = promise;
  }
}

/** What has no handler was put in by a version of this receiver that has one, or had: it is left to that one. */
class NoHandler extends Error {
  readonly keys: readonly string[];

  constructor(entries: readonly InboxEntry[]) {
    const types = [...new Set(entries.map(({ type }) => type))].join(", ");
    super(`there is no handler for ${types}: left in the inbox`);
    this.keys = entries.map(({ key }) => key);
  }
}

const NO_HANDLER_AFTER_MS = 60_000;

export async function takeFromInbox(
  options: InboxOptions,
  settling: Settling,
  limit: number,
): Promise<Taken> {
  const { setup, inbox, tally, signal } = options;
  const effects = new Effects();
  let entries: readonly InboxEntry[] = [];
  try {
    const wish = { receiver: setup.name, limit };
    const count = await inbox.take(wish, async (transaction, taken) => {
      // An inbox may run the same work again.
      release(settling, entries);
      refuseSettling(settling, taken);
      entries = taken;
      // Known before the transaction ends: a worker that waits for it comes before whoever hears of its end.
      for (const { key } of taken) settling.set(key, Promise.withResolvers());
      await handle(setup, taken, effects.context(transaction, signal));
    });
    effects.run(setup.report);
    tally.handled += count;
    tally.inInbox = Math.max(0, tally.inInbox - count);
    return count === 0 ? "none" : "done";
  } catch (error) {
    return await failed(options, entries, error);
  } finally {
    release(settling, entries);
  }
}

function release(settling: Settling, entries: readonly InboxEntry[]): void {
  for (const { key } of entries) {
    settling.get(key)?.resolve();
    settling.delete(key);
  }
}

/** @throws BeingSettled */
function refuseSettling(settling: Settling, entries: readonly InboxEntry[]): void {
  for (const { key } of entries) {
    const other = settling.get(key);
    if (other !== undefined) throw new BeingSettled(other);
  }
}

async function failed(options: InboxOptions, entries: readonly InboxEntry[], error: unknown): Promise<Taken> {
  const [entry] = entries;
  if (error instanceof BeingSettled) {
    await error.done;
    return "put_off";
  }
  if (error instanceof NoHandler) return leave(options, error);
  if (entries.length > 1) return { failedTogether: entries.length };
  if (entry !== undefined) return settle(options, entry, outcomeOf(error));
  options.setup.report(error, { during: "store", by: "inbox" });
  return "down";
}

/** @throws NoHandler, StepError */
async function handle(setup: Setup, entries: readonly InboxEntry[], context: ProcessContext): Promise<void> {
  const strangers = entries.filter(({ type }) => setup.routeOf(type) === undefined);
  if (strangers.length > 0) throw new NoHandler(strangers);
  const loads = new Map<Route, Load[]>();
  for (const entry of entries) {
    const route = setup.routeOf(entry.type) as Route;
    const some = loads.get(route) ?? [];
    const { event, unreadable } = eventOf(setup, entry);
    if (unreadable !== undefined) throw new StepError(new PoisonError(textOf(unreadable)));
    some.push({ event, attempt: entry.failures + 1 });
    loads.set(route, some);
  }
  for (const [route, some] of loads) await goThrough(route, some, context);
}

/** For a newer process of a rolling deploy, or a handler to come. */
async function leave(options: InboxOptions, noHandler: NoHandler): Promise<Taken> {
  const { setup } = options;
  setup.report(noHandler, { during: "handle", by: "inbox" });
  const later = { afterMs: NO_HANDLER_AFTER_MS, isFailure: false, reason: noHandler.message };
  return orDown(options, async () => {
    await options.inbox.postpone(noHandler.keys, later);
    return "put_off";
  });
}

async function orDown({ setup }: InboxOptions, call: () => Promise<Taken>): Promise<Taken> {
  try {
    return await call();
  } catch (error) {
    setup.report(error, { during: "store", by: "inbox" });
    return "down";
  }
}

/** Its data is read again; undefined when that fails, which a change of the scheme between two versions could bring about. */
function eventOf(
  { scheme }: Setup,
  { receiver: _receiver, key: _key, failures: _failures, ...entry }: InboxEntry,
): { readonly event: ReceivedEvent; readonly unreadable?: Error } {
  try {
    return { event: { ...entry, data: scheme.describe(entry.payload, linesOf(entry.headers)).data } };
  } catch (error) {
    return { event: { ...entry, data: undefined }, unreadable: error as Error };
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** What becomes of an entry that failed alone. */
async function settle(options: InboxOptions, entry: InboxEntry, outcome: Outcome): Promise<Taken> {
  const { setup, inbox, tally } = options;
  if (outcome.kind !== "failed" && outcome.kind !== "poison" && outcome.kind !== "control") return "done";
  if (outcome.kind !== "control") {
    const { event } = eventOf(setup, entry);
    setup.report(outcome.error, { during: "handle", event, by: outcome.by });
  }
  const isOver = isGivenUp(options, entry, outcome) && (await isKeptElsewhere(options, entry, outcome));
  return orDown(options, async () => {
    const reason = textOf(outcome.error);
    if (isOver) {
      await inbox.bury([entry.key], reason);
      tally.inInbox = Math.max(0, tally.inInbox - 1);
      return "done";
    }
    await inbox.postpone([entry.key], { ...delayOf(options, entry, outcome), reason });
    tally.failed += 1;
    return outcome.kind === "failed" && outcome.source !== "handler" ? "processor_failed" : "put_off";
  });
}

type Ended = Outcome & { readonly kind: "failed" | "poison" | "control" };

/** What nobody asked to forget is never forgotten without a dead letter. */
function isGivenUp({ setup, retry }: InboxOptions, { failures }: InboxEntry, outcome: Ended): boolean {
  switch (outcome.kind) {
    case "control":
      return outcome.control.kind !== "retry_after";
    case "poison":
      return setup.deadLetters !== undefined;
    case "failed":
      return setup.deadLetters !== undefined && failures + 1 >= retry.attemptsMax;
  }
}

function delayOf(
  { setup, retry }: InboxOptions,
  { failures }: InboxEntry,
  outcome: Ended,
): Omit<Postponement, "reason"> {
  if (outcome.kind === "control" && outcome.control.kind === "retry_after") {
    return { afterMs: outcome.control.seconds * 1000, isFailure: false };
  }
  const last = retry.delaysMs.length - 1;
  const isForEver = outcome.kind === "poison" && setup.deadLetters === undefined;
  return { afterMs: retry.delaysMs[isForEver ? last : Math.min(failures, last)] as number, isFailure: true };
}

/**
 * Before it is buried: a crash between the two repeats a dead letter.
 * @returns false when the dead letters do not take it: then it is in nobody's way, and is tried again later
 */
async function isKeptElsewhere(options: InboxOptions, entry: InboxEntry, outcome: Ended): Promise<boolean> {
  const { setup, tally } = options;
  if (outcome.kind === "control" && outcome.control.kind === "disable") options.onDisable();
  if (setup.deadLetters === undefined) return true;
  const { event } = eventOf(setup, entry);
  try {
    await setup.deadLetters.append(letterOf(setup, event, outcome, entry.failures + 1));
    tally.deadLettered += 1;
    return true;
  } catch (error) {
    setup.report(error, { during: "dead_letters", event, by: outcome.by });
    return false;
  }
}
