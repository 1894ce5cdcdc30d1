/** The receiving side: checks each request, answers as told, and writes it to the ledger. */
import { createHmac, createSecretKey, type KeyObject } from "node:crypto";
import { type Answer, type Inbound, listen, type Responder } from "./http-responder.ts";
import { bodyHash, LedgerFile, nowUs, receivedText } from "./ledger.ts";

/** How an endpoint behaves. Shares are of requests, drawn at random from the seed. */
export type Behaviour =
  | { readonly kind: "healthy" }
  | { readonly kind: "slow"; readonly afterMs: number }
  | { readonly kind: "hanging" }
  /** Always 500. */
  | { readonly kind: "failing" }
  /** For `share` of the requests: answers 500, resets, or, unless null, answers `lateMs` later; in equal parts. */
  | { readonly kind: "flaky"; readonly share: number; readonly lateMs: number | null };

export interface ReceiverEndpoint {
  readonly name: string;
  readonly secret: string;
  readonly behaviour: Behaviour;
}

export interface ReceiverOptions {
  readonly ledgerFile: string;
  /** Whether the signature of a request verifies. The default is an HMAC of this file's own, apart from the sender's code. */
  readonly verify?: (request: Inbound, secret: string) => boolean;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly port?: number;
}

export interface ReceiverCounts {
  readonly requests: number;
  /** Answered 2xx. */
  readonly taken: number;
  readonly refused: number;
}

export interface Receiver {
  readonly port: number;
  /** Adds endpoints, or changes those that it has. They are reached under `/<name>`. */
  set(endpoints: readonly ReceiverEndpoint[]): void;
  /** @param endpoint its name; without one, of all */
  counts(endpoint?: string): ReceiverCounts;
  /** So that what was received can be read by others. */
  flush(): void;
  close(): Promise<void>;
}

export async function startReceiver({
  ledgerFile,
  verify = verifyHmac,
  random,
  port,
}: ReceiverOptions): Promise<Receiver> {
  const endpoints = new Map<string, ReceiverEndpoint>();
  const ledger = new LedgerFile(ledgerFile);
  const counted = new Map<string, { requests: number; taken: number }>();

  const responder: Responder = await listen((request) => {
    const receivedUs = nowUs();
    const name = request.path.slice(1);
    const endpoint = endpoints.get(name);
    const { answer, status } = choose(endpoint?.behaviour ?? { kind: "healthy" }, random);
    const count = counted.get(name) ?? { requests: 0, taken: 0 };
    counted.set(name, count);
    count.requests += 1;
    if (status === 200) count.taken += 1;
    ledger.add(
      receivedText({
        eventId: request.header("webhook-id") ?? "-",
        endpoint: name,
        bodyHash: bodyHash(request.body),
        signatureValid: endpoint !== undefined && verify(request, endpoint.secret),
        status,
        receivedUs,
      }),
    );
    return answer;
  }, port);

  return {
    port: responder.port,
    set(changed) {
      for (const endpoint of changed) endpoints.set(endpoint.name, endpoint);
    },
    counts(endpoint) {
      let requests = 0;
      let taken = 0;
      for (const [name, count] of counted) {
        if (endpoint !== undefined && endpoint !== name) continue;
        requests += count.requests;
        taken += count.taken;
      }
      return { requests, taken, refused: requests - taken };
    },
    flush: () => ledger.flush(),
    async close() {
      await responder.close();
      ledger.close();
    },
  };
}

const FAILED = { answer: { kind: "status", status: 500 }, status: 500 } as const;
const OK = { kind: "status", status: 200 } as const satisfies Answer;

/** `status` is what the ledger says: negative for an answer that comes later than the sender waits. */
function choose(behaviour: Behaviour, random: () => number): { answer: Answer; status: number } {
  switch (behaviour.kind) {
    case "healthy":
      return { answer: OK, status: 200 };
    case "slow":
      return { answer: { ...OK, afterMs: behaviour.afterMs }, status: 200 };
    case "failing":
      return FAILED;
    case "hanging":
      return { answer: { kind: "hang" }, status: 0 };
    case "flaky": {
      const { share, lateMs } = behaviour;
      const ways = lateMs === null ? 2 : 3;
      const drawn = Math.floor((random() / share) * ways);
      if (drawn >= ways) return { answer: OK, status: 200 };
      if (drawn === 0) return FAILED;
      if (drawn === 1) return { answer: { kind: "reset" }, status: 0 };
      return { answer: { ...OK, afterMs: lateMs ?? 0 }, status: -200 };
    }
  }
}

const TOLERANCE_SECONDS = 300;
const keys = new Map<string, KeyObject>();

/** Standard Webhooks `v1`: HMAC-SHA256 over `id.timestamp.body`, any of the listed signatures. */
function verifyHmac(request: Inbound, secret: string): boolean {
  const id = request.header("webhook-id");
  const timestamp = request.header("webhook-timestamp");
  const signatures = request.header("webhook-signature");
  if (id === undefined || timestamp === undefined || signatures === undefined) return false;
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= TOLERANCE_SECONDS)) return false;
  let key = keys.get(secret);
  if (key === undefined) {
    key = createSecretKey(Buffer.from(secret.slice("whsec_".length), "base64"));
    keys.set(secret, key);
  }
  const digest = createHmac("sha256", key)
    .update(`${id}.${timestamp}.`)
    .update(request.body)
    .digest("base64");
  return signatures.split(" ").includes(`v1,${digest}`);
}
