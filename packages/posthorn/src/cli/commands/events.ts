import type { Command } from "commander";
import { part } from "../client/client.ts";
import { field, type Page, type PageFlags, showDone, showPage, withPageOptions } from "../client/list.ts";
import { type ClientFlags, clientOf, withClientOptions } from "../client/options.ts";
import { command } from "../command.ts";
import { print, printFields } from "../output/output.ts";

interface Event {
  id: string;
  type: string;
  appId: string;
  timestamp: string;
  acceptedAt: string;
}

const DATA_FIELD = ',"data":';

export function eventsCommand(): Command {
  return command("events", "published events", [
    "events list --app shop --type order.created",
    "events get evt_...",
    "events expunge evt_...",
  ])
    .addCommand(list())
    .addCommand(get())
    .addCommand(expunge());
}

function list(): Command {
  const made = withPageOptions(command("list", "newest first"))
    .option("--app <app>", "id or uid")
    .option("--type <name>", "exact event type")
    .option("--since <time>", "ISO 8601, e.g. 2026-01-31T00:00:00Z")
    .option("--until <time>", "ISO 8601");
  return withClientOptions(made).action(
    async (
      flags: ClientFlags & PageFlags & { app?: string; type?: string; since?: string; until?: string },
    ) => {
      const { app, type, since, until, limit, cursor } = flags;
      const query = { app, type, since, until, limit, cursor };
      const page = await clientOf(flags).get<Page<Event>>("/v1/events", query);
      const columns = {
        id: field("id"),
        type: field("type"),
        app: field("appId"),
        timestamp: field("timestamp"),
        accepted: field("acceptedAt"),
      };
      showPage<Event>(page, columns, flags.json);
    },
  );
}

function get(): Command {
  return withClientOptions(
    command("get", "show an event with its data, exactly as accepted").argument("<event>"),
  ).action(async (event: string, flags: ClientFlags) => {
    const text = await clientOf(flags).getText(`/v1/events/${part(event)}`);
    if (flags.json) {
      print(text);
      return;
    }
    // In a JSON string this text would have its quotes escaped, so the first one is the field.
    const data = text.slice(text.indexOf(DATA_FIELD) + DATA_FIELD.length, -1);
    printFields({ ...(JSON.parse(text) as object), data });
  });
}

function expunge(): Command {
  const made = command(
    "expunge",
    "erase an event's payload and cancel what is still to be delivered",
  ).argument("<event>");
  return withClientOptions(made).action(async (event: string, flags: ClientFlags) => {
    await clientOf(flags).delete(`/v1/events/${part(event)}/payload`);
    showDone(`Erased the payload of ${event}.`, { expunged: event }, flags.json);
  });
}
