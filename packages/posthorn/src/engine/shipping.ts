/** How attempts become requests: signed as they are, encrypted and signed, or in the form of a sender profile. */
import { readPayload } from "../domain/payload.ts";
import type { Shipment, ShipmentAccess } from "../transports/transport.ts";
import { ENCRYPTED_CONTENT_TYPE, type Encrypt } from "./encryption.ts";
import type { ProfileSender } from "./profile.ts";
import type { Headers, Signer } from "./signing.ts";

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
export interface Common {
  readonly url: string;
  readonly timeoutMs: number;
  readonly headers: Readonly<Headers>;
  readonly access: ShipmentAccess | undefined;
}

/** A promise: it is encrypted first, or its answer has to be judged. */
export type Ship = (cargo: Cargo, wallMs: number) => Shipment | Promise<Shipment>;

export function shipSigned(common: Common, sign: Signer): Ship {
  return (cargo, wallMs) => signed(common, sign, cargo, PLAIN_CONTENT_TYPE, wallMs);
}

/** Signed is what comes out of the encryption. */
export function shipEncrypted(common: Common, sign: Signer, encrypt: Encrypt): Ship {
  return async (cargo, wallMs) => {
    const payload = await encrypt(cargo.payload);
    return signed(common, sign, { ...cargo, payload }, ENCRYPTED_CONTENT_TYPE, wallMs);
  };
}

function signed(common: Common, sign: Signer, cargo: Cargo, contentType: string, wallMs: number): Shipment {
  const { eventId: id, payload: body, hops } = cargo;
  const { url, timeoutMs, access } = common;
  const timestampSeconds = Math.floor(wallMs / 1000);
  const headers = headersOf(common, id, hops, timestampSeconds);
  if (contentType !== PLAIN_CONTENT_TYPE) headers["content-type"] = contentType;
  sign({ id, method: "POST", url, body, contentType, wallMs, timestampSeconds }, headers);
  if (access === undefined) return { url, headers, body, timeoutMs };
  return { url, headers, body, timeoutMs, access };
}

/** The stored payload is the same for all schemes: the body is composed of it anew for each attempt. */
export function shipInForm(common: Common, sender: ProfileSender): Ship {
  const ship = (cargo: Cargo, wallMs: number): Shipment => inForm(common, sender, cargo, wallMs);
  return sender.isAcknowledged === null ? ship : async (cargo, wallMs) => ship(cargo, wallMs);
}

function inForm(
  common: Common,
  sender: ProfileSender,
  { eventId: id, payload, hops }: Cargo,
  wallMs: number,
) {
  const { timeoutMs, access } = common;
  const timestampSeconds = Math.floor(wallMs / 1000);
  const event = { id, ...readPayload(payload) };
  const input = { id, type: event.type, url: common.url, timestampSeconds, ...sender.compose(event) };
  const { url, headers, body } = sender.sign(input, wallMs);
  const all = { ...headersOf(common, id, hops, timestampSeconds), ...headers };
  return { url, headers: all, body, timeoutMs, ...(access === undefined ? {} : { access }) };
}

function headersOf({ headers }: Common, id: string, hops: number, timestampSeconds: number): Headers {
  return {
    ...headers,
    "webhook-id": id,
    "webhook-timestamp": String(timestampSeconds),
    "posthorn-hops": hops === 0 ? "1" : String(hops + 1),
  };
}
