import { type AnyScheme, type Description, VerificationError, type Verified } from "@posthorn/receiver";
import type { Command } from "commander";
import { numberOf } from "../client/options.ts";
import { command } from "../command.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { print, printJson } from "../output/output.ts";
import { headerOf, readBody, timeOf, urlOf } from "../receive/request-flags.ts";
import {
  readSecrets,
  type SecretFlags,
  schemeOption,
  secretTexts,
  withSecretOptions,
} from "../receive/secrets.ts";

interface VerifyFlags extends SecretFlags {
  scheme: AnyScheme;
  header?: Record<string, string>;
  method: string;
  url: string;
  body?: string;
  toleranceSeconds: number;
  at?: number;
  payload?: boolean;
  json?: boolean;
}

export function verifyCommand(): Command {
  const made = command("verify", "check the signature of a request that was received, of any scheme", [
    "verify --secret-file secret --header 'webhook-id: evt_...' --header 'webhook-timestamp: 1738281600' \\\n" +
      "      --header 'webhook-signature: v1,...' < body.json",
    "verify --scheme github --secret-file secret --header 'x-hub-signature-256: sha256=...' --body body.json",
  ]).addOption(schemeOption("how it was signed"));
  return withSecretOptions(made, "the secret, or the public key")
    .option("--header <name: value>", "as received; all that belong to the signature", headerOf)
    .option(
      "--method <method>",
      "of the request; GET for the questions that some providers ask first",
      "POST",
    )
    .option(
      "--url <url>",
      "whole, with its query, for schemes that sign it or sign there",
      urlOf,
      "https://receiver.invalid/",
    )
    .option("--body <file>", "the exact bytes received; - is stdin, and the default but for a GET")
    .option("--tolerance-seconds <seconds>", "how old or new the timestamp may be", numberOf, 300)
    .option("--at <time>", "the time to check for, ISO 8601 (default: now)", timeOf)
    .option("--payload", "print what was signed, decrypted, and nothing else")
    .option("--json", "print one JSON document")
    .action(verify);
}

function verify(flags: VerifyFlags): void {
  const { scheme, header = {}, url, json } = flags;
  const texts = secretTexts(flags);
  if (texts.length === 0 && scheme.needsSecret)
    throw new CliError(EXIT_CODES.usage, "There is no --secret-file to check with.");
  const secrets = readSecrets(texts, (text) => scheme.parseSecret(text));
  const method = flags.method.toUpperCase();
  const body = method === "GET" && flags.body === undefined ? Buffer.alloc(0) : readBody(flags.body ?? "-");
  const clock = {
    nowSeconds: flags.at ?? Math.floor(Date.now() / 1000),
    toleranceSeconds: flags.toleranceSeconds,
  };
  try {
    const verified = scheme.verifier(secrets)({ method, url, headers: header, body }, clock);
    tell(scheme, verified, flags);
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error;
    if (json) printJson({ valid: false, code: error.code, message: error.message });
    throw new CliError(EXIT_CODES.failure, `Not valid: ${error.message} (${error.code})`, { cause: error });
  }
}

function tell(scheme: AnyScheme, verified: Verified, { header = {}, json, payload }: VerifyFlags): void {
  if (verified.kind === "handshake") {
    if (json) printJson({ valid: true, handshake: verified.answer });
    else
      print(
        `valid: a question of the sender; the answer is ${verified.answer.status} ${verified.answer.body}`,
      );
    return;
  }
  if (payload) {
    process.stdout.write(verified.payload);
    return;
  }
  const { timestampSeconds } = verified;
  const { id, type } = described(scheme, verified.payload, header);
  if (json) {
    printJson({ valid: true, id, type, timestampSeconds });
    return;
  }
  const signedAt =
    timestampSeconds === null ? "" : `, signed at ${new Date(timestampSeconds * 1000).toISOString()}`;
  print(`valid: ${[id, type].filter((part) => part !== null).join(" ") || "no id"}${signedAt}`);
}

/** A good signature stays one, whatever it was put under. */
function described(
  scheme: AnyScheme,
  payload: Uint8Array,
  headers: Record<string, string>,
): Pick<Description, "id"> & { readonly type: string | null } {
  try {
    return scheme.describe(payload, (name) => (headers[name] === undefined ? [] : [headers[name]]));
  } catch (error) {
    if (!(error instanceof VerificationError)) throw error;
    return { id: headers["webhook-id"] ?? null, type: null };
  }
}
