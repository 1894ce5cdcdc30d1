import { existsSync, statSync } from "node:fs";
import path from "node:path";
import type { Command } from "commander";
import { backUp } from "../../store/sqlite/backup.ts";
import { DATABASE_FILE } from "../../store/sqlite/sqlite.ts";
import { DATA_DIR_DEFAULT, dataDirOf } from "../client/key-file.ts";
import { command } from "../command.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { printJson, say } from "../output/output.ts";

export function backupCommand(): Command {
  return command("backup", "copy everything committed to a file, while the server runs", [
    "backup /var/backups/posthorn-2026-01-31.db",
  ])
    .argument("<file>", "a new file")
    .option("--data-dir <dir>", `the server's data directory (POSTHORN_DATA_DIR, ${DATA_DIR_DEFAULT})`)
    .option("--json", "print one JSON document")
    .action(backup);
}

/** SQLite lets another process read beside the server, so the server need not take part. */
async function backup(file: string, flags: { dataDir?: string; json?: boolean }): Promise<void> {
  const dataDir = dataDirOf(flags.dataDir);
  const database = path.join(dataDir, DATABASE_FILE);
  const target = path.resolve(file);
  if (!existsSync(database)) {
    throw new CliError(EXIT_CODES.notFound, `There is no database ${database}.`, {
      hint: "Name the server's data directory with --data-dir or POSTHORN_DATA_DIR.",
    });
  }
  if (existsSync(target)) {
    throw new CliError(
      EXIT_CODES.conflict,
      `${target} is there already. A backup never overwrites one: name a new file.`,
    );
  }
  const startedAt = new Date();
  await backUp(database, target);
  const bytes = statSync(target).size;
  if (flags.json) printJson({ file: target, bytes, startedAt: startedAt.toISOString() });
  say(`Wrote ${target}: ${bytes} bytes, everything committed at ${startedAt.toISOString()}.`);
  say(
    process.env.POSTHORN_MASTER_KEY
      ? "Its secrets are sealed: keep POSTHORN_MASTER_KEY too, and apart from it."
      : `Its secrets are sealed: keep ${path.join(dataDir, "master.key")} too, and apart from it.`,
  );
}
