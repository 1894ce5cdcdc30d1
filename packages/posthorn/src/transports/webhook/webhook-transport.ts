/**
 * Sends a shipment as an HTTP/1.1 POST: no redirects, no proxies of the environment, no decompression, and no retries but
 * the one with a new access token.
 */

import type { AttemptOutcome } from "../../domain/attempt.ts";
import { DEFAULTS, LIMITS } from "../../domain/defaults.ts";
import type { AddressGuard } from "../../security/address-guard.ts";
import type { OAuth2Client, Question, Receipt, Reply, ShipmentAccess, Transport } from "../transport.ts";
import { type Answer, sendAuthorized } from "./authorized.ts";
import { checkTls } from "./certificates.ts";
import { createConnections } from "./connections.ts";
import { type ConnectorOptions, createConnector } from "./connector.ts";
import { Exchange, type ExchangeLimits, type Resolve } from "./exchange.ts";
import { createAccessTokens } from "./oauth2.ts";
import { createTargets } from "./target.ts";

export interface WebhookTransportOptions extends Omit<ConnectorOptions, "connectTimeoutMs"> {
  readonly guard: AddressGuard;
  /** Proxy, name, TCP and TLS together. */
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
  /** How long no new access token is asked for after a failure. */
  readonly tokenFailureMs?: number;
}

export interface WebhookTransport extends Transport {
  /** Connections open or being opened. */
  readonly openConnections: number;
}

/** A shipment, or a question. */
type Request = Omit<Question, "method" | "body"> & {
  readonly method?: Question["method"];
  readonly body: Uint8Array | null;
};

/** How shipments are sent, or questions. */
interface Manner {
  readonly limits: ExchangeLimits;
  /** When the request names none. */
  readonly contentType: string | null;
}

const TARGETS_MAX = 20_000;
/** Of what is neither headers nor body: chunks, interim answers, TLS. Makes 256 KiB in all with the defaults. */
const ANSWER_OVERHEAD_BYTES_MAX = 176 * 1024;

export function createWebhookTransport({
  guard,
  connectTimeoutMs = DEFAULTS.connectTimeoutMs,
  userAgent = "Posthorn",
  responseBytesReadMax = LIMITS.responseBytesReadMax,
  responseBytesKeptMax = LIMITS.responseBytesKeptMax,
  responseHeadersBytesMax = 16 * 1024,
  keepAliveMs = 60_000,
  idleConnectionsMax = 1024,
  tokenFailureMs,
  ...connectorOptions
}: WebhookTransportOptions): WebhookTransport {
  const connect = createConnector({ guard, connectTimeoutMs, ...connectorOptions });
  const connections = createConnections({
    connect,
    keepAliveMs,
    idleConnectionsMax,
    responseHeadersBytesMax,
    answerBytesMax: responseBytesReadMax + responseHeadersBytesMax + ANSWER_OVERHEAD_BYTES_MAX,
  });
  const targetOf = createTargets(guard, TARGETS_MAX);
  const tokens = createAccessTokens({
    ask,
    ...(tokenFailureMs !== undefined && { failureMs: tokenFailureMs }),
  });
  const shipping: Manner = {
    limits: { responseBytesReadMax, responseBytesKeptMax },
    contentType: "application/json",
  };
  const asking: Manner = {
    limits: { responseBytesReadMax, responseBytesKeptMax: responseBytesReadMax },
    contentType: null,
  };

  function send(request: Request, manner: Manner, resolve: Resolve): void {
    const target = targetOf(request.url);
    if (target.kind === "refused") {
      resolve(unsent(target.outcome), undefined);
      return;
    }
    if (request.headers.host !== undefined) {
      resolve(
        unsent({ kind: "invalid", detail: "the header host is the URL's, not the endpoint's" }),
        undefined,
      );
      return;
    }
    const connection = connections.acquire(target.origin, request.access);
    connection.client.dispatch(
      {
        path: target.path,
        method: request.method ?? "POST",
        headers: headerList(request.headers, userAgent, manner.contentType),
        body: request.body,
      },
      new Exchange(connections, connection, manner.limits, request.timeoutMs, resolve),
    );
  }

  /** For those whose receiver wants an access token: a few more promises, which nobody else pays for. */
  function sendWithToken(
    request: Request,
    access: ShipmentAccess,
    client: OAuth2Client,
    manner: Manner,
  ): Promise<Answer> {
    return sendAuthorized(tokens, access, client, request.timeoutMs, (authorization, timeoutMs) => {
      const headers = { ...request.headers, authorization };
      return new Promise((resolve) => {
        send({ ...request, headers, timeoutMs }, manner, (receipt, responseHeaders) =>
          resolve({ receipt, headers: responseHeaders }),
        );
      });
    });
  }

  async function ask(question: Question): Promise<Reply> {
    const { access } = question;
    if (access?.oauth2) return replyOf(await sendWithToken(question, access, access.oauth2, asking));
    return new Promise((resolve) => {
      send(question, asking, (receipt, headers) => resolve(replyOf({ receipt, headers })));
    });
  }

  return {
    ship(shipment) {
      const { access } = shipment;
      if (access?.oauth2) {
        return sendWithToken(shipment, access, access.oauth2, shipping).then(({ receipt }) => receipt);
      }
      return new Promise((resolve) => send(shipment, shipping, resolve));
    },
    ask,
    checkUrl(url, rules) {
      guard.checkUrl(url, rules);
    },
    checkTls(tls) {
      checkTls(tls);
    },
    close: connections.close,
    get openConnections() {
      return connections.open;
    },
  };
}

function unsent(outcome: AttemptOutcome): Receipt {
  return { outcome, durationMs: 0, responseBody: null };
}

function replyOf({ receipt, headers = {} }: Answer): Reply {
  const lines = Object.entries(headers).map(([name, value = ""]) => [name, [value].flat().join(", ")]);
  return {
    outcome: receipt.outcome,
    headers: Object.fromEntries(lines),
    body: receipt.responseBody ?? new Uint8Array(0),
  };
}

/** Name, value, name, value: the form that undici takes without another pass. */
function headerList(headers: Request["headers"], userAgent: string, contentType: string | null): string[] {
  const list: string[] = [];
  if (contentType !== null && headers["content-type"] === undefined) list.push("content-type", contentType);
  if (headers["user-agent"] === undefined) list.push("user-agent", userAgent);
  for (const name in headers) list.push(name, headers[name] ?? "");
  return list;
}
