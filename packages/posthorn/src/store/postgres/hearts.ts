/** The nodes that enlisted through one store, each with its heartbeat. One in a server; several only in tests. */
import { monotonicMs } from "../../base/clock.ts";
import { messageOf } from "../../base/errors.ts";
import type { IncarnationId } from "../../base/ids.ts";
import type { Beat, NewNode } from "../store.ts";
import { NODES_CHANNEL, NOT_ALIVE, sendBeat } from "./beat.ts";
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
    const id = await enlist(this.#context, node);
    const number = numbers.get(id) ?? 0;
    // Who took itself for the only one until its thread beats would send as much as all together may.
    const first = await this.#beat(number);
    const heartbeat = new Heartbeat({
      ...this.#options,
      deadAfterMs,
      logger,
      number,
      advancedMs: connections.advancedMs,
      first,
    });
    this.#beating.set(id, heartbeat);
    await this.#tellOthers(number);
    return id;
  }

  /** What the thread last heard; of a node that is not this store's, the database is asked. */
  async beat(incarnation: IncarnationId): Promise<Beat> {
    const heartbeat = this.#beating.get(incarnation);
    if (heartbeat !== undefined) return heartbeat.beat;
    const { connections } = this.#context;
    const [row] = await connections.runSafely<{ number: number }>("work", FIND, [incarnation]);
    return row === undefined ? NOT_ALIVE : this.#beat(row.number);
  }

  async retire(incarnation: IncarnationId): Promise<void> {
    await this.#beating.get(incarnation)?.end();
    this.#beating.delete(incarnation);
    await retire(this.#context, incarnation);
    await this.#tellOthers(this.#context.numbers.get(incarnation) ?? 0);
  }

  /** For tests, after the clock was moved: who lived before did so all the time. */
  async keepAlive(): Promise<void> {
    const { connections, numbers } = this.#context;
    await Promise.all([...this.#beating.values()].map((each) => each.advanceTo(connections.advancedMs)));
    const own = [...this.#beating.keys()].map((id) => numbers.get(id));
    await connections.runSafely("work", STEADY, [own]);
  }

  #beat(number: number): Promise<Beat> {
    const { connections, settings } = this.#context;
    return sendBeat((statement, values) => connections.runSafely("work", statement, values), {
      number,
      deadAfterMs: settings.deadAfterMs,
      sentMs: monotonicMs(),
    });
  }

  /** There is one node more, or less: their shares change. */
  async #tellOthers(number: number): Promise<void> {
    const { connections, logger } = this.#context;
    try {
      await connections.run("work", TELL, [number]);
    } catch (error) {
      logger.debug({ error: messageOf(error) }, "store.wake_failed");
    }
  }

  /** Ends the threads. The nodes are not retired: that is for whoever enlisted them. */
  async close(): Promise<void> {
    await Promise.all([...this.#beating.values()].map((each) => each.end()));
    this.#beating.clear();
  }
}

/** Without it they count again with their next beat. */
const TELL = { text: `SELECT pg_notify('${NODES_CHANNEL}', $1::integer::text)` };
const FIND = { text: "SELECT number FROM posthorn.incarnations WHERE id = $1" };
const STEADY = {
  text: `UPDATE posthorn.incarnations SET steady_since_ms = started_at_ms
    WHERE number = ANY ($1::integer[]) AND voided_at_ms IS NULL`,
};
