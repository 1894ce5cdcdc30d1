import type { Command } from "commander";
import { part } from "../client/client.ts";
import { showOne } from "../client/list.ts";
import { type ClientFlags, clientOf, listOf, withClientOptions } from "../client/options.ts";
import { command } from "../command.ts";

interface StartFlags extends ClientFlags {
  since: string;
  until?: string;
  state?: string[];
  type?: string[];
  dryRun?: boolean;
}

export function replayCommand(): Command {
  return command("replay", "deliver stored events of a time window to an endpoint once more", [
    "replay shop ep_... --since 2026-01-31T00:00:00Z --state dead_lettered --dry-run",
    "replay shop ep_... --since 2026-01-31T00:00:00Z",
    "replay get rpl_...",
    "replay cancel rpl_...",
  ])
    .addCommand(start(), { isDefault: true })
    .addCommand(show())
    .addCommand(cancel());
}

function start(): Command {
  const made = command("start", "begin a replay; without --state: every event that matches the endpoint now")
    .argument("<app>", "id or uid")
    .argument("<endpoint>", "id or uid")
    .requiredOption("--since <time>", "ISO 8601, e.g. 2026-01-31T00:00:00Z")
    .option("--until <time>", "ISO 8601 (default: now)")
    .option("--state <states>", "delivered, dead_lettered, cancelled; several with commas", listOf)
    .option("--type <types>", "exact event types; several with commas", listOf)
    .option("--dry-run", "count, and make nothing");
  return withClientOptions(made).action(async (app: string, endpoint: string, flags: StartFlags) => {
    const { since, until, state, type, dryRun } = flags;
    const body = { since, until, states: state, eventTypes: type, dryRun };
    const path = `/v1/apps/${part(app)}/endpoints/${part(endpoint)}/replay`;
    showOne(await clientOf(flags).post<object>(path, body), flags.json);
  });
}

function show(): Command {
  return withClientOptions(command("get", "how far a replay has come").argument("<replay>")).action(
    async (id: string, flags: ClientFlags) => {
      showOne(await clientOf(flags).get<object>(`/v1/replays/${part(id)}`), flags.json);
    },
  );
}

function cancel(): Command {
  const made = command("cancel", "stop a replay; deliveries that it has made stay").argument("<replay>");
  return withClientOptions(made).action(async (id: string, flags: ClientFlags) => {
    showOne(await clientOf(flags).post<object>(`/v1/replays/${part(id)}/cancel`), flags.json);
  });
}
