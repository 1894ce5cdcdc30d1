/** An endpoint made ready for work: its patterns and filter compiled, its secrets opened when first needed. */
import { importStandardSecret, type StandardSecret, signStandard } from "@posthorn/receiver";
import { messageOf } from "../base/errors.ts";
import type { EventId } from "../base/ids.ts";
import type { Endpoint } from "../domain/endpoint.ts";
import { compileEventTypePatterns } from "../domain/event-types.ts";
import { compileFilter, type Filter } from "../domain/filter.ts";
import type { Vault } from "../security/vault.ts";
import type { EndpointConfig } from "../store/store.ts";
import { openHeaders, openSecret } from "./sealing.ts";

interface Signer {
  readonly secrets: readonly { readonly secret: StandardSecret; readonly expiresAtMs: number }[];
  readonly headers: Readonly<Record<string, string>>;
}

export class EndpointRuntime {
  readonly config: EndpointConfig;
  readonly endpoint: Endpoint;
  readonly filter: Filter | null;
  #wantsType: (eventType: string) => boolean;
  #channels: ReadonlySet<string> | null;
  #vault: Vault;
  #signer: Signer | null = null;

  constructor(config: EndpointConfig, vault: Vault) {
    this.config = config;
    this.endpoint = config.endpoint;
    this.#vault = vault;
    this.#wantsType = compileEventTypePatterns(config.endpoint.eventTypes);
    this.#channels = config.endpoint.channels.length > 0 ? new Set(config.endpoint.channels) : null;
    this.filter = config.endpoint.filter === null ? null : storedFilter(config.endpoint.filter);
  }

  wantsType(eventType: string): boolean {
    return this.#wantsType(eventType);
  }

  /** An endpoint without channels gets all events, one with channels those that share one. */
  sharesChannel(channels: readonly string[]): boolean {
    const wanted = this.#channels;
    return wanted === null || channels.some((channel) => wanted.has(channel));
  }

  /** `null`: no order; else what the delivery queues behind. An event without a key is in nobody's way. */
  orderKeyOf(orderingKey: string | null): string | null {
    switch (this.endpoint.ordering) {
      case "unordered":
        return null;
      case "fifo":
        return "";
      case "keyed":
        return orderingKey;
    }
  }

  /** The headers of one attempt: custom ones, and the three of Standard Webhooks 1.0.0 ("Webhook headers"). @throws when a secret cannot be opened. */
  signedHeaders(eventId: EventId, body: Uint8Array, wallMs: number): Record<string, string> {
    this.#signer ??= this.#open();
    const timestampSeconds = Math.floor(wallMs / 1000);
    const secrets: StandardSecret[] = [];
    for (const { secret, expiresAtMs } of this.#signer.secrets)
      if (expiresAtMs > wallMs) secrets.push(secret);
    return {
      ...this.#signer.headers,
      "webhook-id": eventId,
      "webhook-timestamp": String(timestampSeconds),
      "webhook-signature": signStandard({ id: eventId, timestampSeconds, body, secrets }),
    };
  }

  #open(): Signer {
    const { endpoint, secrets, sealedHeaders } = this.config;
    return {
      secrets: secrets.map(({ sealed, expiresAtMs }) => ({
        secret: importStandardSecret(openSecret(this.#vault, endpoint.appId, endpoint.id, sealed)),
        expiresAtMs: expiresAtMs ?? Number.POSITIVE_INFINITY,
      })),
      headers: openHeaders(this.#vault, endpoint.appId, endpoint.id, sealedHeaders),
    };
  }
}

/** A filter that an earlier version took and this one refuses judges nothing, and says so; it must not stop the app's other endpoints. */
function storedFilter(source: string): Filter {
  try {
    return compileFilter(source);
  } catch (error) {
    return { source, matches: () => ({ kind: "error", message: messageOf(error) }) };
  }
}
