/**
 * What was spent from one moment to another: figures that, unlike rates, hardly depend on what else the machine does. Those
 * of the database are the whole server's, so nothing else may work on it.
 */
import { readdirSync, readFileSync } from "node:fs";
import type { LoadReport, LoadRun } from "../proof/load.ts";
import { cpuUs } from "../proof/server-process.ts";
import type { BenchDatabase } from "./database.ts";
import { type Figure, repeated } from "./figure.ts";
import type { Rig } from "./rig.ts";

export interface Costs {
  /** CPU of the nodes; of the bench's own process, where it has the store open itself. */
  readonly nodeUs: number;
  /** Of all processes of the database, its background ones too; NaN: it is not on this machine, or this is not Linux. */
  readonly databaseUs: number;
  readonly walBytes: number;
  /** How often the log was synced. */
  readonly syncs: number;
}

/** PostgreSQL 18 counts them in pg_stat_io, others in pg_stat_wal. A session tells of its own once a second at most. */
const SYNCS = {
  before18: "SELECT wal_sync FROM pg_stat_wal",
  from18: "SELECT coalesce(sum(fsyncs), 0)::bigint FROM pg_stat_io WHERE object = 'wal'",
};

/** @param nodeUs CPU of the nodes so far */
export async function readCosts(database: BenchDatabase | null, nodeUs: number): Promise<Costs> {
  const nothing = Number.NaN;
  if (database === null) return { nodeUs, databaseUs: nothing, walBytes: nothing, syncs: nothing };
  const version = Number(await database.value<string>("SELECT current_setting('server_version_num')"));
  const backend = await database.value<number>("SELECT pg_backend_pid()");
  const walBytes = await database.value<string>("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn");
  const syncs = await database.value<number>(version >= 180_000 ? SYNCS.from18 : SYNCS.before18);
  return { nodeUs, databaseUs: serverUs(backend), walBytes: Number(walBytes), syncs: Number(syncs) };
}

/** What each of so many cost between two readings. */
export function costsOfEach(before: Costs, after: Costs, count: number): Costs {
  const each = (of: keyof Costs): number => (after[of] - before[of]) / count;
  return {
    nodeUs: each("nodeUs"),
    databaseUs: each("databaseUs"),
    walBytes: each("walBytes"),
    syncs: each("syncs"),
  };
}

/** Publishes, waits until everything has arrived, and tells what an event cost. */
export async function loadAtCost(
  rig: Rig,
  run: Omit<LoadRun, "apps">,
): Promise<{ window: LoadReport; costs: Costs }> {
  const before = await readCosts(rig.database, rig.cpuUs());
  const window = await rig.load(run);
  await rig.caughtUp();
  const after = await readCosts(rig.database, rig.cpuUs());
  return { window, costs: costsOfEach(before, after, window.accepted) };
}

/** @param of of what they are the costs of: `event`, `delivery` */
export function costFigures(each: readonly Costs[], of: string): Figure[] {
  const figure = (name: string, unit: string, value: (costs: Costs) => number) =>
    repeated(`${name} per ${of}`, unit, each.map(value));
  return [
    figure("CPU of posthorn", "us", ({ nodeUs }) => nodeUs),
    figure("CPU of the database", "us", ({ databaseUs }) => databaseUs),
    figure("log (WAL)", "bytes", ({ walBytes }) => walBytes),
    figure("syncs of the log", "", ({ syncs }) => syncs),
  ].filter(({ value }) => Number.isFinite(value));
}

/** CPU time of the server that has this backend: of its first process, of what ended before, and of all that run. */
function serverUs(backend: number): number {
  const first = parentOf(backend);
  if (first === null || !readProc(`${backend}/cmdline`)?.startsWith("postgres")) return Number.NaN;
  const running = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && parentOf(Number(name)) === first)
    .map((name) => cpuUs(Number(name)) ?? 0);
  const ended = (fieldsOf(first) ?? []).slice(13, 15);
  const endedUs = ended.reduce((sum, ticks) => sum + Number(ticks) * 10_000, 0);
  return (cpuUs(first) ?? 0) + endedUs + running.reduce((sum, us) => sum + us, 0);
}

function parentOf(pid: number): number | null {
  const parent = fieldsOf(pid)?.[1];
  return parent === undefined ? null : Number(parent);
}

/** The fields of its state, from the third on: what stands before is the program's name, which may hold anything. */
function fieldsOf(pid: number): string[] | undefined {
  const stat = readProc(`${pid}/stat`);
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
}

function readProc(name: string): string | null {
  try {
    return readFileSync(`/proc/${name}`, "utf8");
  } catch {
    return null;
  }
}
