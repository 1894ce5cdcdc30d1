/** Where a receiver remembers what it handled: the store of marks, or the inbox. */
import { type DedupeStore, type Inbox, memoryDedupe } from "@posthorn/receiver";
import { postgresDedupe, postgresInbox } from "@posthorn/receiver/postgres";
import { redisDedupe } from "@posthorn/receiver/redis";
import { sqliteDedupe, sqliteInbox } from "@posthorn/receiver/sqlite";
import { unreachable } from "../../base/errors.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import type { Address } from "./address.ts";
import type { Databases, Opened } from "./databases.ts";
import type { Settings } from "./settings.ts";

export type Storage =
  | { readonly mode: "process"; readonly dedupe: DedupeStore<unknown> }
  | { readonly mode: "ack-then-process"; readonly inbox: Inbox<unknown> };

/** @throws CliError for a mode that the database cannot serve */
export async function openStorage(
  databases: Databases,
  mode: Settings["mode"],
  address: Address,
): Promise<Storage> {
  if (address.kind === "mysql") {
    throw new CliError(
      EXIT_CODES.usage,
      "store: MySQL keeps no marks; use sqlite:, postgres:// or redis://.",
    );
  }
  if (mode === "ack-then-process" && address.kind !== "sqlite" && address.kind !== "postgres") {
    throw new CliError(
      EXIT_CODES.usage,
      `store: ${address.shown} cannot keep what was acknowledged. For --mode ack-then-process give --store sqlite:inbox.db or postgres://...`,
    );
  }
  const opened = await databases.open(address);
  return mode === "process" ? { mode, dedupe: dedupeOf(opened) } : { mode, inbox: inboxOf(opened) };
}

function dedupeOf(opened: Opened): DedupeStore<unknown> {
  switch (opened.kind) {
    case "sqlite":
      return sqliteDedupe(opened.database);
    case "postgres":
      return postgresDedupe(opened.pool);
    case "redis":
      return redisDedupe(opened.client);
    case "memory":
      return memoryDedupe();
    case "mysql":
      throw new Error("MySQL keeps no marks.");
    default:
      return unreachable(opened, "database");
  }
}

function inboxOf(opened: Opened): Inbox<unknown> {
  switch (opened.kind) {
    case "sqlite":
      return sqliteInbox(opened.database);
    case "postgres":
      return postgresInbox(opened.pool);
    default:
      throw new Error(`${opened.kind} keeps no inbox.`);
  }
}
