/** The command line: finds the command, runs it, and turns what went wrong into a line on stderr and an exit code. */
import { readFileSync } from "node:fs";
import { type Command, CommanderError } from "commander";
import { messageOf, PosthornError } from "../base/errors.ts";
import { command } from "./command.ts";
import { appsCommand } from "./commands/apps.ts";
import { auditCommand } from "./commands/audit.ts";
import { backupCommand } from "./commands/backup.ts";
import { benchCommand } from "./commands/bench.ts";
import { deliveriesCommand } from "./commands/deliveries.ts";
import { demoCommand } from "./commands/demo.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { endpointsCommand } from "./commands/endpoints.ts";
import { eventTypesCommand } from "./commands/event-types.ts";
import { eventsCommand } from "./commands/events.ts";
import { keysCommand } from "./commands/keys.ts";
import { migrateCommand } from "./commands/migrate.ts";
import { nodesCommand } from "./commands/nodes.ts";
import { publicationsCommand } from "./commands/publications.ts";
import { publishCommand } from "./commands/publish.ts";
import { redeliverCommand } from "./commands/redeliver.ts";
import { replayCommand } from "./commands/replay.ts";
import { restoreCommand } from "./commands/restore.ts";
import { signCommand } from "./commands/sign.ts";
import { storeCommand } from "./commands/store.ts";
import { verifyCommand } from "./commands/verify.ts";
import { CliError, EXIT_CODES, EXIT_CODES_HELP, exitCodeOf } from "./exit-code.ts";
import { colour, say } from "./output/output.ts";

/** Commands that load the server, or what a receiver writes to: only when they are called, so that the others answer at once. */
const HEAVY = [
  {
    group: "Server:",
    name: "dev",
    description: "serve for development: endpoints on this machine, each delivery as it happens",
    examples: ["dev", "dev --port 9000"],
    load: () => import("./commands/dev.ts"),
  },
  {
    group: "Server:",
    name: "serve",
    description: "run the server",
    examples: ["serve", "serve --host 0.0.0.0 --data-dir /var/lib/posthorn"],
    load: () => import("./commands/serve.ts"),
  },
  {
    group: "Receiving:",
    name: "receive",
    description: "receive webhooks of any sender, and insert, append or forward what they bring",
    examples: [
      "receive --scheme github --secret-file secret --insert sqlite:orders.db#events --port 9000",
      "receive --config receive.json",
    ],
    load: () => import("./commands/receive.ts"),
  },
];

async function program(argv: readonly string[]): Promise<Command> {
  const made = command(
    "posthorn",
    "Webhooks for open platforms: publish an event and it arrives, signed, exactly as accepted.",
    [
      "dev",
      "apps create --uid shop",
      "endpoints create shop http://127.0.0.1:3000/hooks",
      `publish --app shop --type order.created --data '{"id":1}'`,
    ],
  );
  made.version(version(), "-v, --version").addHelpText("after", `\n${EXIT_CODES_HELP}`);
  for (const { group, name, description, examples, load } of HEAVY) {
    made.commandsGroup(group);
    const empty = command(name, description, examples);
    made.addCommand(argv.includes(name) ? (await load()).fill(empty) : empty);
  }
  for (const [group, commands] of groups()) {
    made.commandsGroup(group);
    for (const one of commands) made.addCommand(one);
  }
  throwInsteadOfExiting(made);
  return made;
}

function groups(): [group: string, commands: Command[]][] {
  return [
    [
      "Events:",
      [
        publishCommand(),
        eventsCommand(),
        deliveriesCommand(),
        redeliverCommand(),
        replayCommand(),
        publicationsCommand(),
      ],
    ],
    ["Configuration:", [appsCommand(), endpointsCommand(), eventTypesCommand(), keysCommand()]],
    [
      "Care:",
      [
        doctorCommand(),
        nodesCommand(),
        auditCommand(),
        migrateCommand(),
        storeCommand(),
        backupCommand(),
        restoreCommand(),
      ],
    ],
    ["Receiving:", [verifyCommand(), signCommand()]],
    ["Proof:", [demoCommand(), benchCommand()]],
  ];
}

function version(): string {
  const file = new URL("../../package.json", import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
}

/** Commander exits with 1 for wrong usage; ours is 2. Sub-commands do not inherit the override. */
function throwInsteadOfExiting(made: Command): void {
  made.exitOverride();
  for (const child of made.commands) throwInsteadOfExiting(child);
}

// `posthorn events list | head -1` closes the pipe early, and that is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(EXIT_CODES.ok);
  throw error;
});

try {
  await (await program(process.argv.slice(2))).parseAsync();
} catch (error) {
  process.exitCode = explain(error);
}

function explain(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_CODES.ok : EXIT_CODES.usage;
  say(`${colour("red", "Error:", process.stderr)} ${messageOf(error)}`);
  if (error instanceof CliError) {
    if (error.hint !== undefined) say(error.hint);
    return error.exitCode;
  }
  if (error instanceof PosthornError) return exitCodeOf(error.status);
  if (process.env.POSTHORN_DEBUG) console.error(error);
  return EXIT_CODES.failure;
}
