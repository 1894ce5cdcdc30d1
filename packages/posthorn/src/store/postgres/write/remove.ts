/** Deletes configuration, and zeroes payloads. What the audit log says of it is appended in the same transaction. */
import { unreachable } from "../../../base/errors.ts";
import { type AppId, type EndpointId, type EventId, locatorOf } from "../../../base/ids.ts";
import type { NewAuditEntry } from "../../../domain/audit.ts";
import type { RemoveTarget, Wake } from "../../store.ts";
import type { Run } from "../connections.ts";
import type { Context } from "../context.ts";
import { daysOfId } from "../day.ts";
import { plainArray } from "../literal.ts";
import { appendAudit } from "./audit.ts";
import { bumpApp, bumpCatalogue, lockApp } from "./config-version.ts";
import { storeNow } from "./duty.ts";
import { appOf, removeEndpoints } from "./endpoint-rows.ts";

/** What other nodes are told of it; undefined: it was not there. */
type Removed = readonly Wake[] | undefined;

const KEYS_CHANGED: Wake = { kind: "keys_changed" };

export async function remove(
  context: Context,
  target: RemoveTarget,
  audit?: NewAuditEntry,
): Promise<boolean> {
  const wakes = await context.connections.transaction("work", async (run) => {
    const removed = await write(context, run, target);
    if (audit !== undefined && removed !== undefined) await appendAudit(run, audit);
    return removed;
  });
  for (const wake of wakes ?? []) context.wake(wake);
  return wakes !== undefined;
}

/** A statement that deletes the one row meant, or none because it is not there. */
async function one(run: Run, text: string, value: string, ...wakes: Wake[]): Promise<Removed> {
  const rows = await run({ text: `${text} RETURNING 1` }, [value]);
  return rows.length === 1 ? wakes : undefined;
}

async function write(context: Context, run: Run, target: RemoveTarget): Promise<Removed> {
  switch (target.kind) {
    case "app":
      return removeApp(run, target.id);
    case "endpoint":
      return removeEndpoint(run, target.id);
    case "event_type":
      return removeEventType(run, target.name);
    case "key":
      // Its sessions go with it.
      return one(run, "DELETE FROM posthorn.keys WHERE id = $1", target.id, KEYS_CHANGED);
    case "session":
      return one(run, "DELETE FROM posthorn.sessions WHERE id = $1", target.id, KEYS_CHANGED);
    case "payload":
      return zeroPayload(context, run, target.eventId);
    case "publication":
      return one(
        run,
        "DELETE FROM posthorn.publications WHERE id = $1 AND refused_at_ms IS NOT NULL",
        target.id,
      );
    default:
      return unreachable(target, "what to remove");
  }
}

async function removeApp(run: Run, id: AppId): Promise<Removed> {
  if (!(await lockApp(run, id))) return undefined;
  const nowMs = await storeNow(run);
  await run(
    {
      text: "UPDATE posthorn.apps SET removed_at_ms = $2, config_version = config_version + 1 WHERE id = $1",
    },
    [id, nowMs],
  );
  const endpoints = await run<{ id: EndpointId }>(
    { text: "SELECT id FROM posthorn.endpoints WHERE app_id = $1 AND removed_at_ms IS NULL" },
    [id],
  );
  await removeEndpoints(
    run,
    endpoints.map((endpoint) => endpoint.id),
    nowMs,
  );
  const keys = await run({ text: "DELETE FROM posthorn.keys WHERE app_id = $1 RETURNING 1" }, [id]);
  return [{ kind: "app_changed", appId: id }, ...(keys.length > 0 ? [KEYS_CHANGED] : [])];
}

async function removeEndpoint(run: Run, id: EndpointId): Promise<Removed> {
  const appId = await appOf(run, id);
  if (appId === undefined || !(await lockApp(run, appId)) || (await appOf(run, id)) === undefined)
    return undefined;
  await removeEndpoints(run, [id], await storeNow(run));
  await bumpApp(run, appId);
  return [{ kind: "app_changed", appId }];
}

async function removeEventType(run: Run, name: string): Promise<Removed> {
  const rows = await run({ text: "DELETE FROM posthorn.event_types WHERE name = $1 RETURNING 1" }, [name]);
  if (rows.length === 0) return undefined;
  await bumpCatalogue(run);
  return [{ kind: "types_changed" }];
}

/**
 * Nobody can read the old bytes through the store any more. The database itself still has them in the dead row until it is
 * vacuumed, and in its log for as long as that is kept.
 */
async function zeroPayload({ connections }: Context, run: Run, eventId: EventId): Promise<Removed> {
  const days = plainArray(daysOfId(eventId, connections.advancedMs));
  await run({ text: "DELETE FROM posthorn.fan_outs WHERE event_id = $1" }, [eventId]);
  const rows = await run(
    {
      text: `UPDATE posthorn.events SET payload = decode(repeat('00', length(payload)), 'hex'),
          expunged_at_ms = posthorn.now_ms()
        WHERE locator = $1 AND day = ANY ($2::date[]) AND id = $3 AND expunged_at_ms IS NULL RETURNING 1`,
    },
    [locatorOf(eventId), days, eventId],
  );
  return rows.length === 1 ? [] : undefined;
}
