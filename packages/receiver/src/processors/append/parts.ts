/** Parts beside a file: `orders-000001.ndjson`, and `orders-000001.parquet` once it has been written anew. */
import { existsSync } from "node:fs";
import { open, readdir, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { openDuckDb } from "../duckdb/duckdb.ts";
import { type ColumnTypes, copyToParquet } from "../duckdb/event-files.ts";
import { syncFolder } from "./journal.ts";

interface Part {
  readonly ndjson: string;
  readonly parquet: string;
}

/**
 * The name of the part to be written next, as NDJSON: numbers go on from the highest there is.
 * @param stem the path of the file without its extension
 */
export async function nextPart(stem: string): Promise<string> {
  const highest = (await numbersOf(stem)).at(-1) ?? 0;
  return partOf(stem, highest + 1).ndjson;
}

/** Writes those anew as Parquet that are NDJSON still. @throws the first error, after all have been tried */
export async function convertParts(stem: string, columns: ColumnTypes): Promise<void> {
  const errors: unknown[] = [];
  for (const number of await numbersOf(stem)) {
    const part = partOf(stem, number);
    if (!existsSync(part.ndjson)) continue;
    await convert(part, columns).catch((cause) => {
      errors.push(
        new Error(`${part.ndjson} could not be written as Parquet; it stays, and is tried again`, { cause }),
      );
    });
  }
  if (errors.length > 0) throw errors[0];
}

/** Ascending, whichever form they have. */
async function numbersOf(stem: string): Promise<number[]> {
  const prefix = `${path.basename(stem)}-`;
  const numbers = new Set<number>();
  for (const name of await readdir(path.dirname(stem))) {
    const rest = name.startsWith(prefix)
      ? /^(\d{6,})\.(ndjson|parquet)$/.exec(name.slice(prefix.length))
      : null;
    if (rest !== null) numbers.add(Number(rest[1]));
  }
  return [...numbers].sort((left, right) => left - right);
}

function partOf(stem: string, number: number): Part {
  const name = `${stem}-${String(number).padStart(6, "0")}`;
  return { ndjson: `${name}.ndjson`, parquet: `${name}.parquet` };
}

/** The NDJSON goes when the Parquet file is whole, under its name and on the disk, and not before. */
async function convert({ ndjson, parquet }: Part, columns: ColumnTypes): Promise<void> {
  if (!existsSync(parquet)) {
    const unfinished = `${parquet}.unfinished`;
    try {
      await writeParquet(ndjson, unfinished, columns);
      await rename(unfinished, parquet);
    } finally {
      await rm(unfinished, { force: true });
    }
    await syncFolder(path.dirname(parquet));
  }
  await rm(ndjson);
}

async function writeParquet(ndjson: string, parquet: string, columns: ColumnTypes): Promise<void> {
  await writeFile(parquet, "", { mode: 0o600 });
  const { connection, close } = await openDuckDb([ndjson, parquet]);
  try {
    await connection.run(copyToParquet(ndjson, parquet, columns));
  } finally {
    close();
  }
  const handle = await open(parquet, "r+");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
