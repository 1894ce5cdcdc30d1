/** A bar on stderr where that is a terminal; elsewhere a line every few seconds. */
import { colour, say } from "./output.ts";

export interface Progress {
  set(done: number): void;
  end(): void;
}

const BAR_WIDTH = 30;
const LINE_EVERY_MS = 2000;

export function startProgress(what: string, total: number, quiet = false): Progress {
  if (quiet) return { set() {}, end() {} };
  return process.stderr.isTTY ? bar(what, total) : lines(what, total);
}

function bar(what: string, total: number): Progress {
  return {
    set(done) {
      const filled = Math.round((BAR_WIDTH * Math.min(done, total)) / total);
      const drawn = colour("green", "█".repeat(filled), process.stderr) + "░".repeat(BAR_WIDTH - filled);
      process.stderr.write(`\r${what} ${drawn} ${done}/${total} `);
    },
    end() {
      process.stderr.write("\n");
    },
  };
}

function lines(what: string, total: number): Progress {
  let nextMs = 0;
  return {
    set(done) {
      const nowMs = performance.now();
      if (nowMs < nextMs && done < total) return;
      nextMs = nowMs + LINE_EVERY_MS;
      say(`${what} ${done}/${total}`);
    },
    end() {},
  };
}
