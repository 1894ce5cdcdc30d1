// The load of a cluster run: publishers that go from node to node, repeat themselves until they are answered, and so know
// what was accepted.
import { setTimeout as wait } from "node:timers/promises";
import type { Target } from "../src/cli/proof/http-connection.ts";
import type { LedgerFile } from "../src/cli/proof/ledger.ts";
import { Publisher } from "../src/cli/proof/publisher.ts";
import type { Stream } from "./crash-publishers.ts";

export interface ClusterPublishing {
  accepted(): number;
  /** Tries that a fault cut off, or that a node left unanswered for too long. */
  unanswered(): number;
  /** Tries that were answered 503. */
  unavailable(): number;
  /** Resolves when what is under way has been answered. */
  stop(): Promise<void>;
  /** Gives up what is under way. */
  abort(): void;
}

export interface ClusterPublishers {
  readonly nodes: readonly [Target, ...Target[]];
  readonly key: string;
  readonly ledger: LedgerFile;
}

/** A stopped node takes connections and says nothing: after so long another one is asked. */
const PATIENCE_MS = 1500;
/** A publisher further behind than this does not make up for it: after an outage, no herd. */
const BEHIND_MS_MAX = 200;

export function publishToCluster(
  streams: readonly Stream[],
  { nodes: [target, ...others], key, ledger }: ClusterPublishers,
): ClusterPublishing {
  const publishers: Publisher[] = [];
  let accepted = 0;
  let stopped = false;
  const aborting = new AbortController();
  const sum = (count: (publisher: Publisher) => number) =>
    publishers.reduce((total, publisher) => total + count(publisher), 0);

  const running = streams.flatMap((stream) => {
    let sequence = 0;
    const intervalMs = 1000 / stream.perSecond;
    return Array.from({ length: stream.publishers }, async (_, index) => {
      const name = `${stream.app}-${index}`;
      const publisher = new Publisher({ target, others, key, ledger, name, patienceMs: PATIENCE_MS });
      publishers.push(publisher);
      let dueMs = performance.now() + Math.random() * intervalMs;
      while (!stopped) {
        await wait(Math.max(0, dueMs - performance.now()));
        sequence += 1;
        const number = sequence;
        const orderingKey = stream.orderingKeys?.[number % stream.orderingKeys.length];
        const event = {
          app: stream.app,
          eventType: "cluster.event",
          data: `{"number":${number},"publisher":${index},"big":9007199254740993,"d":1.0}`,
          sequence: number,
          ...(orderingKey === undefined ? {} : { orderingKey }),
        };
        const id = await publisher.publish(event, aborting.signal);
        if (id !== undefined) accepted += 1;
        dueMs = Math.max(dueMs + intervalMs, performance.now() - BEHIND_MS_MAX);
      }
      publisher.close();
    });
  });
  return {
    accepted: () => accepted,
    unanswered: () => sum(({ unanswered }) => unanswered),
    unavailable: () => sum(({ unavailable }) => unavailable),
    async stop() {
      stopped = true;
      await Promise.all(running);
    },
    abort() {
      stopped = true;
      aborting.abort();
    },
  };
}
