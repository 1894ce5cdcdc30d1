/**
 * The load side. Open loop: publications are due at fixed times, and latency counts from then, however late they could be
 * sent, so that a stalled server cannot hide its stall. Without a rate each connection publishes as fast as it is answered.
 */
import { HttpConnection, postRequest, type Response, type Target } from "./http-connection.ts";
import { acceptedText, bodyHash, LedgerFile, nowUs } from "./ledger.ts";

export interface LoadOptions {
  readonly target: Target;
  readonly key: string;
  readonly ledgerFile: string;
  readonly connections: number;
  /** Bytes of `data`. */
  readonly dataBytes: number;
  readonly eventType: string;
}

export interface LoadRun {
  /** Uids of apps, published to in turn. */
  readonly apps: readonly string[];
  /** Events per second; null: as fast as the server answers. */
  readonly perSecond: number | null;
  readonly forMs: number;
  /** Events per request. */
  readonly batch: number;
}

export interface LoadReport {
  readonly fromUs: number;
  readonly toUs: number;
  readonly accepted: number;
  /** By status, and `unanswered` for connections that broke. */
  readonly refused: Readonly<Record<string, number>>;
}

export interface Load {
  /** Resolves when the time is over and every request was answered. */
  run(run: LoadRun): Promise<LoadReport>;
  accepted(): number;
  close(): void;
}

interface Publication {
  readonly app: string;
  readonly sequence: number;
  readonly text: string;
  readonly bodyHash: string;
}

const BACK_OFF_MS = 50;

export function startLoad(options: LoadOptions): Load {
  const ledger = new LedgerFile(options.ledgerFile);
  const connections = Array.from({ length: options.connections }, () => new HttpConnection(options.target));
  const write = writer(options);
  let accepted = 0;
  let running = false;

  return {
    accepted: () => accepted,
    close() {
      for (const connection of connections) connection.close();
      ledger.close();
    },
    run(order) {
      if (running) throw new Error("A run is under way.");
      running = true;
      const { promise, resolve } = Promise.withResolvers<LoadReport>();
      const refused: Record<string, number> = {};
      const fromUs = nowUs();
      const toUs = fromUs + order.forMs * 1000;
      const acceptedBefore = accepted;
      const idle = [...connections];
      const intervalUs = order.perSecond === null ? null : (1e6 * order.batch) / order.perSecond;
      let sent = 0;
      let busy = 0;
      let appIndex = 0;
      const timer = setInterval(turn, 1);
      turn();
      return promise;

      function turn(): void {
        for (let connection = idle.at(-1); connection !== undefined; connection = idle.at(-1)) {
          const at = nowUs();
          const intendedUs = intervalUs === null ? at : fromUs + sent * intervalUs;
          if (intendedUs >= toUs) break;
          if (intendedUs > at) return;
          idle.pop();
          sent += 1;
          busy += 1;
          send(connection, intendedUs);
        }
        const over = (intervalUs === null ? nowUs() : fromUs + sent * intervalUs) >= toUs;
        if (over && busy === 0) finish();
      }

      function send(connection: HttpConnection, intendedUs: number): void {
        const publications = Array.from({ length: order.batch }, () => {
          appIndex = (appIndex + 1) % order.apps.length;
          return write.publication(order.apps[appIndex]!);
        });
        connection.send(write.request(publications), (error, response) => {
          const taken = error === null && record(publications, response!, intendedUs);
          const reason = error === null ? String(response!.status) : "unanswered";
          if (!taken) refused[reason] = (refused[reason] ?? 0) + order.batch;
          if (taken) give(connection);
          else setTimeout(give, BACK_OFF_MS, connection);
        });
      }

      function give(connection: HttpConnection): void {
        busy -= 1;
        idle.push(connection);
        turn();
      }

      function finish(): void {
        running = false;
        clearInterval(timer);
        ledger.flush();
        resolve({ fromUs, toUs, accepted: accepted - acceptedBefore, refused });
      }
    },
  };

  /** False when the request as a whole was not taken. */
  function record(publications: readonly Publication[], response: Response, intendedUs: number): boolean {
    if (response.status !== 202) return false;
    const answeredUs = nowUs();
    const body = JSON.parse(response.body) as { id?: string; results?: { id?: string }[] };
    const results = body.results ?? [body];
    for (const [index, { app, sequence, bodyHash }] of publications.entries()) {
      const eventId = results[index]?.id;
      if (eventId === undefined) continue;
      accepted += 1;
      ledger.add(
        acceptedText({
          eventId,
          app,
          eventType: options.eventType,
          orderingKey: "",
          bodyHash,
          sequence,
          intendedUs: Math.round(intendedUs),
          answeredUs,
        }),
      );
    }
    return true;
  }
}

/** Writes publications, each with a body of its own. */
function writer({ target, key, dataBytes, eventType }: LoadOptions) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  let sequence = 0;
  return {
    publication(app: string): Publication {
      sequence += 1;
      const timestamp = new Date().toISOString();
      const start = `{"number":${sequence},"text":"`;
      const data = `${start}${"x".repeat(Math.max(0, dataBytes - start.length - 2))}"}`;
      const payload = `{"type":"${eventType}","timestamp":"${timestamp}","data":${data}}`;
      return {
        app,
        sequence,
        text: `{"app":"${app}",${payload.slice(1)}`,
        bodyHash: bodyHash(Buffer.from(payload)),
      };
    },
    request(publications: readonly Publication[]): Buffer {
      const body =
        publications.length === 1
          ? publications[0]!.text
          : `[${publications.map(({ text }) => text).join(",")}]`;
      return postRequest(target, "/v1/events", headers, body);
    },
  };
}
