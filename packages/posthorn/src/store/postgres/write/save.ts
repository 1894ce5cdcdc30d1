/**
 * Creates and changes configuration. Whatever an app's fan-out depends on bumps its configVersion in the same transaction, and
 * so is appended what the audit log says of it.
 */
import { PosthornError, unreachable } from "../../../base/errors.ts";
import type { NewAuditEntry } from "../../../domain/audit.ts";
import type { Change, SaveResult, Wake } from "../../store.ts";
import type { Run } from "../connections.ts";
import type { Context } from "../context.ts";
import { codeOf } from "../failure.ts";
import { ensurePartitions } from "../partitions-ahead.ts";
import { appendAudit } from "./audit.ts";
import { bumpApp, bumpCatalogue, lockApp } from "./config-version.ts";
import { storeNow } from "./duty.ts";
import {
  appOf,
  endpointBefore,
  insertEndpoint,
  liftBlocks,
  setStatus,
  updateEndpoint,
} from "./endpoint-rows.ts";

type ChangeOf<Kind extends Change["kind"]> = Extract<Change, { kind: Kind }>;

/** What becomes of a change, and what other nodes are told of it after the commit. */
interface Saving {
  readonly result: SaveResult;
  readonly wakes: readonly Wake[];
}

const MISSING: Saving = { result: { kind: "missing" }, wakes: [] };
const UID_TAKEN: Saving = { result: { kind: "uid_taken" }, wakes: [] };
const CHANGED: Saving = { result: { kind: "changed" }, wakes: [] };
const DUE: Wake = { kind: "due" };

function saved(...wakes: readonly Wake[]): Saving {
  return { result: { kind: "saved" }, wakes };
}

const UNIQUE_VIOLATION = "23505";
const NUL_IN_TEXT = "22021";
const UID_INDEXES = new Set(["apps_uid", "endpoints_uid"]);

/** @throws PosthornError `invalid_field` for what no text of the database can hold */
export async function save(context: Context, change: Change, audit?: NewAuditEntry): Promise<SaveResult> {
  // An app's first event needs a place to lie in.
  if (change.kind === "app") await ensurePartitions(context, change.app.retentionDays);
  try {
    const { result, wakes } = await context.connections.transaction("work", async (run) => {
      const saving = await write(run, change);
      if (audit !== undefined && saving.result.kind === "saved") await appendAudit(run, audit);
      return saving;
    });
    for (const wake of wakes) context.wake(wake);
    return result;
  } catch (error) {
    if (isUidTaken(error)) return UID_TAKEN.result;
    if (codeOf(error) !== NUL_IN_TEXT) throw error;
    throw new PosthornError(
      "invalid_field",
      "A text contains the character NUL (\\u0000), which PostgreSQL cannot store: leave it out.",
      { pointer: "", cause: error },
    );
  }
}

/** Of two that take the same uid at the same time, the second one hears of it from the index. */
function isUidTaken(error: unknown): boolean {
  if (codeOf(error) !== UNIQUE_VIOLATION) return false;
  return error instanceof Error && "constraint" in error && UID_INDEXES.has(String(error.constraint));
}

async function write(run: Run, change: Change): Promise<Saving> {
  const nowMs = await storeNow(run);
  switch (change.kind) {
    case "app":
      return saveApp(run, nowMs, change);
    case "endpoint":
      return saveEndpoint(run, nowMs, change);
    case "endpoint_status":
      return saveStatus(run, nowMs, change);
    case "event_type":
      return saveEventType(run, nowMs, change);
    case "key":
      return saveKey(run, nowMs, change);
    case "key_used":
      return one(run, "UPDATE posthorn.keys SET last_used_at_ms = $2 WHERE id = $1", [change.id, nowMs]);
    case "session":
      return saveSession(run, nowMs, change);
    case "master_key":
      return one(run, "UPDATE posthorn.facts SET key_check = $1", [change.check]);
    case "audit":
      return saved();
    case "replay":
      return saveReplay(run, nowMs, change);
    case "replay_cancelled":
      return one(
        run,
        "UPDATE posthorn.replays SET state = 'cancelled', finished_at_ms = $2 WHERE id = $1 AND state = 'running'",
        [change.id, nowMs],
      );
    case "unblock":
      return unblock(run, nowMs, change);
    case "publication_retried":
      return one(
        run,
        `UPDATE posthorn.publications SET refused_at_ms = NULL, problem = NULL
        WHERE id = $1 AND refused_at_ms IS NOT NULL`,
        [change.id],
      );
    default:
      return unreachable(change, "change");
  }
}

/** A statement that writes the one row meant, or none because it is not there. */
async function one(run: Run, text: string, values: readonly unknown[], ...wakes: Wake[]): Promise<Saving> {
  const rows = await run({ text: `${text} RETURNING 1` }, values);
  return rows.length === 1 ? saved(...wakes) : MISSING;
}

async function saveApp(run: Run, nowMs: number, { create, app }: ChangeOf<"app">): Promise<Saving> {
  const { id, uid, name, metadata, retentionDays, limits, ownershipCheck } = app;
  const values = [
    id,
    uid,
    name,
    JSON.stringify(metadata),
    retentionDays,
    nowMs,
    JSON.stringify(limits),
    ownershipCheck,
  ];
  const wake: Wake = { kind: "app_changed", appId: id };
  if (create) {
    return one(
      run,
      `INSERT INTO posthorn.apps (id, uid, name, metadata, retention_days, config_version, created_at_ms, updated_at_ms, limits,
        ownership_check)
      VALUES ($1, $2, $3, $4, $5, 1, $6, $6, $7, $8)`,
      values,
      wake,
    );
  }
  if (!(await lockApp(run, id))) return MISSING;
  return one(
    run,
    `UPDATE posthorn.apps SET uid = $2, name = $3, metadata = $4, retention_days = $5, updated_at_ms = $6,
      limits = $7, ownership_check = $8, config_version = config_version + 1 WHERE id = $1`,
    values,
    wake,
  );
}

