import { notFound, PosthornError } from "../base/errors.ts";
import { type KeyId, newId } from "../base/ids.ts";
import { parseInput } from "../domain/input.ts";
import { type Key, keyCreateSchema } from "../domain/key.ts";
import { equalHashes, generateApiKey, hashApiKey } from "../security/api-keys.ts";
import type { Store, StoredKey } from "../store/store.ts";
import type { Keys, PageQuery } from "./engine.ts";
import { pageOf } from "./window.ts";

/** How long a key is known without asking the store. */
const KNOWN_MS = 1000;
const KNOWN_MAX = 10_000;
/** `lastUsedAt` is written at most this often for a key. */
const USED_EVERY_MS = 60_000;

interface Known {
  readonly key: StoredKey | undefined;
  readonly untilMs: number;
}

export function createKeys(store: Store): Keys {
  const known = new Map<string, Known>();
  const usedAtMs = new Map<KeyId, number>();

  async function authenticate(secret: string): Promise<Key | undefined> {
    const now = performance.now();
    let entry = known.get(secret);
    if (entry === undefined || entry.untilMs < now) {
      entry = { key: await look(secret), untilMs: now + KNOWN_MS };
      if (known.size >= KNOWN_MAX) known.clear();
      known.set(secret, entry);
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

  return {
    authenticate,
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
      known.clear();
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
      await store.write.save({
        kind: "key",
        key: { id, role: "admin", name: "first admin key", prefix: secret.slice(0, 10), expiresAtMs: null },
        hash,
      });
      known.clear();
      return id;
    },
  };
}

function withoutHash({ hash: _hash, ...key }: StoredKey): Key {
  return key;
}
