/** Seals anew what was sealed under a former master key, endpoint by endpoint, while nodes may be at work. */
import type { Vault } from "../security/vault.ts";
import type { EndpointRow, Store } from "../store/store.ts";
import { auditEntry } from "./acting.ts";
import { resealed } from "./sealing.ts";

export interface Resealed {
  /** Endpoints that were looked at, and those that held something sealed under a former key. */
  readonly endpoints: number;
  readonly changed: number;
}

const PAGE = 250;
/** Someone else changes the same endpoint at the same time: read again and repeat, so often at most. */
const CHANGED_MAX = 20;

/**
 * When it resolves, every secret that was there is sealed under the vault's own key, and the store knows it by `check`. A node
 * that seals under a former key meanwhile leaves something behind: nobody else may, or it is to be run again.
 * @throws VaultError naming the row whose secret opens under none of the vault's keys: nothing is lost, the rest is left as it is
 */
export async function resealAll(store: Store, vault: Vault, check: Uint8Array): Promise<Resealed> {
  let endpoints = 0;
  let changed = 0;
  let cursor: string | undefined;
  do {
    const page = await store.read.list("endpoint", {
      limit: PAGE,
      oldestFirst: true,
      ...(cursor === undefined ? {} : { cursor }),
    });
    for (const row of page.data) if (await reseal(store, vault, row)) changed += 1;
    endpoints += page.data.length;
    cursor = page.nextCursor ?? undefined;
  } while (cursor !== undefined);
  await store.write.save(
    { kind: "master_key", check },
    auditEntry({
      action: "master_key.rotate",
      target: { kind: "master_key", id: "master_key" },
      after: { endpoints, changed },
    }),
  );
  return { endpoints, changed };
}

async function reseal(store: Store, vault: Vault, first: EndpointRow): Promise<boolean> {
  let row: EndpointRow | undefined = first;
  for (let turn = 0; turn < CHANGED_MAX; turn++) {
    const sealed = resealed(vault, row);
    if (sealed === null) return turn > 0;
    const result = await store.write.save({
      kind: "endpoint",
      create: false,
      endpoint: row.endpoint,
      ...sealed,
    });
    if (result.kind === "saved") return true;
    row = await store.read.find("endpoint", { id: first.endpoint.id });
    // Removed meanwhile, and its secrets with it.
    if (row === undefined) return false;
  }
  throw new Error(`Endpoint ${first.endpoint.id} is being changed all the time. Run it again.`);
}
