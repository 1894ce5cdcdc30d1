/**
 * The ledger checks the promise. The load side writes a line for each publication that was answered, the receiving side
 * a line for each request; each to a file of its own. What they must add up to is in verdict.ts.
 * Times are microseconds of the machine's monotonic clock, which all processes share.
 */
import { hash } from "node:crypto";
import { closeSync, fdatasyncSync, openSync, readFileSync, writeSync } from "node:fs";

/** A publication that was answered 202. */
export interface AcceptedLine {
  readonly eventId: string;
  /** How the plan calls the app. */
  readonly app: string;
  readonly eventType: string;
  /** Empty: none. */
  readonly orderingKey: string;
  readonly bodyHash: string;
  /** Counts publications of one app, in the order in which they were answered: publishers of ordered apps wait for each. */
  readonly sequence: number;
  /** When it should have been sent (open loop), and when the answer was there. */
  readonly intendedUs: number;
  readonly answeredUs: number;
}

/** A request as the receiving side saw it. */
export interface ReceivedLine {
  readonly eventId: string;
  /** How the plan calls the endpoint. */
  readonly endpoint: string;
  readonly bodyHash: string;
  readonly signatureValid: boolean;
  /** What it answered: a status, 0 for none at all (reset, hung), or -status for an answer sent later than the sender waits. */
  readonly status: number;
  readonly receivedUs: number;
}

/** 128 bits of the body's SHA-256. */
export function bodyHash(body: Uint8Array): string {
  return hash("sha256", body, "base64url").slice(0, 22);
}

export function nowUs(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

export function acceptedText(line: AcceptedLine): string {
  return `${line.eventId}\t${line.app}\t${line.eventType}\t${line.orderingKey}\t${line.bodyHash}\t${line.sequence}\t${line.intendedUs}\t${line.answeredUs}\n`;
}

export function receivedText(line: ReceivedLine): string {
  return `${line.eventId}\t${line.endpoint}\t${line.bodyHash}\t${line.signatureValid ? 1 : 0}\t${line.status}\t${line.receivedUs}\n`;
}

export function readAccepted(file: string): AcceptedLine[] {
  return readLines(file, 8).map(
    ([eventId, app, eventType, orderingKey, hashText, sequence, intendedUs, answeredUs]): AcceptedLine => ({
      eventId: eventId!,
      app: app!,
      eventType: eventType!,
      orderingKey: orderingKey!,
      bodyHash: hashText!,
      sequence: Number(sequence),
      intendedUs: Number(intendedUs),
      answeredUs: Number(answeredUs),
    }),
  );
}

export function readReceived(file: string): ReceivedLine[] {
  return readLines(file, 6).map(
    ([eventId, endpoint, hashText, valid, status, receivedUs]): ReceivedLine => ({
      eventId: eventId!,
      endpoint: endpoint!,
      bodyHash: hashText!,
      signatureValid: valid === "1",
      status: Number(status),
      receivedUs: Number(receivedUs),
    }),
  );
}

/** @throws Error for a line that is not whole: a ledger that cannot be read proves nothing. */
function readLines(file: string, columns: number): string[][] {
  const lines = readFileSync(file, "utf8").split("\n");
  if (lines.pop() !== "") throw new Error(`The ledger ${file} ends in the middle of a line.`);
  return lines.map((line, index) => {
    const cells = line.split("\t");
    if (cells.length !== columns) throw new Error(`The ledger ${file} has a broken line ${index + 1}.`);
    return cells;
  });
}

const BATCH_CHARACTERS = 64 * 1024;
const FLUSH_EVERY_MS = 100;

/** Appends lines to a file of its own, in batches: the bench writes 10,000 lines a second. */
export class LedgerFile {
  #descriptor: number;
  #waiting = "";
  #timer: NodeJS.Timeout;

  /** @param path a new file; an existing one is an error, no run may add to another's. */
  constructor(path: string) {
    this.#descriptor = openSync(path, "wx", 0o600);
    this.#timer = setInterval(() => this.flush(), FLUSH_EVERY_MS).unref();
  }

  add(text: string): void {
    this.#waiting += text;
    if (this.#waiting.length >= BATCH_CHARACTERS) this.flush();
  }

  flush(): void {
    if (this.#waiting === "") return;
    const text = this.#waiting;
    this.#waiting = "";
    writeSync(this.#descriptor, text);
  }

  close(): void {
    clearInterval(this.#timer);
    this.flush();
    fdatasyncSync(this.#descriptor);
    closeSync(this.#descriptor);
  }
}
