/** The flags of `posthorn receive`, as settings. */
import { statSync } from "node:fs";
import path from "node:path";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { splitTable } from "./address.ts";
import type { SecretFlags } from "./secrets.ts";
import type { SettingsInput } from "./settings.ts";

export interface ReceiveFlags extends SecretFlags {
  readonly config?: string;
  readonly scheme?: string;
  readonly url?: string;
  readonly name?: string;
  readonly port?: number;
  readonly host?: string;
  readonly types?: readonly string[];
  readonly insert?: string;
  readonly append?: string;
  readonly forward?: string;
  readonly store?: string;
  readonly mode?: "process" | "ack-then-process";
  readonly deadLetters?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

type Step = NonNullable<SettingsInput["handlers"]>[string][number];

export function flagSettings(flags: ReceiveFlags): SettingsInput {
  const { scheme, url, name, port, host, store, mode, deadLetters } = flags;
  const handlers = handlersOf(flags);
  return { scheme, url, name, port, host, store, mode, deadLetters, handlers };
}

/** undefined: those of the file. */
function handlersOf({ types, insert, append, forward }: ReceiveFlags): SettingsInput["handlers"] {
  const steps: Step[] = [];
  if (insert !== undefined) steps.push({ insert: { into: withTable(insert), create: true } });
  if (append !== undefined) steps.push({ append: { file: fileOf(append) } });
  // Last: it is the one that a failure after it would repeat elsewhere.
  if (forward !== undefined) steps.push({ forward: { url: forward } });
  if (steps.length > 0) return Object.fromEntries((types ?? ["*"]).map((pattern) => [pattern, steps]));
  if (types === undefined) return undefined;
  throw new CliError(
    EXIT_CODES.usage,
    "--types goes with --insert, --append or --forward; in a file, the types are the keys of handlers.",
  );
}

function withTable(database: string): string {
  if (splitTable(database).table !== undefined) return database;
  throw new CliError(EXIT_CODES.usage, "--insert: add the table: sqlite:orders.db#events");
}

/** A folder gets Parquet. */
function fileOf(given: string): string {
  const isFolder = given.endsWith("/") || statSync(given, { throwIfNoEntry: false })?.isDirectory() === true;
  return isFolder ? path.join(given, "events.parquet") : given;
}
