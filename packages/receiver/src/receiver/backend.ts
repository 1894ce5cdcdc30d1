/** What stands behind the answer: the handlers themselves, or an inbox and then the handlers. */
import type { Tally } from "./counters.ts";
import { handlerInProcess, type Item } from "./in-process.ts";
import { InboxLoop } from "./inbox-loop.ts";
import { Lifetime } from "./lifetime.ts";
import { type Failure, type Outcome, storeFailed } from "./outcome.ts";
import type { Setup } from "./setup.ts";
import type { Route } from "./steps.ts";

/** `kept`: the inbox has it. */
export type Taken = Outcome | { readonly kind: "kept" };

export interface Backend {
  /** @throws whatever keeps a processor from starting */
  start(): Promise<void>;
  /** Resolves once the sender may be answered; never rejects. */
  take(route: Route, item: Item): Promise<Taken>;
  /** Waits for work under way. */
  drain(): Promise<void>;
  /** @throws the first error of a processor */
  close(): Promise<void>;
}

export interface BackendOptions {
  readonly setup: Setup;
  readonly tally: Tally;
  readonly signal: AbortSignal;
  /** A handler wants no more events, and whoever sent the last one was answered already. */
  onDisable(): void;
}

export function backendOf(options: BackendOptions): Backend {
  const { storage } = options.setup;
  switch (storage.mode) {
    case "process":
      return inProcess(options, storage);
    case "ack-then-process":
      return throughInbox(options, storage);
  }
}

type Storage<Mode> = Extract<Setup["storage"], { readonly mode: Mode }>;

function inProcess({ setup, signal }: BackendOptions, { store }: Storage<"process">): Backend {
  const lifetime = new Lifetime(setup.processors);
  const handle = handlerInProcess(setup, store, signal);
  return {
    start: () => lifetime.start(),
    async take(route, item) {
      try {
        await lifetime.start();
      } catch (error) {
        return notStarted(error);
      }
      return handle(route, item);
    },
    drain: async () => {},
    close: () => lifetime.close(),
  };
}

function throughInbox(
  { setup, tally, signal, onDisable }: BackendOptions,
  { inbox, retry }: Storage<"ack-then-process">,
): Backend {
  const lifetime = new Lifetime(setup.processors);
  const isReady = () =>
    lifetime.start().then(
      () => true,
      (error) => {
        setup.report(error, { during: "start" });
        return false;
      },
    );
  const loop = new InboxLoop({ setup, inbox, retry, tally, signal, onDisable }, isReady);
  return {
    async start() {
      await lifetime.start();
      loop.wake();
    },
    async take(_route, { key, event: { data: _data, ...event } }) {
      try {
        const [outcome] = await inbox.put([{ receiver: setup.name, key, ...event }]);
        if (outcome === "stored") tally.inInbox += 1;
        // Of a duplicate, too: it may wait since before a crash.
        loop.wake(1);
        return { kind: outcome === "stored" ? "kept" : "duplicate" };
      } catch (error) {
        return storeFailed(error, "inbox");
      }
    },
    drain: () => loop.close(),
    close: () => lifetime.close(),
  };
}

function notStarted(error: unknown): Failure {
  return { kind: "failed", source: "processor", by: "start", error };
}
