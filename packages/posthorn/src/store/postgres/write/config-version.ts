/**
 * What an app's fan-out depends on: its row, its endpoints, and the catalogue of event types. Its configVersion is raised in
 * the transaction that changes them; accept compares it.
 */
import type { AppId } from "../../../base/ids.ts";
import type { Run } from "../connections.ts";

/** Changes of an app and of its endpoints come one after the other. False: there is no such app. */
export async function lockApp(run: Run, id: AppId): Promise<boolean> {
  const rows = await run(
    { text: "SELECT FROM posthorn.apps WHERE id = $1 AND removed_at_ms IS NULL FOR UPDATE" },
    [id],
  );
  return rows.length === 1;
}

/** After any change of an endpoint. Its app is locked. */
export async function bumpApp(run: Run, id: AppId): Promise<void> {
  await run({ text: "UPDATE posthorn.apps SET config_version = config_version + 1 WHERE id = $1" }, [id]);
}

/** After any change of an event type. The catalogue's version is part of every app's. */
export async function bumpCatalogue(run: Run): Promise<void> {
  await run({ text: "UPDATE posthorn.facts SET catalogue_version = catalogue_version + 1" });
}
