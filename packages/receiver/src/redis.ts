/** `@posthorn/receiver/redis` */
export type { RedisClient } from "./clients/redis.ts";
export { type RedisDedupeOptions, redisDedupe } from "./dedupe/redis/redis-dedupe.ts";
