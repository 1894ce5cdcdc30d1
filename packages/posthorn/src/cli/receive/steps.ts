/** The processors that the settings name. */
import { schemeNamed } from "@posthorn/receiver";
import {
  aggregate,
  append,
  type Database,
  forward,
  insert,
  mysql,
  type Processor,
  postgres,
  sqlite,
  type WindowResult,
} from "@posthorn/receiver/processors";
import { messageOf } from "../../base/errors.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { type Address, addressOf, sameDatabase, splitTable } from "./address.ts";
import type { Databases, Opened } from "./databases.ts";
import { readSecretFile } from "./secrets.ts";
import type { AggregateSettings, ForwardSettings, InsertSettings, StepSettings } from "./settings.ts";
import { checkWritable } from "./writable.ts";

export interface StepOptions {
  readonly databases: Databases;
  /** Where the marks are: an insert into the same database commits with them. */
  readonly store: Address;
  onWindow(name: string, result: WindowResult): void;
  onError(error: unknown): void;
}

type Handlers = Record<string, Processor[]>;

/** @throws CliError that names the pattern, the place in its list and what is wrong there */
export async function processorsOf(
  handlers: Readonly<Record<string, readonly StepSettings[]>>,
  options: StepOptions,
): Promise<Handlers> {
  const made: Handlers = {};
  // The same under several patterns is one processor: a file has one writer, a window one count.
  const known = new Map<string, Processor>();
  for (const [pattern, steps] of Object.entries(handlers)) {
    const processors: Processor[] = [];
    for (const [index, step] of steps.entries()) {
      const text = JSON.stringify(step);
      const processor = known.get(text) ?? (await processorOf(step, `${pattern}[${index}]`, options));
      known.set(text, processor);
      processors.push(processor);
    }
    made[pattern] = processors;
  }
  return made;
}

async function processorOf(step: StepSettings, where: string, options: StepOptions): Promise<Processor> {
  const [kind] = Object.keys(step);
  try {
    if (step.insert !== undefined) return await insertOf(step.insert, where, options);
    if (step.append !== undefined) {
      checkWritable(step.append.file);
      return append({ ...step.append, onError: options.onError });
    }
    if (step.aggregate !== undefined) return aggregateOf(step.aggregate, options);
    if (step.forward !== undefined) return forwardOf(step.forward);
    throw new Error("it names no processor");
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(EXIT_CODES.usage, `handlers ${where}: ${kind}: ${messageOf(error)}`, { cause: error });
  }
}

/** The databases that the inserts of some handlers name, in their order; `store` of those that name none, once it is known. */
export function insertAddresses(
  handlers: Readonly<Record<string, readonly StepSettings[]>>,
  store?: Address,
): Address[] {
  return Object.entries(handlers).flatMap(([pattern, steps]) =>
    steps.flatMap(({ insert: given }, index) => {
      if (given === undefined) return [];
      if (given.into === undefined) return store ?? [];
      return addressOf(splitTable(given.into).database, `handlers ${pattern}[${index}]: insert: into`);
    }),
  );
}

async function insertOf(
  { into, table: named, columns, upsertKey, create }: InsertSettings,
  where: string,
  { databases, store }: StepOptions,
): Promise<Processor> {
  const { database, table = named } = into === undefined ? { database: undefined } : splitTable(into);
  if (table === undefined) {
    throw new CliError(
      EXIT_CODES.usage,
      `handlers ${where}: insert: the table is missing: add it to the database, as in sqlite:orders.db#events`,
    );
  }
  const address = database === undefined ? store : addressOf(database, `handlers ${where}: insert: into`);
  const opened = await databases.open(address);
  // Of SQLite the store's own connection is as good as its transaction; elsewhere the transaction is a connection of its own.
  const isWithStore = sameDatabase(address, store) && opened.kind === "postgres";
  const target = isWithStore ? undefined : targetOf(opened, address);
  return insert({ table, columns, upsertKey, create, into: target });
}

function targetOf(opened: Opened, { shown }: Address): Database {
  switch (opened.kind) {
    case "sqlite":
      return sqlite(opened.database);
    case "postgres":
      return postgres(opened.pool);
    case "mysql":
      return mysql(opened.pool);
    case "redis":
    case "memory":
      throw new Error(`${shown} has no tables to insert into: set "store" or "into" to a database that has`);
  }
}

function aggregateOf(given: AggregateSettings, { onWindow, onError }: StepOptions): Processor {
  const { name = "aggregate" } = given;
  return aggregate({
    ...given,
    onWindow: (result) => onWindow(name, result),
    onLate: ({ type, id }) => onError(new Error(`${name}: ${type} ${id} came after its window`)),
  });
}

function forwardOf({ url, scheme, secretFile, body, timeoutMs }: ForwardSettings): Processor {
  return forward<unknown>({
    ...{ url, body, timeoutMs },
    scheme: scheme === undefined ? undefined : schemeNamed(scheme),
    secret: secretFile === undefined ? undefined : readSecretFile(secretFile),
  });
}
