import { type Command, Option } from "commander";
import { FULL, QUICK, runBench, SCENARIOS, type ScenarioResult, scenariosFor } from "../bench/bench.ts";
import { describeDatabase } from "../bench/database.ts";
import { type Figure, isMet } from "../bench/figure.ts";
import { describeMachine } from "../bench/machine.ts";
import type { BenchOptions, Scenario } from "../bench/scenario.ts";
import { numberOf } from "../client/options.ts";
import { command } from "../command.ts";
import { CliError, EXIT_CODES } from "../exit-code.ts";
import { colour, print, printJson, printTable, say } from "../output/output.ts";
import { printVerdict } from "../proof/report.ts";

interface BenchFlags {
  scenario?: string[];
  seconds?: number;
  warmUp?: number;
  quick?: boolean;
  store?: string;
  holdSeconds?: number;
  json?: boolean;
}

const SQLITE = "sqlite:";

export function benchCommand(): Command {
  const names = SCENARIOS.map(({ name }) => name);
  return command("bench", "measure this machine: figures, and a ledger verdict", [
    "bench",
    "bench --scenario maximum --seconds 10",
    "bench --quick",
    "POSTHORN_STORE=postgres://user:password@127.0.0.1:5432/empty posthorn bench --scenario queue two-nodes",
  ])
    .addOption(new Option("--scenario <name...>", "only these (default: all)").choices(names))
    .option("--seconds <seconds>", "measured, in each scenario (default: 30)", numberOf)
    .option("--warm-up <seconds>", "before that (default: 10)", numberOf)
    .option("--quick", "seconds instead of minutes: shows that it works, and roughly how fast")
    .addOption(
      new Option(
        "--store <url>",
        "a PostgreSQL server, on which each scenario makes a database of its own and drops it (default: SQLite); with a password by the variable, which does not show in the list of processes",
      ).env("POSTHORN_STORE"),
    )
    .option(
      "--hold-seconds <seconds>",
      "how long queue-held holds a transaction before it measures (default: 300)",
      numberOf,
    )
    .option("--json", "print one JSON document")
    .addHelpText("after", "\nThe exit code tells lost or changed events, not missed targets.")
    .action(bench);
}

async function bench(flags: BenchFlags): Promise<void> {
  const { json = false } = flags;
  const options = optionsOf(flags);
  const chosen = chosenScenarios(flags.scenario, options);
  if (!json) await showMachine(options.store);
  const result = await runBench(chosen, options, json ? () => {} : show);
  const judged = result.scenarios.some(({ verdicts }) => verdicts.length > 0);
  if (json) printJson(result);
  else if (result.ok && judged) print(colour("green", "Ledger: every accepted event is accounted for."));
  process.exitCode = result.ok ? EXIT_CODES.ok : EXIT_CODES.failure;
}

function optionsOf({ seconds, warmUp, quick, store = SQLITE, holdSeconds }: BenchFlags): BenchOptions {
  const usual = quick ? QUICK : FULL;
  return {
    ...usual,
    seconds: seconds ?? usual.seconds,
    warmUpSeconds: warmUp ?? usual.warmUpSeconds,
    holdSeconds: holdSeconds ?? usual.holdSeconds,
    store: store === SQLITE ? null : store,
    say,
  };
}

function chosenScenarios(names: readonly string[] | undefined, options: BenchOptions): Scenario[] {
  const possible = scenariosFor(options);
  if (names === undefined) return possible;
  const other = names.find((name) => !possible.some((scenario) => scenario.name === name));
  if (other !== undefined) {
    throw new CliError(EXIT_CODES.usage, `The scenario ${other} needs PostgreSQL.`, {
      hint: "Set POSTHORN_STORE to the URL of a server: postgres://user:password@host:5432/database.",
    });
  }
  return possible.filter(({ name }) => names.includes(name));
}

async function showMachine(store: string | null): Promise<void> {
  const { cpu, cores, memoryGib, system, node, sqlite, posthorn, commit, hmacUs } = describeMachine();
  print(`machine      ${cpu}, ${cores} cores, ${memoryGib} GiB, ${system}`);
  print(`versions     posthorn ${posthorn}, commit ${commit}, node ${node}, SQLite ${sqlite}`);
  if (store !== null) {
    const { version, settings } = await describeDatabase(store);
    const told = Object.entries(settings).map(([name, value]) => `${name} ${value}`);
    print(`database     PostgreSQL ${version}: ${told.join(", ")}`);
  }
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
