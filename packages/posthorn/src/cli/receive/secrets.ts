/** The secrets of a scheme as a command is given them: flags, files, or the environment. */
import { readFileSync, statSync } from "node:fs";
import { type AnyScheme, isSchemeName, SCHEMES, schemeNamed, VerificationError } from "@posthorn/receiver";
import { type Command, InvalidArgumentError, Option } from "commander";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { say } from "../output/output.ts";

export interface SecretFlags {
  readonly secret?: readonly string[];
  readonly secretFile?: readonly string[];
}

export const SCHEME_NAMES = Object.keys(SCHEMES).join(", ");

export function withSecretOptions(command: Command, whose: string): Command {
  return command
    .option(
      "--secret-file <file...>",
      `${whose}: a file of each; JSON where a scheme's secret has parts, such as {"token":"..."}. The next flag, or --, ends the list`,
    )
    .option(
      "--secret <secret...>",
      "the same as text, which whoever lists the processes sees; or POSTHORN_SECRET",
    );
}

/** `--scheme`, which is `standard` when left out. */
export function schemeOption(description: string): Option {
  return new Option("--scheme <name>", `${description}: ${SCHEME_NAMES}`)
    .argParser(schemeOf)
    .default(schemeNamed("standard"), "standard");
}

/** For commander: an unknown name is wrong usage, and says which there are. */
export function schemeOf(name: string): AnyScheme {
  if (isSchemeName(name)) return schemeNamed(name);
  throw new InvalidArgumentError(`There are ${SCHEME_NAMES}.`);
}

/** Their texts, as they stand there; a line break at the end of a file is not one of theirs. */
export function secretTexts({ secret = [], secretFile = [] }: SecretFlags): string[] {
  const given = [...secret, ...secretFile.map(readSecretFile)];
  if (given.length === 0 && process.env.POSTHORN_SECRET) given.push(process.env.POSTHORN_SECRET);
  return given;
}

/** @throws CliError that says what is wrong with a secret, and never shows it */
export function readSecrets<Secret>(texts: readonly string[], parse: (text: string) => Secret): Secret[] {
  try {
    return texts.map(parse);
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error;
    throw new CliError(EXIT_CODES.usage, `The secret cannot be used: ${error.message}`, { cause: error });
  }
}

export function readSecretFile(file: string): string {
  try {
    warnOfReaders(file);
    return readFileSync(file, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    throw new CliError(EXIT_CODES.usage, `--secret-file: ${(error as Error).message}`, { cause: error });
  }
}

/** Of a file that holds secrets. */
export function warnOfReaders(file: string): void {
  if (process.platform === "win32" || (statSync(file).mode & 0o004) === 0) return;
  say(`${file} can be read by everyone on this machine: chmod 600 ${file}`);
}
