/**
 * Compares a copy with its source, table by table, by counts and sums of hashes; large tables by the day of their rows. What
 * has long been settled can be compared while the server goes on: only the rest is left for when it is held.
 */
import { setImmediate as turn } from "node:timers/promises";
import { addTo, type CarriedTable, CONFIGURATION, NOTHING, type Tallies } from "../store/carried.ts";
import type { PostgresTarget } from "../store/postgres/import.ts";
import type { SqliteSource } from "../store/sqlite/export.ts";
import {
  type Stretch,
  tallyAged,
  tallyAudit,
  tallyEvents,
  tallyHistory,
  tallySmall,
  tallyUnfinished,
} from "../store/sqlite/export-tally.ts";

export interface ComparedTable {
  readonly table: string;
  /** Rows compared, on both sides. */
  readonly source: number;
  readonly target: number;
  /** The days, or `all`, whose count or hash is not the same; none: equal. */
  readonly differing: readonly string[];
}

type Kept = Record<"events" | "delivery_history" | "attempts", { source: Tallies; target: Tallies }>;

const DAY_MS = 86_400_000;
const STRETCHED = ["events", "delivery_history", "attempts"] as const;

export class Comparing {
  #source: SqliteSource;
  #target: PostgresTarget;
  #floors = new Map<number, string>();
  #nowMs = Date.now();
  /** What was compared before, and until when it reaches. */
  #settled: { readonly toMs: number; readonly kept: Kept } | null = null;

  constructor(source: SqliteSource, target: PostgresTarget) {
    this.#source = source;
    this.#target = target;
  }

  /** While the server goes on. What does not agree (a payload was zeroed meanwhile) is compared again as part of the rest. */
  async settled(toMs: number, looked: (rows: number) => void): Promise<void> {
    const kept = await this.#stretch({ fromMs: 0, toMs, fromSeq: 0 }, looked);
    const agrees = STRETCHED.every(
      (table) => differingOf(kept[table].source, kept[table].target).length === 0,
    );
    if (agrees) this.#settled = { toMs, kept };
  }

  /** @param fromSeq no delivery that ended since what was settled has a lower number */
  async rest(fromSeq: number, looked: (rows: number) => void): Promise<ComparedTable[]> {
    const compared: ComparedTable[] = [];
    const fromMs = this.#settled?.toMs ?? 0;
    const kept = await this.#stretch(
      { fromMs, toMs: Number.POSITIVE_INFINITY, fromSeq: this.#settled === null ? 0 : fromSeq },
      looked,
    );
    const deliveries: Tallies = new Map();
    await this.#walk(tallyUnfinished(this.#source, { deliveries, attempts: kept.attempts.source }), looked);
    merge(kept.attempts.target, await this.#target.tallyAttemptsUnfinished());
    for (const table of [...CONFIGURATION, "fan_outs"] as const)
      compared.push(comparedOf(table, tallySmall(this.#source, table), await this.#target.tally(table)));
    const audit: Tallies = new Map();
    await this.#walk(tallyAudit(this.#source, audit), looked);
    compared.push(comparedOf("audit_log", audit, await this.#target.tally("audit_log")));
    for (const table of ["figures", "idempotency"] as const) compared.push(await this.#aged(table, looked));
    compared.push(comparedOf("deliveries", deliveries, await this.#target.tally("deliveries")));
    for (const table of STRETCHED) {
      const { source, target } = kept[table];
      if (this.#settled !== null) {
        merge(source, this.#settled.kept[table].source);
        merge(target, this.#settled.kept[table].target);
      }
      compared.push(comparedOf(table, source, target));
    }
    compared.push(await this.#expunged());
    return compared;
  }

  async #stretch(
    stretch: Pick<Stretch, "fromMs" | "toMs" | "fromSeq">,
    looked: (rows: number) => void,
  ): Promise<Kept> {
    const floors = this.#floorsNow();
    const ours = { events: new Map(), delivery_history: new Map(), attempts: new Map() };
    const compares = (appId: string, day: string): boolean =>
      day > (floors.get(this.#target.classes.get(appId) ?? 0) ?? "");
    // The database works meanwhile.
    const [, theirs] = await Promise.all([
      (async () => {
        await this.#walk(tallyEvents(this.#source, { ...stretch, compares }, ours.events), looked);
        await this.#walk(tallyHistory(this.#source, { ...stretch, compares }, ours), looked);
      })(),
      (async () => ({
        events: await this.#target.tallyStretch("events", { ...stretch, floors }),
        delivery_history: await this.#target.tallyStretch("delivery_history", { ...stretch, floors }),
        attempts: await this.#target.tallyStretch("attempts", { ...stretch, floors }),
      }))(),
    ]);
    const of = (table: keyof Kept) => ({ source: ours[table], target: theirs[table] });
    return { events: of("events"), delivery_history: of("delivery_history"), attempts: of("attempts") };
  }

  /** What the source may prune while it is copied, a day's worth more than it may prune now, is not compared. */
  #floorsNow(): ReadonlyMap<number, string> {
    for (const days of new Set(this.#target.classes.values())) {
      const floorMs = this.#nowMs + DAY_MS - days * DAY_MS;
      this.#floors.set(days, new Date(floorMs).toISOString().slice(0, 10));
    }
    return this.#floors;
  }

  async #aged(table: "figures" | "idempotency", looked: (rows: number) => void): Promise<ComparedTable> {
    const ours: Tallies = new Map();
    const oldestMs = await this.#walk(tallyAged(this.#source, table, ours), looked);
    return comparedOf(table, ours, await this.#target.tallyAged(table, oldestMs));
  }

  async #expunged(): Promise<ComparedTable> {
    const list = this.#source.expunged();
    const target = await this.#target.countExpunged(list);
    return {
      table: "expunged payloads",
      source: list.length,
      target,
      differing: list.length === target ? [] : ["all"],
    };
  }

  async #walk<Result>(walking: Generator<number, Result>, looked: (rows: number) => void): Promise<Result> {
    for (;;) {
      const step = walking.next();
      if (step.done === true) return step.value;
      looked(step.value);
      await turn();
    }
  }
}

function merge(into: Tallies, more: Tallies): void {
  for (const [part, tally] of more) addTo(into, part, tally);
}

function comparedOf(table: CarriedTable, source: Tallies, target: Tallies): ComparedTable {
  return { table, source: countOf(source), target: countOf(target), differing: differingOf(source, target) };
}

function countOf(tallies: Tallies): number {
  let count = 0;
  for (const tally of tallies.values()) count += tally.count;
  return count;
}

function differingOf(source: Tallies, target: Tallies): string[] {
  const parts = new Set([...source.keys(), ...target.keys()]);
  return [...parts]
    .filter((part) => {
      const [ours, theirs] = [source.get(part) ?? NOTHING, target.get(part) ?? NOTHING];
      return ours.count !== theirs.count || ours.sum !== theirs.sum;
    })
    .sort();
}
