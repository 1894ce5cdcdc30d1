/** The public keys that deliveries are signed with, as receivers fetch them: kept for a minute, since anybody may ask. */
import { keyIdOf } from "@posthorn/receiver";
import type { AppId } from "../base/ids.ts";
import type { StoreReader } from "../store/store.ts";
import type { PublicKeyView } from "./engine.ts";

/** Of one answer. */
export const PUBLIC_KEYS_MAX = 10_000;
export const PUBLIC_KEYS_KEPT_MS = 60_000;
const QUESTIONS_MAX = 1000;

interface Kept {
  readonly keys: Promise<readonly PublicKeyView[]>;
  readonly untilMs: number;
}

export class PublicKeys {
  #read: Pick<StoreReader, "find" | "publicKeys">;
  #kept = new Map<string, Kept>();

  constructor(read: Pick<StoreReader, "find" | "publicKeys">) {
    this.#read = read;
  }

  /**
   * Of one app, or of all: one more than PUBLIC_KEYS_MAX at most, which tells that there are more. Of an app that is not there
   * none, as of one that signs without keys: strangers ask, and learn nothing about who is here.
   */
  async list(app?: string): Promise<readonly PublicKeyView[]> {
    const question = app ?? "";
    const now = performance.now();
    let kept = this.#kept.get(question);
    if (kept === undefined || kept.untilMs <= now) {
      if (this.#kept.size >= QUESTIONS_MAX) this.#kept.clear();
      kept = { keys: this.#look(app), untilMs: now + PUBLIC_KEYS_KEPT_MS };
      this.#kept.set(question, kept);
      kept.keys.catch(() => this.#kept.delete(question));
    }
    const wallMs = Date.now();
    return (await kept.keys).filter(({ expiresAtMs }) => expiresAtMs === null || expiresAtMs > wallMs);
  }

  /** Keys of this node's making are there at once. */
  forget(): void {
    this.#kept.clear();
  }

  async #look(reference: string | undefined): Promise<readonly PublicKeyView[]> {
    const ofApp = reference === undefined ? {} : await this.#appId(reference);
    if (ofApp === undefined) return [];
    const found = await this.#read.publicKeys({ ...ofApp, limit: PUBLIC_KEYS_MAX + 1 });
    return found.map((record) => ({ ...record, kid: keyIdOf(record.publicKey) }));
  }

  async #appId(reference: string): Promise<{ readonly appId: AppId } | undefined> {
    const app = await this.#read.find("app", { id: reference });
    return app === undefined ? undefined : { appId: app.id };
  }
}
