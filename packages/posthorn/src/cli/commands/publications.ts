import type { Command } from "commander";
import { part } from "../client/client.ts";
import { field, type Page, type PageFlags, showDone, showPage, withPageOptions } from "../client/list.ts";
import { type ClientFlags, clientOf, withClientOptions } from "../client/options.ts";
import { command } from "../command.ts";
import { print, printFields } from "../output/output.ts";

interface Publication {
  id: string;
  appId: string;
  type: string | null;
  problem: { code: string; message: string } | null;
  publishedAt: string;
}

const DATA_FIELD = ',"data":';

export function publicationsCommand(): Command {
  return command("publications", "what was published inside transactions and refused afterwards", [
    "publications list --app shop",
    "publications get pub_...",
    "publications retry pub_...",
    "publications delete pub_...",
  ])
    .addCommand(list())
    .addCommand(get())
    .addCommand(retry())
    .addCommand(remove());
}

function list(): Command {
  const made = withPageOptions(command("list", "newest first")).option("--app <app>", "id or uid");
  return withClientOptions(made).action(async (flags: ClientFlags & PageFlags & { app?: string }) => {
    const { app, limit, cursor } = flags;
    const page = await clientOf(flags).get<Page<Publication>>("/v1/publications", { app, limit, cursor });
    const columns = {
      id: field("id"),
      app: field("appId"),
      type: field("type"),
      published: field("publishedAt"),
      code: ({ problem }: Publication) => problem?.code ?? "-",
      problem: ({ problem }: Publication) => problem?.message ?? "-",
    };
    showPage<Publication>(page, columns, flags.json);
  });
}

function get(): Command {
  return withClientOptions(
    command("get", "show one with its data, exactly as published").argument("<publication>"),
  ).action(async (id: string, flags: ClientFlags) => {
    const text = await clientOf(flags).getText(`/v1/publications/${part(id)}`);
    if (flags.json) {
      print(text);
      return;
    }
    // In a JSON string this text would have its quotes escaped, so the first one is the field.
    const data = text.slice(text.indexOf(DATA_FIELD) + DATA_FIELD.length, -1);
    printFields({ ...(JSON.parse(text) as object), data });
  });
}

function retry(): Command {
  return withClientOptions(
    command("retry", "take a refused one again, now that the reason is gone").argument("<publication>"),
  ).action(async (id: string, flags: ClientFlags) => {
    await clientOf(flags).post(`/v1/publications/${part(id)}/retry`);
    showDone(`${id} waits for a node.`, { retried: id }, flags.json);
  });
}

function remove(): Command {
  return withClientOptions(command("delete", "forget a refused one").argument("<publication>")).action(
    async (id: string, flags: ClientFlags) => {
      await clientOf(flags).delete(`/v1/publications/${part(id)}`);
      showDone(`Forgot ${id}.`, { deleted: id }, flags.json);
    },
  );
}
