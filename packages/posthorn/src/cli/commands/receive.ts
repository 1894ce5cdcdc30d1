import { schemeNamed } from "@posthorn/receiver";
import { type Command, InvalidArgumentError, Option } from "commander";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { flagSettings, type ReceiveFlags } from "../receive/flags.ts";
import { linesFor } from "../receive/lines.ts";
import {
  readSecretFile,
  readSecrets,
  SCHEME_NAMES,
  schemeOf,
  secretTexts,
  withSecretOptions,
} from "../receive/secrets.ts";
import { readSettings } from "../receive/settings.ts";
import { isIdle, startReceiver } from "../receive/start.ts";
import { stopOnSignal } from "../stop-on-signal.ts";

export function fill(command: Command): Command {
  command
    .option("--config <file>", "settings as JSON; flags win over them")
    .option(
      "--scheme <name>",
      `how the sender signs (default: standard): ${SCHEME_NAMES}`,
      (name) => schemeOf(name).name,
    );
  return withSecretOptions(command, "the secret, or the sender's public key")
    .option("--url <url>", "as the sender has it, for schemes that sign the URL")
    .option("--port <port>", "0 takes a free one (default: 9000)", portOf)
    .option("--host <address>", "to listen on (default: 127.0.0.1)")
    .option("--types <pattern...>", "only these event types: order.created, order.*, order.**")
    .option(
      "--insert <database#table>",
      "a row for each event: sqlite:orders.db#events, postgres://..., mysql://...",
    )
    .option("--append <file>", "a line for each event, into x.ndjson, or x.parquet")
    .option("--forward <url>", "send each event on")
    .option(
      "--store <database>",
      "where it is kept what was handled: sqlite:file, postgres://..., redis://..., memory",
    )
    .option("--name <name>", "tells receivers that share a store apart (default: the scheme's name)")
    .addOption(
      new Option("--mode <mode>", "when the sender gets its answer (default: process)").choices([
        "process",
        "ack-then-process",
      ]),
    )
    .option("--dead-letters <file>", "events that can never be processed (default: dead-letters.ndjson)")
    .option("--json", "one line of JSON for each request")
    .option("--quiet", "no lines for requests")
    .action(receive);
}

function portOf(text: string): number {
  if (/^[0-9]{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text);
  throw new InvalidArgumentError("It must be a whole number from 0 to 65535.");
}

async function receive(flags: ReceiveFlags): Promise<void> {
  const settings = readSettings(flags.config, flagSettings(flags));
  const scheme = schemeNamed(settings.scheme);
  const texts = secretTexts(flags);
  if (texts.length === 0) texts.push(...settings.secrets, ...settings.secretFiles.map(readSecretFile));
  if (texts.length === 0 && scheme.needsSecret) {
    throw new CliError(EXIT_CODES.usage, `There is no --secret-file to verify ${scheme.name} webhooks with.`);
  }
  const secrets = readSecrets(texts, (text) => scheme.parseSecret(text)) as object[];
  const lines = linesFor(flags);
  const { url, receiver, stop } = await startReceiver(settings, { scheme, secrets, lines });
  lines.listens(scheme.name, url);
  stopOnSignal("requests under way", async () => {
    await stop();
    lines.counters(receiver.counters(), isIdle(settings));
  });
}
