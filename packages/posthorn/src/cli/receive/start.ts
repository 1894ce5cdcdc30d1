/** The receiver of `posthorn receive`, from its settings to the end. */
import { type AnyScheme, createReceiver, type Receiver } from "@posthorn/receiver";
import { deadLetterFile } from "@posthorn/receiver/processors";
import { messageOf } from "../../base/errors.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { type Address, addressOf, sameDatabase } from "./address.ts";
import { Databases } from "./databases.ts";
import type { Lines } from "./lines.ts";
import { listen } from "./listen.ts";
import type { Settings } from "./settings.ts";
import { insertAddresses, processorsOf } from "./steps.ts";
import { openStorage } from "./storage.ts";
import { Watch } from "./watch.ts";
import { checkWritable } from "./writable.ts";

const IDLE =
  "Nothing is done with the events: they are verified, acknowledged and counted. --insert, --append or --forward do something.";

export interface RunningReceiver {
  readonly url: string;
  readonly receiver: Pick<Receiver, "counters">;
  /** Takes no more, waits for what is under way, and closes everything. */
  stop(): Promise<void>;
}

export interface StartOptions {
  readonly scheme: AnyScheme;
  readonly secrets: readonly object[] | readonly string[];
  readonly lines: Lines;
}

/** @throws CliError that says what keeps it from starting */
export async function startReceiver(
  settings: Settings,
  { scheme, secrets, lines }: StartOptions,
): Promise<RunningReceiver> {
  const databases = new Databases();
  try {
    const watch = new Watch(settings.mode, lines.request);
    const store = storeOf(settings);
    const { mode, deadLetters, url, name, toleranceSeconds, bodyBytesMax, batch } = settings;
    if (!isIdle(settings)) checkDeadLetters(deadLetters);
    const receiver = createReceiver<Record<string, unknown>, unknown>({
      scheme: watch.scheme(scheme),
      ...(secrets.length === 0 ? {} : { secrets }),
      ...(await openStorage(databases, mode, store)),
      ...{ url, name, toleranceSeconds, bodyBytesMax, batch },
      deadLetters: deadLetterFile(deadLetters),
      handlers: await processorsOf(settings.handlers, {
        ...{ databases, store, onWindow: lines.window },
        onError: (error) => lines.failure(error, undefined),
      }),
      onError(error, context) {
        if (!watch.noted(error, context)) lines.failure(error, context.by);
      },
    });
    await receiver.start().catch((error: unknown) => {
      throw new CliError(EXIT_CODES.failure, `It cannot start: ${messageOf(error)}`, { cause: error });
    });
    const door = await listen(watch.door(receiver), settings).catch(async (error: unknown) => {
      await receiver.close();
      throw error;
    });
    lines.note(isIdle(settings) ? IDLE : rememberLine(settings, store));
    const stop = async () => {
      try {
        await door.close(() => receiver.close());
      } finally {
        await databases.close();
      }
    };
    return { url: door.url, receiver, stop };
  } catch (error) {
    await databases.close();
    throw error instanceof CliError
      ? error
      : new CliError(EXIT_CODES.usage, messageOf(error), { cause: error });
  }
}

/** Whether nothing is done with any event. */
export function isIdle({ handlers }: Pick<Settings, "handlers">): boolean {
  return Object.keys(handlers).length === 0;
}

function checkDeadLetters(file: string): void {
  try {
    checkWritable(file);
  } catch (error) {
    throw new CliError(EXIT_CODES.usage, `dead letters: ${messageOf(error)}`, {
      hint: "--dead-letters <file> puts them elsewhere",
      cause: error,
    });
  }
}

/** By itself the database of the first insert that can keep marks: then mark and row are one commit. */
function storeOf({ store, handlers }: Settings): Address {
  if (store !== undefined) return addressOf(store, "store");
  const able = insertAddresses(handlers).find(({ kind }) => kind === "sqlite" || kind === "postgres");
  return able ?? addressOf("memory", "store");
}

function rememberLine({ handlers }: Settings, store: Address): string {
  if (store.kind === "memory")
    return "Remembers in memory what it handled: after a restart, what is sent again is handled again.";
  const inserts = insertAddresses(handlers, store);
  const isOneCommit = inserts.some((insert) => sameDatabase(insert, store));
  return `Remembers what it handled in ${store.shown}${isOneCommit ? ", in one commit with the rows" : ""}.`;
}
