import type { Command } from "commander";
import { command } from "../command.ts";
import { printJson, say } from "../output/output.ts";
import { configOf, type ServerFlags, withServerOptions } from "../serve/server-options.ts";

export function rotateMasterCommand(): Command {
  const rotate = command("rotate-master", "change the master key and seal every secret anew", [
    "keys rotate-master --data-dir /var/lib/posthorn",
  ]);
  return withServerOptions(rotate)
    .option("--json", "print one JSON document")
    .addHelpText(
      "after",
      "\nWith a key file the server must be stopped. With keys from the environment, nodes on PostgreSQL go on: docs/security.md says how.",
    )
    .action(run);
}

async function run({ json = false, ...flags }: ServerFlags & { json?: boolean }): Promise<void> {
  const { rotateMasterKey } = await import("../../app/rotate-master-key.ts");
  const { createLogger } = await import("../../app/logger.ts");
  const config = configOf(flags);
  const { file, endpoints, resealed } = await rotateMasterKey(config, createLogger(config));
  if (json) printJson({ file, endpoints, resealed });
  say(`Sealed the secrets of ${resealed} of ${endpoints} endpoints anew.`);
  say(
    file === null
      ? "The store knows the new key. POSTHORN_OLD_MASTER_KEYS is not needed any more."
      : `${file} holds the new key alone. Backups made before open with the old key only.`,
  );
}
