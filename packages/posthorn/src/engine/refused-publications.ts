/** Publications of users' own transactions as operators see them: those that were refused, until someone decides. */
import { notFound, PosthornError } from "../base/errors.ts";
import { type AppId, isId } from "../base/ids.ts";
import type { StoredPublication } from "../domain/publication.ts";
import type { Store } from "../store/store.ts";
import { auditEntry } from "./acting.ts";
import type { PublicationQuery, Publications } from "./engine.ts";
import { pageOf } from "./window.ts";

export interface RefusedPublicationsNeeds {
  readonly store: Store;
  /** @throws PosthornError `not_found` */
  appId(reference: string): Promise<AppId>;
  /** One waits again. */
  waiting(): void;
}

export function createPublications({ store, appId, waiting }: RefusedPublicationsNeeds): Publications {
  async function get(id: string): Promise<StoredPublication> {
    const found = isId("pub", id) ? await store.read.find("publication", { id }) : undefined;
    if (found === undefined) throw notFound("publication", id);
    return found;
  }

  async function refused(id: string): Promise<StoredPublication> {
    const found = await get(id);
    if (found.problem !== null) return found;
    throw new PosthornError(
      "state_conflict",
      `Publication ${id} was not refused: it waits for a node, and becomes an event by itself.`,
    );
  }

  function entry(action: string, { id, appId }: StoredPublication) {
    return auditEntry({ action, target: { kind: "publication", id }, appId });
  }

  return {
    get,
    async list(query: PublicationQuery = {}) {
      const ofApp = query.app === undefined ? {} : { appId: await appId(query.app) };
      return store.read.list("publication", { ...pageOf(query), ...ofApp });
    },
    async retry(id) {
      const found = await refused(id);
      const change = { kind: "publication_retried", id: found.id } as const;
      const { kind } = await store.write.save(change, entry("publication.retry", found));
      if (kind !== "saved") throw notFound("publication", id);
      waiting();
    },
    async remove(id) {
      const found = await refused(id);
      const target = { kind: "publication", id: found.id } as const;
      if (!(await store.write.remove(target, entry("publication.remove", found))))
        throw notFound("publication", id);
    },
  };
}
