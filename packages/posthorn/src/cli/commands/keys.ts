import type { Command } from "commander";
import { part } from "../client/client.ts";
import {
  field,
  type Page,
  type PageFlags,
  showDone,
  showPage,
  showValue,
  withPageOptions,
} from "../client/list.ts";
import { type ClientFlags, clientOf, withClientOptions } from "../client/options.ts";
import { command } from "../command.ts";
import { say } from "../output/output.ts";

interface Key {
  id: string;
  role: string;
  name: string;
  prefix: string;
  expiresAt: string | null;
  lastUsedAt: string | null;
}

export function keysCommand(): Command {
  return command("keys", "API keys", ["keys create 'Billing service'", "keys list", "keys delete key_..."])
    .addCommand(create())
    .addCommand(list())
    .addCommand(remove());
}

function create(): Command {
  const made = command("create", "make a key and print it: it is shown this once")
    .argument("<name>", "what it is for")
    .option("--role <role>", "what it may do", "admin")
    .option("--expires-at <time>", "ISO 8601");
  return withClientOptions(made).action(
    async (name: string, flags: ClientFlags & { role: string; expiresAt?: string }) => {
      const body = { name, role: flags.role, expiresAt: flags.expiresAt };
      const key = await clientOf(flags).post<Key & { secret: string }>("/v1/keys", body);
      showValue(key.secret, key, flags.json);
      if (!flags.json) say(`This is ${key.id}. The key is shown this once: keep it.`);
    },
  );
}

function list(): Command {
  return withClientOptions(withPageOptions(command("list", "newest first"))).action(
    async (flags: ClientFlags & PageFlags) => {
      const page = await clientOf(flags).get<Page<Key>>("/v1/keys", {
        limit: flags.limit,
        cursor: flags.cursor,
      });
      const columns = {
        id: field("id"),
        name: field("name"),
        role: field("role"),
        begins: field("prefix"),
        expires: field("expiresAt"),
        "last used": field("lastUsedAt"),
      };
      showPage<Key>(page, columns, flags.json);
    },
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
