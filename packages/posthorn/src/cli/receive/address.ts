/** Databases as `posthorn receive` is told of them: `sqlite:orders.db`, `postgres://...`, `mysql://...`, `redis://...`, `memory`. */
import path from "node:path";
import { CliError, EXIT_CODES } from "../exit-code.ts";

export type Address =
  | { readonly kind: "sqlite"; readonly file: string; readonly shown: string }
  | { readonly kind: "postgres" | "mysql" | "redis"; readonly url: string; readonly shown: string }
  | { readonly kind: "memory"; readonly shown: string };

const SCHEMES: Readonly<Record<string, "postgres" | "mysql" | "redis">> = {
  "postgres:": "postgres",
  "postgresql:": "postgres",
  "mysql:": "mysql",
  "mariadb:": "mysql",
  "redis:": "redis",
  "rediss:": "redis",
};

/** @throws CliError that says where it was given, and shows no password */
export function addressOf(text: string, where: string): Address {
  if (text === "memory") return { kind: "memory", shown: "memory" };
  const [, file] = /^sqlite:(.+)$/s.exec(text) ?? [];
  if (file !== undefined) return { kind: "sqlite", file: path.resolve(file), shown: text };
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const kind = url === undefined ? undefined : SCHEMES[url.protocol];
  if (url === undefined || kind === undefined) {
    throw new CliError(
      EXIT_CODES.usage,
      where === "store"
        ? `${where}: it must be memory or the URL of a database: sqlite:hooks.db, postgres://user@host/name, redis://host.`
        : `${where}: it must be the URL of a database: sqlite:orders.db, postgres://user@host/name, mysql://user@host/name.`,
    );
  }
  const shown = `${url.protocol}//${url.host}${url.pathname}`;
  return { kind, url: text.replace(/^mariadb:/, "mysql:"), shown };
}

/** `sqlite:orders.db#events` -> its two parts; undefined where there is no `#`. */
export function splitTable(text: string): { readonly database: string; readonly table: string | undefined } {
  const [, database = text, table] = /^(.*)#([^#]*)$/s.exec(text) ?? [];
  return { database, table };
}

/** The same for two that mean one database, as far as their text says. */
export function sameDatabase(one: Address, other: Address): boolean {
  return keyOf(one) === keyOf(other);
}

export function keyOf(address: Address): string {
  switch (address.kind) {
    case "sqlite":
      return `sqlite:${address.file}`;
    case "memory":
      return "memory";
    default:
      return address.url;
  }
}
