/** Browsers' sessions: signing in with an API key, being known by a cookie's token, signing out. */
import { randomBytes } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { messageOf, PosthornError } from "../base/errors.ts";
import { newId, type SessionId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import { WindowLimit } from "../base/window-limit.ts";
import type { Actor } from "../domain/audit.ts";
import type { Key } from "../domain/key.ts";
import type { Session } from "../domain/session.ts";
import { equalHashes, hashApiKey } from "../security/api-keys.ts";
import { isCsrfToken, makeCsrfToken } from "../security/csrf.ts";
import type { Store } from "../store/store.ts";
import { auditEntry } from "./acting.ts";
import type { OpenedSession, Sessions } from "./engine.ts";
import { withoutHash } from "./keys.ts";

export interface SessionsNeeds {
  readonly store: Store;
  readonly logger: Logger;
  /** The key that this secret opens. */
  authenticate(keySecret: string): Promise<Key | undefined>;
  /** 32 bytes, the same on every node. */
  readonly csrfKey: Uint8Array;
  /** How long a session lasts, whatever is done with it. */
  readonly sessionMs: number;
}

export interface SessionsWithCache extends Sessions {
  /** Keys or sessions changed. */
  forget(): void;
}

/** How long a session is known without asking the store, as long as a key is: on a shared one a sign-out waits for that. */
const KNOWN_MS = 1000;
const KNOWN_SHARED_MS = 250;
const KNOWN_MAX = 10_000;

/** Each makes an entry of the audit log that nobody can delete, and a session that lasts for hours: of one key, on one node. */
const SIGN_INS_MAX = 10;
const SIGN_INS_WINDOW_MS = 60_000;

/** 256 bits; ASVS 7.2.3 wants 128 at least. */
const TOKEN_BYTES = 32;
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

type SignedIn = { readonly session: Session; readonly key: Key };
interface Known {
  readonly signedIn: SignedIn;
  readonly untilMs: number;
}

export function createSessions(needs: SessionsNeeds): SessionsWithCache {
  const { store, csrfKey } = needs;
  const knownMs = store.shared ? KNOWN_SHARED_MS : KNOWN_MS;
  /** By the token's hash, and only those that there are: no stranger fills it. */
  let known = new Map<string, Known>();
  const signIns = new WindowLimit({
    max: SIGN_INS_MAX,
    windowMs: SIGN_INS_WINDOW_MS,
    countedMax: KNOWN_MAX,
  });
  const refusals = new RefusalLog(needs);

  async function open(keySecret: string, replaced?: string): Promise<OpenedSession> {
    const key = await needs.authenticate(keySecret);
    if (key === undefined) {
      await refusals.note();
      throw notValid();
    }
    const waitMs = signIns.take(key.id);
    if (waitMs !== null) throw tooOften(waitMs);
    const id = newId("ses");
    const token = randomBytes(TOKEN_BYTES).toString("base64url");
    const entry = auditEntry({
      actor: actorOf(key, "session"),
      action: "session.create",
      target: { kind: "session", id },
      appId: key.appId,
      after: { keyId: key.id },
    });
    const change = {
      kind: "session",
      session: { id, keyId: key.id },
      hash: hashApiKey(token),
      expiresInMs: needs.sessionMs,
    } as const;
    // Revoked between the two looks.
    if ((await store.write.save(change, entry)).kind !== "saved") throw notValid();
    const session = await store.read.find("session", { id });
    if (session === undefined) throw notValid();
    if (replaced !== undefined) await closeReplaced(replaced);
    return { session, token, csrfToken: makeCsrfToken(csrfKey, id), key };
  }

  /** Whoever signs in anew leaves no session behind that a cookie still opens (ASVS 7.2.4). */
  async function closeReplaced(token: string): Promise<void> {
    const old = await authenticate(token);
    if (old !== undefined) await end(old.session.id, actorOf(old.key, "session"));
  }

  async function authenticate(token: string): Promise<SignedIn | undefined> {
    if (!TOKEN.test(token)) return undefined;
    const now = performance.now();
    const hash = hashApiKey(token);
    // Not by the token: that may be a piece of a header of 15 KiB, all of which would be kept with it.
    const name = Buffer.from(hash).toString("base64");
    let entry = known.get(name);
    if (entry === undefined || entry.untilMs < now) {
      const cache = known;
      const signedIn = await look(hash);
      if (signedIn === undefined) return undefined;
      // From before the look: it may have been made just before the session was ended.
      entry = { signedIn, untilMs: now + knownMs };
      if (cache.size >= KNOWN_MAX) cache.clear();
      cache.set(name, entry);
    }
    return lasts(entry.signedIn) ? entry.signedIn : undefined;
  }

  async function look(hash: Uint8Array): Promise<SignedIn | undefined> {
    const stored = await store.read.find("session", { hash });
    if (stored === undefined || !equalHashes(stored.hash, hash)) return undefined;
    const key = await store.read.find("key", { id: stored.keyId });
    if (key === undefined) return undefined;
    const { hash: _hash, ...session } = stored;
    return { session, key: withoutHash(key) };
  }

  async function end(id: SessionId, actor?: Actor): Promise<void> {
    const entry = auditEntry({
      ...(actor === undefined ? {} : { actor }),
      action: "session.remove",
      target: { kind: "session", id },
    });
    await store.write.remove({ kind: "session", id }, entry);
    forget();
    // No other node knows it for longer: with the answer the session is over on all of them.
    if (store.shared) await wait(knownMs);
  }

  /** What was being looked up meanwhile is kept in the map that is forgotten. */
  function forget(): void {
    known = new Map();
  }

  return {
    open,
    authenticate,
    csrfToken: ({ id }) => makeCsrfToken(csrfKey, id),
    checkCsrfToken: ({ id }, token) => isCsrfToken(csrfKey, id, token),
    close: (id) => end(id),
    forget,
  };
}

const REFUSALS_WRITTEN_MAX = 30;
const REFUSALS_WINDOW_MS = 60_000;

/**
 * Who failed to sign in, in the audit log: so many a minute, the others as a number in the next one. Strangers must not be
 * able to fill the store.
 */
class RefusalLog {
  readonly #needs: Pick<SessionsNeeds, "store" | "logger">;
  #windowEndsMs = 0;
  #written = 0;
  #notWritten = 0;

  constructor(needs: Pick<SessionsNeeds, "store" | "logger">) {
    this.#needs = needs;
  }

  /** A refusal is one whether or not it could be written down. */
  async note(): Promise<void> {
    const now = performance.now();
    if (now >= this.#windowEndsMs) {
      this.#windowEndsMs = now + REFUSALS_WINDOW_MS;
      this.#written = 0;
    }
    if (this.#written >= REFUSALS_WRITTEN_MAX) {
      this.#notWritten += 1;
      return;
    }
    this.#written += 1;
    const notWritten = this.#notWritten;
    this.#notWritten = 0;
    const entry = auditEntry({
      actor: { kind: "stranger" },
      action: "session.refuse",
      target: { kind: "session", id: "-" },
      after: notWritten === 0 ? null : { notWritten },
    });
    try {
      await this.#needs.store.write.save({ kind: "audit" }, entry);
    } catch (error) {
      this.#needs.logger.warn({ error: messageOf(error) }, "audit.failed");
    }
  }
}

/** @param kind whether the key itself was sent, or the cookie of a session that it opened */
export function actorOf({ id, role, name }: Key, kind: "key" | "session"): Actor {
  return { kind, keyId: id, role, name };
}

function lasts({ session, key }: SignedIn): boolean {
  const now = Date.now();
  return session.expiresAtMs > now && (key.expiresAtMs === null || key.expiresAtMs > now);
}

/** The same for a key that is unknown, revoked or expired. */
function notValid(): PosthornError {
  return new PosthornError("unauthorized", "This API key is not valid. Sign in with one that is.");
}

function tooOften(waitMs: number): PosthornError {
  return new PosthornError(
    "rate_limited",
    `${SIGN_INS_MAX} sessions were opened with this key within a minute. Use one of them, or wait and try again.`,
    { retryAfterSeconds: Math.ceil(waitMs / 1000) },
  );
}
