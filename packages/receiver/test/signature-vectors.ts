// npx node packages/receiver/test/signature-vectors.ts FILE [--schemes a,b]: holds the receiver against a file of signature
// vectors, `{ vectors: [{ id, scheme, secret, headers, body, valid, ... }] }`. Prints each that comes out wrong and which schemes
// were left out, closes with `N passed, N failed, N skipped`, and ends with 1 when one failed, with 2 when it could not begin.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { VerificationError } from "../src/index.ts";
import { CHECKS, type Check, type Vector } from "./vector-checks.ts";

export function readVectors(file: string | URL): readonly Vector[] {
  const { vectors } = JSON.parse(readFileSync(file, "utf8")) as { vectors?: unknown };
  if (!Array.isArray(vectors) || vectors.length === 0) throw new Error(`${file} holds no vectors`);
  return vectors as Vector[];
}

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

function main(): number {
  try {
    const { positionals, values } = parseArgs({
      allowPositionals: true,
      options: { schemes: { type: "string" } },
    });
    const [file, ...more] = positionals;
    if (file === undefined || more.length > 0) {
      throw new Error("Usage: node packages/receiver/test/signature-vectors.ts FILE [--schemes a,b]");
    }
    const schemes = values.schemes?.split(",");
    const vectors = readVectors(file);
    const known = new Set([...CHECKS.keys(), ...vectors.map(({ scheme }) => scheme)]);
    const unknown = schemes?.find((scheme) => !known.has(scheme));
    if (unknown !== undefined) {
      throw new Error(`--schemes: there is no scheme ${unknown}; there are ${[...known].join(", ")}`);
    }
    const { failed } = runVectors(vectors, console.log, schemes && new Set(schemes));
    return failed > 0 ? 1 : 0;
  } catch (error) {
    console.error((error as Error).message);
    return 2;
  }
}

if (import.meta.main) process.exitCode = main();
