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
  readonly key: string;
  readonly ledger: LedgerFile;
  /** Begins every idempotency key of this publisher. */
  readonly name: string;
}

const REPEAT_AFTER_MS = 20;

export class Publisher {
  readonly #options: PublisherOptions;
  readonly #connection: HttpConnection;
  #published = 0;
  /** Tries that got no answer: the server was gone, or went. */
  unanswered = 0;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#connection = new HttpConnection(options.target);
  }

  /**
   * Resolves with the event's id once it is accepted and in the ledger; undefined when `signal` ended the waiting.
   * @throws Error when the server refuses it for good
   */
  async publish(event: ToPublish, signal?: AbortSignal): Promise<string | undefined> {
    const { target, key, name } = this.#options;
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
    const request = postRequest(target, "/v1/events", headers, body);
    const intendedUs = nowUs();
    while (signal?.aborted !== true) {
      const response = await this.#send(request);
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
    this.#connection.close();
  }

  #send(request: Buffer): Promise<Response | null> {
    return new Promise((resolve) => {
      this.#connection.send(request, (error, response) => {
        if (error !== null) this.unanswered += 1;
        resolve(error === null ? response : null);
      });
    });
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
