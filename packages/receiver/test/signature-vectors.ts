// npx node packages/receiver/test/signature-vectors.ts FILE [--schemes a,b]: holds the receiver against a file of signature
// vectors, `{ vectors: [{ id, scheme, secret, headers, body, valid, ... }] }`. Prints each that comes out wrong and which schemes
// were left out, closes with `N passed, N failed, N skipped`, and ends with 1 when one failed, with 2 when it could not begin.
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { runVectors } from "./run-vectors.ts";
import { CHECKS, type Vector } from "./vector-checks.ts";

export function readVectors(file: string | URL): readonly Vector[] {
  const { vectors } = JSON.parse(readFileSync(file, "utf8")) as { vectors?: unknown };
  if (!Array.isArray(vectors) || vectors.length === 0) throw new Error(`${file} holds no vectors`);
  return vectors as Vector[];
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
