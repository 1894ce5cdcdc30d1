import { constants, setPriority } from "node:os";
import { type Command, Option } from "commander";
import type { CopyReport, CopyResult, Holding } from "../../app/store-copy.ts";
import { Client } from "../client/client.ts";
import { findKey } from "../client/key-file.ts";
import { URL_DEFAULT } from "../client/options.ts";
import { command } from "../command.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { colour, printJson, printTable, say } from "../output/output.ts";
import { startProgress } from "../output/progress.ts";

interface CopyFlags {
  from: string;
  to?: string;
  url: string;
  key?: string;
  release?: boolean;
  fullSpeed?: boolean;
  json?: boolean;
}

const TO = "postgres://user:password@host:5432/database";
/** Attempts under way end first: their timeout is at most 30 s. */
const HOLD_TIMEOUT_MS = 120_000;
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

export function storeCommand(): Command {
  const store = command("store", "move everything to another store", [
    `store copy --from sqlite:/var/lib/posthorn --to ${TO}`,
  ]);
  const copy = command(
    "copy",
    "copy a server's data directory to PostgreSQL while it serves, and compare both",
    [
      `store copy --from sqlite:/var/lib/posthorn --to ${TO}`,
      `POSTHORN_STORE=${TO} posthorn store copy --from sqlite:./posthorn-data --release`,
    ],
  )
    .requiredOption("--from <store>", "sqlite:DIR, the server's data directory")
    .option(
      "--to <store>",
      "a new PostgreSQL database; POSTHORN_STORE keeps its password out of the list of processes",
    )
    .addOption(
      new Option("--url <url>", "address of the server, if one runs on it")
        .env("POSTHORN_URL")
        .default(URL_DEFAULT),
    )
    .addOption(new Option("--key <key>", "its admin key (POSTHORN_KEY, else DIR/admin.key)"))
    .option("--release", "give the server back at the end instead of holding it until it is stopped")
    .option("--full-speed", "copy without leaving half of the time to the server")
    .option("--json", "print one JSON document")
    .action(run);
  return store.addCommand(copy);
}

async function run(flags: CopyFlags): Promise<void> {
  const from = directoryOf(flags.from);
  let taken: Holding | undefined;
  // A server that is held for nobody would refuse everything until the hold runs out.
  const interrupted = (): void => {
    say("Interrupted: the same command goes on with the copy.");
    void (taken?.release() ?? Promise.resolve())
      .catch(() => {})
      .finally(() => process.exit(EXIT_CODES.interrupted));
  };
  for (const signal of SIGNALS) process.once(signal, interrupted);
  // Where the server and the copy share a machine, the server goes first.
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  try {
    // The drivers are loaded by those who use them.
    const { copyStore } = await import("../../app/store-copy.ts");
    const result = await copyStore({
      from,
      to: databaseOf(flags.to ?? process.env.POSTHORN_STORE),
      masterKey: process.env.POSTHORN_MASTER_KEY,
      oldMasterKeys: process.env.POSTHORN_OLD_MASTER_KEYS,
      release: flags.release === true,
      fullSpeed: flags.fullSpeed === true,
      report: reportTo(flags.json === true),
      holding: async (operatorApp) => (taken = await holdingOf(flags, from, operatorApp)),
    });
    show(result, flags);
    if (!result.equal) process.exitCode = EXIT_CODES.failure;
  } finally {
    for (const signal of SIGNALS) process.removeListener(signal, interrupted);
  }
}

function directoryOf(from: string): string {
  const directory = /^sqlite:(?<directory>.+)$/.exec(from)?.groups?.directory;
  if (directory !== undefined) return directory;
  throw new CliError(
    EXIT_CODES.usage,
    "--from must be sqlite: and the server's data directory, like sqlite:./posthorn-data.",
  );
}

/** What was given instead may hold a password: it is not shown. */
function databaseOf(to: string | undefined): string {
  if (to !== undefined && /^postgres(ql)?:\/\//.test(to)) return to;
  throw new CliError(
    EXIT_CODES.usage,
    `--to (or POSTHORN_STORE) must name a PostgreSQL database, like ${TO}.`,
  );
}

/** @throws CliError when the server is not reached, or is another one than that of the directory */
async function holdingOf(flags: CopyFlags, dataDir: string, operatorApp: string): Promise<Holding> {
  const { url } = flags;
  if (!URL.canParse(url)) {
    throw new CliError(EXIT_CODES.usage, `--url ${url} is not a URL. It looks like ${URL_DEFAULT}.`);
  }
  const key = findKey({ dataDir, ...(flags.key === undefined ? {} : { key: flags.key }) });
  const client = new Client({ url, key, timeoutMs: HOLD_TIMEOUT_MS });
  const { id } = await client.get<{ id: string }>("/v1/apps/operator");
  if (id !== operatorApp) {
    throw new CliError(EXIT_CODES.usage, `The server at ${url} has another store than ${dataDir}.`, {
      hint: "Give the address of the server that runs on that directory with --url.",
    });
  }
  return {
    take: (seconds) => client.post("/v1/hold", { seconds }),
    release: () => client.delete("/v1/hold"),
  };
}

function reportTo(quiet: boolean): CopyReport {
  return {
    note: say,
    stage(what, rows) {
      const startedAtMs = performance.now();
      const progress = startProgress(what, Math.max(rows, 1), quiet || rows === 0);
      let done = 0;
      return {
        add(more) {
          done += more;
          progress.set(done);
        },
        end() {
          progress.end();
          const seconds = (performance.now() - startedAtMs) / 1000;
          const rate = Math.round(done / Math.max(seconds, 0.001));
          if (!quiet) say(`${what}: ${done} rows in ${seconds.toFixed(1)} s (${rate} rows/s)`);
        },
      };
    },
  };
}

function show(result: CopyResult, flags: CopyFlags): void {
  const { tables, equal, heldMs, held } = result;
  if (flags.json) printJson({ equal, heldMs, held, tables });
  else {
    printTable(
      ["table", "source", "copy", "hash"],
      tables.map(({ table, source, target, differing }) => [
        table,
        source,
        target,
        differing.length === 0 ? "equal" : `differs: ${differing.slice(0, 5).join(", ")}`,
      ]),
    );
  }
  if (heldMs !== null) say(`The server was held for ${(heldMs / 1000).toFixed(1)} s.`);
  if (!equal) {
    say(
      `${colour("red", "The copy differs from its source", process.stderr)}: run the same command again, which copies everything anew; if it differs still, into a new database.`,
    );
    return;
  }
  say("The copy is whole, and equal to its source.");
  if (held) say("The old server is held for an hour, and must not go on: stop it now.");
  if (flags.release)
    say("The old server goes on: copy once more, without --release, when it is to be replaced.");
  else {
    say(
      "Then start the nodes, each with the same POSTHORN_MASTER_KEY (the old one's, or the content of its master.key):",
    );
    say(`  POSTHORN_STORE=${TO} POSTHORN_MASTER_KEY=... posthorn serve`);
  }
}