async function saveEndpoint(run: Run, nowMs: number, change: ChangeOf<"endpoint">): Promise<Saving> {
  const { id, appId, ordering, onDeadLetter, status } = change.endpoint;
  if (!(await lockApp(run, appId))) return MISSING;
  if (change.create) {
    await insertEndpoint(run, nowMs, change);
    await bumpApp(run, appId);
    return saved({ kind: "app_changed", appId });
  }
  const before = await endpointBefore(run, id);
  if (before?.appId !== appId) return MISSING;
  if (!(await updateEndpoint(run, nowMs, change, before))) return CHANGED;
  // Nothing may stay blocked under a policy that does not block.
  if (ordering === "unordered" || onDeadLetter === "continue") await liftBlocks(run, id, nowMs);
  await bumpApp(run, appId);
  return saved({ kind: "app_changed", appId }, ...(status === "enabled" ? [DUE] : []));
}

async function saveStatus(run: Run, nowMs: number, change: ChangeOf<"endpoint_status">): Promise<Saving> {
  const appId = await appOf(run, change.endpointId);
  if (appId === undefined || !(await lockApp(run, appId))) return MISSING;
  const before = await endpointBefore(run, change.endpointId);
  if (before === undefined) return MISSING;
  await setStatus(run, nowMs, change, before);
  await bumpApp(run, appId);
  return saved({ kind: "app_changed", appId }, ...(change.status === "enabled" ? [DUE] : []));
}

/** With `create`, a name that exists is `uid_taken`. */
async function saveEventType(
  run: Run,
  nowMs: number,
  { create, eventType }: ChangeOf<"event_type">,
): Promise<Saving> {
  const { name, description, schema, example, group, deprecated } = eventType;
  const values = [name, description, jsonOrNull(schema), jsonOrNull(example), group, deprecated, nowMs];
  const rows = await run({ text: create ? INSERT_EVENT_TYPE : UPDATE_EVENT_TYPE }, values);
  if (rows.length === 0) return create ? UID_TAKEN : MISSING;
  await bumpCatalogue(run);
  return saved({ kind: "types_changed" });
}

const INSERT_EVENT_TYPE = `INSERT INTO posthorn.event_types (name, description, schema, example, group_name, deprecated,
    created_at_ms, updated_at_ms)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT DO NOTHING RETURNING 1`;
const UPDATE_EVENT_TYPE = `UPDATE posthorn.event_types SET description = $2, schema = $3, example = $4, group_name = $5,
    deprecated = $6, updated_at_ms = $7
  WHERE name = $1 RETURNING 1`;

async function saveKey(run: Run, nowMs: number, { key, hash }: ChangeOf<"key">): Promise<Saving> {
  const { id, role, appId, name, limits, prefix, expiresAtMs } = key;
  if (appId !== null && !(await lockApp(run, appId))) return MISSING;
  return one(
    run,
    `INSERT INTO posthorn.keys (id, hash, role, app_id, name, limits, prefix, created_at_ms, expires_at_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
    [id, hash, role, appId, name, JSON.stringify(limits), prefix, nowMs, expiresAtMs],
  );
}

/** The key stays as it is until the session is stored. */
function saveSession(
  run: Run,
  nowMs: number,
  { session, hash, expiresInMs }: ChangeOf<"session">,
): Promise<Saving> {
  return one(
    run,
    `INSERT INTO posthorn.sessions (id, hash, key_id, created_at_ms, expires_at_ms)
    SELECT $1, $2, k.id, $4, $5 FROM posthorn.keys k WHERE k.id = $3 FOR KEY SHARE`,
    [session.id, hash, session.keyId, nowMs, nowMs + Math.round(expiresInMs)],
  );
}

async function saveReplay(run: Run, nowMs: number, { replay }: ChangeOf<"replay">): Promise<Saving> {
  const { id, appId, endpointId, sinceMs, untilMs, states, eventTypes } = replay;
  // Locked, so that it does not begin for an endpoint that is just being removed.
  if (!(await lockApp(run, appId)) || (await appOf(run, endpointId)) !== appId) return MISSING;
  return one(
    run,
    `INSERT INTO posthorn.replays (id, app_id, endpoint_id, since_ms, until_ms, states, event_types, state, created_at_ms)
    VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8)`,
    [
      id,
      appId,
      endpointId,
      Math.floor(sinceMs),
      Math.floor(untilMs),
      JSON.stringify(states),
      JSON.stringify(eventTypes),
      nowMs,
    ],
  );
}

async function unblock(run: Run, nowMs: number, { endpointId }: ChangeOf<"unblock">): Promise<Saving> {
  if ((await appOf(run, endpointId)) === undefined) return MISSING;
  return (await liftBlocks(run, endpointId, nowMs)) ? saved(DUE) : saved();
}

function jsonOrNull(value: unknown): string | null {
  return value === null || value === undefined ? null : JSON.stringify(value);
}
