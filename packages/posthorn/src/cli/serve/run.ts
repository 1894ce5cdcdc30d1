/** From start to the last signal: what `serve` and `dev` share. */
import type { Config } from "../../app/options.ts";
import { type RunningServer, startServer } from "../../app/serve.ts";
import { messageOf } from "../../base/errors.ts";
import { EXIT_CODES } from "../exit-code.ts";
import { print, say } from "../output/output.ts";

/** Starts, says where it is, and ends the process on SIGTERM or SIGINT once everything under way is settled. */
export async function run(config: Config): Promise<RunningServer> {
  const server = await startServer(config);
  print(`Posthorn ${server.version} listens on ${server.url}`);
  // On PostgreSQL it holds keys at most, and may never be made.
  if (config.store === "sqlite:") print(`Data directory: ${server.dataDir}`);
  const { made, file } = server.adminKey;
  if (made !== null) print(`Admin key, shown this once: ${made}\nIt is kept in ${file}.`);
  stopOnSignal(server);
  return server;
}

function stopOnSignal(server: RunningServer): void {
  let stopping = false;
  for (const [signal, code] of [
    ["SIGTERM", EXIT_CODES.terminated],
    ["SIGINT", EXIT_CODES.interrupted],
  ] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(code);
      stopping = true;
      say("Stopping: attempts under way end first. The same signal again stops at once.");
      server.stop().then(
        () => process.exit(EXIT_CODES.ok),
        (error: unknown) => {
          say(`It did not stop cleanly: ${messageOf(error)}`);
          process.exit(EXIT_CODES.failure);
        },
      );
    });
  }
}
