/** What this package needs of MySQL or MariaDB: a pool of mysql2/promise has it. */

export type MysqlValue = null | string | number | bigint;

export interface MysqlConnection {
  /** Resolves to rows, or a result, and the fields. */
  query(sql: string, values?: MysqlValue[]): Promise<readonly [unknown, unknown]>;
  beginTransaction(): Promise<void>;
  commit(): Promise<void>;
  rollback(): Promise<void>;
  release(): void;
  destroy(): void;
}

export interface MysqlPool {
  getConnection(): Promise<MysqlConnection>;
}
