/** The event types as publishing needs them: is this one known, and does its data match? */
import { PosthornError } from "../base/errors.ts";
import { compileSchema, type SchemaCheck } from "../domain/schema.ts";
import type { StoreReader } from "../store/store.ts";

const TYPES_MAX = 5000;

interface Entry {
  readonly known: boolean;
  readonly schema: SchemaCheck | null;
}

export class Catalogue {
  #read: StoreReader;
  #strict: boolean;
  #entries = new Map<string, Entry>();

  constructor(read: StoreReader, strict: boolean) {
    this.#read = read;
    this.#strict = strict;
  }

  /**
   * Nothing to wait for when the type is in memory, as it nearly always is.
   * @throws PosthornError `unknown_event_type` (strict only) or `schema_mismatch`
   */
  check(eventType: string, data: Uint8Array): Promise<void> | undefined {
    const entry = this.#entries.get(eventType);
    if (entry === undefined)
      return this.#load(eventType).then((loaded) => this.#judge(eventType, loaded, data));
    this.#judge(eventType, entry, data);
    return undefined;
  }

  /** A type changed here, or an app's configVersion says that one may have changed elsewhere. */
  forget(): void {
    this.#entries = new Map();
  }

  #judge(eventType: string, entry: Entry, data: Uint8Array): void {
    if (!entry.known && this.#strict) {
      throw new PosthornError(
        "unknown_event_type",
        `/type "${eventType}" is not registered. Register it, or check its spelling.`,
        {
          pointer: "/type",
          value: eventType,
        },
      );
    }
    if (entry.schema === null) return;
    const problem = entry.schema(
      JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("utf8")),
    );
    if (problem === null) return;
    const pointer = `/data${problem.pointer}`;
    throw new PosthornError(
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
