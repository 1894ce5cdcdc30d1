/** This machine and the data directory, seen from outside: nothing is changed. */
import { existsSync, statfsSync, statSync } from "node:fs";
import path from "node:path";
import { messageOf } from "../../base/errors.ts";
import { openForReading, pragma } from "../../store/sqlite/database.ts";
import { schemaVersion } from "../../store/sqlite/migrate.ts";
import { DATABASE_FILE } from "../../store/sqlite/sqlite.ts";
import { type Finding, failed, ok, warning } from "./check.ts";

const NODE_MAJOR_MIN = 24;
const RESERVE_BYTES = 256 * 1024 * 1024;
const GIB = 2 ** 30;

export function checkMachine(dataDir: string): Finding[] {
  const findings = [checkNode()];
  if (!existsSync(dataDir))
    return [...findings, warning("data directory", `${dataDir} is not there; the server makes it`)];
  findings.push(checkMode("data directory", dataDir, 0o700), checkSpace(dataDir));
  for (const name of ["admin.key", "master.key"]) {
    const file = path.join(dataDir, name);
    if (existsSync(file)) findings.push(checkMode(name, file, 0o600));
  }
  const database = path.join(dataDir, DATABASE_FILE);
  return existsSync(database) ? [...findings, ...checkDatabase(database)] : findings;
}

function checkNode(): Finding {
  const major = Number(process.versions.node.split(".")[0]);
  return major >= NODE_MAJOR_MIN
    ? ok("node", process.version)
    : failed("node", `${process.version}; install ${NODE_MAJOR_MIN} or newer`);
}

function checkMode(name: string, file: string, wanted: number): Finding {
  if (process.platform === "win32") return ok(name, file);
  const mode = statSync(file).mode & 0o777;
  const octal = (value: number) => value.toString(8).padStart(4, "0");
  return (mode & ~wanted) === 0
    ? ok(name, `${file}, mode ${octal(mode)}`)
    : warning(name, `${file} has mode ${octal(mode)}: others can read it. chmod ${octal(wanted)} ${file}`);
}

function checkSpace(dataDir: string): Finding {
  const { bavail, bsize } = statfsSync(dataDir);
  const free = bavail * bsize;
  const text = `${(free / GIB).toFixed(1)} GiB free`;
  if (free < RESERVE_BYTES) return failed("disk", `${text}: below the reserve, publishing answers 503`);
  return free < 4 * RESERVE_BYTES
    ? warning("disk", `${text}: publishing stops below 0.25 GiB`)
    : ok("disk", text);
}

function checkDatabase(file: string): Finding[] {
  try {
    const db = openForReading(file);
    const journal = pragma(db, "journal_mode");
    const version = Number(pragma(db, "user_version"));
    db.close();
    const { size } = statSync(file);
    return [
      journal === "wal"
        ? ok("database", `${file}, ${(size / GIB).toFixed(2)} GiB, WAL`)
        : failed("database", `${file} is in journal mode ${journal}, not WAL: put it on a local file system`),
      version <= schemaVersion()
        ? ok("schema", `version ${version}`)
        : failed("schema", `version ${version}; this posthorn knows versions up to ${schemaVersion()}`),
    ];
  } catch (error) {
    return [failed("database", `${file}: ${messageOf(error)}`)];
  }
}
