/** The keys in Redis: `running:` and a token while a handler works, then `done`. Each command has one key, so a cluster will do. */
import { randomUUID } from "node:crypto";
import type { RedisClient } from "../../clients/redis.ts";

export interface Lock {
  readonly keys: readonly string[];
  /** Of this call alone. */
  readonly value: string;
}

const DONE = "done";
/** Renewed so often before it ends. */
const RENEWALS_PER_LOCK = 3;

const RENEW = `if redis.call("GET", KEYS[1]) == ARGV[1] then redis.call("PEXPIRE", KEYS[1], ARGV[2]) end return 1`;
const RELEASE = `if redis.call("GET", KEYS[1]) == ARGV[1] then redis.call("DEL", KEYS[1]) end return 1`;
/** Whoever has the lock: what was done is done. Answers 0 when somebody else had taken over. */
const FINISH = `local was = redis.call("GET", KEYS[1])
redis.call("SET", KEYS[1], "${DONE}", "PX", ARGV[2])
if was and was ~= ARGV[1] then return 0 end
return 1`;

export interface RedisMarksOptions {
  readonly windowMs: number;
  readonly prefix: string;
  readonly lockMs: number;
}

export class RedisMarks {
  readonly #client: RedisClient;
  readonly #options: RedisMarksOptions;

  constructor(client: RedisClient, options: RedisMarksOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** Locks those keys that are neither marked nor locked. If Redis fails, what was locked is released, or ends by itself. */
  async lock(keys: readonly string[]): Promise<{ readonly lock: Lock; readonly busy: ReadonlySet<string> }> {
    const value = `running:${randomUUID()}`;
    try {
      const states = await Promise.all(keys.map((key) => this.#lockOne(key, value)));
      const those = (state: string): string[] => keys.filter((_, index) => states[index] === state);
      return { lock: { keys: those("locked"), value }, busy: new Set(those("busy")) };
    } catch (error) {
      // Not waited for: a client fails after its own timeout, and the sender would wait for two of those.
      this.release({ keys, value }).catch(() => undefined);
      throw error;
    }
  }

  /** Renews the lock until the returned function is called. */
  keep(lock: Lock): () => void {
    const { lockMs } = this.#options;
    const renew = (): void => {
      // A renewal that fails is followed by others; what comes of it is seen when the marks are set.
      this.#each(lock, RENEW, lockMs).catch(() => undefined);
    };
    const timer = setInterval(renew, lockMs / RENEWALS_PER_LOCK);
    return () => clearInterval(timer);
  }

  async release(lock: Lock): Promise<void> {
    await this.#each(lock, RELEASE, 0);
  }

  /** @returns the keys whose lock somebody else had taken over */
  async finish(lock: Lock): Promise<readonly string[]> {
    const kept = await this.#each(lock, FINISH, this.#options.windowMs);
    return lock.keys.filter((_, index) => Number(kept[index]) === 0);
  }

  async #lockOne(key: string, value: string): Promise<"locked" | "busy" | "marked"> {
    const { prefix, lockMs } = this.#options;
    const set = await this.#client.sendCommand(["SET", prefix + key, value, "NX", "PX", String(lockMs)]);
    if (set !== null) return "locked";
    const present = await this.#client.sendCommand(["GET", prefix + key]);
    // Gone between the two: the next attempt finds out.
    return String(present) === DONE ? "marked" : "busy";
  }

  #each({ keys, value }: Lock, script: string, ms: number): Promise<readonly unknown[]> {
    return Promise.all(
      keys.map((key) =>
        this.#client.sendCommand(["EVAL", script, "1", this.#options.prefix + key, value, String(ms)]),
      ),
    );
  }
}
