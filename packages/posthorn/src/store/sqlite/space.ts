/** Whether there is room for more: free space on the disk, and pages that pruning freed inside the file. */
import { statfsSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { pragma } from "./database.ts";

const LOOK_EVERY_MS = 1000;

export interface Space {
  readonly freeBytes: number;
  readonly accepting: boolean;
}

export function lookAtSpace(db: DatabaseSync, dataDir: string, reserveBytes: number): Space {
  const { bavail, bsize } = statfsSync(dataDir);
  const freeBytes = bavail * bsize;
  if (freeBytes >= reserveBytes) return { freeBytes, accepting: true };
  // The log grows before freed pages are used again, so a quarter of the reserve must be on the disk itself.
  const reusable = Number(pragma(db, "freelist_count")) * Number(pragma(db, "page_size"));
  return { freeBytes, accepting: freeBytes + reusable >= reserveBytes && freeBytes >= reserveBytes / 4 };
}

/** Looks once a second: at 100 MB/s of writing that is well within the reserve of 256 MiB. */
export function createSpaceWatch(look: () => Space): { accepting(): boolean } {
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  let accepting = true;
  return {
    accepting() {
      const nowMs = performance.now();
      if (nowMs - lookedAtMs >= LOOK_EVERY_MS) {
        lookedAtMs = nowMs;
        accepting = look().accepting;
      }
      return accepting;
    },
  };
}
