/**
 * The yardstick: a bare undici sender, without any storage, that signs and sends the same requests to the same receiver
 * over as many connections. What Posthorn reaches is told as a share of what this reaches in the same run.
 */
import { createHmac, createSecretKey } from "node:crypto";
import { type Dispatcher, Pool } from "undici";
import { answerCalls } from "../proof/child.ts";
import { nowUs } from "../proof/ledger.ts";

export interface BareRun {
  readonly origin: string;
  readonly path: string;
  readonly secret: string;
  readonly connections: number;
  readonly dataBytes: number;
  readonly forMs: number;
}

const calls = {
  async run(run: BareRun): Promise<{ sent: number; perSecond: number }> {
    const pool = new Pool(run.origin, { connections: run.connections, pipelining: 1 });
    const key = createSecretKey(Buffer.from(run.secret.slice("whsec_".length), "base64"));
    const fromUs = nowUs();
    const untilUs = fromUs + run.forMs * 1000;
    let sent = 0;
    await Promise.all(
      Array.from({ length: run.connections }, async () => {
        while (nowUs() < untilUs) {
          await sendOne(pool, run, key, sent);
          sent += 1;
        }
      }),
    );
    const perSecond = sent / ((nowUs() - fromUs) / 1e6);
    await pool.close();
    return { sent, perSecond };
  },
};
export type BareCalls = typeof calls;

function sendOne(
  pool: Pool,
  run: BareRun,
  key: ReturnType<typeof createSecretKey>,
  number: number,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const id = `bare_${number}`;
  const seconds = String(Math.floor(Date.now() / 1000));
  const start = `{"type":"bench.event","timestamp":"${new Date().toISOString()}","data":{"number":${number},"text":"`;
  const body = Buffer.from(`${start}${"x".repeat(run.dataBytes)}"}}`);
  const signature = createHmac("sha256", key).update(`${id}.${seconds}.`).update(body).digest("base64");
  pool.dispatch(
    {
      path: run.path,
      method: "POST",
      headers: {
        "content-type": "application/json",
        "user-agent": "bare",
        "webhook-id": id,
        "webhook-timestamp": seconds,
        "webhook-signature": `v1,${signature}`,
      },
      body,
    },
    new Sink(resolve, reject),
  );
  return promise;
}

/** Reads the answer and throws it away. */
class Sink implements Dispatcher.DispatchHandler {
  onResponseEnd: () => void;
  #reject: (error: Error) => void;

  constructor(resolve: () => void, reject: (error: Error) => void) {
    this.onResponseEnd = resolve;
    this.#reject = reject;
  }

  onRequestStart(): void {}
  onResponseStart(): void {}
  onResponseData(): void {}
  onResponseError(_controller: unknown, error: Error): void {
    this.#reject(error);
  }
}

answerCalls(calls);
