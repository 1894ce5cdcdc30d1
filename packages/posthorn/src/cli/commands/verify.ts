import { readFileSync } from "node:fs";
import { VerificationError, verifyStandard } from "@posthorn/receiver";
import { type Command, InvalidArgumentError } from "commander";
import { numberOf } from "../client/options.ts";
import { command } from "../command.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { print, printJson } from "../output/output.ts";

interface VerifyFlags {
  secret?: string[];
  header?: Record<string, string>;
  body: string;
  toleranceSeconds: number;
  at?: number;
  json?: boolean;
}

export function verifyCommand(): Command {
  return command("verify", "check the signature of a request that was received (Standard Webhooks)", [
    "verify --secret whsec_... --header 'webhook-id: evt_...' --header 'webhook-timestamp: 1738281600' \\\n" +
      "      --header 'webhook-signature: v1,...' < body.json",
  ])
    .option(
      "--secret <secret...>",
      "whsec_...; or POSTHORN_SECRET, which keeps it out of the list of processes",
    )
    .option(
      "--header <name: value>",
      "as received; webhook-id, webhook-timestamp, webhook-signature",
      headerOf,
    )
    .option("--body <file>", "the exact bytes received; - is stdin", "-")
    .option("--tolerance-seconds <seconds>", "how old or new the timestamp may be", numberOf, 300)
    .option("--at <time>", "the time to check for, ISO 8601 (default: now)", timeOf)
    .option("--json", "print one JSON document")
    .action(verify);
}

function verify({ secret, header, body, toleranceSeconds, at, json }: VerifyFlags): void {
  const secrets = secret ?? (process.env.POSTHORN_SECRET ? [process.env.POSTHORN_SECRET] : []);
  if (secrets.length === 0) throw new CliError(EXIT_CODES.usage, "There is no --secret to check with.");
  try {
    const { id, timestampSeconds } = verifyStandard({
      headers: header ?? {},
      body: readFileSync(body === "-" ? 0 : body),
      secrets,
      toleranceSeconds,
      ...(at === undefined ? {} : { nowSeconds: at }),
    });
    if (json) printJson({ valid: true, id, timestampSeconds });
    else print(`valid: ${id}, signed at ${new Date(timestampSeconds * 1000).toISOString()}`);
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error;
    if (json) printJson({ valid: false, code: error.code, message: error.message });
    throw new CliError(EXIT_CODES.failure, `Not valid: ${error.message} (${error.code})`, { cause: error });
  }
}

function headerOf(text: string, previous: Record<string, string> = {}): Record<string, string> {
  const colon = text.indexOf(":");
  if (colon < 1) throw new InvalidArgumentError("It must be 'name: value'.");
  return { ...previous, [text.slice(0, colon).trim().toLowerCase()]: text.slice(colon + 1).trim() };
}

function timeOf(text: string): number {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) throw new InvalidArgumentError("It must be a time, e.g. 2026-01-31T00:00:00Z.");
  return Math.floor(ms / 1000);
}
