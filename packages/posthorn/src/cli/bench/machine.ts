/** Where a run took place: without it a figure says nothing. */
import { spawnSync } from "node:child_process";
import { createHmac, createSecretKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";
import { median } from "../proof/percentile.ts";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly system: string;
  readonly node: string;
  readonly sqlite: string;
  readonly posthorn: string;
  readonly commit: string;
  /** Microseconds of one HMAC-SHA256 over 1 KiB: tells a slow minute of the machine from a slow program. */
  readonly hmacUs: number;
}

export function describeMachine(): Machine {
  const packageFile = new URL("../../../package.json", import.meta.url);
  const { version } = JSON.parse(readFileSync(packageFile, "utf8")) as { version: string };
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()}`,
    node: process.version,
    sqlite: process.versions.sqlite ?? "unknown",
    posthorn: version,
    commit: commit(),
    hmacUs: calibrate(),
  };
}

/** The commit that runs, `+` when files differ from it; `none` outside of a clone. */
function commit(): string {
  const cwd = fileURLToPath(new URL(".", import.meta.url));
  const git = (...args: string[]) => spawnSync("git", args, { cwd, encoding: "utf8" });
  const head = git("rev-parse", "--short=12", "HEAD");
  if (head.status !== 0) return "none";
  const changed = git("status", "--porcelain", "--untracked-files=no").stdout !== "";
  return head.stdout.trim() + (changed ? "+" : "");
}

const CALIBRATION_ROUNDS = 5;
const CALIBRATION_LOOPS = 20_000;

export function calibrate(): number {
  const key = createSecretKey(Buffer.alloc(24, 1));
  const body = Buffer.alloc(1024, "x");
  const rounds = Array.from({ length: CALIBRATION_ROUNDS }, () => {
    const startMs = performance.now();
    for (let i = 0; i < CALIBRATION_LOOPS; i++) createHmac("sha256", key).update(body).digest("base64");
    return ((performance.now() - startMs) * 1000) / CALIBRATION_LOOPS;
  });
  return median(rounds);
}
