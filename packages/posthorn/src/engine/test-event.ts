/** The test button: an event of the type's example, to one endpoint alone, whatever that endpoint asks for. */
import { z } from "zod";
import { notFound, PosthornError } from "../base/errors.ts";
import { eventTypeNameSchema } from "../domain/event-type.ts";
import { parseInput } from "../domain/input.ts";
import type { Key } from "../domain/key.ts";
import type { Vault } from "../security/vault.ts";
import type { EndpointRow, Store } from "../store/store.ts";
import { EndpointRuntime } from "./endpoint-runtime.ts";
import type { Publisher } from "./publisher.ts";

const testSchema = z.strictObject({ eventType: eventTypeNameSchema });

export interface TestEventNeeds {
  readonly store: Store;
  readonly vault: Vault;
  readonly publisher: Publisher;
}

/** @param by the key that asks for it, if it has limits */
export async function testEndpoint(
  { store, vault, publisher }: TestEventNeeds,
  row: EndpointRow,
  input: unknown,
  by: Key | null,
) {
  const { eventType } = parseInput(testSchema, input);
  const { endpoint } = row;
  if (endpoint.status === "disabled") {
    throw new PosthornError(
      "state_conflict",
      `Endpoint ${endpoint.id} is disabled; enable it before you test it.`,
    );
  }
  const known = await store.read.find("event_type", { id: eventType });
  const data = Buffer.from(JSON.stringify(known?.example ?? {}));
  const envelope = { app: endpoint.appId, type: eventType };
  const publication = { envelope, data, raw: data, idempotencyKey: null };
  const outcome = await publisher.publishTo(new EndpointRuntime(row, vault), publication, by);
  if (outcome.kind === "refused") throw outcome.error;
  const made = await store.read.list("delivery", { eventId: outcome.id, limit: 1 });
  const [delivery] = made.data;
  if (delivery === undefined) throw notFound("delivery of event", outcome.id);
  return { eventId: outcome.id, deliveryId: delivery.id };
}
