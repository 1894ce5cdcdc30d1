/** The public keys that deliveries are signed with, as receivers fetch them: kept for a minute, since anybody may ask. */
import { keyIdOf } from "@posthorn/receiver";
import type { AppId } from "../base/ids.ts";
import type { StoreReader } from "../store/store.ts";
import type { PublicKeyView } from "./engine.ts";

/** Of one app's answer. */
export const PUBLIC_KEYS_MAX = 10_000;
/** Of the answer for all apps, which strangers can ask for without knowing one: 160 kB of JSON. */
export const PUBLIC_KEYS_OF_ALL_MAX = 1000;
export const PUBLIC_KEYS_KEPT_MS = 60_000;
/** In all answers together, each of which counts as one as well: about 30 MB. Beyond that the earliest answers are forgotten. */
const KEPT_MAX = 50_000;

/** Of all apps: no id or uid is empty. */
const OF_ALL = "";

interface Found {
  /** null: there is no such app. */
  readonly appId: AppId | typeof OF_ALL | null;
  readonly keys: readonly PublicKeyView[];
}
type Kept = Found & { readonly untilMs: number };

export class PublicKeys {
  #read: Pick<StoreReader, "find" | "publicKeys">;
  /** The earliest first. */
  #kept = new Map<string, Kept>();
  #looking = new Map<string, Promise<Found>>();
  #weight = 0;

  constructor(read: Pick<StoreReader, "find" | "publicKeys">) {
    this.#read = read;
  }

  /**
   * Of one app, or of all: one more than fit into an answer at most, which tells that there are more. For as long as it is
   * kept it is the same list, so that what is made of it can be kept, too. Of an app that is not there none, as of one that
   * signs without keys: strangers ask, and learn nothing about who is here. Such questions are not remembered.
   */
  async list(app: string = OF_ALL): Promise<readonly PublicKeyView[]> {
    const kept = this.#kept.get(app);
    if (kept !== undefined && kept.untilMs > performance.now()) return kept.keys;
    return (await (this.#looking.get(app) ?? this.#lookOnce(app))).keys;
  }

  /** Keys of this node's making are there at once. */
  forget(appId: AppId): void {
    // Who looks now may have seen what was before.
    this.#looking.clear();
    for (const [app, kept] of this.#kept) if (kept.appId === appId || app === OF_ALL) this.#drop(app, kept);
  }

  /** Who asks the same meanwhile waits for the same answer. */
  #lookOnce(app: string): Promise<Found> {
    const looking = this.#look(app).then(
      (found) => {
        if (this.#ends(app, looking) && found.appId !== null) this.#keep(app, found);
        return found;
      },
      (error: unknown) => {
        this.#ends(app, looking);
        throw error;
      },
    );
    this.#looking.set(app, looking);
    return looking;
  }

  /** False: the keys changed since it began. */
  #ends(app: string, looking: Promise<Found>): boolean {
    return this.#looking.get(app) === looking && this.#looking.delete(app);
  }

  async #look(app: string): Promise<Found> {
    const appId = app === OF_ALL ? OF_ALL : (await this.#read.find("app", { id: app }))?.id;
    if (appId === undefined) return { appId: null, keys: [] };
    const query =
      appId === OF_ALL ? { limit: PUBLIC_KEYS_OF_ALL_MAX + 1 } : { appId, limit: PUBLIC_KEYS_MAX + 1 };
    const records = await this.#read.publicKeys(query);
    return { appId, keys: records.map((record) => ({ ...record, kid: keyIdOf(record.publicKey) })) };
  }

  #keep(app: string, found: Found): void {
    const before = this.#kept.get(app);
    if (before !== undefined) this.#drop(app, before);
    this.#kept.set(app, { ...found, untilMs: performance.now() + PUBLIC_KEYS_KEPT_MS });
    this.#weight += weightOf(found);
    for (const [earliest, kept] of this.#kept) {
      if (this.#weight <= KEPT_MAX) break;
      this.#drop(earliest, kept);
    }
  }

  #drop(app: string, kept: Kept): void {
    this.#kept.delete(app);
    this.#weight -= weightOf(kept);
  }
}

function weightOf({ keys }: Found): number {
  return 1 + keys.length;
}
