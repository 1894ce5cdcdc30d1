/** What is looked at before a database is used, and before anything is written to it. Each refusal is one line that says what to do. */

import type { MasterKeyMark } from "../../security/master-key.ts";
import { isSameCheck, WrongMasterKeyError } from "../wrong-master-key.ts";
import { type Address, addressOf, explainRefusal } from "./address.ts";
import { Connection } from "./connection.ts";
import { type SchemaState, schemaState, schemaVersion } from "./migrate.ts";

export interface Identity {
  readonly cluster: string;
  /** Of the master keys that are here, first of the one that seals now. Empty: nothing is compared. */
  readonly masterKeyMarks: readonly MasterKeyMark[];
}

const VERSION_MIN = 15;
const SKEW_MS_MAX = 5000;
/** A migration lifts it. */
const STATEMENT_MS_MAX = 30_000;

/**
 * A connection to the database that the URL names.
 * @throws Error one line that says what to do; it never shows the password
 */
export async function connectForOpening(url: string): Promise<Connection> {
  const address = addressOf(url);
  try {
    return await Connection.open({ url, applicationName: "posthorn", statementMsMax: STATEMENT_MS_MAX });
  } catch (error) {
    throw explainRefusal(error, address);
  }
}

/** Server, rights and schema. Answers what schema was found. @throws Error as above */
export async function checkDatabase(connection: Connection, url: string): Promise<SchemaState> {
  const address = addressOf(url);
  const [server] = await connection.query<ServerFacts>({ text: SERVER_FACTS });
  if (server === undefined) throw new Error("The database said nothing about itself.");
  refuseServer(server, address);
  refuseMissingRights(server);
  const state = server.initialized ? await schemaState(connection) : { version: 0, oldestProgram: 0 };
  refuseNewer(state);
  return state;
}

interface ServerFacts {
  readonly version: number;
  readonly versionText: string;
  readonly standby: boolean;
  readonly encoding: string;
  readonly user: string;
  readonly database: string;
  readonly schemaThere: boolean;
  /** The table of migrations is there. */
  readonly initialized: boolean;
  readonly mayCreateSchema: boolean;
  readonly mayUseSchema: boolean;
  readonly owner: string | null;
  readonly mayActAsOwner: boolean;
}

// From the catalogue alone: without the right to use the schema even its names cannot be resolved.
const SERVER_FACTS = `
  SELECT current_setting('server_version_num')::integer / 10000 AS version,
    current_setting('server_version') AS "versionText",
    pg_is_in_recovery() AS standby,
    current_setting('server_encoding') AS encoding,
    quote_ident(current_user) AS user,
    quote_ident(current_database()) AS database,
    schema.oid IS NOT NULL AS "schemaThere",
    migrations.oid IS NOT NULL AS initialized,
    has_database_privilege(current_database(), 'CREATE') AS "mayCreateSchema",
    coalesce(has_schema_privilege(schema.oid, 'USAGE') AND has_schema_privilege(schema.oid, 'CREATE'), false)
      AS "mayUseSchema",
    quote_ident(pg_get_userbyid(migrations.relowner)) AS owner,
    coalesce(pg_has_role(migrations.relowner, 'USAGE'), false) AS "mayActAsOwner"
  FROM (SELECT 1) AS one
  LEFT JOIN pg_namespace AS schema ON schema.nspname = 'posthorn'
  LEFT JOIN pg_class AS migrations ON migrations.relnamespace = schema.oid AND migrations.relname = 'migrations'`;

function refuseServer(
  { version, versionText, standby, encoding, database }: ServerFacts,
  { at }: Address,
): void {
  if (version < VERSION_MIN) {
    throw new Error(
      `PostgreSQL at ${at} is version ${versionText}, and Posthorn needs ${VERSION_MIN} or newer: upgrade the server. Nothing was changed.`,
    );
  }
  if (standby) {
    throw new Error(
      `PostgreSQL at ${at} is a standby that only reads: give the URL of the primary. Nothing was changed.`,
    );
  }
  if (encoding !== "UTF8") {
    throw new Error(
      `The database ${database} has the encoding ${encoding}: make one for Posthorn with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0. Nothing was changed.`,
    );
  }
}

function refuseMissingRights(server: ServerFacts): void {
  const grant = grantOf(server);
  if (grant === null) return;
  throw new Error(
    `The user ${server.user} lacks rights in the database ${server.database}. Let its owner run: ${grant}; Nothing was changed.`,
  );
}

