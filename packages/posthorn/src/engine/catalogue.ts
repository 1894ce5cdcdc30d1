/** The event types as publishing needs them: is this one known, and does its data match? */
import { PosthornError } from "../base/errors.ts";
import { compileSchema, type SchemaCheck } from "../domain/schema.ts";
import type { Store, StoreReader } from "../store/store.ts";

const TYPES_MAX = 5000;
/** Posthorn's own news need no registering. */
const OPERATIONAL = "posthorn.";

interface Entry {
  readonly known: boolean;
  readonly schema: SchemaCheck | null;
}

export class Catalogue {
  #read: StoreReader;
  #strict: boolean;
  #shared: boolean;
  #entries = new Map<string, Entry>();

  /** @param store `shared`: what is remembered of a type may have been changed by another node */
  constructor(store: Pick<Store, "read" | "shared">, strict: boolean) {
    this.#read = store.read;
    this.#strict = strict;
    this.#shared = store.shared;
  }

  /**
   * Nothing to wait for when the type is in memory, as it nearly always is.
   * @throws PosthornError `unknown_event_type` (strict only) or `schema_mismatch`
   */
  check(eventType: string, data: Uint8Array): Promise<void> | undefined {
    const entry = this.#entries.get(eventType);
    const refusal = entry === undefined ? undefined : this.#refusal(eventType, entry, data);
    if (refusal === null) return undefined;
    if (refusal !== undefined && !this.#shared) throw refusal;
    return this.#checkAnew(eventType, data);
  }

  async #checkAnew(eventType: string, data: Uint8Array): Promise<void> {
    const refusal = this.#refusal(eventType, await this.#load(eventType), data);
    if (refusal !== null) throw refusal;
  }

  /** A type changed here, or an app's configVersion says that one may have changed elsewhere. */
  forget(): void {
    this.#entries = new Map();
  }

  #refusal(eventType: string, entry: Entry, data: Uint8Array): PosthornError | null {
    if (!entry.known && this.#strict && !eventType.startsWith(OPERATIONAL)) {
      return new PosthornError(
        "unknown_event_type",
        `/type "${eventType}" is not registered. Register it, or check its spelling.`,
        {
          pointer: "/type",
          value: eventType,
        },
      );
    }
    if (entry.schema === null) return null;
    const problem = entry.schema(
      JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("utf8")),
    );
    if (problem === null) return null;
    const pointer = `/data${problem.pointer}`;
    return new PosthornError(
      "schema_mismatch",
      `${pointer} ${problem.message}: the schema of "${eventType}" does not allow it.`,
      { pointer },
    );
  }

  async #load(eventType: string): Promise<Entry> {
    const entries = this.#entries;
    const found = await this.#read.find("event_type", { id: eventType });
    const schema = found === undefined || found.schema === null ? null : compileSchema(found.schema);
    const entry: Entry = { known: found !== undefined, schema };
    if (entries.size >= TYPES_MAX) entries.clear();
    entries.set(eventType, entry);
    return entry;
  }
}
