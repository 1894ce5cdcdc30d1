import {
  closeSync,
  copyFileSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Command, Option } from "commander";
import { messageOf } from "../../base/errors.ts";
import { pragma } from "../../store/sqlite/database.ts";
import { lockDataDir } from "../../store/sqlite/lock.ts";
import { schemaVersion } from "../../store/sqlite/migrate.ts";
import { DATABASE_FILE } from "../../store/sqlite/sqlite.ts";
import { DATA_DIR_DEFAULT, dataDirOf } from "../client/key-file.ts";
import { command } from "../command.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { printJson, say } from "../output/output.ts";

interface RestoreFlags {
  dataDir?: string;
  masterKey?: string;
  force?: boolean;
  json?: boolean;
}

export function restoreCommand(): Command {
  return command("restore", "make a data directory of a backup", [
    "restore /var/backups/posthorn-2026-01-31.db --data-dir ./restored --master-key /safe/master.key",
  ])
    .argument("<file>", "what `posthorn backup` wrote")
    .addOption(
      new Option(
        "--data-dir <dir>",
        `where to (POSTHORN_DATA_DIR, ${DATA_DIR_DEFAULT}); must be empty or new`,
      ),
    )
    .option("--master-key <file>", "copied there too, as master.key")
    .option("--force", "replace the database that is there; its keys stay")
    .option("--json", "print one JSON document")
    .action(restore);
}

function restore(file: string, flags: RestoreFlags): void {
  const source = path.resolve(file);
  const dataDir = dataDirOf(flags.dataDir);
  const version = check(source);
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  if (!flags.force && readdirSync(dataDir).length > 0) {
    throw new CliError(EXIT_CODES.conflict, `${dataDir} is not empty.`, {
      hint: "Choose another --data-dir, or replace the database there with --force.",
    });
  }
  // Refuses while a server has the directory.
  const lock = lockDataDir(dataDir);
  try {
    const database = path.join(dataDir, DATABASE_FILE);
    copyDurably(source, `${database}.restoring`);
    // A log of the old database would be played into the new one.
    for (const suffix of ["-wal", "-shm"]) rmSync(database + suffix, { force: true });
    renameSync(`${database}.restoring`, database);
    if (flags.masterKey !== undefined) copyDurably(flags.masterKey, path.join(dataDir, "master.key"));
  } finally {
    lock.release();
  }
  if (flags.json) printJson({ dataDir, schemaVersion: version });
  say(`Restored to ${dataDir}. Start it: posthorn serve --data-dir ${dataDir}`);
  if (!existsSync(path.join(dataDir, "master.key")) && !process.env.POSTHORN_MASTER_KEY)
    say(
      "Put the old master.key there first, or set POSTHORN_MASTER_KEY: without it no secret can be opened.",
    );
}

/** The schema version of a backup that is whole and that this program can read. */
function check(file: string): number {
  if (!existsSync(file)) throw new CliError(EXIT_CODES.notFound, `There is no file ${file}.`);
  let found: { quickCheck: unknown; version: number };
  try {
    const db = new DatabaseSync(file, { readOnly: true });
    found = { quickCheck: pragma(db, "quick_check"), version: Number(pragma(db, "user_version")) };
    db.close();
  } catch (error) {
    throw new CliError(EXIT_CODES.failure, `${file} is not a database: ${messageOf(error)}.`, {
      cause: error,
    });
  }
  const { quickCheck, version } = found;
  if (quickCheck !== "ok") throw new CliError(EXIT_CODES.failure, `${file} is damaged: ${quickCheck}`);
  if (version < 1) throw new CliError(EXIT_CODES.failure, `${file} is not a database of Posthorn.`);
  if (version > schemaVersion()) {
    throw new CliError(
      EXIT_CODES.failure,
      `${file} has schema version ${version}, and this posthorn knows versions up to ${schemaVersion()}.`,
      { hint: "Restore it with the posthorn that wrote it, or a newer one." },
    );
  }
  return version;
}

function copyDurably(from: string, to: string): void {
  copyFileSync(from, to);
  const descriptor = openSync(to, "r+");
  fsyncSync(descriptor);
  closeSync(descriptor);
}
