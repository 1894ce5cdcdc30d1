/** The options that every command which speaks to a server has. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { trustAuthority } from "./authority.ts";
import { Client } from "./client.ts";
import { DATA_DIR_DEFAULT, findKey } from "./key-file.ts";

export interface ClientFlags {
  url: string;
  key?: string;
  dataDir?: string;
  timeout: number;
  json?: boolean;
}

export const URL_DEFAULT = "http://127.0.0.1:8071";

export function withClientOptions(command: Command): Command {
  return command
    .addOption(new Option("--url <url>", "address of the server").env("POSTHORN_URL").default(URL_DEFAULT))
    .addOption(new Option("--key <key>", "API key; POSTHORN_KEY keeps it out of the list of processes"))
    .addOption(
      new Option(
        "--data-dir <dir>",
        `where the server's admin.key is, if there is no key (POSTHORN_DATA_DIR, ${DATA_DIR_DEFAULT})`,
      ),
    )
    .addOption(
      new Option(
        "--ca <file>",
        "PEM of the authority that signed the server's certificate, if it is no public one",
      )
        .env("POSTHORN_CA")
        .argParser(trustAuthority),
    )
    .option("--timeout <seconds>", "for each request", numberOf, 30)
    .option("--json", "print one JSON document");
}

export function clientOf(flags: ClientFlags): Client {
  if (!URL.canParse(flags.url)) {
    throw new CliError(EXIT_CODES.usage, `--url ${flags.url} is not a URL. It looks like ${URL_DEFAULT}.`);
  }
  return new Client({ url: flags.url, key: findKey(flags), timeoutMs: flags.timeout * 1000 });
}

export function numberOf(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError("It must be a number of at least 0.");
  return value;
}

export function wholeNumberOf(text: string): number {
  const value = numberOf(text);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError("It must be a whole number.");
  return value;
}

export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvalidArgumentError("It must be JSON.");
  }
}

/** For options that may be given several times, or once with commas. */
export function listOf(text: string, previous: readonly string[] = []): string[] {
  return [
    ...previous,
    ...text
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== ""),
  ];
}
