import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { exerciseStore, type StoreHarness } from "../store.conformance.ts";
import type { Store } from "../store.ts";
import { openSqliteStore } from "./sqlite.ts";

/** A store in a directory of its own, gone with the test. */
function createHarness(): StoreHarness {
  const dataDir = mkdtempSync(path.join(tmpdir(), "posthorn-store-"));
  let store: Store | undefined;
  const open = async (): Promise<Store> => {
    store = await openSqliteStore({ dataDir, reserveBytes: 0 });
    return store;
  };
  return {
    open,
    async reopen() {
      await store?.close();
      return open();
    },
    async destroy() {
      await store?.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

exerciseStore("SQLite", createHarness);
