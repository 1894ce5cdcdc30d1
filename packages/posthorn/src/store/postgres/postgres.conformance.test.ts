import { openTestDatabase, type TestDatabase } from "../../../test/postgres-database.ts";
import { exerciseStore, type StoreHarness } from "../store.conformance.ts";
import type { Store } from "../store.ts";
import { openPostgresStore } from "./postgres.ts";

/** A store in a database of its own, gone with the test. */
function createHarness(): StoreHarness {
  let database: Promise<TestDatabase> | undefined;
  let store: Store | undefined;
  // The clock that tests move is the session's: a new store begins where the last one was.
  let advancedMs = 0;

  const open = async (): Promise<Store> => {
    database ??= openTestDatabase();
    const opened = await openPostgresStore({ url: (await database).url });
    if (advancedMs > 0) await opened.advance(advancedMs);
    store = {
      ...opened,
      advance(ms) {
        advancedMs += ms;
        return opened.advance(ms);
      },
    };
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
      await (await database)?.drop();
    },
  };
}

exerciseStore("PostgreSQL", createHarness);
