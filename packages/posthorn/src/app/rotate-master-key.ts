/**
 * Changes the master key that the store's secrets are sealed under. From a file: a new key is made, and the file holds both
 * until everything is sealed anew, so that a crash in between leaves a store that opens. From the environment: the operator
 * gives the new key and the former ones.
 */
import path from "node:path";
import { PosthornError } from "../base/errors.ts";
import type { Logger } from "../base/logger.ts";
import type { Node } from "../domain/node.ts";
import { actAs, OPERATOR } from "../engine/acting.ts";
import { loggingAudit } from "../engine/audit.ts";
import { resealAll } from "../engine/resealing.ts";
import {
  generateMasterKey,
  MASTER_KEY_VARIABLE,
  type MasterKeys,
  masterKeyCheck,
  OLD_MASTER_KEYS_VARIABLE,
  writeMasterKeys,
} from "../security/master-key.ts";
import { createVault } from "../security/vault.ts";
import type { Page, Store } from "../store/store.ts";
import { openStore } from "./open-store.ts";
import type { EngineConfig } from "./options.ts";

export interface RotatedMasterKey {
  /** The file that holds the new key alone; null: it stands in the environment. */
  readonly file: string | null;
  readonly endpoints: number;
  /** Endpoints whose secrets were sealed anew. */
  readonly resealed: number;
}

/**
 * It can be broken off at any time and begun again.
 * @throws Error with a sentence for people: the store is in use by a server, or a key is missing
 */
export async function rotateMasterKey(config: EngineConfig, logger: Logger): Promise<RotatedMasterKey> {
  const dataDir = path.resolve(config.dataDir);
  const { store: opened, masterKeys } = await openStore(config, dataDir, logger, { mustExist: true });
  const store = loggingAudit(opened, logger);
  try {
    const keys = await nextKeys(store, masterKeys);
    const vault = createVault(keys.current, keys.old);
    const { endpoints, changed } = await actAs(OPERATOR, () =>
      resealAll(store, vault, masterKeyCheck(keys.current)),
    );
    const file = keys.source === MASTER_KEY_VARIABLE ? null : keys.source;
    if (file !== null) writeMasterKeys(file, [keys.current]);
    return { file, endpoints, resealed: changed };
  } finally {
    await store.close();
  }
}

/** A rotation that was broken off goes on with the key that it had made. */
async function nextKeys(store: Store, keys: MasterKeys): Promise<MasterKeys> {
  if (keys.source === MASTER_KEY_VARIABLE) {
    if (keys.old.length > 0) return keys;
    throw new PosthornError(
      "missing_field",
      `The master key comes from ${MASTER_KEY_VARIABLE}: set it to the new key (openssl rand -base64 32), and ${OLD_MASTER_KEYS_VARIABLE} to the present one.`,
      { pointer: "/oldMasterKeys" },
    );
  }
  if (store.shared) await refuseLivingNodes(store);
  if (keys.isRotating) return keys;
  const current = generateMasterKey();
  writeMasterKeys(keys.source, [current, keys.current]);
  return { ...keys, current, old: [keys.current, ...keys.old] };
}

/** They have read the file already: they could not open what is sealed under a new key, and would go on sealing under the former one. */
async function refuseLivingNodes(store: Store): Promise<void> {
  const living: string[] = [];
  let cursor: string | null = null;
  do {
    const page: Page<Node> = await store.read.list("node", {
      limit: 250,
      ...(cursor === null ? {} : { cursor }),
    });
    living.push(...page.data.filter(({ state }) => state === "alive").map(({ name }) => name));
    cursor = page.nextCursor;
  } while (cursor !== null);
  if (living.length === 0) return;
  throw new PosthornError(
    "state_conflict",
    `Nodes are at work on this store (${living.join(", ")}) and do not know a new key. Stop them first; or, to go on without a pause, give the keys by ${MASTER_KEY_VARIABLE} and ${OLD_MASTER_KEYS_VARIABLE} as docs/security.md says.`,
  );
}
