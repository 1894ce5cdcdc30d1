/** `@posthorn/receiver/postgres` */
export type { PooledClient, PostgresClient, PostgresPool, PostgresResult } from "./clients/postgres.ts";
export { type PostgresDedupeOptions, postgresDedupe } from "./dedupe/postgres/postgres-dedupe.ts";
export { type PostgresInboxOptions, postgresInbox } from "./inbox/postgres/postgres-inbox.ts";
