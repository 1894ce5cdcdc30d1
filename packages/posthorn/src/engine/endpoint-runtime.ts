/** An endpoint made ready for work: its patterns and filter compiled, its secrets opened when first needed. */
import { importStandardKey, importStandardSecret } from "@posthorn/receiver";
import { messageOf } from "../base/errors.ts";
import type { Endpoint } from "../domain/endpoint.ts";
import { compileEventTypePatterns } from "../domain/event-types.ts";
import { compileFilter, type Filter } from "../domain/filter.ts";
import type { Vault } from "../security/vault.ts";
import type { EndpointConfig } from "../store/store.ts";
import type { Shipment, ShipmentAccess } from "../transports/transport.ts";
import { accessOf, authenticationHeaders } from "./credentials.ts";
import { ENCRYPTED_CONTENT_TYPE, type Encrypt, encryptOf } from "./encryption.ts";
import { openCredentials, openHeaders, openKey, openSecret } from "./sealing.ts";
import { type Headers, type Signer, type SigningMaterial, signerOf } from "./signing.ts";

const PLAIN_CONTENT_TYPE = "application/json";

/** What one attempt carries. */
export interface Cargo {
  /** `webhook-id`: the event's, the same for every attempt. */
  readonly eventId: string;
  readonly payload: Uint8Array;
  /** Through how many webhooks it came to us. */
  readonly hops: number;
}

/** What all attempts have in common: opened once, kept as long as the endpoint does not change. */
interface Sender {
  readonly headers: Readonly<Headers>;
  readonly sign: Signer;
  readonly encrypt: Encrypt | null;
  readonly access: ShipmentAccess | undefined;
}

export class EndpointRuntime {
  readonly config: EndpointConfig;
  readonly endpoint: Endpoint;
  readonly filter: Filter | null;
  #wantsType: (eventType: string) => boolean;
  #channels: ReadonlySet<string> | null;
  #vault: Vault;
  #sender: Sender | null = null;

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

  /**
   * One attempt, encrypted if the endpoint wants that, then signed over what is sent. Only encryption makes it wait.
   * @throws when a secret cannot be opened
   */
  shipment(cargo: Cargo, wallMs: number): Shipment | Promise<Shipment> {
    this.#sender ??= this.#open();
    const { encrypt } = this.#sender;
    if (encrypt === null) return this.#signed(this.#sender, cargo, PLAIN_CONTENT_TYPE, wallMs);
    return this.#encrypted(this.#sender, encrypt, cargo, wallMs);
  }

  /** What goes with a request that carries nothing: the headers that every attempt has, without a signature. */
  get bare(): Pick<Sender, "headers" | "access"> {
    this.#sender ??= this.#open();
    return this.#sender;
  }

  async #encrypted(sender: Sender, encrypt: Encrypt, cargo: Cargo, wallMs: number): Promise<Shipment> {
    const payload = await encrypt(cargo.payload);
    return this.#signed(sender, { ...cargo, payload }, ENCRYPTED_CONTENT_TYPE, wallMs);
  }

  #signed(sender: Sender, cargo: Cargo, contentType: string, wallMs: number): Shipment {
    const { eventId: id, payload: body, hops } = cargo;
    const { url, timeoutMs } = this.endpoint;
    const timestampSeconds = Math.floor(wallMs / 1000);
    const headers: Headers = {
      ...sender.headers,
      "webhook-id": id,
      "webhook-timestamp": String(timestampSeconds),
      "posthorn-hops": hops === 0 ? "1" : String(hops + 1),
    };
    if (contentType !== PLAIN_CONTENT_TYPE) headers["content-type"] = contentType;
    sender.sign({ id, method: "POST", url, body, contentType, wallMs, timestampSeconds }, headers);
    if (sender.access === undefined) return { url, headers, body, timeoutMs };
    return { url, headers, body, timeoutMs, access: sender.access };
  }

  #open(): Sender {
    const { endpoint, sealedHeaders, sealedCredentials } = this.config;
    const { appId, id, authentication, encryption, verification } = endpoint;
    const custom = openHeaders(this.#vault, appId, id, sealedHeaders);
    const credentials = openCredentials(this.#vault, appId, id, sealedCredentials);
    return {
      headers: {
        ...Object.fromEntries(Object.entries(custom).map(([name, value]) => [name.toLowerCase(), value])),
        ...authenticationHeaders(authentication, credentials?.authentication ?? null),
        // CloudEvents' Web Hooks 4.1: with the consent that was given each delivery names who asked for it.
        ...(verification?.origin ? { "webhook-request-origin": verification.origin } : {}),
      },
      sign: signerOf(endpoint.scheme, this.#material()),
      encrypt: encryption === null ? null : encryptOf(encryption, credentials?.encryptionKey ?? null),
      access: accessOf(endpoint, credentials),
    };
  }

  #material(): SigningMaterial {
    const { endpoint, secrets: sealedSecrets } = this.config;
    const { appId, id } = endpoint;
    const secrets: SigningMaterial["secrets"][number][] = [];
    const keys: SigningMaterial["keys"][number][] = [];
    for (const { sealed, publicKey, ...expiry } of sealedSecrets) {
      const expiresAtMs = expiry.expiresAtMs ?? Number.POSITIVE_INFINITY;
      if (publicKey === null) {
        secrets.push({
          secret: importStandardSecret(openSecret(this.#vault, appId, id, sealed)),
          expiresAtMs,
        });
      } else {
        keys.push({ key: importStandardKey(openKey(this.#vault, appId, id, sealed)), expiresAtMs });
      }
    }
    return { secrets, keys };
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
