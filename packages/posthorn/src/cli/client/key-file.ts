/** On the machine of the server, its admin key is found without being told. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { messageOf } from "../../base/errors.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";

export const DATA_DIR_DEFAULT = "./posthorn-data";

export function dataDirOf(flag: string | undefined): string {
  return path.resolve(flag ?? process.env.POSTHORN_DATA_DIR ?? DATA_DIR_DEFAULT);
}

/**
 * The API key of this command: `--key`, `POSTHORN_KEY`, `POSTHORN_ADMIN_KEY`, else `<data dir>/admin.key`.
 * @throws CliError `auth` that says where it looked
 */
export function findKey(options: { key?: string; dataDir?: string }): string {
  const given = options.key ?? process.env.POSTHORN_KEY ?? process.env.POSTHORN_ADMIN_KEY;
  if (given !== undefined && given !== "") return given.trim();
  const file = path.join(dataDirOf(options.dataDir), "admin.key");
  try {
    return readFileSync(file, "utf8").trim();
  } catch (error) {
    throw new CliError(
      EXIT_CODES.auth,
      `No API key: neither --key nor POSTHORN_KEY is given, and ${file} cannot be read (${messageOf(error)}).`,
      {
        hint: "Give --key, or name the server's data directory with --data-dir or POSTHORN_DATA_DIR.",
        cause: error,
      },
    );
  }
}
