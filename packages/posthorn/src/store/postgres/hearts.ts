/** The nodes that enlisted through one store, each with its heartbeat. One in a server; several only in tests. */
import { monotonicMs } from "../../base/clock.ts";
import type { IncarnationId } from "../../base/ids.ts";
import type { Beat, NewNode } from "../store.ts";
import { sendBeat, validUntil } from "./beat.ts";
import type { Context } from "./context.ts";
import { Heartbeat } from "./heartbeat.ts";
import { enlist, retire } from "./write/nodes.ts";

export interface HeartsOptions {
  readonly url: string;
  readonly heartbeatMs: number;
}

export class Hearts {
  #context: Context;
  #options: HeartsOptions;
  #beating = new Map<IncarnationId, Heartbeat>();

  constructor(context: Context, options: HeartsOptions) {
    this.#context = context;
    this.#options = options;
  }

  async enlist(node: NewNode): Promise<IncarnationId> {
    const { connections, logger, numbers, settings } = this.#context;
    const { deadAfterMs } = settings;
    const sentMs = monotonicMs();
    const id = await enlist(this.#context, node);
    const heartbeat = new Heartbeat({
      ...this.#options,
      deadAfterMs,
      logger,
      number: numbers.get(id) ?? 0,
      advancedMs: connections.advancedMs,
      first: { alive: true, validUntilMs: validUntil(sentMs, deadAfterMs), dispatchers: 1 },
    });
    this.#beating.set(id, heartbeat);
    return id;
  }

  /** What the thread last heard; of a node that is not this store's, the database is asked. */
  async beat(incarnation: IncarnationId): Promise<Beat> {
    const heartbeat = this.#beating.get(incarnation);
    if (heartbeat !== undefined) return heartbeat.beat;
    const { connections, settings } = this.#context;
    const [row] = await connections.runSafely<{ number: number }>("work", FIND, [incarnation]);
    if (row === undefined) return { alive: false, validUntilMs: 0, dispatchers: 0 };
    return sendBeat((statement, values) => connections.runSafely("work", statement, values), {
      number: row.number,
      deadAfterMs: settings.deadAfterMs,
      sentMs: monotonicMs(),
    });
  }

  async retire(incarnation: IncarnationId): Promise<void> {
    await this.#beating.get(incarnation)?.end();
    this.#beating.delete(incarnation);
    await retire(this.#context, incarnation);
  }

  /** For tests, after the clock was moved: who lived before did so all the time. */
  async keepAlive(): Promise<void> {
    const { connections, numbers } = this.#context;
    await Promise.all([...this.#beating.values()].map((each) => each.advanceTo(connections.advancedMs)));
    const own = [...this.#beating.keys()].map((id) => numbers.get(id));
    await connections.runSafely("work", STEADY, [own]);
  }

  /** Ends the threads. The nodes are not retired: that is for whoever enlisted them. */
  async close(): Promise<void> {
    await Promise.all([...this.#beating.values()].map((each) => each.end()));
    this.#beating.clear();
  }
}

const FIND = { text: "SELECT number FROM posthorn.incarnations WHERE id = $1" };
const STEADY = {
  text: `UPDATE posthorn.incarnations SET steady_since_ms = started_at_ms
    WHERE number = ANY ($1::integer[]) AND voided_at_ms IS NULL`,
};
