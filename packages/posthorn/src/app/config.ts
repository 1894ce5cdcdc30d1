/** Where the server's configuration comes from: flag > POSTHORN_* > posthorn.json > default. What is not known is an error. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { messageOf, PosthornError } from "../base/errors.ts";
import { maskSecrets } from "../base/masking.ts";
import { show } from "../domain/input.ts";
import type { Option } from "./option-kinds.ts";
import { CONFIG_OPTIONS, type Config, flagOf, OPTION_NAMES, type OptionName, variableOf } from "./options.ts";

export interface ConfigSources {
  /** By option name; text is read like a variable's. Undefined: not given. */
  readonly flags?: Readonly<Partial<Record<OptionName, unknown>>>;
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** `--config` or POSTHORN_CONFIG. Without it, posthorn.json of the working directory is read if there is one. */
  readonly file?: string | undefined;
}

export const CONFIG_FILE = "posthorn.json";

/** Variables of ours that are no option of the server: the client's, and where the file is. */
const OTHER_VARIABLES = new Set([
  "POSTHORN_CONFIG",
  "POSTHORN_URL",
  "POSTHORN_KEY",
  "POSTHORN_CA",
  "POSTHORN_SECRET",
  "POSTHORN_DEBUG",
]);
const TEST_VARIABLES = "POSTHORN_TEST_";

/**
 * The configuration, complete.
 * @throws PosthornError `unknown_field` or `invalid_field`, naming the flag, variable or key, its value and what to do
 */
export function loadConfig({ flags = {}, environment = {}, file }: ConfigSources = {}): Config {
  refuseUnknownVariables(environment);
  const fromFile = readConfigFile(file ?? environment.POSTHORN_CONFIG);
  const config: Record<string, unknown> = {};
  for (const name of OPTION_NAMES) {
    const variable = variableOf(name);
    const written = environment[variable];
    if (flags[name] !== undefined) {
      config[name] = checked(name, flagOf(name) ?? name, flags[name]);
    } else if (written !== undefined && written !== "") {
      config[name] = checked(name, variable, written);
    } else if (fromFile.values[name] !== undefined) {
      config[name] = checkedValue(name, `${fromFile.name}: ${name}`, fromFile.values[name]);
    } else {
      config[name] = CONFIG_OPTIONS[name].fallback;
    }
  }
  return config as Config;
}

/** A configuration from values alone, as the library gets them. */
export function completeConfig<Name extends OptionName>(
  names: readonly Name[],
  values: Readonly<Partial<Record<Name, unknown>>>,
): Pick<Config, Name> {
  for (const key of Object.keys(values)) {
    if (!(names as readonly string[]).includes(key)) throw unknownOption("The option", key, names);
  }
  const entries = names.map((name) => [
    name,
    values[name] === undefined ? CONFIG_OPTIONS[name].fallback : checkedValue(name, name, values[name]),
  ]);
  return Object.fromEntries(entries) as Pick<Config, Name>;
}

/** For trying things out: this machine may be reached, on every port. */
export function withLoopback<Known extends Pick<Config, "allowNetworks" | "allowPorts">>(
  config: Known,
): Known {
  return { ...config, allowNetworks: [...config.allowNetworks, "127.0.0.0/8", "::1/128"], allowPorts: "all" };
}

function checked(name: OptionName, source: string, value: unknown): unknown {
  const { fromText } = CONFIG_OPTIONS[name];
  return checkedValue(name, source, typeof value === "string" ? fromText(value) : value);
}

function checkedValue(name: OptionName, source: string, value: unknown): unknown {
  const { schema, form, secret, confidential }: Option<unknown> = CONFIG_OPTIONS[name];
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const hidden = secret || confidential === true;
  const got = hidden ? "" : ` (got ${maskSecrets(show(value))})`;
  throw new PosthornError(
    "invalid_field",
    `${source}: ${result.error.issues[0]?.message ?? "cannot be used"}; give ${form}${got}`,
    {
      pointer: `/${name}`,
      ...(hidden ? {} : { value }),
    },
  );
}

function refuseUnknownVariables(environment: Readonly<Record<string, string | undefined>>): void {
  const known = new Set(OPTION_NAMES.map(variableOf));
  for (const variable of Object.keys(environment)) {
    if (!variable.startsWith("POSTHORN_") || variable.startsWith(TEST_VARIABLES)) continue;
    if (!known.has(variable) && !OTHER_VARIABLES.has(variable))
      throw unknownOption("The variable", variable, [...known]);
  }
}

function readConfigFile(given: string | undefined): {
  name: string;
  values: Partial<Record<OptionName, unknown>>;
} {
  const name = given ?? CONFIG_FILE;
  let content: string;
  try {
    content = readFileSync(path.resolve(name), "utf8");
  } catch (error) {
    if (given === undefined && (error as NodeJS.ErrnoException).code === "ENOENT")
      return { name, values: {} };
    throw unreadable(name, messageOf(error));
  }
  const values = parsed(name, content);
  const names: readonly string[] = OPTION_NAMES.filter((option) => flagOf(option) !== undefined);
  for (const key of Object.keys(values)) {
    if (names.includes(key)) continue;
    if ((OPTION_NAMES as readonly string[]).includes(key)) {
      const variable = variableOf(key as OptionName);
      throw unreadable(
        name,
        `the secret "${key}" does not belong into a file. Set ${variable} in the environment`,
      );
    }
    throw unknownOption(`${name}: the key`, key, names);
  }
  return { name, values };
}

function parsed(name: string, content: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch (error) {
    throw unreadable(name, messageOf(error));
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw unreadable(name, "it must hold one JSON object");
}

function unreadable(name: string, why: string): PosthornError {
  return new PosthornError("invalid_field", `The configuration file ${name} cannot be used: ${why}.`, {
    pointer: "/config",
    value: name,
  });
}

function unknownOption(what: string, name: string, known: readonly string[]): PosthornError {
  const near = known.find((candidate) => letters(candidate) === letters(name));
  const hint = near === undefined ? "docs/configuration.md lists them all" : `Did you mean ${near}`;
  return new PosthornError("unknown_field", `${what} ${name} is not known. ${hint}.`, {
    pointer: `/${name}`,
    value: name,
  });
}

function letters(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z]/g, "");
}
