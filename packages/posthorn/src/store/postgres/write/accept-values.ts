/** Acceptances as the parameters of posthorn.accept, in its order. */
import { locatorOf } from "../../../base/ids.ts";
import type { Acceptance } from "../../store.ts";
import { Blob } from "../blob.ts";
import { type Context, numberOf } from "../context.ts";
import { dayOfId } from "../day.ts";
import { plainArray, textArray } from "../literal.ts";

export function acceptValues(
  context: Context,
  acceptances: readonly Acceptance[],
  again: boolean,
): unknown[] {
  const payloads = new Blob();
  for (const { event } of acceptances) payloads.add(event.payload);
  return [
    ...eventValues(context, acceptances, payloads),
    ...deliveryValues(context, acceptances),
    ...keyValues(acceptances),
    ...sourceValues(acceptances),
    payloads.whole(),
    context.settings.idempotencyMs,
    again,
  ];
}

function eventValues(context: Context, acceptances: readonly Acceptance[], payloads: Blob): string[] {
  const { advancedMs } = context.connections;
  const events = acceptances.map(({ event }) => event);
  const ends = acceptances.map(({ deliveries }) => firstAndLast(deliveries));
  return [
    plainArray(events.map(({ id }) => id)),
    plainArray(events.map(({ appId }) => appId)),
    plainArray(events.map(({ id }) => locatorOf(id))),
    plainArray(events.map(({ id }) => dayOfId(id, advancedMs))),
    textArray(events.map(({ uid }) => uid)),
    textArray(events.map(({ eventType }) => eventType)),
    textArray(events.map(({ timestamp }) => timestamp)),
    textArray(events.map(({ channels }) => (channels.length === 0 ? null : JSON.stringify(channels)))),
    textArray(events.map(({ orderingKey }) => orderingKey)),
    plainArray(events.map(({ deliverAtMs }) => deliverAtMs)),
    plainArray(events.map(({ dataStart }) => dataStart)),
    plainArray(events.map(({ dataEnd }) => dataEnd)),
    plainArray(payloads.starts),
    plainArray(payloads.lengths),
    plainArray(acceptances.map(({ configVersion }) => configVersion)),
    textArray(acceptances.map(({ fanOut }) => (fanOut.length === 0 ? null : JSON.stringify(fanOut)))),
    plainArray(acceptances.map(({ fanOut }) => fanOut.length)),
    plainArray(acceptances.map(({ deliveries }) => deliveries.length)),
    plainArray(ends.map(({ first }) => first)),
    plainArray(ends.map(({ last }) => last)),
    plainArray(acceptances.map(({ publication }) => publication ?? null)),
    plainArray(events.map(({ hops }) => hops)),
  ];
}

function deliveryValues(context: Context, acceptances: readonly Acceptance[]): string[] {
  const { advancedMs } = context.connections;
  const rows = acceptances.flatMap(({ event, deliveries }, index) =>
    deliveries.map((delivery) => ({ event, delivery, position: index + 1 })),
  );
  return [
    plainArray(rows.map(({ position }) => position)),
    plainArray(rows.map(({ delivery }) => delivery.id)),
    plainArray(rows.map(({ delivery }) => locatorOf(delivery.id))),
    plainArray(rows.map(({ delivery }) => dayOfId(delivery.id, advancedMs))),
    plainArray(rows.map(({ delivery }) => delivery.endpointId)),
    plainArray(rows.map(({ event }) => event.appId)),
    plainArray(rows.map(({ event }) => event.id)),
    plainArray(rows.map(({ event }) => dayOfId(event.id, advancedMs))),
    textArray(rows.map(({ event }) => event.eventType)),
    plainArray(rows.map(({ event }) => event.payload.length)),
    plainArray(rows.map(({ delivery }) => delivery.trigger)),
    plainArray(rows.map(({ delivery }) => delivery.class)),
    textArray(rows.map(({ delivery }) => delivery.orderKey)),
    plainArray(
      rows.map(({ delivery }) => numberOf(context, delivery.lease) || (delivery.lease === null ? 0 : -1)),
    ),
    plainArray(rows.map(({ event }) => event.deliverAtMs)),
    plainArray(rows.map(({ delivery }) => Math.round(delivery.expiresInMs))),
  ];
}

function keyValues(acceptances: readonly Acceptance[]): string[] {
  const rows = acceptances.flatMap(({ event, idempotency }, index) =>
    idempotency.map((record) => ({ record, appId: event.appId, position: index + 1 })),
  );
  return [
    plainArray(rows.map(({ position }) => position)),
    plainArray(rows.map(({ appId }) => appId)),
    textArray(rows.map(({ record }) => record.key)),
    plainArray(rows.map(({ record }) => hexOf(record.fingerprint))),
  ];
}

function sourceValues(acceptances: readonly Acceptance[]): string[] {
  const rows = acceptances.flatMap(({ source }, index) =>
    source === null ? [] : [{ source, position: index + 1 }],
  );
  return [
    plainArray(rows.map(({ position }) => position)),
    textArray(rows.map(({ source }) => source.sourceId)),
    plainArray(rows.map(({ source }) => hexOf(source.position))),
  ];
}

/** By these the deliveries made with an event are found again. */
function firstAndLast(deliveries: Acceptance["deliveries"]): { first: string | null; last: string | null } {
  let first: string | null = null;
  let last: string | null = null;
  for (const { id } of deliveries) {
    if (first === null || id < first) first = id;
    if (last === null || id > last) last = id;
  }
  return { first, last };
}

/** Empty bytes too are an element of the array. */
function hexOf(bytes: Uint8Array): string {
  return bytes.length === 0
    ? '""'
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}
