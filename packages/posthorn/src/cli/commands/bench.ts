import { type Command, Option } from "commander";
import { FULL, QUICK, runBench, SCENARIOS, type ScenarioResult } from "../bench/bench.ts";
import { type Figure, isMet } from "../bench/figure.ts";
import { describeMachine } from "../bench/machine.ts";
import { numberOf } from "../client/options.ts";
import { command } from "../command.ts";
import { EXIT_CODES } from "../exit-code.ts";
import { colour, print, printJson, printTable, say } from "../output/output.ts";
import { printVerdict } from "../proof/report.ts";

interface BenchFlags {
  scenario?: string[];
  seconds?: number;
  warmUp?: number;
  quick?: boolean;
  json?: boolean;
}

export function benchCommand(): Command {
  const names = SCENARIOS.map(({ name }) => name);
  return command("bench", "measure this machine: figures, and a ledger verdict", [
    "bench",
    "bench --scenario maximum --seconds 10",
    "bench --quick",
  ])
    .addOption(new Option("--scenario <name...>", "only these (default: all)").choices(names))
    .option("--seconds <seconds>", "measured, in each scenario (default: 30)", numberOf)
    .option("--warm-up <seconds>", "before that (default: 10)", numberOf)
    .option("--quick", "seconds instead of minutes: shows that it works, and roughly how fast")
    .option("--json", "print one JSON document")
    .addHelpText("after", "\nThe exit code tells lost or changed events, not missed targets.")
    .action(bench);
}

async function bench({ scenario, seconds, warmUp, quick, json }: BenchFlags): Promise<void> {
  const usual = quick ? QUICK : FULL;
  const options = {
    ...usual,
    seconds: seconds ?? usual.seconds,
    warmUpSeconds: warmUp ?? usual.warmUpSeconds,
    say,
  };
  const chosen = SCENARIOS.filter(({ name }) => scenario === undefined || scenario.includes(name));
  if (!json) showMachine();
  const result = await runBench(chosen, options, json ? () => {} : show);
  if (json) printJson(result);
  else if (result.ok) print(colour("green", "Ledger: every accepted event is accounted for."));
  process.exitCode = result.ok ? EXIT_CODES.ok : EXIT_CODES.failure;
}

function showMachine(): void {
  const { cpu, cores, memoryGib, system, node, sqlite, posthorn, commit, hmacUs } = describeMachine();
  print(`machine      ${cpu}, ${cores} cores, ${memoryGib} GiB, ${system}`);
  print(`versions     posthorn ${posthorn}, commit ${commit}, node ${node}, SQLite ${sqlite}`);
  print(`calibration  HMAC-SHA256 of 1 KiB: ${hmacUs.toFixed(2)} us`);
  print("");
}

function show({ name, description, hmacUs, seconds, figures, verdicts }: ScenarioResult): void {
  print(colour("bold", `${name}: ${description}`));
  print(`(calibration ${hmacUs.toFixed(2)} us, took ${seconds.toFixed(0)} s)`);
  printTable(
    ["", "value", "unit", "spread", "target", ""],
    figures.map((figure) => [
      figure.name,
      number(figure.value),
      figure.unit,
      figure.spread === undefined ? "" : `${number(figure.spread[0])} - ${number(figure.spread[1])}`,
      targetText(figure),
      figure.target === undefined ? "" : isMet(figure) ? "met" : "missed",
    ]),
  );
  for (const verdict of verdicts) {
    const { accepted, delivered, pending, ok } = verdict;
    if (ok)
      print(
        `ledger: ${accepted} accepted, ${delivered} delivered, ${pending} waiting, nothing lost or changed`,
      );
    else printVerdict(verdict);
  }
  print("");
}

function targetText({ target }: Figure): string {
  if (target === undefined) return "";
  return `${target.kind === "at_least" ? ">=" : "<="} ${number(target.value)}`;
}

function number(value: number): string {
  if (!Number.isFinite(value)) return "-";
  if (value >= 1000) return Math.round(value).toLocaleString("en");
  return value.toFixed(value < 10 ? 2 : 1);
}
