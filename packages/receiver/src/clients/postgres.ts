/** What this package needs of PostgreSQL: `Pool` of pg has it. */

export interface PostgresResult {
  readonly rows: readonly Record<string, unknown>[];
  readonly rowCount: number | null;
}

/** Also the transaction that handlers get: they write with it, and neither begin nor commit. */
export interface PostgresClient {
  query(text: string, values?: readonly unknown[]): Promise<PostgresResult>;
}

export interface PostgresPool {
  /** How many connections it has at most: pg's `Pool` says so. */
  readonly options?: { readonly max?: number };
  connect(): Promise<PooledClient>;
}

export interface PooledClient extends PostgresClient {
  /** With an error the pool drops the connection. */
  release(error?: Error | boolean): void;
  /** Where the client is an EventEmitter: a connection that breaks between two queries says so here. */
  on?(event: "error", listener: (error: Error) => void): unknown;
  removeListener?(event: "error", listener: (error: Error) => void): unknown;
}
