/** Sends a shipment as an HTTP/1.1 POST: no redirects, no proxies of the environment, no decompression, no retries. */
import { DEFAULTS, LIMITS } from "../../domain/defaults.ts";
import type { AddressGuard } from "../../security/address-guard.ts";
import type { Receipt, Shipment, Transport } from "../transport.ts";
import { createConnections } from "./connections.ts";
import { createConnector } from "./connector.ts";
import { Exchange } from "./exchange.ts";
import { createTargets } from "./target.ts";

export interface WebhookTransportOptions {
  readonly guard: AddressGuard;
  /** Name, TCP and TLS together. */
  readonly connectTimeoutMs?: number;
  /** `Posthorn/<version>`. */
  readonly userAgent?: string;
  /** After so many bytes of the body the connection is closed; the status stands. */
  readonly responseBytesReadMax?: number;
  readonly responseBytesKeptMax?: number;
  readonly responseHeadersBytesMax?: number;
  /** How long an idle connection is kept. */
  readonly keepAliveMs?: number;
  /** Idle connections over all receivers. */
  readonly idleConnectionsMax?: number;
  readonly tlsSessionsMax?: number;
  /** In place of the system's certificate authorities, PEM. */
  readonly certificateAuthorities?: readonly string[];
}

export interface WebhookTransport extends Transport {
  /** Connections open or being opened. */
  readonly openConnections: number;
}

const TARGETS_MAX = 20_000;

export function createWebhookTransport({
  guard,
  connectTimeoutMs = DEFAULTS.connectTimeoutMs,
  userAgent = "Posthorn",
  responseBytesReadMax = LIMITS.responseBytesReadMax,
  responseBytesKeptMax = LIMITS.responseBytesKeptMax,
  responseHeadersBytesMax = 16 * 1024,
  keepAliveMs = 60_000,
  idleConnectionsMax = 1024,
  ...connectorOptions
}: WebhookTransportOptions): WebhookTransport {
  const connect = createConnector({ guard, connectTimeoutMs, ...connectorOptions });
  const connections = createConnections({
    connect,
    keepAliveMs,
    idleConnectionsMax,
    responseHeadersBytesMax,
  });
  const limits = { responseBytesReadMax, responseBytesKeptMax };
  const targetOf = createTargets(guard, TARGETS_MAX);

  function ship({ url, headers, body, timeoutMs }: Shipment): Promise<Receipt> {
    const target = targetOf(url);
    if (target.kind === "refused") {
      return Promise.resolve({ outcome: target.outcome, durationMs: 0, responseBody: null });
    }
    if (headers.host !== undefined) {
      const outcome = {
        kind: "invalid",
        detail: "the header host is the URL's, not the endpoint's",
      } as const;
      return Promise.resolve({ outcome, durationMs: 0, responseBody: null });
    }
    return new Promise((resolve) => {
      const connection = connections.acquire(target.origin);
      connection.client.dispatch(
        { path: target.path, method: "POST", headers: headerList(headers, userAgent), body },
        new Exchange(connections, connection, limits, timeoutMs, resolve),
      );
    });
  }

  return {
    ship,
    checkUrl(url) {
      guard.checkUrl(url);
    },
    close: connections.close,
    get openConnections() {
      return connections.open;
    },
  };
}

/** Name, value, name, value: the form that undici takes without another pass. */
function headerList(headers: Shipment["headers"], userAgent: string): string[] {
  const list: string[] = [];
  if (headers["content-type"] === undefined) list.push("content-type", "application/json");
  if (headers["user-agent"] === undefined) list.push("user-agent", userAgent);
  for (const name in headers) list.push(name, headers[name] ?? "");
  return list;
}
