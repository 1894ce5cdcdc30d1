/** An online copy: what was committed when it began, while the store goes on serving. */
import { open, rename, rm } from "node:fs/promises";
import { backup } from "node:sqlite";
import { openForReading } from "./database.ts";

/** 4 MiB a step, each on the thread pool. */
const PAGES_A_STEP = 1024;

/** Writes to `target` + ".partial" first, so that a file named `target` is a whole backup. Refuses one that exists. */
export async function backUp(file: string, target: string): Promise<void> {
  const partial = `${target}.partial`;
  // Reserves the name, and makes sure that only its owner can read it from the first byte on.
  const reserved = await open(target, "wx", 0o600);
  await reserved.close();
  const source = openForReading(file);
  try {
    await (await open(partial, "w", 0o600)).close();
    // An open read transaction pins the moment: without it, each commit of the writer would start the copy anew.
    source.exec("BEGIN; SELECT 1 FROM store_facts");
    source.prepare("SELECT now_ms FROM store_facts").get();
    await backup(source, partial, { rate: PAGES_A_STEP });
    const written = await open(partial, "r+");
    await written.sync();
    await written.close();
    await rename(partial, target);
  } catch (error) {
    await rm(partial, { force: true });
    await rm(target, { force: true });
    throw error;
  } finally {
    source.close();
  }
}
