import type { Command } from "commander";
import { part } from "../client/client.ts";
import { field, type Page, type PageFlags, showOne, showPage, withPageOptions } from "../client/list.ts";
import { type ClientFlags, clientOf, withClientOptions } from "../client/options.ts";
import { command } from "../command.ts";
import { print, printFields, printJson, printTable } from "../output/output.ts";

interface Attempt {
  number: number;
  startedAt: string;
  durationMs: number;
  outcome: { kind: string; status?: number; phase?: string; cause?: string; detail?: string };
  responseBody: string | null;
}
interface Delivery {
  id: string;
  eventId: string;
  eventType: string;
  endpointId: string;
  state: string;
  reason: string | null;
  attemptCount: number;
  dueAt: string | null;
  createdAt: string;
}

export function deliveriesCommand(): Command {
  return command("deliveries", "what became of events", [
    "deliveries list --app shop --state dead_lettered",
    "deliveries get dlv_...",
    "deliveries cancel dlv_...",
  ])
    .addCommand(list())
    .addCommand(get())
    .addCommand(cancel());
}

interface ListFlags extends ClientFlags, PageFlags {
  app?: string;
  endpoint?: string;
  event?: string;
  state?: string;
  eventType?: string;
  since?: string;
  until?: string;
}

function list(): Command {
  const made = withPageOptions(command("list", "newest first"))
    .option("--app <app>", "id or uid")
    .option("--endpoint <endpoint>", "id; with --app also uid")
    .option("--event <event>", "id")
    .option("--state <state>", "pending, delivered, dead_lettered or cancelled")
    .option("--event-type <name>", "exact event type")
    .option("--since <time>", "ISO 8601, e.g. 2026-01-31T00:00:00Z")
    .option("--until <time>", "ISO 8601");
  return withClientOptions(made).action(async (flags: ListFlags) => {
    const { app, endpoint, event, state, eventType, since, until, limit, cursor } = flags;
    const query = { app, endpoint, event, state, eventType, since, until, limit, cursor };
    const page = await clientOf(flags).get<Page<Delivery>>("/v1/deliveries", query);
    const columns = {
      id: field("id"),
      "event type": field("eventType"),
      event: field("eventId"),
      endpoint: field("endpointId"),
      state: ({ state, reason }: Delivery) => (reason === null ? state : `${state} (${reason})`),
      attempts: field("attemptCount"),
      due: field("dueAt"),
      created: field("createdAt"),
    };
    showPage<Delivery>(page, columns, flags.json);
  });
}

function get(): Command {
  return withClientOptions(command("get", "show a delivery with its attempts").argument("<delivery>")).action(
    async (id: string, flags: ClientFlags) => {
      const delivery = await clientOf(flags).get<Delivery & { attempts: Attempt[] }>(
        `/v1/deliveries/${part(id)}`,
      );
      if (flags.json) {
        printJson(delivery);
        return;
      }
      const { attempts, ...fields } = delivery;
      printFields(fields);
      print("");
      printTable(
        ["attempt", "started", "ms", "outcome", "answer"],
        attempts.map(({ number, startedAt, durationMs, outcome, responseBody }) => [
          number,
          startedAt,
          durationMs,
          describe(outcome),
          responseBody?.slice(0, 60) ?? "-",
        ]),
      );
    },
  );
}

function describe({ kind, status, phase, cause }: Attempt["outcome"]): string {
  return [kind, status ?? phase ?? cause].filter((part) => part !== undefined).join(" ");
}

function cancel(): Command {
  return withClientOptions(command("cancel", "cancel a pending delivery").argument("<delivery>")).action(
    async (id: string, flags: ClientFlags) => {
      showOne(await clientOf(flags).post<Delivery>(`/v1/deliveries/${part(id)}/cancel`), flags.json);
    },
  );
}
