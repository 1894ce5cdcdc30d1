/** The body that Standard Webhooks recommends, and that Posthorn sends: `{"type","timestamp","data"}`. */
import { isObject, spliceData } from "./payload.ts";
import type { Composition, Description, OutgoingEvent } from "./scheme.ts";

export function composeEnvelope({ type, timestamp, data }: OutgoingEvent): Composition {
  const before = `{"type":${JSON.stringify(type)},"timestamp":${JSON.stringify(timestamp)},"data":`;
  return { contentType: "application/json", body: spliceData(before, data, "}") };
}

/**
 * The specification only recommends that body: one without a `type` is an event of the given type, one without `data` is data as a
 * whole. CloudEvents in structured mode have both members, too.
 */
export function openEnvelope(body: unknown, defaultType: string): Omit<Description, "id"> {
  if (!isObject(body) || typeof body.type !== "string" || body.type === "") {
    return { type: defaultType, data: body };
  }
  return { type: body.type, data: "data" in body ? body.data : body };
}
