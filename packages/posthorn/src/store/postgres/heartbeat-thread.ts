/**
 * The thread that beats for a node, on a connection of its own: however busy the main thread is, and whatever becomes of its
 * connections, nobody takes a living node for dead. It keeps trying for ever while the database is away.
 */
import { parentPort, workerData } from "node:worker_threads";
import { monotonicMs } from "../../base/clock.ts";
import { NODES_CHANNEL, sendBeat } from "./beat.ts";
import { BACKOFF_MS_MAX, BACKOFF_MS_MIN, Connection } from "./connection.ts";
import { Pulse, type PulseMemory } from "./pulse.ts";

export interface HeartbeatSettings {
  readonly url: string;
  readonly memory: PulseMemory;
  /** Of the incarnation. */
  readonly number: number;
  readonly heartbeatMs: number;
  readonly deadAfterMs: number;
}

/** `beat`: at once, and say so. `end`: no more beats. */
export type ToHeartbeat = "beat" | "end";
/** Answers each `beat`. */
export type FromHeartbeat = "beaten";

const port = parentPort;
if (port === null) throw new Error("heartbeat-thread.ts runs as a worker thread of the store");

const { url, memory, number, heartbeatMs, deadAfterMs } = workerData as HeartbeatSettings;
const pulse = new Pulse(memory);
/** A beat that hangs is of no use to anybody; the next one goes over another connection. */
const statementMsMax = Math.max(1000, heartbeatMs);
let connection: Connection | null = null;
let ended = false;
let asked = 0;
/** Since the last beat was sent. */
let nodesChanged = false;
let interrupt: (() => void) | undefined;

port.on("message", (message: ToHeartbeat) => {
  if (message === "end") ended = true;
  else asked += 1;
  interrupt?.();
});

await live();
port.close();

async function live(): Promise<void> {
  let backoffMs = BACKOFF_MS_MIN;
  while (!ended) {
    const sentMs = monotonicMs();
    const answers = asked;
    nodesChanged = false;
    try {
      connection ??= await listening();
      await connection.advanceTo(pulse.advancedMs);
      const one = connection;
      const beat = await sendBeat((statement, values) => one.query(statement, values), {
        number,
        deadAfterMs,
        sentMs,
      });
      pulse.beat = beat;
      // Once given up, for ever: the node enlists anew.
      if (!beat.alive) ended = true;
      backoffMs = BACKOFF_MS_MIN;
      asked -= answers;
      for (let i = 0; i < answers; i++) port?.postMessage("beaten" satisfies FromHeartbeat);
      await pause(asked > 0 || nodesChanged ? 0 : sentMs + heartbeatMs - monotonicMs());
    } catch {
      // What was last heard goes on being true until its time is over.
      await connection?.close();
      connection = null;
      await pause(backoffMs);
      backoffMs = Math.min(backoffMs * 2, BACKOFF_MS_MAX, heartbeatMs);
    }
  }
  await connection?.close();
}

async function listening(): Promise<Connection> {
  const opened = await Connection.open({ url, applicationName: "posthorn heartbeat", statementMsMax });
  opened.onNotification((from) => {
    if (from === String(number)) return;
    nodesChanged = true;
    interrupt?.();
  });
  // The next beat finds out when that failed: it is the same session.
  await opened.query({ text: `LISTEN ${NODES_CHANNEL}` }).catch(() => opened.close());
  return opened;
}

function pause(ms: number): Promise<void> {
  if (ended) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(done, Math.max(0, ms));
    interrupt = done;
    function done(): void {
      clearTimeout(timer);
      interrupt = undefined;
      resolve();
    }
  });
}
