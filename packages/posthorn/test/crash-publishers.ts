// The load of a crash run: publishers that repeat themselves until they are answered, and so know what was accepted.
import { setTimeout as wait } from "node:timers/promises";
import type { LedgerFile } from "../src/cli/proof/ledger.ts";
import { Publisher } from "../src/cli/proof/publisher.ts";

export interface Stream {
  readonly app: string;
  /** Publishers at once; more than one only where order does not matter. */
  readonly publishers: number;
  /** Each, at most. */
  readonly perSecond: number;
  readonly orderingKeys?: readonly string[];
}

export interface Publishing {
  /** Tries that were cut off by a kill. */
  unanswered(): number;
  /** Resolves when what is under way has been answered. */
  stop(): Promise<void>;
}

export function publishStreams(
  streams: readonly Stream[],
  { port, key, ledger }: { port: number; key: string; ledger: LedgerFile },
): Publishing {
  const target = { host: "127.0.0.1", port };
  const publishers: Publisher[] = [];
  let stopped = false;
  const running = streams.flatMap((stream) => {
    let sequence = 0;
    return Array.from({ length: stream.publishers }, async (_, index) => {
      const publisher = new Publisher({ target, key, ledger, name: `${stream.app}-${index}` });
      publishers.push(publisher);
      while (!stopped) {
        sequence += 1;
        const number = sequence;
        const orderingKey = stream.orderingKeys?.[number % stream.orderingKeys.length];
        await publisher.publish({
          app: stream.app,
          eventType: "crash.event",
          data: `{"number":${number},"publisher":${index},"big":9007199254740993,"d":1.0}`,
          sequence: number,
          ...(orderingKey === undefined ? {} : { orderingKey }),
        });
        await wait(1000 / stream.perSecond);
      }
      publisher.close();
    });
  });
  return {
    unanswered: () => publishers.reduce((sum, { unanswered }) => sum + unanswered, 0),
    async stop() {
      stopped = true;
      await Promise.all(running);
    },
  };
}
