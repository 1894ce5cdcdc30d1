import { randomUUID } from "node:crypto";
import { type AnyScheme, type SignedRequest, VerificationError } from "@posthorn/receiver";
import { type Command, Option } from "commander";
import { command } from "../command.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { print, printJson } from "../output/output.ts";
import { readBody, timeOf, urlOf } from "../receive/request-flags.ts";
import {
  readSecrets,
  type SecretFlags,
  schemeOption,
  secretTexts,
  withSecretOptions,
} from "../receive/secrets.ts";

interface SignFlags extends SecretFlags {
  scheme: AnyScheme;
  id?: string;
  type: string;
  url: string;
  at?: number;
  contentType?: string;
  body: string;
  compose?: boolean;
  curl?: boolean;
  json?: boolean;
}

export function signCommand(): Command {
  const made = command("sign", "sign a request as a sender of any scheme does, to try a receiver with", [
    `sign --secret-file secret --compose --type order.created < data.json`,
    "sign --scheme github --secret-file secret --type push --url http://127.0.0.1:9000 --body push.json --curl",
  ]).addOption(schemeOption("how to sign"));
  return withSecretOptions(made, "the secret, or the private key")
    .option("--id <id>", "of the event (default: a random one)")
    .option("--type <type>", "of the event", "test.event")
    .option("--url <url>", "where it goes", urlOf, "http://127.0.0.1:9000/")
    .option("--at <time>", "the time of the signature, ISO 8601 (default: now)", timeOf)
    .option("--content-type <type>", "of the body (default: as the scheme's senders have it)")
    .option("--body <file>", "the exact bytes to send; - is stdin", "-")
    .option("--compose", "the body is the event's data: put it into the form that the scheme's senders send")
    .addOption(new Option("--curl", "print the command that sends it").conflicts("json"))
    .option("--json", "print one JSON document; its body is base64")
    .action(sign);
}

function sign(flags: SignFlags): void {
  const { scheme } = flags;
  const secrets = readSecrets(secretTexts(flags), (text) => scheme.parseSigningSecret(text));
  if (secrets.length === 0 && scheme.needsSecret)
    throw new CliError(EXIT_CODES.usage, "There is no --secret-file to sign with.");
  const signed = signedBy(scheme, flags, secrets);
  if (flags.json) printJson({ ...signed, body: Buffer.from(signed.body).toString("base64") });
  else if (flags.curl) print(curlOf(signed));
  else printRequest(signed);
}

function signedBy(scheme: AnyScheme, flags: SignFlags, secrets: readonly unknown[]): SignedRequest {
  const { type, url, at, contentType, compose } = flags;
  const { id = `evt_${randomUUID().replaceAll("-", "")}` } = flags;
  const timestampSeconds = at ?? Math.floor(Date.now() / 1000);
  const timestamp = new Date(timestampSeconds * 1000).toISOString();
  const data = readBody(flags.body);
  try {
    const composed = compose
      ? scheme.compose({ id, type, timestamp, data })
      : { contentType: "application/json", body: data };
    const input = { ...composed, ...(contentType === undefined ? {} : { contentType }) };
    return scheme.sign({ id, type, timestampSeconds, url, ...input }, secrets);
  } catch (error) {
    if (!(error instanceof VerificationError) && !(error instanceof RangeError)) throw error;
    throw new CliError(EXIT_CODES.usage, `It cannot be signed: ${error.message}`, { cause: error });
  }
}

function printRequest({ method, url, headers, body }: SignedRequest): void {
  print(`${method} ${url}`);
  for (const [name, value] of Object.entries(headers)) print(`${name}: ${value}`);
  print("");
  process.stdout.write(body);
}

/** For a POSIX shell. The body goes through base64, because no quoting keeps every byte. */
function curlOf({ url, headers, body }: SignedRequest): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
  const flags = Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`);
  const base64 = Buffer.from(body).toString("base64");
  return `echo ${base64} | base64 -d | curl ${["-sS", "-i", ...flags, "--data-binary @-", quoted(url)].join(" ")}`;
}
