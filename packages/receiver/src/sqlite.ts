/** `@posthorn/receiver/sqlite` */
export type { SqliteDatabase, SqliteStatement, SqliteValue } from "./clients/sqlite.ts";
export { type SqliteDedupeOptions, sqliteDedupe } from "./dedupe/sqlite/sqlite-dedupe.ts";
export { type SqliteInboxOptions, sqliteInbox } from "./inbox/sqlite/sqlite-inbox.ts";
