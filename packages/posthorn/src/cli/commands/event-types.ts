import type { Command } from "commander";
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
import { type ClientFlags, clientOf, jsonOf, withClientOptions } from "../client/options.ts";
import { command } from "../command.ts";

interface EventType {
  name: string;
  description: string;
  group: string | null;
  deprecated: boolean;
  schema: unknown;
}
interface TypeFlags extends ClientFlags {
  description?: string;
  schema?: unknown;
  example?: unknown;
  group?: string;
  deprecated?: boolean;
}

export function eventTypesCommand(): Command {
  return command("event-types", "the event catalogue", [
    "event-types create order.created --description 'An order was placed'",
    `event-types put order.created --schema '{"type":"object","required":["id"]}'`,
    "event-types list",
  ])
    .addCommand(write("create", "add a type"))
    .addCommand(write("put", "add a type, or replace it"))
    .addCommand(list())
    .addCommand(get())
    .addCommand(remove());
}

function write(verb: "create" | "put", description: string): Command {
  const made = command(verb, description)
    .argument("<name>", "segments joined by dots, e.g. order.created")
    .option("--description <text>", "for people")
    .option("--schema <json>", "JSON Schema of the data", jsonOf)
    .option("--example <json>", "what the data looks like", jsonOf)
    .option("--group <group>", "to sort the catalogue by")
    .option("--deprecated", "not for new integrations");
  return withClientOptions(made).action(async (name: string, flags: TypeFlags) => {
    const { description, schema, example, group, deprecated } = flags;
    const body = { description, schema, example, group, deprecated };
    const client = clientOf(flags);
    const saved =
      verb === "create"
        ? await client.post<EventType>("/v1/event-types", { name, ...body })
        : await client.put<EventType>(`/v1/event-types/${part(name)}`, body);
    showOne(saved, flags.json);
  });
}

function list(): Command {
  return withClientOptions(withPageOptions(command("list", "by name"))).action(
    async (flags: ClientFlags & PageFlags) => {
      const query = { limit: flags.limit, cursor: flags.cursor };
      const page = await clientOf(flags).get<Page<EventType>>("/v1/event-types", query);
      const columns = {
        name: field("name"),
        group: field("group"),
        schema: ({ schema }: EventType) => (schema === null ? "-" : "yes"),
        deprecated: ({ deprecated }: EventType) => (deprecated ? "yes" : "-"),
        description: field("description"),
      };
      showPage<EventType>(page, columns, flags.json);
    },
  );
}

function get(): Command {
  return withClientOptions(command("get", "show a type").argument("<name>")).action(
    async (name: string, flags: ClientFlags) => {
      showOne(await clientOf(flags).get<EventType>(`/v1/event-types/${part(name)}`), flags.json);
    },
  );
}

function remove(): Command {
  return withClientOptions(command("delete", "take a type out of the catalogue").argument("<name>")).action(
    async (name: string, flags: ClientFlags) => {
      await clientOf(flags).delete(`/v1/event-types/${part(name)}`);
      showDone(`Deleted ${name}.`, { deleted: name }, flags.json);
    },
  );
}
