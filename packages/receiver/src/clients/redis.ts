/** What this package needs of Redis or Valkey: a client of node-redis has it. */
export interface RedisClient {
  /** One command with its arguments, such as `["SET", "key", "value", "NX"]`; resolves to the reply. */
  sendCommand(command: readonly string[]): Promise<unknown>;
}
