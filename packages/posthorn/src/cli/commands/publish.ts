import { createReadStream, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Command } from "commander";
import { messageOf } from "../../base/errors.ts";
import { LIMITS } from "../../domain/defaults.ts";
import type { Client } from "../client/client.ts";
import { showOne } from "../client/list.ts";
import { type ClientFlags, clientOf, listOf, withClientOptions } from "../client/options.ts";
import { command } from "../command.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { print, printJson, say } from "../output/output.ts";

interface PublishFlags extends ClientFlags {
  app?: string;
  type?: string;
  data?: string;
  file?: string;
  uid?: string;
  timestamp?: string;
  channel?: string[];
  orderingKey?: string;
  deliverAt?: string;
  idempotencyKey?: string;
}
interface Result {
  id?: string;
  duplicate?: boolean;
  deliveries?: number;
  problem?: { code: string; detail?: string; title: string };
}

export function publishCommand(): Command {
  const made = command("publish", "publish an event, or a file of them", [
    `publish --app shop --type order.created --data '{"id":1}'`,
    "publish --app shop --type order.created --data - < order.json",
    "publish --file events.ndjson",
  ])
    .option("--app <app>", "id or uid")
    .option("--type <name>", "event type, e.g. order.created")
    .option("--data <json>", "the data, sent byte for byte; - reads it from stdin")
    .option("--file <file>", "one event a line: {app, type, data, ...}; - is stdin")
    .option("--uid <uid>", "deduplicates within the app for 24 h")
    .option("--timestamp <time>", "when it occurred, ISO 8601 (default: now)")
    .option("--channel <channels>", "labels; several with commas", listOf)
    .option("--ordering-key <key>", "for endpoints that are keyed")
    .option("--deliver-at <time>", "not before, ISO 8601")
    .option("--idempotency-key <key>", "makes it safe to run this again within 24 h");
  return withClientOptions(made).action(async (flags: PublishFlags) => {
    if (flags.file !== undefined) await publishFile(flags, flags.file);
    else await publishOne(flags);
  });
}

async function publishOne(flags: PublishFlags): Promise<void> {
  const { app, type, uid, timestamp, channel, orderingKey, deliverAt } = flags;
  if (app === undefined || type === undefined || flags.data === undefined) {
    throw new CliError(EXIT_CODES.usage, "Publishing takes --app, --type and --data, or --file.");
  }
  const data = flags.data === "-" ? readFileSync(0, "utf8") : flags.data;
  checkJson(data, "--data");
  const envelope = JSON.stringify({ app, type, uid, timestamp, channels: channel, orderingKey, deliverAt });
  // The data goes in as it was given: parsing it would change 1.0, 1e400 or a number beyond 2^53.
  const text = `${envelope.slice(0, -1)},"data":${data}}`;
  const answer = await clientOf(flags).postRaw<object>("/v1/events", {
    contentType: "application/json",
    text,
    headers: idempotency(flags.idempotencyKey),
  });
  showOne(answer, flags.json);
}

async function publishFile(flags: PublishFlags, file: string): Promise<void> {
  const client = clientOf(flags);
  const results: Result[] = [];
  for await (const { lines, number } of chunks(file)) {
    const key = flags.idempotencyKey === undefined ? undefined : `${flags.idempotencyKey}:${number}`;
    results.push(...(await publishLines(client, lines, key)));
    if (!flags.json) say(`${results.length} sent`);
  }
  const refused = results.filter(({ problem }) => problem !== undefined);
  if (flags.json) printJson({ results });
  else {
    for (const { id } of results) if (id !== undefined) print(id);
    for (const [index, { problem }] of results.entries()) {
      if (problem !== undefined)
        say(`Event ${index + 1}: ${problem.detail ?? problem.title} (${problem.code})`);
    }
  }
  if (refused.length > 0) {
    throw new CliError(
      refused.length === results.length ? EXIT_CODES.failure : EXIT_CODES.partial,
      `${refused.length} of ${results.length} events were refused.`,
    );
  }
}

async function publishLines(
  client: Client,
  lines: readonly string[],
  key: string | undefined,
): Promise<Result[]> {
  const { results } = await client.postRaw<{ results: Result[] }>("/v1/events", {
    contentType: "application/x-ndjson",
    text: `${lines.join("\n")}\n`,
    headers: idempotency(key),
  });
  return results;
}

function idempotency(key: string | undefined): Record<string, string> {
  return key === undefined ? {} : { "idempotency-key": key };
}

/** A file's lines in batches as large as the server takes. */
async function* chunks(file: string): AsyncIterable<{ lines: string[]; number: number }> {
  const input = file === "-" ? process.stdin : createReadStream(file);
  let lines: string[] = [];
  let bytes = 0;
  let number = 0;
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    if (line.trim() === "") continue;
    const lineBytes = Buffer.byteLength(line) + 1;
    if (lines.length === LIMITS.batchEventsMax || bytes + lineBytes > LIMITS.batchBytesMax) {
      yield { lines, number };
      number += 1;
      lines = [];
      bytes = 0;
    }
    lines.push(line);
    bytes += lineBytes;
  }
  if (lines.length > 0) yield { lines, number };
}

function checkJson(text: string, what: string): void {
  try {
    JSON.parse(text);
  } catch (error) {
    throw new CliError(EXIT_CODES.usage, `${what} is not JSON: ${messageOf(error)}`, { cause: error });
  }
}
