/** An endpoint made ready for work: its patterns and filter compiled, its secrets opened when first needed. */
import { importStandardKey, importStandardSecret } from "@posthorn/receiver";
import { messageOf } from "../base/errors.ts";
import type { Endpoint } from "../domain/endpoint.ts";
import { compileEventTypePatterns } from "../domain/event-types.ts";
import { compileFilter, type Filter } from "../domain/filter.ts";
import { isProfile } from "../domain/scheme.ts";
import type { Vault } from "../security/vault.ts";
import type { EndpointConfig } from "../store/store.ts";
import type { Receipt, Shipment } from "../transports/transport.ts";
import { accessOf, authenticationHeaders } from "./credentials.ts";
import { encryptOf } from "./encryption.ts";
import type { Asked, ProfileSecret, ProfileSender } from "./profile.ts";
import { profileNamed } from "./profiles.ts";
import { openCredentials, openHeaders, openKey, openSecret } from "./sealing.ts";
import { type Cargo, type Common, type Ship, shipEncrypted, shipInForm, shipSigned } from "./shipping.ts";
import { type SigningMaterial, signerOf } from "./signing.ts";

/** Opened once, kept as long as the endpoint does not change. */
interface Sender extends Common {
  readonly ship: Ship;
  /** null: it is of no profile. */
  readonly profile: ProfileSender | null;
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
   * One attempt, in the form of the endpoint's scheme and encrypted if it wants that. A promise when that takes time, or when
   * the answer has to be judged: see `judged`.
   * @throws when a secret cannot be opened
   */
  shipment(cargo: Cargo, wallMs: number): Shipment | Promise<Shipment> {
    this.#sender ??= this.#open();
    return this.#sender.ship(cargo, wallMs);
  }

  /** A 2xx without the acknowledgement that the scheme insists on is no success. */
  judged(receipt: Receipt): Receipt {
    const { outcome, responseBody } = receipt;
    const isAcknowledged = this.#sender?.profile?.isAcknowledged ?? null;
    if (isAcknowledged === null || outcome.kind !== "succeeded") return receipt;
    const { status, control } = outcome;
    const body = Buffer.from(responseBody ?? []).toString("utf8");
    if (isAcknowledged({ status, body }, Date.now())) return receipt;
    return {
      ...receipt,
      outcome: { kind: "rejected", status, cause: "unacknowledged", retryAfterMs: null, control },
    };
  }

  /** A question of the profile's own for the ownership check; null: it has none. @throws when a secret cannot be opened */
  inquire(challenge: string, wallMs: number): Asked | null {
    this.#sender ??= this.#open();
    const { profile, url } = this.#sender;
    return profile?.ask?.({ challenge, url, timestampSeconds: Math.floor(wallMs / 1000) }) ?? null;
  }

  /** What goes with a request that carries nothing: the headers that every attempt has, without a signature. */
  get bare(): Pick<Sender, "headers" | "access"> {
    this.#sender ??= this.#open();
    return this.#sender;
  }

  #open(): Sender {
    const { endpoint, sealedHeaders, sealedCredentials } = this.config;
    const { appId, id, authentication, encryption, verification } = endpoint;
    const custom = openHeaders(this.#vault, appId, id, sealedHeaders);
    const credentials = openCredentials(this.#vault, appId, id, sealedCredentials);
    const common: Common = {
      url: endpoint.url,
      timeoutMs: endpoint.timeoutMs,
      headers: {
        ...Object.fromEntries(Object.entries(custom).map(([name, value]) => [name.toLowerCase(), value])),
        ...authenticationHeaders(authentication, credentials?.authentication ?? null),
        // CloudEvents' Web Hooks 4.1: with the consent that was given each delivery names who asked for it.
        ...(verification?.origin ? { "webhook-request-origin": verification.origin } : {}),
      },
      access: accessOf(endpoint, credentials),
    };
    if (isProfile(endpoint.scheme)) {
      const [current, ...old] = this.#profileSecrets();
      if (current === undefined) throw new Error(`Endpoint ${id} has no secret to sign with.`);
      const profile = profileNamed(endpoint.scheme).open([current, ...old]);
      return { ...common, ship: shipInForm(common, profile), profile };
    }
    const encrypt = encryption === null ? null : encryptOf(encryption, credentials?.encryptionKey ?? null);
    const sign = signerOf(endpoint.scheme, this.#material());
    const ship = encrypt === null ? shipSigned(common, sign) : shipEncrypted(common, sign, encrypt);
    return { ...common, ship, profile: null };
  }

  #profileSecrets(): ProfileSecret[] {
    const { endpoint, secrets } = this.config;
    return secrets.map(({ sealed, expiresAtMs }) => ({
      text: openSecret(this.#vault, endpoint.appId, endpoint.id, sealed),
      expiresAtMs: expiresAtMs ?? Number.POSITIVE_INFINITY,
    }));
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
