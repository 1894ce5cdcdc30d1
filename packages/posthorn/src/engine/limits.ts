/**
 * The limits of apps and keys on publishing. Whoever has none is never looked at here.
 *
 * Rates are kept in this node's memory, and each living node has its part: the rate by the number of nodes that take
 * events, as the heartbeat counts them. Days are counted by the store. A node writes what it counted and reads what all have
 * counted once a second, so that together they go over a quota by at most what the others accept in two seconds; after a
 * crash at most a second of one node is not counted.
 */
import { monotonicMs } from "../base/clock.ts";
import type { AppId, KeyId } from "../base/ids.ts";
import { createDuty, type Duty } from "../base/lifecycle.ts";
import type { Logger } from "../base/logger.ts";
import type { Key } from "../domain/key.ts";
import { isLimited, type LimitStanding } from "../domain/limits.ts";
import type { Store, Usage } from "../store/store.ts";
import type { AppRuntime } from "./app-runtime.ts";
import { Allowance, type Limited } from "./limits-allowance.ts";

const WRITE_EVERY_MS = 1000;
/** Who has not published for so long is forgotten, and asked for again. */
const FORGET_AFTER_MS = 5000;
/** Scopes in one call of the store. */
const SLICE = 500;

export interface LimitsNeeds {
  readonly read: Pick<Store["read"], "usage">;
  readonly write: Pick<Store["write"], "use">;
  readonly logger: Logger;
  /** Living nodes that share the rates. */
  nodes(): number;
  readonly nowMs?: () => number;
}

/** Someone who wants to publish: what of it is limited. */
export interface Asking {
  readonly app: AppRuntime;
  /** null: its key has no limits, or there is none. */
  readonly key: Key | null;
  readonly payloadBytes: number;
}

/** One event that was admitted; exactly one of these is called, once. */
export class Charge {
  #allowances: readonly Allowance[];

  constructor(allowances: readonly Allowance[]) {
    this.#allowances = allowances;
  }

