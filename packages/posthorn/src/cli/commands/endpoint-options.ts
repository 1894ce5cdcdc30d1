/** The settings of an endpoint as options. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { DEAD_LETTER_POLICIES, ORDERINGS } from "../../domain/endpoint.ts";
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
  secret?: string;
}

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
    .option("--secret <secret>", "whsec_...; made for you unless given");
}

export function endpointBody(flags: EndpointFlags): object {
  const { uid, description, filter, inFlightMax, timeoutMs, retrySchedule, ordering, onDeadLetter, secret } =
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
    secret,
  };
}

function headerOf(text: string, previous: Record<string, string> = {}): Record<string, string> {
  const colon = text.indexOf(":");
  if (colon < 1) throw new InvalidArgumentError("It must be 'name: value'.");
  return { ...previous, [text.slice(0, colon).trim()]: text.slice(colon + 1).trim() };
}

function scheduleOf(text: string): number[] {
  return listOf(text).map(numberOf);
}
