/** The flags of the server, made from the one table of options. */
import { type Command, Option } from "commander";
import { loadConfig } from "../../app/config.ts";
import {
  CONFIG_OPTIONS,
  type Config,
  flagOf,
  OPTION_NAMES,
  type OptionName,
  variableOf,
} from "../../app/options.ts";

export type ServerFlags = Partial<Record<OptionName, string>> & { config?: string };

export function withServerOptions(command: Command): Command {
  command.option(
    "--config <file>",
    "posthorn.json of the working directory unless given (env: POSTHORN_CONFIG)",
  );
  for (const name of OPTION_NAMES) {
    const flag = flagOf(name);
    if (flag !== undefined) command.addOption(optionOf(name, flag));
  }
  const secrets = OPTION_NAMES.filter((name) => flagOf(name) === undefined);
  return command.addHelpText(
    "after",
    `\nOnly from the environment:\n${secrets.map((name) => `  ${variableOf(name)}: ${CONFIG_OPTIONS[name].doc}`).join("\n")}`,
  );
}

function optionOf(name: OptionName, flag: string): Option {
  const { doc, fallback } = CONFIG_OPTIONS[name];
  const shown = (Array.isArray(fallback) ? fallback.join(",") : String(fallback)) || "none";
  const description = `${doc} (default: ${shown}, env: ${variableOf(name)})`;
  // A flag of two values may stand alone for true.
  if (typeof fallback === "boolean") return new Option(`${flag} [boolean]`, description).preset("true");
  return new Option(`${flag} <value>`, description);
}

/** @throws PosthornError naming the flag, variable or key that cannot be used */
export function configOf({ config, ...flags }: ServerFlags): Config {
  return loadConfig({ flags, environment: process.env, file: config });
}
