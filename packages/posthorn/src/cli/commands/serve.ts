import type { Command } from "commander";
import { run } from "../serve/run.ts";
import { configOf, type ServerFlags, withServerOptions } from "../serve/server-options.ts";

export function fill(command: Command): Command {
  return withServerOptions(command).action(async (flags: ServerFlags) => {
    await run(configOf(flags));
  });
}
