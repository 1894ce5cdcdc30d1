import type { Command } from "commander";
import { withLoopback } from "../../app/config.ts";
import { print, say } from "../output/output.ts";
import { feedLine } from "../serve/feed-line.ts";
import { run } from "../serve/run.ts";
import { configOf, type ServerFlags, withServerOptions } from "../serve/server-options.ts";

export function fill(command: Command): Command {
  return withServerOptions(command).action(async (flags: ServerFlags) => {
    const config = withLoopback(configOf(flags));
    // Each delivery is a line below; the log is for what goes wrong.
    const level = config.logLevel === "info" ? "warn" : config.logLevel;
    const server = await run({ ...config, logLevel: level });
    say("For development: endpoints on this machine (127.0.0.1, localhost) are allowed, on every port.");
    say("Deliveries appear here as they happen. Ctrl-C stops.");
    server.engine.feed.subscribe((entry) => {
      const line = feedLine(entry);
      if (line !== null) print(line);
    });
  });
}
