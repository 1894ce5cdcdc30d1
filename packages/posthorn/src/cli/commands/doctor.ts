import type { Command } from "commander";
import { dataDirOf } from "../client/key-file.ts";
import { type ClientFlags, clientOf, withClientOptions } from "../client/options.ts";
import { command } from "../command.ts";
import type { Finding } from "../doctor/check.ts";
import { checkMachine } from "../doctor/machine.ts";
import { checkKey, checkServer } from "../doctor/server.ts";
import { EXIT_CODES } from "../exit-code.ts";
import { colour, print, printJson } from "../output/output.ts";
import { aligned } from "../output/table.ts";

const STYLES = { ok: "green", warning: "yellow", failed: "red" } as const;

export function doctorCommand(): Command {
  const made = command("doctor", "look at a server, its data directory and this machine; change nothing", [
    "doctor",
    "doctor --data-dir /var/lib/posthorn",
  ]);
  return withClientOptions(made).action(async (flags: ClientFlags) => {
    const findings: Finding[] = checkMachine(dataDirOf(flags.dataDir));
    findings.push(...(await checkServer(flags.url, flags.timeout * 1000)));
    if (findings.some(({ name, result }) => name === "server" && result === "ok"))
      findings.push(await checkKey(() => clientOf(flags)));
    if (flags.json) printJson({ findings });
    else show(findings);
    if (findings.some(({ result }) => result === "failed")) process.exitCode = EXIT_CODES.failure;
  });
}

function show(findings: readonly Finding[]): void {
  const lines = aligned(findings.map(({ result, name, detail }) => [result, name, detail]));
  for (const [index, line] of lines.entries()) {
    const { result } = findings[index]!;
    print(colour(STYLES[result], result) + line.slice(result.length));
  }
}
