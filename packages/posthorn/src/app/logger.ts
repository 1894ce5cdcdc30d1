/** The log: pino, one line an entry, to stderr. No line leaves with a secret in it. */
import { pino } from "pino";
import type { Logger } from "../base/logger.ts";
import { maskSecrets } from "../base/masking.ts";
import type { Config } from "./options.ts";

/** Where lines go: `process.stderr`, or what a test reads. */
export interface LogTarget {
  write(line: string): unknown;
  readonly isTTY?: boolean;
}

const SECRET_FIELDS = [
  "secret",
  "secrets",
  "headers",
  "authorization",
  "cookie",
  "password",
  "adminKey",
  "masterKey",
  "oldMasterKeys",
  "credentials",
  "token",
  "privateKey",
  "clientSecret",
  "signingKey",
];

export function createLogger(
  { logLevel, logFormat }: Pick<Config, "logLevel" | "logFormat">,
  target: LogTarget = process.stderr,
): Logger {
  const asText = logFormat === "text" || (logFormat === "auto" && target.isTTY === true);
  const destination = asText ? { write: (line: string) => target.write(textOf(line)) } : target;
  return pino(
    {
      level: logLevel,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (level) => ({ level }) },
      redact: { paths: SECRET_FIELDS.flatMap((name) => [name, `*.${name}`]), censor: "***" },
      hooks: { streamWrite: maskSecrets },
    },
    destination as { write(line: string): void },
  );
}

/** `09:15:59.123 INFO  delivery.attempted outcome=succeeded ...` */
function textOf(line: string): string {
  const { time, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const facts = Object.entries(fields).map(([name, value]) => `${name}=${plain(value)}`);
  return `${[String(time).slice(11, 23), String(level).toUpperCase().padEnd(5), msg, ...facts].join(" ")}\n`;
}

function plain(value: unknown): string {
  if (typeof value === "string" && /^[^\s"=]+$/.test(value)) return value;
  return JSON.stringify(value);
}
