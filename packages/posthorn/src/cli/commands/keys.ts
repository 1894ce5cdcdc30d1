import { type Command, Option } from "commander";
import { KEY_ROLES } from "../../domain/key.ts";
import { part } from "../client/client.ts";
import {
  field,
  type Page,
  type PageFlags,
  showDone,
  showOne,
  showPage,
  showValue,
  withPageOptions,
} from "../client/list.ts";
import { type ClientFlags, clientOf, jsonOf, withClientOptions } from "../client/options.ts";
import { command } from "../command.ts";
import { say } from "../output/output.ts";
import { rotateMasterCommand } from "./rotate-master.ts";

interface Key {
  id: string;
  role: string;
  appId: string | null;
  name: string;
  prefix: string;
  expiresAt: string | null;
  lastUsedAt: string | null;
}

export function keysCommand(): Command {
  return command("keys", "API keys", [
    "keys create 'Billing service' --role publisher",
    "keys create 'The shop' --role app --app shop",
    "keys list",
    "keys delete key_...",
  ])
    .addCommand(create())
    .addCommand(list())
    .addCommand(get())
    .addCommand(remove())
    .addCommand(rotateMasterCommand());
}

function create(): Command {
  const made = command("create", "make a key and print it: it is shown this once")
    .argument("<name>", "what it is for")
    .addOption(new Option("--role <role>", "what it may do").choices(KEY_ROLES).default("admin"))
    .option("--app <app>", "id or uid of the one app of a key with the role app")
    .option(
      "--limits <json>",
      'what it may use, e.g. {"publishPerSecond": 50, "eventsPerDay": 100000}',
      jsonOf,
    )
    .option("--expires-at <time>", "ISO 8601");
  return withClientOptions(made).action(
    async (
      name: string,
      flags: ClientFlags & { role: string; app?: string; limits?: unknown; expiresAt?: string },
    ) => {
      const { role, app, limits, expiresAt } = flags;
      const body = { name, role, app, limits, expiresAt };
      const key = await clientOf(flags).post<Key & { secret: string }>("/v1/keys", body);
      showValue(key.secret, key, flags.json);
      if (!flags.json) say(`This is ${key.id}. The key is shown this once: keep it.`);
    },
  );
}

function list(): Command {
  const made = command("list", "newest first").option("--app <app>", "those of one app: its id or uid");
  return withClientOptions(withPageOptions(made)).action(
    async ({ app, limit, cursor, ...flags }: ClientFlags & PageFlags & { app?: string }) => {
      const page = await clientOf(flags).get<Page<Key>>("/v1/keys", { app, limit, cursor });
      const columns = {
        id: field("id"),
        name: field("name"),
        role: field("role"),
        app: field("appId"),
        begins: field("prefix"),
        expires: field("expiresAt"),
        "last used": field("lastUsedAt"),
      };
      showPage<Key>(page, columns, flags.json);
    },
  );
}

function get(): Command {
  return withClientOptions(command("get", "show a key").argument("<key>", "its id")).action(
    async (id: string, flags: ClientFlags) =>
      showOne(await clientOf(flags).get<Key>(`/v1/keys/${part(id)}`), flags.json),
  );
}

function remove(): Command {
  return withClientOptions(command("delete", "revoke a key").argument("<key>", "its id")).action(
    async (id: string, flags: ClientFlags) => {
      await clientOf(flags).delete(`/v1/keys/${part(id)}`);
      showDone(`Revoked ${id}.`, { deleted: id }, flags.json);
    },
  );
}
