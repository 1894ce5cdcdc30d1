import { type Command, Option } from "commander";
import { OWNERSHIP_POLICIES } from "../../domain/ownership.ts";
import { part } from "../client/client.ts";
import {
  field,
  type Page,
  type PageFlags,
  showDone,
  showOne,
  showPage,
  withPageOptions,
} from "../client/list.ts";
import { type ClientFlags, clientOf, jsonOf, wholeNumberOf, withClientOptions } from "../client/options.ts";
import { command } from "../command.ts";

interface App {
  id: string;
  uid: string | null;
  name: string;
  retentionDays: number;
  createdAt: string;
}
interface AppFlags extends ClientFlags {
  uid?: string;
  name?: string;
  metadata?: unknown;
  retentionDays?: number;
  limits?: unknown;
  ownershipCheck?: string;
}

export function appsCommand(): Command {
  return command("apps", "create, list and change apps", [
    "apps create --uid shop --name 'The shop'",
    "apps list",
    "apps get shop",
    "apps update shop --limits '{\"eventsPerDay\": 100000}' --ownership-check challenge",
  ])
    .addCommand(create())
    .addCommand(list())
    .addCommand(get())
    .addCommand(update())
    .addCommand(remove());
}

function withAppOptions(made: Command): Command {
  return made
    .option("--uid <uid>", "your own id for it; works wherever the id does")
    .option("--name <name>", "its name")
    .option("--metadata <json>", "an object of strings", jsonOf)
    .option("--retention-days <days>", "how long its events are kept: 7, 30, 90 or 365", wholeNumberOf)
    .option(
      "--limits <json>",
      'what it may use, e.g. {"eventsPerDay": 100000, "endpoints": 5}; what is left out is not limited',
      jsonOf,
    )
    .addOption(
      new Option(
        "--ownership-check <policy>",
        "how its endpoints prove that they want their events; default: as the server has it",
      ).choices([...OWNERSHIP_POLICIES, "default"]),
    );
}

function bodyOf({ uid, name, metadata, retentionDays, limits, ownershipCheck }: AppFlags): object {
  const check = ownershipCheck === "default" ? null : ownershipCheck;
  return { uid, name, metadata, retentionDays, limits, ownershipCheck: check };
}

function create(): Command {
  const made = withAppOptions(command("create", "make an app", ["apps create --uid shop"]));
  return withClientOptions(made).action(async (flags: AppFlags) => {
    const body = { ...bodyOf(flags), name: flags.name ?? flags.uid };
    showOne(await clientOf(flags).post<App>("/v1/apps", body), flags.json);
  });
}

function list(): Command {
  const made = withPageOptions(command("list", "newest first"));
  return withClientOptions(made).action(async (flags: ClientFlags & PageFlags) => {
    const page = await clientOf(flags).get<Page<App>>("/v1/apps", {
      limit: flags.limit,
      cursor: flags.cursor,
    });
    const columns = {
      id: field("id"),
      uid: field("uid"),
      name: field("name"),
      "retention days": field("retentionDays"),
      created: field("createdAt"),
    };
    showPage<App>(page, columns, flags.json);
  });
}

function get(): Command {
  const made = command("get", "show an app").argument("<app>", "id or uid");
  return withClientOptions(made).action(async (app: string, flags: ClientFlags) => {
    showOne(await clientOf(flags).get<App>(`/v1/apps/${part(app)}`), flags.json);
  });
}

function update(): Command {
  const made = withAppOptions(command("update", "change what is given").argument("<app>", "id or uid"));
  return withClientOptions(made).action(async (app: string, flags: AppFlags) => {
    showOne(await clientOf(flags).patch<App>(`/v1/apps/${part(app)}`, bodyOf(flags)), flags.json);
  });
}

function remove(): Command {
  const made = command(
    "delete",
    "delete an app with its endpoints; what waits for them is cancelled",
  ).argument("<app>", "id or uid");
  return withClientOptions(made).action(async (app: string, flags: ClientFlags) => {
    await clientOf(flags).delete(`/v1/apps/${part(app)}`);
    showDone(`Deleted ${app}.`, { deleted: app }, flags.json);
  });
}
