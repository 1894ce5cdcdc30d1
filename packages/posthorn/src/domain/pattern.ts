/** Regular expressions of strangers: only those that run in linear time, and at a price known before. */
import { RE2JS } from "re2js";
import { spend } from "./cel-budget.ts";

export type CompiledPattern =
  | { readonly kind: "pattern"; readonly pattern: RE2JS }
  | { readonly kind: "refused"; readonly why: string };

/** Instructions of the compiled program: both its memory and the time per character grow with them. */
const PROGRAM_SIZE_MAX = 500;
/** Compiling unrolls `{n}`: 1,000 characters times 1,000 would take 370 ms before the program's size is known. */
const UNROLLED_CHARACTERS_MAX = 50_000;
/**
 * For the states that matching discovers, per pattern; the engine's own default is 8 MiB. Patterns made to discover one
 * with every character soon meet this bound, and then go on without states.
 */
const STATE_BYTES_MAX = 32 * 1024;
/** Per character and instruction when going on without states: 12 ns, and up to 50 ns in code not optimised yet. */
const STEPS_WITHOUT_STATES = 0.5;
/** To discover a state, per instruction: up to 200 ns. */
const STEPS_PER_STATE = 2;
/** What discovering costs until the bound is met and the states are thrown away. */
const STEPS_PER_RESET = 20_000;

export function compilePattern(source: string): CompiledPattern {
  const repeats = [...source.matchAll(/\{(\d+)(?:,(\d*))?\}/g)].map(([, from, to]) => Number(to || from));
  const unrolled = Math.min(
    1000,
    repeats.reduce((product, count) => product * Math.max(count, 1), 1),
  );
  if (source.length * unrolled > UNROLLED_CHARACTERS_MAX) {
    return { kind: "refused", why: "the pattern repeats too much" };
  }
  let pattern: RE2JS;
  try {
    pattern = RE2JS.compile(source);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return { kind: "refused", why: `the pattern is not one of RE2 (${why})` };
  }
  if (pattern.programSize() > PROGRAM_SIZE_MAX) {
    return {
      kind: "refused",
      why: `the pattern has ${pattern.programSize()} instructions, more than ${PROGRAM_SIZE_MAX}`,
    };
  }
  boundMemory(pattern);
  return { kind: "pattern", pattern };
}

interface Automaton {
  stateBudget: number;
  memBudget: number;
  readonly stateCount: number;
}

/** The engine builds its automaton on first use; building it here keeps that cost off the publish path. */
function boundMemory(pattern: RE2JS): void {
  const automaton = pattern.re2().dfa as Automaton;
  automaton.stateBudget = STATE_BYTES_MAX;
  automaton.memBudget = STATE_BYTES_MAX;
}

/** Whether the pattern matches anywhere in the text. */
export function testPattern(pattern: RE2JS, text: string): boolean {
  const size = pattern.programSize();
  const automaton = pattern.re2().dfa as Automaton;
  const statesBefore = automaton.stateCount;
  spend(text.length * size * STEPS_WITHOUT_STATES);
  const matched = pattern.test(text);
  const discovered = automaton.stateCount - statesBefore;
  spend(discovered < 0 ? STEPS_PER_RESET : discovered * size * STEPS_PER_STATE);
  return matched;
}
