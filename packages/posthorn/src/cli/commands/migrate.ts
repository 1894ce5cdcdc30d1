import { type Command, Option } from "commander";
import { command } from "../command.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { printJson, say } from "../output/output.ts";

interface MigrateFlags {
  store?: string;
  config?: string;
  json?: boolean;
}

export function migrateCommand(): Command {
  return command("migrate", "bring the schema of a PostgreSQL store up to date", [
    "migrate --store postgres://posthorn@db.example/posthorn",
  ])
    .addOption(
      new Option(
        "--store <url>",
        "the database; with a password better by the variable (env: POSTHORN_STORE)",
      ),
    )
    .option("--config <file>", "posthorn.json of the working directory unless given (env: POSTHORN_CONFIG)")
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      "\nA node does the same when it starts; this is for doing it before, or as another user. Nodes of the version before go on meanwhile.",
    )
    .action(migrate);
}

async function migrate({ store, config: file, json = false }: MigrateFlags): Promise<void> {
  // The configuration and the driver take their time to load; other commands need not wait for them.
  const { loadConfig } = await import("../../app/config.ts");
  const { migrateDatabase } = await import("../../store/postgres/opening.ts");
  const config = loadConfig({
    flags: store === undefined ? {} : { store },
    environment: process.env,
    ...(file === undefined ? {} : { file }),
  });
  if (config.store === "sqlite:") {
    throw new CliError(
      EXIT_CODES.usage,
      "The store is `sqlite:`, which its server brings up to date when it starts.",
      {
        hint: "Name a PostgreSQL database with --store or POSTHORN_STORE.",
      },
    );
  }
  const { files, version } = await migrateDatabase(config.store);
  if (json) printJson({ schemaVersion: version, files });
  for (const each of files) say(`Ran ${each}.`);
  say(`The schema is up to date: version ${version}.`);
}
