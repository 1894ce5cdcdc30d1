/** From start to the last signal: what `serve` and `dev` share. */
import type { Config } from "../../app/options.ts";
import { type RunningServer, startServer } from "../../app/serve.ts";
import { print } from "../output/output.ts";
import { stopOnSignal } from "../stop-on-signal.ts";

/** Starts, says where it is, and ends the process on SIGTERM or SIGINT once everything under way is settled. */
export async function run(config: Config): Promise<RunningServer> {
  const server = await startServer(config);
  print(`Posthorn ${server.version} listens on ${server.url}`);
  // On PostgreSQL it holds keys at most, and may never be made.
  if (config.store === "sqlite:") print(`Data directory: ${server.dataDir}`);
  const { made, file } = server.adminKey;
  if (made !== null) print(`Admin key, shown this once: ${made}\nIt is kept in ${file}.`);
  stopOnSignal("attempts under way", () => server.stop());
  return server;
}
