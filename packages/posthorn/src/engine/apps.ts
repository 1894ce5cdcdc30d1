import { notFound, PosthornError } from "../base/errors.ts";
import { newAppId } from "../base/ids.ts";
import { type App, appCreateSchema, appUpdateSchema } from "../domain/app.ts";
import { DEFAULTS, OPERATOR_UID } from "../domain/defaults.ts";
import { parseInput } from "../domain/input.ts";
import type { SaveResult, Store } from "../store/store.ts";
import type { AppRuntimes } from "./app-runtime.ts";
import type { Apps, PageQuery } from "./engine.ts";
import { pageOf } from "./window.ts";

export interface AppsNeeds {
  readonly store: Store;
  readonly apps: AppRuntimes;
  /** An app is gone: its lanes stop, its deliveries are to be cancelled. */
  removed(app: App): Promise<void>;
}

export function createApps({ store, apps, removed }: AppsNeeds): Apps {
  async function get(reference: string): Promise<App> {
    const app = await store.read.find("app", { id: reference });
    if (app === undefined) throw notFound("app", reference);
    return app;
  }

  async function create(input: unknown): Promise<App> {
    const { uid = null, name, metadata, retentionDays } = parseInput(appCreateSchema, input);
    const app = { id: newAppId(), uid, name, metadata, retentionDays };
    checkSaved(await store.write.save({ kind: "app", create: true, app }), uid, app.id);
    // A uid that was looked up in vain may be remembered nowhere, but one that belonged to a removed app may be.
    apps.forgetAll();
    return get(app.id);
  }

  async function update(reference: string, input: unknown): Promise<App> {
    const patch = parseInput(appUpdateSchema, input);
    const before = await get(reference);
    if (before.uid === OPERATOR_UID && patch.uid !== undefined) throw reserved();
    const app = {
      id: before.id,
      uid: patch.uid === undefined ? before.uid : patch.uid,
      name: patch.name ?? before.name,
      metadata: patch.metadata === undefined ? before.metadata : (patch.metadata ?? {}),
      retentionDays:
        patch.retentionDays === undefined
          ? before.retentionDays
          : (patch.retentionDays ?? DEFAULTS.retentionDays),
    };
    checkSaved(await store.write.save({ kind: "app", create: false, app }), app.uid, reference);
    apps.forget(app.id);
    return get(app.id);
  }

  async function remove(reference: string): Promise<void> {
    const app = await get(reference);
    if (app.uid === OPERATOR_UID) throw reserved();
    await removed(app);
  }

  return {
    create,
    get,
    update,
    remove,
    list: (query: PageQuery = {}) => store.read.list("app", pageOf(query)),
  };
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
