import type { Command } from "commander";
import { part } from "../client/client.ts";
import { field, type Page, type PageFlags, showOne, showPage, withPageOptions } from "../client/list.ts";
import { type ClientFlags, clientOf, withClientOptions } from "../client/options.ts";
import { command } from "../command.ts";

interface Node {
  id: string;
  name: string;
  version: string;
  roles: string[];
  state: string;
  startedAt: string;
  beatAgoMs: number;
  leased: number;
  ownedLanes: number;
  lagMs: number | null;
}

export function nodesCommand(): Command {
  return command("nodes", "who is alive, what each holds, and how far behind it is", [
    "nodes",
    "nodes get inc_...",
  ])
    .addCommand(list(), { isDefault: true })
    .addCommand(show());
}

function list(): Command {
  return withClientOptions(withPageOptions(command("list", "newest first"))).action(
    async (flags: ClientFlags & PageFlags) => {
      const { limit, cursor } = flags;
      const page = await clientOf(flags).get<Page<Node>>("/v1/nodes", { limit, cursor });
      const columns = {
        id: field("id"),
        name: field("name"),
        state: field("state"),
        roles: ({ roles }: Node) => roles.join(","),
        version: field("version"),
        started: field("startedAt"),
        "heard of": ({ beatAgoMs }: Node) => secondsText(beatAgoMs),
        holds: field("leased"),
        lanes: field("ownedLanes"),
        lag: ({ lagMs }: Node) => (lagMs === null ? "-" : secondsText(lagMs)),
      };
      showPage<Node>(page, columns, flags.json);
    },
  );
}

function show(): Command {
  return withClientOptions(command("get", "one node").argument("<node>", "its id")).action(
    async (id: string, flags: ClientFlags) => {
      showOne(await clientOf(flags).get<object>(`/v1/nodes/${part(id)}`), flags.json);
    },
  );
}

function secondsText(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
