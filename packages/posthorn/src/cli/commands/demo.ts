import type { Command } from "commander";
import { wholeNumberOf } from "../client/options.ts";
import { command } from "../command.ts";
import { type DemoResult, runDemo } from "../demo/demo.ts";
import { EXIT_CODES } from "../exit-code.ts";
import { colour, print, printJson, printTable, say } from "../output/output.ts";
import { printVerdict } from "../proof/report.ts";

export function demoCommand(): Command {
  return command("demo", "deliver real GitHub payloads to three unreliable endpoints, and prove it", ["demo"])
    .option("--seed <number>", "of the endpoints' failures", wholeNumberOf)
    .option("--events <count>", "publish only so many (default: all)", wholeNumberOf)
    .option("--json", "print one JSON document")
    .action(async (flags: { seed?: number; events?: number; json?: boolean }) => {
      const seed = flags.seed ?? Math.floor(Math.random() * 2 ** 32);
      say("A server, a receiver that fails one request in five, and GitHub's own webhook payloads.");
      const options = { seed, quiet: flags.json === true };
      const result = await runDemo(
        flags.events === undefined ? options : { ...options, events: flags.events },
      );
      if (flags.json) printJson({ seed, ...result });
      else show(result, seed);
      process.exitCode = result.ok ? EXIT_CODES.ok : EXIT_CODES.failure;
    });
}

function show(result: DemoResult, seed: number): void {
  const { published, delivered, attempts, retried, identical, signatureValid, requests } = result;
  printTable(
    ["demo", ""],
    [
      ["events published", published],
      ["deliveries that arrived", delivered],
      ["attempts", attempts],
      ["deliveries retried", retried],
      ["requests byte-identical", `${identical} of ${requests}`],
      ["requests signature-valid", `${signatureValid} of ${requests}`],
      ["publish to receipt, p50", `${result.p50Ms.toFixed(1)} ms`],
      ["publish to receipt, p99", `${result.p99Ms.toFixed(1)} ms`],
      ["took", `${result.seconds.toFixed(1)} s`],
    ],
  );
  if (result.ok) {
    print(colour("green", "Every event arrived at every endpoint, byte-identical and validly signed."));
    return;
  }
  printVerdict(result.verdict);
  say(`The same failures again: posthorn demo --seed ${seed}`);
}
