/** The audit log: reading it, and a log line for each entry that was appended, so that a copy of the log can be shipped off. */
import { notFound } from "../base/errors.ts";
import { type AppId, isId } from "../base/ids.ts";
import type { Logger } from "../base/logger.ts";
import type { NewAuditEntry } from "../domain/audit.ts";
import type { Store, StoreWriter } from "../store/store.ts";
import type { Audit, AuditQuery } from "./engine.ts";
import { pageOf, windowOf } from "./window.ts";

export interface AuditNeeds {
  readonly store: Store;
  /** @throws PosthornError `not_found` */
  appId(reference: string): Promise<AppId>;
}

export function createAudit({ store, appId }: AuditNeeds): Audit {
  return {
    async list({ app, oldestFirst = false, ...query }: AuditQuery = {}) {
      // The log of an app outlives it.
      const ofApp = app === undefined ? {} : { appId: isId("app", app) ? app : await appId(app) };
      return store.read.list("audit", { ...pageOf(query), ...windowOf(query), ...ofApp, oldestFirst });
    },
    async get(id) {
      const found = isId("aud", id) ? await store.read.find("audit", { id }) : undefined;
      if (found === undefined) throw notFound("audit entry", id);
      return found;
    },
  };
}

/** The store, but that each entry which it appends to the audit log is a line of the log, too: who and what, no values. */
export function loggingAudit(store: Store, logger: Logger): Store {
  const log = ({ id, action, target, appId, actor, address, requestId }: NewAuditEntry): void =>
    logger.info({ id, action, target, appId, actor, address, requestId }, "audit");
  const logged = {
    async save(change, entry) {
      const result = await store.write.save(change, entry);
      if (entry !== undefined && result.kind === "saved") log(entry);
      return result;
    },
    async remove(target, entry) {
      const removed = await store.write.remove(target, entry);
      if (entry !== undefined && removed) log(entry);
      return removed;
    },
  } satisfies Pick<StoreWriter, "save" | "remove">;
  const write = new Proxy(store.write, {
    get(writer, verb) {
      if (verb === "save" || verb === "remove") return logged[verb];
      const method = Reflect.get(writer, verb) as (...args: unknown[]) => unknown;
      return method.bind(writer);
    },
  });
  return { ...store, write };
}
