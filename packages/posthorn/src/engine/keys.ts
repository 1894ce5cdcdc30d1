import { setTimeout as wait } from "node:timers/promises";
import { notFound, PosthornError } from "../base/errors.ts";
import { type KeyId, newId } from "../base/ids.ts";
import { parseInput } from "../domain/input.ts";
import { type Key, keyCreateSchema } from "../domain/key.ts";
import { equalHashes, generateApiKey, hashApiKey } from "../security/api-keys.ts";
import type { Store, StoredKey } from "../store/store.ts";
import type { Keys, PageQuery } from "./engine.ts";
import { pageOf } from "./window.ts";

/** How long a key is known without asking the store: on a shared one a revocation waits for that. */
const KNOWN_MS = 1000;
const KNOWN_SHARED_MS = 250;
const KNOWN_MAX = 10_000;
/** `lastUsedAt` is written at most this often for a key. */
const USED_EVERY_MS = 60_000;

interface Known {
  readonly key: StoredKey | undefined;
  readonly untilMs: number;
}

export interface KeysWithCache extends Keys {
  /** Another node changed a key. */
  forget(): void;
}

export function createKeys(store: Store): KeysWithCache {
  const knownMs = store.shared ? KNOWN_SHARED_MS : KNOWN_MS;
  let known = new Map<string, Known>();
  const usedAtMs = new Map<KeyId, number>();

  async function authenticate(secret: string): Promise<Key | undefined> {
    const now = performance.now();
    let entry = known.get(secret);
    if (entry === undefined || entry.untilMs < now) {
      const cache = known;
      // From before the look: it may have been made just before the key was revoked.
      entry = { key: await look(secret), untilMs: now + knownMs };
      if (cache.size >= KNOWN_MAX) cache.clear();
      cache.set(secret, entry);
    }
    const { key } = entry;
    if (key === undefined || (key.expiresAtMs !== null && key.expiresAtMs <= Date.now())) return undefined;
    noteUse(key.id, now);
    return key;
  }

  async function look(secret: string): Promise<StoredKey | undefined> {
    if (!secret.startsWith("phk_") || secret.length > 256) return undefined;
    const hash = hashApiKey(secret);
    const found = await store.read.find("key", { hash });
    return found !== undefined && equalHashes(found.hash, hash) ? found : undefined;
  }

  function noteUse(id: KeyId, now: number): void {
    if (now - (usedAtMs.get(id) ?? Number.NEGATIVE_INFINITY) < USED_EVERY_MS) return;
    usedAtMs.set(id, now);
    // A figure for people: that it could not be written is no reason to refuse the request.
    store.write.save({ kind: "key_used", id }).catch(() => usedAtMs.delete(id));
  }

  /** What was being looked up meanwhile is kept in the map that is forgotten. */
  function forget(): void {
    known = new Map();
  }

  return {
    authenticate,
    forget,
    list: async (query: PageQuery = {}) => {
      const page = await store.read.list("key", pageOf(query));
      return { data: page.data.map(withoutHash), nextCursor: page.nextCursor };
    },
    async create(input) {
      const { role, name, expiresAt } = parseInput(keyCreateSchema, input);
      const expiresAtMs = expiresAt === undefined ? null : Date.parse(expiresAt);
      if (expiresAtMs !== null && expiresAtMs <= Date.now()) {
        throw new PosthornError("invalid_field", `/expiresAt lies in the past (${expiresAt}).`, {
          pointer: "/expiresAt",
          value: expiresAt,
        });
      }
      const { key: secret, hash, prefix } = generateApiKey();
      const id = newId("key");
      await store.write.save({ kind: "key", key: { id, role, name, prefix, expiresAtMs }, hash });
      const saved = await store.read.find("key", { id });
      if (saved === undefined) throw notFound("key", id);
      return { key: withoutHash(saved), secret };
    },
    async remove(id) {
      if (!(await store.write.remove({ kind: "key", id: id as KeyId }))) throw notFound("key", id);
      forget();
      // No other node knows it for longer: with the answer the key is dead on all of them.
      if (store.shared) await wait(knownMs);
    },
    async ensureAdmin(secret) {
      if (!/^phk_[A-Za-z0-9_-]{20,200}$/.test(secret)) {
        throw new PosthornError(
          "invalid_field",
          "The admin key must be phk_ followed by at least 20 letters, digits, _ or -.",
        );
      }
      const hash = hashApiKey(secret);
      const found = await store.read.find("key", { hash });
      if (found !== undefined) return found.id;
      const id = newId("key");
      const key = {
        id,
        role: "admin",
        name: "first admin key",
        prefix: secret.slice(0, 10),
        expiresAtMs: null,
      } as const;
      try {
        await store.write.save({ kind: "key", key, hash });
      } catch (error) {
        // Of two nodes that start at once one makes it.
        const theirs = await store.read.find("key", { hash });
        if (theirs === undefined) throw error;
        return theirs.id;
      }
      forget();
      return id;
    },
  };
}

function withoutHash({ hash: _hash, ...key }: StoredKey): Key {
  return key;
}
