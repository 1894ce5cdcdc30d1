/** Which files are meant. */
import { readdir, stat } from "node:fs/promises";
import path from "node:path";

const READABLE = /\.(ndjson|jsonl|parquet)$/;

/** Absolute paths, a folder as the files in it. @throws Error for what is not there, or cannot be read */
export async function filesOf(input: string | readonly string[]): Promise<string[]> {
  const found = await Promise.all((typeof input === "string" ? [input] : input).map(filesAt));
  return [...new Set(found.flat())];
}

async function filesAt(given: string): Promise<string[]> {
  const file = path.resolve(given);
  const stats = await stat(file).catch((cause) => {
    throw new Error(`${given} cannot be analysed: there is no such file or folder`, { cause });
  });
  if (!stats.isDirectory()) return [checked(file, given)];
  const names = (await readdir(file)).filter((name) => READABLE.test(name)).sort();
  if (names.length === 0)
    throw new Error(`${given} cannot be analysed: it holds no .ndjson, .jsonl or .parquet file`);
  return names.map((name) => checked(path.join(file, name), given));
}

function checked(file: string, given: string): string {
  if (!READABLE.test(file))
    throw new Error(`${given} cannot be analysed: its name ends in .ndjson, .jsonl or .parquet`);
  // DuckDB would take it for a pattern.
  if (/[*?[\]{}]/.test(file)) throw new Error(`${file} cannot be analysed: take * ? [ ] { } out of its path`);
  return file;
}
