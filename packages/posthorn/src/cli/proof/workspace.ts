/** A temporary directory for a run, and what must be stopped at its end, whatever happens. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

export class Workspace {
  readonly directory: string;
  #cleanUps: (() => unknown)[] = [];

  constructor(name: string, parent = tmpdir()) {
    this.directory = mkdtempSync(path.join(parent, `posthorn-${name}-`));
  }

  file(name: string): string {
    return path.join(this.directory, name);
  }

  /** Runs at the end, last first. */
  atEnd(cleanUp: () => unknown): void {
    this.#cleanUps.push(cleanUp);
  }

  async close(): Promise<void> {
    for (const cleanUp of this.#cleanUps.reverse()) {
      try {
        await cleanUp();
      } catch {
        // One that fails must not keep the others from running; the run has its own result.
      }
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}
