/** Reads a trace of system calls, as `strace -f -yy` writes it, for what happened between a publication's write and its 202. */

export interface TraceVerdict {
  readonly kind: "synced" | "not_synced" | "unreadable";
  readonly text: string;
}

interface Call {
  readonly line: number;
  /** Of a call that another thread interrupts, the line where it ended. */
  readonly endLine: number;
  readonly name: string;
  readonly text: string;
}

/** @param mark occurs in what the publication writes into the log, and nowhere before */
export function judgeTrace(trace: string, mark: string): TraceVerdict {
  const calls = callsOf(trace);
  const written = calls.find(
    ({ name, text }) => /^pwrite/.test(name) && text.includes("posthorn.db-wal") && text.includes(mark),
  );
  if (written === undefined)
    return { kind: "unreadable", text: "the publication's write into the log was not seen" };
  const answered = calls.find(
    ({ line, text }) => line > written.endLine && /HTTP\/1\.1 202/.test(text) && /(TCP|socket)/.test(text),
  );
  if (answered === undefined) return { kind: "unreadable", text: "the 202 was not seen after the write" };
  const synced = calls.find(
    ({ name, line, endLine, text }) =>
      /^f(data)?sync$/.test(name) &&
      text.includes("posthorn.db-wal") &&
      / = 0$/.test(text) &&
      line > written.line &&
      endLine < answered.line,
  );
  return synced === undefined
    ? { kind: "not_synced", text: `write in line ${written.line}, no sync, 202 in line ${answered.line}` }
    : {
        kind: "synced",
        text: `write in line ${written.line}, ${synced.name} until line ${synced.endLine}, 202 in line ${answered.line}`,
      };
}

/** Joins `<unfinished ...>` with its `<... resumed>`, thread by thread. */
function callsOf(trace: string): Call[] {
  const calls: Call[] = [];
  const unfinished = new Map<string, { line: number; text: string }>();
  for (const [index, text] of trace.split("\n").entries()) {
    const [, thread, rest] = /^(\d+)\s+(.*)$/.exec(text) ?? [];
    if (thread === undefined || rest === undefined) continue;
    const line = index + 1;
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)?.[1];
    if (rest.endsWith("<unfinished ...>")) {
      unfinished.set(thread, { line, text: rest.slice(0, -"<unfinished ...>".length) });
    } else if (resumed !== undefined) {
      const begun = unfinished.get(thread);
      unfinished.delete(thread);
      if (begun !== undefined) calls.push(call(begun.line, line, begun.text + resumed));
    } else {
      calls.push(call(line, line, rest));
    }
  }
  return calls.toSorted((a, b) => a.line - b.line);
}

function call(line: number, endLine: number, text: string): Call {
  return { line, endLine, name: /^\w+/.exec(text)?.[0] ?? "", text };
}
