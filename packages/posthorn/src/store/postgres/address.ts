/** Where a database is, from its URL, in words that never hold the password; and why it did not let us in. */
import pg from "pg";
import { messageOf, PosthornError } from "../../base/errors.ts";
import { maskSecrets } from "../../base/masking.ts";
import { codeOf } from "./failure.ts";

export interface Address {
  /** `host:port`, or the directory of the socket. */
  readonly at: string;
  readonly host: string;
  readonly user: string;
  readonly database: string;
}

const FORM = "postgres://user:password@host:5432/database";

/** @throws PosthornError `invalid_field` when it is no URL of a PostgreSQL database; the URL itself is not shown */
export function addressOf(url: string): Address {
  if (!/^postgres(ql)?:\/\//.test(url) || !URL.canParse(url)) {
    throw invalidUrl("with special characters of the password written as %XX");
  }
  let client: pg.Client;
  try {
    client = new pg.Client({ connectionString: url });
  } catch (error) {
    // A certificate file that is not there, or a setting that is not known. Names the file, not the URL.
    throw invalidUrl(`and mind its settings: ${maskSecrets(messageOf(error).replaceAll(url, "the URL"))}`);
  }
  const { host, port, user = "", database = "" } = client;
  return { at: host.startsWith("/") ? host : `${host}:${port}`, host, user, database };
}

function invalidUrl(hint: string): PosthornError {
  return new PosthornError("invalid_field", `The store's URL cannot be used: give ${FORM}, ${hint}.`, {
    pointer: "/store",
  });
}

/** One line for what the server or the network said when we connected. */
export function explainRefusal(cause: unknown, { at, host, user, database }: Address): Error {
  const code = codeOf(cause);
  const why = (): string => {
    switch (code) {
      case "ENOTFOUND":
      case "EAI_AGAIN":
        return `The database's host "${host}" is not known (${code}): check the host in the store's URL.`;
      case "ECONNREFUSED":
      case "ENOENT":
        return `Nothing answers at ${at} (${code}): start PostgreSQL there, or correct host and port in the store's URL.`;
      case "28P01":
        return `PostgreSQL at ${at} refused the password of the user "${user}": correct user and password in the store's URL.`;
      case "28000":
        return `PostgreSQL at ${at} does not let the user "${user}" in from here: allow it in pg_hba.conf, or correct the store's URL (${messageOf(cause)}).`;
      case "3D000":
        return `There is no database "${database}" at ${at}: make it (CREATE DATABASE), or correct the store's URL.`;
      case "42501":
        return `The user "${user}" may not connect to the database "${database}": let its owner run GRANT CONNECT ON DATABASE ... TO that user.`;
      case "53300":
        return `PostgreSQL at ${at} has no connection left: raise its max_connections, or lower the connections of the nodes.`;
      default:
        return explainText(messageOf(cause), at);
    }
  };
  return new Error(why(), { cause });
}

function explainText(text: string, at: string): string {
  if (text.includes("client password must be a string"))
    return `PostgreSQL at ${at} asks for a password: put one in the store's URL, or set PGPASSWORD.`;
  if (text.includes("does not support SSL"))
    return `PostgreSQL at ${at} does not speak TLS: turn it on there, or leave sslmode out of the store's URL.`;
  if (text === "timeout expired")
    return `Nothing answers at ${at} within 5 s: check host, port and firewalls.`;
  return `PostgreSQL at ${at} cannot be used: ${maskSecrets(text)}.`;
}
