// What the tests of the webhook transport start from; `closeAll` ends whatever they opened.
import { readFileSync } from "node:fs";
import { createAddressGuard } from "../src/security/address-guard.ts";
import type { Shipment } from "../src/transports/transport.ts";
import {
  createWebhookTransport,
  type WebhookTransport,
  type WebhookTransportOptions,
} from "../src/transports/webhook/webhook-transport.ts";
import { openRawReceiver, type RawReceiver, type RawReceiverOptions } from "./raw-receiver.ts";

export const loopback = { allowNetworks: ["127.0.0.0/8"], allowPorts: "any" } as const;
export const loopbackGuard = createAddressGuard(loopback);

const closers: (() => Promise<void>)[] = [];

export async function closeAll(): Promise<void> {
  await Promise.all(closers.splice(0).map((close) => close()));
}

export function createTransport(options: Partial<WebhookTransportOptions> = {}): WebhookTransport {
  const transport = createWebhookTransport({ guard: loopbackGuard, ...options });
  closers.push(transport.close);
  return transport;
}

export async function openReceiver(options: RawReceiverOptions): Promise<RawReceiver> {
  const receiver = await openRawReceiver(options);
  closers.push(receiver.close);
  return receiver;
}

/** One of data/tls. */
export function pem(name: string): string {
  return readFileSync(new URL(`data/tls/${name}.pem`, import.meta.url), "utf8");
}

export function shipment(url: string, facts: Partial<Shipment> = {}): Shipment {
  return { url, headers: { "webhook-id": "evt_1" }, body: Buffer.from("{}"), timeoutMs: 2000, ...facts };
}