  accepted(): void {
    for (const allowance of this.#allowances) allowance.accepted();
  }

  /** Refused for another reason, or a duplicate: no quota has it, but it was asked. */
  refused(): void {
    for (const allowance of this.#allowances) allowance.refused();
  }

  /** It is about to be asked again. */
  undo(): void {
    for (const allowance of this.#allowances) allowance.undo();
  }
}

const NONE: readonly LimitStanding[] = [];

export class Limits {
  /** Writes and looks; once a second. */
  readonly duty: Duty;
  #needs: LimitsNeeds;
  #nowMs: () => number;
  #allowances = new Map<AppId | KeyId, Allowance>();
  #looking = new Map<Allowance, Promise<void>>();

  constructor(needs: LimitsNeeds) {
    this.#needs = needs;
    this.#nowMs = needs.nowMs ?? monotonicMs;
    this.duty = createDuty({
      name: "limits",
      everyMs: WRITE_EVERY_MS,
      logger: needs.logger,
      runOnce: async () => {
        await this.flush();
        await this.#lookAtAll();
        this.#forgetIdle();
        return { more: false };
      },
    });
  }

  /**
   * Takes a place for one event, or nothing at all.
   * @throws PosthornError `payload_too_large`, `rate_limited`, `quota_exceeded`, naming the limit and whose it is
   */
  async admit({ app, key, payloadBytes }: Asking): Promise<Charge> {
    const allowances = limitedOf(app, key).map((limited) => this.#allowanceOf(limited));
    for (const allowance of allowances) allowance.checkPayload(payloadBytes);
    for (const allowance of allowances) if (allowance.unknown) await this.#look(allowance);
    // Nothing is waited for from here on: all are judged as they are taken.
    const nowMs = this.#nowMs();
    for (const allowance of allowances) allowance.check(nowMs);
    for (const allowance of allowances) allowance.take();
    return new Charge(allowances);
  }

  /** Counts an event that was accepted without being asked for: it is never refused, and uses the day's quota all the same. */
  count(app: AppRuntime): void {
    for (const limited of limitedOf(app, null)) this.#allowanceOf(limited).count();
  }

  /** Of several apps the one that has least left stands for its policy. */
  standings(key: Key | null, apps: readonly (AppRuntime | undefined)[]): readonly LimitStanding[] {
    if (key === null && !apps.some((app) => app?.limited === true)) return NONE;
    const limited = new Set(apps.flatMap((app) => (app?.limited === true ? [app.app.id] : [])));
    const nowMs = this.#nowMs();
    const tightest = new Map<string, LimitStanding>();
    for (const id of key === null ? limited : [...limited, key.id]) {
      for (const standing of this.#allowances.get(id)?.standings(nowMs) ?? []) {
        const known = tightest.get(standing.policy);
        if (known === undefined || standing.remaining < known.remaining)
          tightest.set(standing.policy, standing);
      }
    }
    return [...tightest.values()];
  }

  /** Adds what was counted to the store's count. What cannot be written goes with the next turn. */
  async flush(): Promise<void> {
    const counted = [...this.#allowances.values()]
      .map((allowance) => ({ allowance, events: allowance.takeUnwritten() }))
      .filter(({ events }) => events > 0);
    for (let start = 0; start < counted.length; start += SLICE) {
      const slice = counted.slice(start, start + SLICE);
      try {
        await this.#needs.write.use(
          slice.map(({ allowance, events }): Usage => ({ scope: allowance.id, events })),
        );
      } catch (error) {
        for (const { allowance } of counted.slice(start)) allowance.unwritable();
        throw error;
      }
      for (const { allowance } of slice) allowance.written();
    }
  }

  /** For the end: the last second is written. */
  async stop(): Promise<void> {
    await this.duty.stop();
    await this.flush();
  }

  #allowanceOf(limited: Limited): Allowance {
    let allowance = this.#allowances.get(limited.id);
    if (allowance === undefined) {
      allowance = new Allowance(limited);
      this.#allowances.set(limited.id, allowance);
    }
    allowance.follow(limited, this.#needs.nodes(), this.#nowMs());
    return allowance;
  }

  /** The first look. Who asks meanwhile waits for the same one. */
  #look(allowance: Allowance): Promise<void> {
    const looking = this.#looking.get(allowance);
    if (looking !== undefined) return looking;
    const look = this.#lookAt([allowance]).finally(() => this.#looking.delete(allowance));
    this.#looking.set(allowance, look);
    return look;
  }

  /** What other nodes have used meanwhile, and when the day ends. */
  async #lookAtAll(): Promise<void> {
    const known = [...this.#allowances.values()].filter(({ hasQuota }) => hasQuota);
    for (let start = 0; start < known.length; start += SLICE) {
      await this.#lookAt(known.slice(start, start + SLICE));
    }
  }

  async #lookAt(allowances: readonly Allowance[]): Promise<void> {
    const { usages, dayEndsInMs } = await this.#needs.read.usage(allowances.map(({ id }) => id));
    const used = new Map(usages.map(({ scope, events }) => [scope, events]));
    const dayEndsAtMs = this.#nowMs() + dayEndsInMs;
    for (const allowance of allowances) allowance.looked(used.get(allowance.id) ?? 0, dayEndsAtMs);
  }

  #forgetIdle(): void {
    const nowMs = this.#nowMs();
    for (const [id, allowance] of this.#allowances) {
      if (nowMs - allowance.usedAtMs < FORGET_AFTER_MS || this.#looking.has(allowance)) continue;
      if (!allowance.isForgettable(nowMs)) continue;
      this.#allowances.delete(id);
    }
  }
}

/** null: it has no limits, or nobody asked with a key. */
export function limitedKey(by: Key | undefined): Key | null {
  return by !== undefined && isLimited(by.limits) ? by : null;
}

function limitedOf({ app, limited }: AppRuntime, key: Key | null): Limited[] {
  const list: Limited[] = [];
  if (limited) list.push({ kind: "app", id: app.id, name: app.uid ?? app.id, limits: app.limits });
  if (key !== null) list.push({ kind: "key", id: key.id, name: key.id, limits: key.limits });
  return list;
}
