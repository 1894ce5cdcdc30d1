/** What a receiver did since it was made. */
export interface ReceiverCounters {
  readonly received: number;
  readonly verified: number;
  readonly handshakes: number;
  /** Requests that were refused, by the code of the answer. */
  readonly refused: Readonly<Record<string, number>>;
  readonly duplicates: number;
  readonly handled: number;
  /** No handler matched. */
  readonly unhandled: number;
  /** Tries that failed and will be made again, by the sender or from the inbox. */
  readonly failed: number;
  readonly deadLettered: number;
  /** Under way, and in the inbox as it was last seen. */
  readonly waiting: number;
}

/** The same, while it is counted. */
export interface Tally {
  received: number;
  verified: number;
  handshakes: number;
  refused: Record<string, number>;
  duplicates: number;
  handled: number;
  unhandled: number;
  failed: number;
  deadLettered: number;
  underWay: number;
  inInbox: number;
}

export function newTally(): Tally {
  return {
    received: 0,
    verified: 0,
    handshakes: 0,
    refused: {},
    duplicates: 0,
    handled: 0,
    unhandled: 0,
    failed: 0,
    deadLettered: 0,
    underWay: 0,
    inInbox: 0,
  };
}

export function countersOf({ underWay, inInbox, refused, ...counts }: Tally): ReceiverCounters {
  return { ...counts, refused: { ...refused }, waiting: underWay + inInbox };
}
