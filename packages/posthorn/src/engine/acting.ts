/**
 * Who acts: doors say it once per request, and what is written to the audit log deep below finds it. On no hot path:
 * publishing is not audited.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { hash } from "node:crypto";
import { type AppId, locatorOf, newId } from "../base/ids.ts";
import type { Actor, NewAuditEntry } from "../domain/audit.ts";

export interface Acting {
  readonly actor: Actor;
  /** Where from; null: not over a network. */
  readonly address: string | null;
  readonly requestId: string | null;
}

const local = (kind: "system" | "library" | "operator"): Acting => ({
  actor: { kind },
  address: null,
  requestId: null,
});
const SYSTEM = local("system");
/** The program that Posthorn is embedded in. */
export const LIBRARY = local("library");
/** A command on the machine of the store. */
export const OPERATOR = local("operator");

const acting = new AsyncLocalStorage<Acting>();

/** Everything that `act` does, and what follows from it, is this one's doing. */
export function actAs<Result>(who: Acting, act: () => Result): Result {
  return acting.run(who, act);
}

/**
 * What a policy or a duty does. Said where it does it: work behind the scenes begins in whatever request woke it, and would
 * pass for that one's doing.
 */
export function actAsSystem<Result>(act: () => Result): Result {
  return acting.run(SYSTEM, act);
}

export interface Deed {
  /** Who has just proved who he is; else whoever acts. */
  readonly actor?: Actor;
  readonly action: string;
  readonly target: { readonly kind: string; readonly id: string };
  readonly appId?: AppId | null;
  readonly before?: Readonly<Record<string, unknown>> | null;
  readonly after?: Readonly<Record<string, unknown>> | null;
}

/** An entry of the audit log for what is about to be done. Values must be redacted already. */
export function auditEntry(deed: Deed): NewAuditEntry {
  const { action, target, appId = null } = deed;
  const { actor, address, requestId } = acting.getStore() ?? SYSTEM;
  const id = newId("aud", appId === null ? 0 : locatorOf(appId));
  const [before, after] = [bounded(deed.before), bounded(deed.after)];
  return { id, actor: deed.actor ?? actor, action, target, appId, before, after, address, requestId };
}

const VALUE_CHARACTERS_MAX = 2048;

/** A schema may have 256 KiB, and a page of the log 250 entries: of what is long, its size and hash tell whether it changed. */
function bounded(fields: Deed["before"] = null): NewAuditEntry["before"] {
  if (fields === null) return null;
  const parts = Object.entries(fields).map(([name, value]) => {
    const text = JSON.stringify(value) ?? "null";
    const long = text.length > VALUE_CHARACTERS_MAX;
    return [name, long ? { bytes: Buffer.byteLength(text), sha256: hash("sha256", text) } : value];
  });
  return Object.fromEntries(parts);
}

/** Of two states of a thing, the fields that differ. What is made or removed has one state. */
export function difference<Fields extends object>(
  before: Fields | null,
  after: Fields | null,
): Pick<NewAuditEntry, "before" | "after"> {
  if (before === null || after === null) {
    return { before: before as NewAuditEntry["before"], after: after as NewAuditEntry["after"] };
  }
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])] as (keyof Fields)[];
  const changed = names.filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  const part = (of: Fields) => Object.fromEntries(changed.map((name) => [name, of[name]]));
  return { before: part(before), after: part(after) };
}
