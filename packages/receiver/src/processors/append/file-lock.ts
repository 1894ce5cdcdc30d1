/**
 * One writer of a file at a time, in this process or another on this machine. Whoever wants to write lays a file beside it, whose name says
 * which process it is (`orders.lock-4711-105543-0f8e92aa`), and looks for others: of two that come at the same time at least one sees the
 * other, and each that does gives up. A process that has ended holds nothing, and what it left is taken away.
 */
import { randomBytes } from "node:crypto";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";

/**
 * @param file for the text of the error
 * @param stem of it and all that is made of it: its path without the extension, in a folder that exists
 * @returns takes the lock away
 * @throws Error that names the process that has it
 */
export async function lockFile(file: string, stem: string): Promise<() => Promise<void>> {
  const prefix = `${path.basename(stem)}.lock-`;
  const folder = path.dirname(stem);
  const name = `${prefix}${process.pid}-${await startOf(process.pid)}-${randomBytes(4).toString("hex")}`;
  const unlock = () => rm(path.join(folder, name), { force: true });
  await writeFile(path.join(folder, name), "", { mode: 0o600, flag: "wx" });
  try {
    for (const other of await readdir(folder)) {
      if (other !== name && other.startsWith(prefix)) await checkEnded(path.join(folder, other), file);
    }
  } catch (error) {
    await unlock();
    throw error;
  }
  return unlock;
}

async function checkEnded(lock: string, file: string): Promise<void> {
  const found = /\.lock-([1-9][0-9]*)-([0-9]+)-[0-9a-f]{8}$/.exec(lock);
  if (found === null) return;
  const [pid, started] = found.slice(1).map(Number) as [number, number];
  if (!(await isRunning(pid, started))) return await rm(lock, { force: true });
  const who = pid === process.pid ? "this very process" : `process ${pid}`;
  throw new Error(
    `append: ${file} is written by ${who} already, and one at a time may. Give this one a file of another name, or end the other. ` +
      `If there is no other, delete ${lock}.`,
  );
}

async function isRunning(pid: number, started: number): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // It may be somebody else's.
    if ((error as NodeJS.ErrnoException).code !== "EPERM") return false;
  }
  const since = await startOf(pid);
  return since === started || since === 0 || started === 0;
}

/**
 * When a process started, where the system tells, else 0: after a restart a container's processes have the same numbers again. In ticks
 * since the system's own start, the 22nd field; the 2nd, in brackets, may hold anything.
 * Source: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
 */
async function startOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? 0);
}
