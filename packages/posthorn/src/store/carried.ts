/**
 * The form in which rows travel from one store to another (`posthorn store copy`): plain cells in the order of the columns
 * below, which have the names of the shared store. Rows name each other by their ids, never by what a store numbers them with.
 */
import { hash } from "node:crypto";

/**
 * `app`: the id of the row's app, which says where the row is put and is not kept in it. `numbers`: a JSON list.
 * `lease`: whether some node held it, which may have sent it then.
 */
export type ColumnKind = "text" | "number" | "real" | "boolean" | "bytes" | "numbers" | "app" | "lease";
export type Cell = string | number | Uint8Array | null;
export type CarriedRow = readonly Cell[];

const TIMES = { created_at_ms: "number", updated_at_ms: "number" } as const;

/** Booleans travel as 0 and 1. */
export const CARRIED = {
  event_types: {
    name: "text",
    description: "text",
    schema: "text",
    example: "text",
    group_name: "text",
    deprecated: "boolean",
    ...TIMES,
  },
  apps: {
    id: "text",
    uid: "text",
    name: "text",
    metadata: "text",
    retention_days: "number",
    limits: "text",
    ownership_check: "text",
    config_version: "number",
    ...TIMES,
    removed_at_ms: "number",
  },
  endpoints: {
    id: "text",
    app_id: "text",
    uid: "text",
    url: "text",
    description: "text",
    event_types: "text",
    channels: "text",
    filter: "text",
    rate_limit_per_second: "real",
    in_flight_max: "number",
    timeout_ms: "number",
    retry_schedule: "text",
    ordering: "text",
    on_dead_letter: "text",
    scheme: "text",
    status: "text",
    disable_reason: "text",
    access: "text",
    unverified_at_ms: "number",
    sealed_headers: "bytes",
    sealed_credentials: "bytes",
    // JSON list of {sealed, expiresAtMs, publicKey}, the current one first.
    secrets: "text",
    version: "number",
    ...TIMES,
    removed_at_ms: "number",
    drained: "boolean",
  },
  lanes: {
    endpoint_id: "text",
    app_id: "text",
    runnable: "boolean",
    removed: "boolean",
    exclusive: "boolean",
    next_due_at_ms: "number",
    sequence: "number",
    breaker: "text",
    probe_at_ms: "number",
    probe_every_ms: "number",
    failing_since_ms: "number",
    failures: "number",
    filter_errors: "number",
    filter_error: "text",
  },
  lane_blocks: { endpoint_id: "text", order_key: "text", event_id: "text", created_at_ms: "number" },
  keys: {
    id: "text",
    hash: "bytes",
    role: "text",
    app_id: "text",
    name: "text",
    limits: "text",
    prefix: "text",
    created_at_ms: "number",
    expires_at_ms: "number",
    last_used_at_ms: "number",
  },
  replays: {
    id: "text",
    app_id: "text",
    endpoint_id: "text",
    since_ms: "number",
    until_ms: "number",
    states: "text",
    event_types: "text",
    state: "text",
    cursor: "text",
    examined: "number",
    created: "number",
    created_at_ms: "number",
    finished_at_ms: "number",
  },
  source_positions: { source_id: "text", position: "bytes", updated_at_ms: "number" },
  // Whole, with its numbers and hashes: the chain goes on where it was.
  audit_log: {
    number: "number",
    id: "text",
    at_ms: "number",
    actor: "text",
    action: "text",
    target: "text",
    app_id: "text",
    before: "text",
    after: "text",
    address: "text",
    request_id: "text",
    previous_hash: "text",
    hash: "text",
  },
  figures: {
    minute_ms: "number",
    // Below 0: that of the store that it was counted in.
    incarnation: "number",
    created: "number",
    delivered: "number",
    dead_lettered: "number",
    cancelled: "number",
    succeeded: "number",
    rejected: "number",
    timed_out: "number",
    unreachable: "number",
    invalid: "number",
    unknown: "number",
    filter_errors: "number",
    endpoint_id: "text",
    latency: "numbers",
  },
  events: {
    accepted_at_ms: "number",
    deliver_at_ms: "number",
    hops: "number",
    expunged_at_ms: "number",
    data_start: "number",
    data_end: "number",
    delivery_count: "number",
    fan_out_count: "number",
    id: "text",
    app_id: "text",
    delivery_first: "text",
    delivery_last: "text",
    uid: "text",
    event_type: "text",
    timestamp: "text",
    channels: "text",
    ordering_key: "text",
    payload: "bytes",
  },
  fan_outs: { event_id: "text", of_app: "app", endpoints: "text", cursor: "number" },
  idempotency: {
    app_id: "text",
    key: "text",
    fingerprint: "bytes",
    event_id: "text",
    deliveries: "number",
    created_at_ms: "number",
  },
  deliveries: {
    created_at_ms: "number",
    expires_at_ms: "number",
    due_at_ms: "number",
    sequence: "number",
    leased_by: "lease",
    failures: "number",
    attempt_count: "number",
    unknowns: "number",
    payload_bytes: "number",
    class: "number",
    later: "boolean",
    id: "text",
    of_app: "app",
    endpoint_id: "text",
    event_id: "text",
    event_type: "text",
    trigger: "text",
    order_key: "text",
  },
  delivery_history: {
    created_at_ms: "number",
    finished_at_ms: "number",
    attempts: "number",
    later: "boolean",
    id: "text",
    of_app: "app",
    endpoint_id: "text",
    event_id: "text",
    event_type: "text",
    trigger: "text",
    state: "text",
    reason: "text",
  },
  attempts: {
    started_at_ms: "number",
    number: "number",
    duration_ms: "number",
    status: "number",
    delivery_id: "text",
    of_app: "app",
    id: "text",
    outcome: "text",
    facts: "text",
    url: "text",
    response_body: "bytes",
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, ColumnKind>>>>;

export type CarriedTable = keyof typeof CARRIED;

export interface CarriedRows {
  readonly table: CarriedTable;
  readonly rows: readonly CarriedRow[];
}

/** In the order of the cells. */
export function columnsOf(table: CarriedTable): readonly (readonly [name: string, kind: ColumnKind])[] {
  return Object.entries(CARRIED[table]);
}

/** Where a column's cell stands in a row. */
export function placeOf(table: CarriedTable, column: string): number {
  return Object.keys(CARRIED[table]).indexOf(column);
}

/** What configuration refers to comes before it. */
export const CONFIGURATION = [
  "event_types",
  "apps",
  "endpoints",
  "lanes",
  "lane_blocks",
  "keys",
  "replays",
  "source_positions",
] as const satisfies readonly CarriedTable[];

// ---- comparing two stores ------------------------------------------------------------------------------------------

/** How many rows, and the sum of their hashes: equal on both sides, whatever the order in which they were looked at. */
export interface Tally {
  readonly count: number;
  readonly sum: bigint;
}

export const NOTHING: Tally = { count: 0, sum: 0n };

export function addTallies(a: Tally, b: Tally): Tally {
  return { count: a.count + b.count, sum: a.sum + b.sum };
}

/** By `day` of the rows where they are many, else under `all`. */
export type Tallies = Map<string, Tally>;

export function addTo(tallies: Tallies, part: string, tally: Tally): void {
  tallies.set(part, addTallies(tallies.get(part) ?? NOTHING, tally));
}

/** Of the 60 bits that a row's hash has: hexadecimal digits. A sum of them is no defence against an enemy, and need not be. */
export const HASH_DIGITS = 15;

/**
 * A row is hashed as the JSON list of its cells in the form that PostgreSQL writes one: bytes as their MD5, the app left out.
 */
export function tallyOf(table: CarriedTable, row: CarriedRow): Tally {
  const cells: string[] = [];
  let index = 0;
  for (const kind of Object.values<ColumnKind>(CARRIED[table])) {
    if (kind !== "app") cells.push(jsonOf(row[index] ?? null, kind));
    index += 1;
  }
  const digits = hash("md5", `[${cells.join(", ")}]`).slice(0, HASH_DIGITS);
  return { count: 1, sum: BigInt(`0x${digits}`) };
}

function jsonOf(cell: Cell, kind: ColumnKind): string {
  if (cell === null) return "null";
  if (typeof cell === "object") return `"${hash("md5", cell)}"`;
  if (kind === "boolean" || kind === "lease") return cell === 0 ? "false" : "true";
  return kind === "numbers" ? String(cell) : JSON.stringify(cell);
}
