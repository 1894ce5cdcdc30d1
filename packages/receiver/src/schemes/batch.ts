/** Senders that put several events into one request. */
import { Buffer } from "node:buffer";
import { digestId, invalidPayload, isObject, type JsonObject, optionalText, readJson } from "./payload.ts";
import type { Description } from "./scheme.ts";

export interface BatchForm {
  /** For the errors, such as `SendGrid`. */
  readonly sender: string;
  /** The type of a request whose events are of several types: the name of the scheme. */
  readonly mixed: string;
  /** The members of an event that hold its id and its type. */
  readonly id: string;
  readonly type: string;
}

/**
 * A list of events as one: its data is the list, its type that of all of them or else `mixed`. Its id is the one event's, or a
 * hash of all ids, so that the same list sent again is known; null when one has none.
 * @throws VerificationError `invalid_payload`
 */
export function describeBatch(payload: Uint8Array, form: BatchForm): Description {
  const events = readJson(payload, form.sender);
  if (!Array.isArray(events) || events.length === 0 || !events.every(isObject)) {
    throw invalidPayload(form.sender, "is not a list of events");
  }
  const types = new Set(events.map((event: JsonObject) => optionalText(event[form.type])));
  const [type] = types;
  return { id: idOf(events, form), type: types.size === 1 && type ? type : form.mixed, data: events };
}

function idOf(events: readonly JsonObject[], form: BatchForm): string | null {
  const ids = events.map((event) => optionalText(event[form.id]));
  if (ids.includes(null)) return null;
  return ids.length === 1 ? (ids[0] ?? null) : digestId(Buffer.from(JSON.stringify(ids)));
}
