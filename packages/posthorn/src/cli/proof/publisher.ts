/** A publisher that does not give up: it repeats a publication, under the same idempotency key, until it is answered. */
import { setTimeout as wait } from "node:timers/promises";
import { HttpConnection, postRequest, type Response, type Target } from "./http-connection.ts";
import { acceptedText, bodyHash, type LedgerFile, nowUs } from "./ledger.ts";

export interface ToPublish {
  readonly app: string;
  readonly eventType: string;
  /** The JSON of the data, sent as it is. */
  readonly data: string;
  readonly orderingKey?: string;
  readonly sequence: number;
}

export interface PublisherOptions {
  readonly target: Target;
  /** More nodes of the same cluster: all are published to in turn. */
  readonly others?: readonly Target[];
  readonly key: string;
  readonly ledger: LedgerFile;
  /** Begins every idempotency key of this publisher. */
  readonly name: string;
  /** Without an answer for so long, the connection is cut. Default: waits for ever. */
  readonly patienceMs?: number;
}

/** A node, and the connection to it. */
interface Door {
  readonly target: Target;
  readonly connection: HttpConnection;
  /** It gave no answer lately: until then another one is asked first. */
  avoidedUntilMs: number;
}

const REPEAT_AFTER_MS = 20;
const AVOIDED_MS = 3000;

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #doors: Door[];
  #turn = 0;
  #published = 0;
  /** Tries that got no answer: the server was gone, or went. */
  unanswered = 0;
  /** Tries that were answered 503. */
  unavailable = 0;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#doors = [options.target, ...(options.others ?? [])].map((target) => ({
      target,
      connection: new HttpConnection(target),
      avoidedUntilMs: 0,
    }));
  }

  /**
   * Resolves with the event's id once it is accepted and in the ledger; undefined when `signal` ended the waiting.
   * @throws Error when the server refuses it for good
   */
  async publish(event: ToPublish, signal?: AbortSignal): Promise<string | undefined> {
    const { key, name } = this.#options;
    this.#published += 1;
    const timestamp = new Date().toISOString();
    const payload = `{"type":"${event.eventType}","timestamp":"${timestamp}","data":${event.data}}`;
    const order = event.orderingKey === undefined ? "" : `"orderingKey":"${event.orderingKey}",`;
    const headers = {
      authorization: `Bearer ${key}`,
      "content-type": "application/json",
      "idempotency-key": `${name}-${this.#published}`,
    };
    const body = `{"app":"${event.app}",${order}${payload.slice(1)}`;
    const intendedUs = nowUs();
    while (signal?.aborted !== true) {
      const response = await this.#send(headers, body);
      if (response?.status === 202) {
        const { id } = JSON.parse(response.body) as { id: string };
        this.#record(event, id, bodyHash(Buffer.from(payload)), intendedUs);
        return id;
      }
      if (response !== null && response.status < 500 && response.status !== 429 && response.status !== 409)
        throw new Error(`Publishing was answered ${response.status}: ${response.body}`);
      await wait(REPEAT_AFTER_MS);
    }
    return undefined;
  }

  close(): void {
    for (const { connection } of this.#doors) connection.close();
  }

  /** null: no answer. */
  #send(headers: Readonly<Record<string, string>>, body: string): Promise<Response | null> {
    const { patienceMs } = this.#options;
    const door = this.#nextDoor();
    const cut = () => door.connection.close();
    const timer = patienceMs === undefined ? undefined : setTimeout(cut, patienceMs);
    return new Promise((resolve) => {
      door.connection.send(postRequest(door.target, "/v1/events", headers, body), (_error, response) => {
        clearTimeout(timer);
        if (response === null) {
          this.unanswered += 1;
          door.avoidedUntilMs = performance.now() + AVOIDED_MS;
        }
        if (response?.status === 503) this.unavailable += 1;
        resolve(response);
      });
    });
  }

  /** In turn, but for those that gave no answer lately. */
  #nextDoor(): Door {
    this.#turn += 1;
    const nowMs = performance.now();
    const inTurn = this.#doors.map((_, index) => this.#doors[(this.#turn + index) % this.#doors.length]!);
    return (
      inTurn.find(({ avoidedUntilMs }) => avoidedUntilMs <= nowMs) ??
      inTurn.reduce((best, door) => (door.avoidedUntilMs < best.avoidedUntilMs ? door : best))
    );
  }

  #record(event: ToPublish, eventId: string, hash: string, intendedUs: number): void {
    this.#options.ledger.add(
      acceptedText({
        eventId,
        app: event.app,
        eventType: event.eventType,
        orderingKey: event.orderingKey ?? "",
        bodyHash: hash,
        sequence: event.sequence,
        intendedUs,
        answeredUs: nowUs(),
      }),
    );
  }
}
