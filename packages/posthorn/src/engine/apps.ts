import { notFound, PosthornError } from "../base/errors.ts";
import { newAppId } from "../base/ids.ts";
import { type App, appCreateSchema, appUpdateSchema } from "../domain/app.ts";
import type { NewAuditEntry } from "../domain/audit.ts";
import { DEFAULTS, OPERATOR_UID } from "../domain/defaults.ts";
import { parseInput } from "../domain/input.ts";
import { NO_APP_LIMITS } from "../domain/limits.ts";
import type { SaveResult, Store } from "../store/store.ts";
import { auditEntry, difference } from "./acting.ts";
import type { AppRuntimes } from "./app-runtime.ts";
import type { Apps, PageQuery } from "./engine.ts";
import { pageOf } from "./window.ts";

export interface AppsNeeds {
  readonly store: Store;
  readonly apps: AppRuntimes;
  /** Removes an app with its endpoints and keys: its lanes stop, its deliveries are to be cancelled, its keys open nothing. */
  remove(app: App, audit: NewAuditEntry): Promise<void>;
}

type Fields = Omit<App, "configVersion" | "createdAtMs" | "updatedAtMs">;

export function createApps({ store, apps, remove: removeApp }: AppsNeeds): Apps {
  async function get(reference: string): Promise<App> {
    const app = await store.read.find("app", { id: reference });
    if (app === undefined) throw notFound("app", reference);
    return app;
  }

  async function create(input: unknown): Promise<App> {
    const { uid = null, limits = NO_APP_LIMITS, ...given } = parseInput(appCreateSchema, input);
    const app: Fields = { id: newAppId(), uid, limits, ...given };
    const saved = await store.write.save(
      { kind: "app", create: true, app },
      entryOf("app.create", null, app),
    );
    checkSaved(saved, uid, app.id);
    // A uid that was looked up in vain may be remembered nowhere, but one that belonged to a removed app may be.
    apps.forgetAll();
    return get(app.id);
  }

  async function update(reference: string, input: unknown): Promise<App> {
    const patch = parseInput(appUpdateSchema, input);
    const before = await get(reference);
    if (before.uid === OPERATOR_UID && patch.uid !== undefined) throw reserved();
    const app: Fields = {
      id: before.id,
      uid: patch.uid === undefined ? before.uid : patch.uid,
      name: patch.name ?? before.name,
      metadata: patch.metadata === undefined ? before.metadata : (patch.metadata ?? {}),
      retentionDays:
        patch.retentionDays === undefined
          ? before.retentionDays
          : (patch.retentionDays ?? DEFAULTS.retentionDays),
      limits: patch.limits === undefined ? before.limits : (patch.limits ?? NO_APP_LIMITS),
      ownershipCheck: patch.ownershipCheck === undefined ? before.ownershipCheck : patch.ownershipCheck,
    };
    const entry = entryOf("app.update", before, app);
    // What changes nothing is no deed.
    if (Object.keys(entry.after ?? {}).length === 0) return before;
    const saved = await store.write.save({ kind: "app", create: false, app }, entry);
    checkSaved(saved, app.uid, reference);
    apps.forget(app.id);
    return get(app.id);
  }

  async function remove(reference: string): Promise<void> {
    const app = await get(reference);
    if (app.uid === OPERATOR_UID) throw reserved();
    await removeApp(app, entryOf("app.remove", app, null));
  }

  return {
    create,
    get,
    update,
    remove,
    list: (query: PageQuery = {}) => store.read.list("app", pageOf(query)),
  };
}

function entryOf(action: string, before: Fields | null, after: Fields | null): NewAuditEntry {
  const { id } = (after ?? before) as Fields;
  const changed = difference(before && shownOf(before), after && shownOf(after));
  return auditEntry({ action, target: { kind: "app", id }, appId: id, ...changed });
}

function shownOf({ uid, name, metadata, retentionDays, limits, ownershipCheck }: Fields) {
  return { uid, name, metadata, retentionDays, limits, ownershipCheck };
}

function checkSaved(result: SaveResult, uid: string | null, reference: string): void {
  switch (result.kind) {
    case "saved":
      return;
    case "uid_taken":
      throw new PosthornError(
        "uid_taken",
        `/uid "${uid}" belongs to another app. Choose another one, or update that app.`,
        {
          pointer: "/uid",
          value: uid,
        },
      );
    case "missing":
    case "changed":
      throw notFound("app", reference);
  }
}

function reserved(): PosthornError {
  return new PosthornError(
    "state_conflict",
    `The app "${OPERATOR_UID}" is reserved for operational events: it stays, and keeps its uid.`,
  );
}
