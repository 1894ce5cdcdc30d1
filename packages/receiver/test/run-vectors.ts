// Holds the receiver against vectors. Nothing here but what every runtime has, so that it runs on all of them.
import { VerificationError } from "../src/index.ts";
import { CHECKS, type Check, type Vector } from "./vector-checks.ts";

/** What is wrong with how the receiver takes a vector; undefined: nothing. */
export function faultOf(vector: Vector, check: Check): string | undefined {
  let read: string | undefined;
  try {
    read = check(vector);
  } catch (error) {
    // Anything else that is thrown is a fault of ours, and refuses nothing.
    if (!(error instanceof VerificationError)) return `broke the check: ${error}`;
    return vector.valid ? `is valid, and was refused: ${error.code}: ${error.message}` : undefined;
  }
  if (vector.expect !== undefined && read !== vector.expect) return `reads ${read}, not ${vector.expect}`;
  return vector.valid ? undefined : "is not valid, and was accepted";
}

export interface Tally {
  passed: number;
  failed: number;
  /** Vectors left out, by scheme. */
  readonly skipped: Map<string, number>;
}

/** @param schemes what to check; every scheme that there is a check for, when left out */
export function runVectors(
  vectors: readonly Vector[],
  say: (line: string) => void,
  schemes: ReadonlySet<string> = new Set(CHECKS.keys()),
): Tally {
  const tally: Tally = { passed: 0, failed: 0, skipped: new Map() };
  for (const vector of vectors) {
    const check = schemes.has(vector.scheme) ? CHECKS.get(vector.scheme) : undefined;
    if (check === undefined) {
      tally.skipped.set(vector.scheme, (tally.skipped.get(vector.scheme) ?? 0) + 1);
      continue;
    }
    const fault = faultOf(vector, check);
    if (fault === undefined) {
      tally.passed += 1;
    } else {
      tally.failed += 1;
      say(`WRONG ${vector.id} (${vector.scheme}): ${fault}`);
    }
  }
  for (const [scheme, count] of tally.skipped) {
    say(
      `SKIPPED ${scheme}: ${count} (${CHECKS.has(scheme) ? "not asked for" : "there is no check for it yet"})`,
    );
  }
  const skipped = [...tally.skipped.values()].reduce((sum, count) => sum + count, 0);
  say(`${tally.passed} passed, ${tally.failed} failed, ${skipped} skipped`);
  return tally;
}
