/** What adapters need of a receiver, whatever its events are. */
import type { Answer, IncomingRequest } from "../schemes/scheme.ts";
import type { Bodies } from "./body-limit.ts";

export interface ReceiverDoor {
  /** Through which bodies are read, so that they stay within the receiver's limits. */
  readonly bodies: Pick<Bodies, "read">;
  /** The answer to a request whose raw body was read. Never rejects. */
  receive(request: IncomingRequest): Promise<Answer>;
  /** The answer to a request that could not be read; counted, and reported to `onError`. */
  fail(error: unknown): Answer;
  /** Needs no `this`: `export default receiver` is a server on Bun, Deno and workers. Never rejects. */
  fetch(request: Request): Promise<Response>;
}
