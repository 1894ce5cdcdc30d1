/**
 * The hold: for a while nothing is accepted, sent or changed, and everything goes on afterwards as if nothing had been. It
 * keeps a store still that only this node has, so that the last of it can be copied elsewhere (`posthorn store copy`).
 */
import { z } from "zod";
import { messageOf, PosthornError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import { parseInput } from "../domain/input.ts";
import type { Change, Store, StoreWriter } from "../store/store.ts";
import { actAsSystem, type Deed } from "./acting.ts";

const SERVER = { kind: "server", id: "this" } as const;
const SECONDS_MAX = 3600;
const RETRY_AFTER_SECONDS_MAX = 10;

export const holdSchema = z.strictObject({
  seconds: z
    .number()
    .int()
    .min(1)
    .max(SECONDS_MAX)
    .describe(`After so many seconds the hold ends by itself: 1 to ${SECONDS_MAX}`),
});

/** Unix milliseconds. The same `sinceMs` later on means that it was never interrupted. */
export interface HoldState {
  readonly sinceMs: number;
  readonly untilMs: number;
}

export interface HoldNeeds {
  readonly logger: Logger;
  /** The store is not this node's alone: then a hold of this one would hold nothing. */
  readonly shared: boolean;
  /** Background duties change the store, too. */
  stopDuties(): Promise<void>;
  /** Ends sending; resolves once everything under way is settled. */
  drain(): Promise<void>;
  resume(): void;
  /** Writes to the audit log, which a hold keeps still, too. */
  audit(deed: Deed): Promise<void>;
}

/** What changes the store by itself or for a user. What books the end of something is let through. */
const REFUSED = new Set<PropertyKey>([
  "accept",
  "extendFanOut",
  "claim",
  "rescue",
  "expire",
  "redeliver",
  "cancel",
  "save",
  "remove",
  "advanceReplay",
  "prune",
] satisfies (keyof StoreWriter)[]);

export class Hold {
  needs: HoldNeeds | undefined;
  #since: number | null = null;
  #untilMs = 0;
  #timer: NodeJS.Timeout | undefined;
  /** One after the other: a release waits for the drain that it ends. */
  #turn: Promise<unknown> = Promise.resolve();

  /** The store, but for what a hold refuses. */
  guard(store: Store): Store {
    const write = new Proxy(store.write, {
      get: (writer, verb) => {
        const method = Reflect.get(writer, verb) as (...args: unknown[]) => unknown;
        return (...args: unknown[]) =>
          this.#since !== null && REFUSED.has(verb) && !isUseOfKey(verb, args)
            ? Promise.reject(this.#refusal())
            : method.apply(writer, args);
      },
    });
    return { ...store, write };
  }

  /** @throws PosthornError `held` */
  check(): void {
    if (this.#since !== null) throw this.#refusal();
  }

  /**
   * Begins, or goes on for so long from now. Resolves once nothing is under way any more.
   * @throws PosthornError naming the field; whatever else goes wrong, a hold that was to begin is over
   */
  async take(input: unknown): Promise<HoldState> {
    const { seconds } = parseInput(holdSchema, input);
    if (this.#needs.shared) throw notAlone();
    return this.#inTurn(async () => {
      this.#untilMs = Date.now() + seconds * 1000;
      this.#endAfter(seconds);
      if (this.#since === null) {
        await this.#needs.audit({ action: "hold.take", target: SERVER, after: { seconds } });
        this.#needs.logger.warn({ seconds }, "hold.taken");
        await this.#begin();
      }
      return { sinceMs: this.#since as number, untilMs: this.#untilMs };
    });
  }

  /** Nothing happens when there is none. */
  async release(): Promise<void> {
    await this.#inTurn(() => this.#release("hold.release"));
  }

  /** The engine stops: nothing is to be resumed. */
  end(): void {
    clearTimeout(this.#timer);
  }

  problems(): string[] {
    return this.#since === null
      ? []
      : [`Held until ${new Date(this.#untilMs).toISOString()}: nothing is accepted, sent or changed.`];
  }

  get #needs(): HoldNeeds {
    if (this.needs === undefined) throw new Error("the hold is not connected");
    return this.needs;
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #begin(): Promise<void> {
    try {
      await this.#needs.stopDuties();
      this.#since = Date.now();
      await this.#needs.drain();
    } catch (error) {
      // Nobody would know that there is something to be released.
      this.#since ??= Date.now();
      await this.#release("hold.release");
      throw error;
    }
  }

  async #release(action: string): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#since === null) return;
    // How far it was prolonged stands in no entry but this one.
    const before = { sinceMs: this.#since, untilMs: this.#untilMs };
    this.#since = null;
    actAsSystem(() => this.#needs.resume());
    this.#needs.logger.warn({}, "hold.released");
    // Everything goes on, whether or not that could be written down.
    await this.#needs
      .audit({ action, target: SERVER, before })
      .catch((error: unknown) => this.#needs.logger.warn({ error: messageOf(error) }, "audit.failed"));
  }

  #endAfter(seconds: number): void {
    clearTimeout(this.#timer);
    const end = (): void => void this.#inTurn(() => this.#release("hold.expire"));
    this.#timer = actAsSystem(() => setTimeout(end, seconds * 1000));
    this.#timer.unref();
  }

  #refusal(): PosthornError {
    const leftSeconds = Math.ceil((this.#untilMs - Date.now()) / 1000);
    return new PosthornError(
      "held",
      "An operator holds this server while its store is copied. Nothing was stored; try again.",
      { retryAfterSeconds: Math.max(1, Math.min(leftSeconds, RETRY_AFTER_SECONDS_MAX)) },
    );
  }
}

function notAlone(): PosthornError {
  return new PosthornError(
    "state_conflict",
    "Other nodes share this store, and would go on: a hold is for a server that keeps its store in its own data directory.",
  );
}

/** A figure for people, which no copy needs and no request may fail for. */
function isUseOfKey(verb: PropertyKey, [change]: readonly unknown[]): boolean {
  return verb === "save" && (change as Change).kind === "key_used";
}