/** What is missing; null: nothing. */
function grantOf(server: ServerFacts): string | null {
  const { user, database, owner } = server;
  if (!server.schemaThere)
    return server.mayCreateSchema ? null : `GRANT CREATE ON DATABASE ${database} TO ${user}`;
  // Partitions are made and dropped all the time, which only the owner of the tables may do.
  if (server.initialized && !server.mayActAsOwner) return `GRANT ${owner} TO ${user}`;
  return server.mayUseSchema ? null : `GRANT USAGE, CREATE ON SCHEMA posthorn TO ${user}`;
}

function refuseNewer({ version, oldestProgram }: SchemaState): void {
  const known = schemaVersion();
  if (oldestProgram <= known) return;
  throw new Error(
    `The database has schema version ${version}, which needs a posthorn that knows version ${oldestProgram}, and this one knows versions up to ${known}. ` +
      "Nothing was changed. Upgrade this node.",
  );
}

/**
 * Refuses another cluster's database, and a node without the master key that it is sealed under. Before the schema is made
 * there is nothing to compare.
 * @throws WrongMasterKeyError for the latter
 */
export async function checkIdentity(
  connection: Connection,
  { cluster, masterKeyMarks }: Identity,
  url: string,
): Promise<void> {
  const [found] = await connection.query<{ cluster: string | null; keyCheck: Buffer | null }>({
    text: `SELECT cluster, key_check AS "keyCheck" FROM posthorn.facts`,
  });
  if (found?.cluster != null && found.cluster !== cluster) {
    throw new Error(
      `This database belongs to the cluster "${found.cluster}", and this node is configured for "${cluster}": ` +
        `give "${cluster}" a database of its own, or configure this node with the name "${found.cluster}".`,
    );
  }
  const check = found?.keyCheck ?? null;
  if (
    check !== null &&
    masterKeyMarks.length > 0 &&
    !masterKeyMarks.some((ours) => isSameCheck(ours.check, check))
  ) {
    const { at, database } = addressOf(url);
    throw new WrongMasterKeyError(`the database "${database}" at ${at}`);
  }
}

/** The first node to open a database gives it its identity; of two at once, one does, and the other is compared with it. */
export async function claimIdentity(connection: Connection, identity: Identity, url: string): Promise<void> {
  await connection.query(
    {
      text: `UPDATE posthorn.facts SET cluster = coalesce(cluster, $1), key_check = coalesce(key_check, $2)
        WHERE cluster IS NULL OR (key_check IS NULL AND $2::bytea IS NOT NULL)`,
    },
    [identity.cluster, identity.masterKeyMarks[0]?.check ?? null],
  );
  await checkIdentity(connection, identity, url);
}

/** Refuses a machine whose clock is too far from the database's: ids, signatures and retry times would be wrong. */
export async function checkClock(connection: Connection, wallMs: () => number): Promise<void> {
  const sentMs = wallMs();
  const [clock] = await connection.query<{ ms: number }>({
    text: "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms",
  });
  const receivedMs = wallMs();
  const halfTripMs = (receivedMs - sentMs) / 2;
  const aheadMs = sentMs + halfTripMs - (clock?.ms ?? 0);
  if (Math.abs(aheadMs) - halfTripMs <= SKEW_MS_MAX) return;
  const seconds = (Math.abs(aheadMs) / 1000).toFixed(1);
  throw new Error(
    `This machine's clock is ${seconds} s ${aheadMs > 0 ? "ahead of" : "behind"} the database's, and ${SKEW_MS_MAX / 1000} s are allowed: ` +
      "set both by NTP, then start again. Nothing was changed.",
  );
}

/** A node on half of what is to be moved here would send half of it. */
export async function refuseUnfinishedCopy(connection: Connection): Promise<void> {
  const [table] = await connection.query<{ exists: boolean }>({
    text: "SELECT to_regclass('posthorn.copies') IS NOT NULL AS exists",
  });
  if (table?.exists !== true) return;
  const unfinished = await connection.query({
    text: "SELECT 1 FROM posthorn.copies WHERE finished_at_ms IS NULL LIMIT 1",
  });
  if (unfinished.length === 0) return;
  throw new Error(
    "The copy in this database is unfinished: run `posthorn store copy` again, to its end, before starting a node on it.",
  );
}
