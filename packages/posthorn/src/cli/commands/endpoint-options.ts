/** The settings of an endpoint as options. */
import { readFileSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { messageOf } from "../../base/errors.ts";
import { DEAD_LETTER_POLICIES, ORDERINGS } from "../../domain/endpoint.ts";
import { SCHEMES } from "../../domain/scheme.ts";
import { listOf, numberOf, wholeNumberOf } from "../client/options.ts";

export interface EndpointFlags {
  uid?: string;
  description?: string;
  type?: string[];
  channel?: string[];
  filter?: string;
  header?: Record<string, string>;
  rateLimit?: number;
  inFlightMax?: number;
  timeoutMs?: number;
  retrySchedule?: number[];
  ordering?: string;
  onDeadLetter?: string;
  scheme?: string;
  secret?: string;
  signingKey?: string;
  access?: object;
}

/** What `--access` may hold: it has secrets in it, and a command line stands in the list of processes. */
const ACCESS_FIELDS = [
  "authentication",
  "clientCertificate",
  "certificateAuthorities",
  "encryption",
  "secret",
  "signingKey",
];

export const SECRET_HELP =
  "whsec_..., or as the scheme has it, JSON where it has parts; made for you unless given";
export const KEY_HELP = "whsk_..., or PEM for alipay; made for you unless given";

export function withEndpointOptions(command: Command): Command {
  return command
    .option("--uid <uid>", "your own id for it")
    .option("--description <text>", "for people")
    .option(
      "--type <types>",
      "event types: exact, order.*, order.**; several with commas (default: all)",
      listOf,
    )
    .option("--channel <channels>", "only events that share one of these", listOf)
    .option("--filter <cel>", "a CEL expression over `event`, e.g. 'event.data.amount > 100'")
    .option("--header <name: value>", "sent with each request; may be given several times", headerOf)
    .option("--rate-limit <perSecond>", "at most so many requests a second", numberOf)
    .option("--in-flight-max <count>", "at most so many requests at once, 1 to 256", wholeNumberOf)
    .option("--timeout-ms <ms>", "for a whole attempt, 1000 to 30000", wholeNumberOf)
    .option(
      "--retry-schedule <seconds>",
      "after each failed attempt, e.g. 5,60,600; '' for no retry",
      scheduleOf,
    )
    .addOption(new Option("--ordering <order>", "what waits for what").choices(ORDERINGS))
    .addOption(
      new Option("--on-dead-letter <policy>", "what an ordered endpoint does then").choices(
        DEAD_LETTER_POLICIES,
      ),
    )
    .addOption(
      new Option(
        "--scheme <scheme>",
        "how requests are signed, or whose form they have (default: standard)",
      ).choices(SCHEMES),
    )
    .option("--secret <secret>", SECRET_HELP)
    .option("--signing-key <key>", KEY_HELP)
    .option(
      "--access <file>",
      `JSON with what the receiver asks for, any of ${ACCESS_FIELDS.join(", ")}`,
      accessOf,
    );
}

export function endpointBody(flags: EndpointFlags): object {
  const { uid, description, filter, inFlightMax, timeoutMs, retrySchedule, ordering, onDeadLetter, scheme } =
    flags;
  return {
    uid,
    description,
    eventTypes: flags.type,
    channels: flags.channel,
    filter,
    headers: flags.header,
    rateLimitPerSecond: flags.rateLimit,
    inFlightMax,
    timeoutMs,
    retrySchedule,
    ordering,
    onDeadLetter,
    scheme,
    secret: flags.secret,
    signingKey: flags.signingKey,
    ...flags.access,
  };
}

function headerOf(text: string, previous: Record<string, string> = {}): Record<string, string> {
  const colon = text.indexOf(":");
  if (colon < 1) throw new InvalidArgumentError("It must be 'name: value'.");
  return { ...previous, [text.slice(0, colon).trim()]: text.slice(colon + 1).trim() };
}

function accessOf(file: string): object {
  const access = objectIn(file);
  const unknown = Object.keys(access).find((name) => !ACCESS_FIELDS.includes(name));
  if (unknown === undefined) return access;
  throw new InvalidArgumentError(
    `It may hold ${ACCESS_FIELDS.join(", ")}, and has ${JSON.stringify(unknown)}.`,
  );
}

/** The text of an error of JSON.parse quotes what it read: it is not shown. */
function objectIn(file: string): object {
  const text = readFile(file);
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch {}
  throw new InvalidArgumentError("The file must hold one JSON object.");
}

function readFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new InvalidArgumentError(`The file cannot be read: ${messageOf(error)}`);
  }
}

function scheduleOf(text: string): number[] {
  return listOf(text).map(numberOf);
}
