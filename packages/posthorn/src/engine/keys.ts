import { setTimeout as wait } from "node:timers/promises";
import { notFound, PosthornError } from "../base/errors.ts";
import { type AppId, type KeyId, newId } from "../base/ids.ts";
import { parseInput } from "../domain/input.ts";
import { type Key, type KeyRole, keyCreateSchema } from "../domain/key.ts";
import { NO_KEY_LIMITS } from "../domain/limits.ts";
import { apiKeyPrefix, equalHashes, generateApiKey, hashApiKey } from "../security/api-keys.ts";
import type { Store, StoredKey } from "../store/store.ts";
import { auditEntry } from "./acting.ts";
import type { KeyQuery, Keys } from "./engine.ts";
import { pageOf } from "./window.ts";

/** How long a key is known without asking the store: on a shared one a revocation waits for that. */
const KNOWN_MS = 1000;
const KNOWN_SHARED_MS = 250;
const KNOWN_MAX = 10_000;
/** `lastUsedAt` is written at most this often for a key. */
const USED_EVERY_MS = 60_000;
/** After `phk_`. What is longer, or begins with anything else, is none of ours. */
const SECRET_CHARACTERS_MAX = 256;

interface Known {
  readonly key: Key;
  readonly untilMs: number;
}

export interface KeysWithCache extends Keys {
  /** Another node changed a key. */
  forget(): void;
  /** Keys were revoked here. Resolves when no node takes them any more. */
  revoked(): Promise<void>;
}

type NewKey = Omit<Key, "createdAtMs" | "lastUsedAtMs">;

export function createKeys(store: Store): KeysWithCache {
  const knownMs = store.shared ? KNOWN_SHARED_MS : KNOWN_MS;
  /** Only keys that there are: whatever strangers send, they neither fill it nor make it forget one. */
  let known = new Map<string, Known>();
  const usedAtMs = new Map<KeyId, number>();

  async function authenticate(secret: string): Promise<Key | undefined> {
    if (!hasForm(secret)) return undefined;
    const now = performance.now();
    let entry = known.get(secret);
    if (entry === undefined || entry.untilMs < now) {
      const cache = known;
      const found = await look(secret);
      if (found === undefined) return undefined;
      // From before the look: it may have been made just before the key was revoked.
      entry = { key: found, untilMs: now + knownMs };
      if (cache.size >= KNOWN_MAX) cache.clear();
      cache.set(secret, entry);
    }
    const { key } = entry;
    if (key.expiresAtMs !== null && key.expiresAtMs <= Date.now()) return undefined;
    noteUse(key.id, now);
    return key;
  }

  async function look(secret: string): Promise<Key | undefined> {
    const hash = hashApiKey(secret);
    const found = await store.read.find("key", { hash });
    return found !== undefined && equalHashes(found.hash, hash) ? withoutHash(found) : undefined;
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

  async function revoked(): Promise<void> {
    forget();
    // No other node knows them for longer: with the answer they are dead on all of them.
    if (store.shared) await wait(knownMs);
  }

  async function find(id: string): Promise<Key> {
    const found = await store.read.find("key", { id });
    if (found === undefined) throw notFound("key", id);
    return withoutHash(found);
  }

  async function appIdOf(reference: string): Promise<AppId> {
    const app = await store.read.find("app", { id: reference });
    if (app === undefined) throw notFound("app", reference);
    return app.id;
  }

  /** Every app's key is bound to one app, and no other key is. */
  async function boundTo(role: KeyRole, app: string | undefined): Promise<AppId | null> {
    if (role === "app" && app === undefined) {
      throw new PosthornError("missing_field", "/app is required for the role app: the app's id or uid.", {
        pointer: "/app",
      });
    }
    if (role !== "app" && app !== undefined) {
      throw new PosthornError(
        "invalid_field",
        `/app is for the role app alone: a key with the role ${role} is bound to no app. Remove it, or choose the role app.`,
        { pointer: "/app", value: app },
      );
    }
    return app === undefined ? null : appIdOf(app);
  }

  return {
    authenticate,
    forget,
    revoked,
    get: find,
    list: async (query: KeyQuery = {}) => {
      const ofApp = query.app === undefined ? {} : { appId: await appIdOf(query.app) };
      const page = await store.read.list("key", { ...pageOf(query), ...ofApp });
      return { data: page.data.map(withoutHash), nextCursor: page.nextCursor };
    },
    async create(input) {
      const { role, app, name, expiresAt, limits = NO_KEY_LIMITS } = parseInput(keyCreateSchema, input);
      const expiresAtMs = expiresAt === undefined ? null : Date.parse(expiresAt);
      if (expiresAtMs !== null && expiresAtMs <= Date.now()) {
        throw new PosthornError("invalid_field", `/expiresAt lies in the past (${expiresAt}).`, {
          pointer: "/expiresAt",
          value: expiresAt,
        });
      }
      const appId = await boundTo(role, app);
      const { key: secret, hash, prefix } = generateApiKey();
      const key: NewKey = { id: newId("key"), role, appId, name, limits, prefix, expiresAtMs };
      const saved = await store.write.save({ kind: "key", key, hash }, entryOf("key.create", null, key));
      // Its app was removed meanwhile.
      if (saved.kind !== "saved") throw notFound("app", app ?? key.id);
      return { key: await find(key.id), secret };
    },
    async remove(id) {
      const key = await find(id);
      const removed = await store.write.remove({ kind: "key", id: key.id }, entryOf("key.remove", key, null));
      if (!removed) throw notFound("key", id);
      await revoked();
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
      const key: NewKey = {
        id: newId("key"),
        role: "admin",
        appId: null,
        name: "first admin key",
        limits: NO_KEY_LIMITS,
        prefix: apiKeyPrefix(secret),
        expiresAtMs: null,
      };
      try {
        await store.write.save({ kind: "key", key, hash }, entryOf("key.create", null, key));
      } catch (error) {
        // Of two nodes that start at once one makes it.
        const theirs = await store.read.find("key", { hash });
        if (theirs === undefined) throw error;
        return theirs.id;
      }
      forget();
      return key.id;
    },
  };
}

function hasForm(secret: string): boolean {
  return secret.startsWith("phk_") && secret.length <= "phk_".length + SECRET_CHARACTERS_MAX;
}

export function withoutHash({ hash: _hash, ...key }: StoredKey): Key {
  return key;
}

/** Never the secret, nor its hash. */
function entryOf(action: string, before: NewKey | null, after: NewKey | null) {
  const key = (after ?? before) as NewKey;
  const target = { kind: "key", id: key.id };
  return auditEntry({ action, target, appId: key.appId, before: shownOf(before), after: shownOf(after) });
}

function shownOf(key: NewKey | null) {
  if (key === null) return null;
  const { role, appId, name, limits, prefix, expiresAtMs } = key;
  return { role, appId, name, limits, prefix, expiresAtMs };
}
