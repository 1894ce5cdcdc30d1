/** What the strict scan of a body says when it refuses one. */
import { PosthornError } from "../base/errors.ts";

export type JsonErrorCode =
  | "invalid_json"
  | "invalid_utf8"
  | "too_deep"
  | "duplicate_key"
  | "batch_too_large";

/** Why the bytes were refused. `pointer` (RFC 6901) names the value or key that the scan was at. */
export class JsonScanError extends PosthornError {
  /** In bytes from the start of what was scanned. */
  readonly offset: number;

  constructor(code: JsonErrorCode, offset: number, pointer: string, what: string) {
    super(code, `${what} at byte ${offset}${pointer === "" ? "" : ` (${pointer})`}.`, { pointer });
    this.offset = offset;
  }
}

/** RFC 6901, cut where a key would make the error longer than its reader wants. */
export function pointerTo(steps: readonly (string | number)[]): string {
  return steps
    .map((step) => `/${String(step).slice(0, 120).replaceAll("~", "~0").replaceAll("/", "~1")}`)
    .join("");
}

/** Decoding puts U+FFFD where the bytes are wrong; the first one that is not in the bytes themselves is the place. */
export function firstInvalidUtf8(bytes: Uint8Array): number {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8");
  let offset = 0;
  let from = 0;
  for (let at = text.indexOf("\ufffd"); at !== -1; at = text.indexOf("\ufffd", from)) {
    offset += Buffer.byteLength(text.slice(from, at));
    const written = bytes[offset] === 0xef && bytes[offset + 1] === 0xbf && bytes[offset + 2] === 0xbd;
    if (!written) return offset;
    offset += 3;
    from = at + 1;
  }
  return offset;
}
