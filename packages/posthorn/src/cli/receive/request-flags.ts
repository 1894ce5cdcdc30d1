/** Flags that describe one request, for `verify` and `sign`. */
import { readFileSync } from "node:fs";
import { InvalidArgumentError } from "commander";
import { CliError, EXIT_CODES } from "../exit-code.ts";

export function headerOf(text: string, previous: Record<string, string> = {}): Record<string, string> {
  const colon = text.indexOf(":");
  if (colon < 1) throw new InvalidArgumentError("It must be 'name: value'.");
  return { ...previous, [text.slice(0, colon).trim().toLowerCase()]: text.slice(colon + 1).trim() };
}

/** Unix seconds. */
export function timeOf(text: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new InvalidArgumentError("It must be a time, e.g. 2026-01-31T00:00:00Z.");
  return Math.floor(ms / 1000);
}

export function urlOf(text: string): string {
  if (!URL.canParse(text)) throw new InvalidArgumentError("It must be a whole URL, with its https://.");
  return text;
}

/** @param file `-` is stdin */
export function readBody(file: string): Buffer {
  try {
    return readFileSync(file === "-" ? 0 : file);
  } catch (error) {
    throw new CliError(EXIT_CODES.usage, `--body: ${(error as Error).message}`, { cause: error });
  }
}
