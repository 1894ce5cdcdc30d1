import type { Command } from "commander";
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
import { type ClientFlags, clientOf, numberOf, withClientOptions } from "../client/options.ts";
import { command } from "../command.ts";
import {
  type EndpointFlags,
  endpointBody,
  KEY_HELP,
  SECRET_HELP,
  withEndpointOptions,
} from "./endpoint-options.ts";

interface Endpoint {
  id: string;
  uid: string | null;
  url: string;
  status: string;
  breaker: string;
  eventTypes: string[];
  ordering: string;
  verification: { problem: string | null } | null;
}

interface Secrets {
  secret: string | null;
  publicKey: string | null;
  encryptionKey: string | null;
}

export function endpointsCommand(): Command {
  const made = command("endpoints", "create, list and change an app's endpoints", [
    "endpoints create shop http://127.0.0.1:3000/hooks --type 'order.*'",
    "endpoints list shop",
    "endpoints test shop ep_... --event-type order.created",
    "endpoints rotate shop ep_... --overlap-seconds 3600",
    "endpoints verify shop ep_...",
  ])
    .addCommand(create())
    .addCommand(list())
    .addCommand(get())
    .addCommand(update())
    .addCommand(remove())
    .addCommand(secret())
    .addCommand(rotate())
    .addCommand(verify())
    .addCommand(test());
  for (const [action, what] of Object.entries(ACTIONS)) made.addCommand(act(action, what));
  return made;
}

const ACTIONS = {
  enable: "attempt what waits for it, with a ramp",
  disable: "make no more deliveries for it",
  pause: "make deliveries for it, and hold them",
  resume: "attempt what was held, with a ramp",
};

function pathOf(app: string, endpoint?: string): string {
  const endpoints = `/v1/apps/${part(app)}/endpoints`;
  return endpoint === undefined ? endpoints : `${endpoints}/${part(endpoint)}`;
}

/** A command for one endpoint. */
function one(name: string, description: string): Command {
  return withClientOptions(
    command(name, description).argument("<app>", "id or uid").argument("<endpoint>", "id or uid"),
  );
}

function create(): Command {
  const made = command("create", "make an endpoint", [
    "endpoints create shop http://127.0.0.1:3000/hooks",
    "endpoints create shop https://example.com/hooks --type order.created --retry-schedule 5,60,600",
    "endpoints create shop https://example.com/hooks --scheme github",
  ])
    .argument("<app>", "id or uid")
    .argument("<url>", "where to send");
  return withClientOptions(withEndpointOptions(made)).action(
    async (app: string, url: string, flags: EndpointFlags & ClientFlags) => {
      const body = { ...endpointBody(flags), url };
      showOne(await clientOf(flags).post<Endpoint>(pathOf(app), body), flags.json);
    },
  );
}

function list(): Command {
  const made = withPageOptions(command("list", "newest first").argument("<app>", "id or uid"));
  return withClientOptions(made).action(async (app: string, flags: ClientFlags & PageFlags) => {
    const query = { limit: flags.limit, cursor: flags.cursor };
    const page = await clientOf(flags).get<Page<Endpoint>>(pathOf(app), query);
    const columns = {
      id: field("id"),
      uid: field("uid"),
      url: field("url"),
      types: ({ eventTypes }: Endpoint) => (eventTypes.length === 0 ? "all" : eventTypes.join(", ")),
      ordering: field("ordering"),
      status: field("status"),
      breaker: field("breaker"),
    };
    showPage<Endpoint>(page, columns, flags.json);
  });
}

function get(): Command {
  return one("get", "show an endpoint").action(async (app: string, endpoint: string, flags: ClientFlags) => {
    showOne(await clientOf(flags).get<Endpoint>(pathOf(app, endpoint)), flags.json);
  });
}

function update(): Command {
  const made = withEndpointOptions(one("update", "change what is given"))
    .option("--endpoint-url <url>", "where to send")
    .option("--clear <field...>", "fields to set back to their default, e.g. filter rateLimitPerSecond");
  return made.action(
    async (
      app: string,
      endpoint: string,
      flags: EndpointFlags & ClientFlags & { endpointUrl?: string; clear?: string[] },
    ) => {
      const cleared = Object.fromEntries((flags.clear ?? []).map((name) => [name, null]));
      const body = { ...endpointBody(flags), url: flags.endpointUrl, ...cleared };
      showOne(await clientOf(flags).patch<Endpoint>(pathOf(app, endpoint), body), flags.json);
    },
  );
}

function remove(): Command {
  return one("delete", "delete an endpoint; what waits for it is cancelled").action(
    async (app: string, endpoint: string, flags: ClientFlags) => {
      await clientOf(flags).delete(pathOf(app, endpoint));
      showDone(`Deleted ${endpoint}.`, { deleted: endpoint }, flags.json);
    },
  );
}

function secret(): Command {
  return one("secret", "print the signing secret, or the public key to verify with").action(
    async (app: string, endpoint: string, flags: ClientFlags) => {
      const answer = await clientOf(flags).get<Secrets>(`${pathOf(app, endpoint)}/secret`);
      showValue(verifiesWith(answer), answer, flags.json);
    },
  );
}

function rotate(): Command {
  return one("rotate", "change the signing secret and print the new one; the old one signs along for a while")
    .option("--secret <secret>", SECRET_HELP)
    .option("--signing-key <key>", KEY_HELP)
    .option(
      "--overlap-seconds <seconds>",
      "how long the old one signs along (default: a day, where the scheme allows that)",
      numberOf,
    )
    .action(
      async (
        app: string,
        endpoint: string,
        flags: ClientFlags & { secret?: string; signingKey?: string; overlapSeconds?: number },
      ) => {
        const { secret, signingKey, overlapSeconds } = flags;
        const body = { secret, signingKey, overlapSeconds };
        const path = `${pathOf(app, endpoint)}/secret/rotate`;
        const answer = await clientOf(flags).post<Secrets>(path, body);
        showValue(verifiesWith(answer), answer, flags.json);
      },
    );
}

/** What a receiver needs: one line, or with both one each. */
function verifiesWith({ secret, publicKey }: Secrets): string {
  return [secret, publicKey].filter((each) => each !== null).join("\n");
}

function verify(): Command {
  return one("verify", "check now whether it wants its events").action(
    async (app: string, endpoint: string, flags: ClientFlags) => {
      const checked = await clientOf(flags).post<Endpoint>(`${pathOf(app, endpoint)}/verify`);
      const problem = checked.verification?.problem ?? null;
      if (flags.json) showOne(checked, true);
      else
        showDone(`${endpoint} is ${checked.status}.${problem === null ? "" : ` ${problem}`}`, checked, false);
    },
  );
}

function act(action: string, description: string): Command {
  return one(action, description).action(async (app: string, endpoint: string, flags: ClientFlags) => {
    const changed = await clientOf(flags).post<Endpoint>(`${pathOf(app, endpoint)}/${action}`);
    if (flags.json) showOne(changed, true);
    else showDone(`${endpoint} is ${changed.status}.`, changed, false);
  });
}

function test(): Command {
  return one("test", "send it an event made of the type's example")
    .requiredOption("--event-type <name>", "the type")
    .action(async (app: string, endpoint: string, flags: ClientFlags & { eventType: string }) => {
      const path = `${pathOf(app, endpoint)}/test`;
      showOne(await clientOf(flags).post<object>(path, { eventType: flags.eventType }), flags.json);
    });
}
