/** CONTRACT of a place for events that nobody tries again: `deadLetterFile(path)` of `@posthorn/receiver/processors` is one. */
import type { ReceivedEvent } from "./event.ts";

export interface DeadLetter {
  /** With its exact payload and its headers, so that it can be looked at, and worked on by hand. */
  readonly event: ReceivedEvent;
  /** The receiver's name. */
  readonly receiver: string;
  /** Who gave it up: the name of a processor, or `handler`. */
  readonly by: string;
  /** The text of the error. */
  readonly reason: string;
  /** How often it was tried. */
  readonly attempts: number;
  readonly deadLetteredAtMs: number;
}

export interface DeadLetters {
  /** Safe where it keeps them when it resolves; the event is acknowledged, or forgotten, only after that. A crash may repeat one. */
  append(letter: DeadLetter): Promise<void>;
}
