/** Lists are pages: how they are asked for, and how they are shown. */
import type { Command } from "commander";
import { print, printFields, printJson, printTable, say, shown } from "../output/output.ts";
import type { Cell } from "../output/table.ts";
import { wholeNumberOf } from "./options.ts";

export interface Page<Row> {
  readonly data: readonly Row[];
  readonly nextCursor: string | null;
}

export interface PageFlags {
  limit?: number;
  cursor?: string;
}

export function withPageOptions(command: Command): Command {
  return command
    .option("--limit <rows>", "rows of the page, at most 250 (default: 50)", wholeNumberOf)
    .option("--cursor <cursor>", "where the page begins: what the page before named");
}

type Columns<Row> = Readonly<Record<string, (row: Row) => Cell>>;

export function showPage<Row>(page: Page<Row>, columns: Columns<Row>, json: boolean | undefined): void {
  if (json) {
    printJson(page);
    return;
  }
  printTable(
    Object.keys(columns),
    page.data.map((row) => Object.values(columns).map((cell) => cell(row))),
  );
  if (page.data.length === 0) say("Nothing there.");
  if (page.nextCursor !== null) say(`There is more: --cursor ${page.nextCursor}`);
}

export function showOne(value: object, json: boolean | undefined): void {
  if (json) printJson(value);
  else printFields(value as Record<string, unknown>);
}

/** Something that other commands take: bare on stdout. */
export function showValue(value: string, document: object, json: boolean | undefined): void {
  if (json) printJson(document);
  else print(value);
}

/** What has no answer of its own. */
export function showDone(text: string, document: object, json: boolean | undefined): void {
  if (json) printJson(document);
  else say(text);
}

/** A column of a field as it is. */
export function field<Name extends string>(name: Name): (row: Readonly<Record<Name, unknown>>) => Cell {
  return (row) => {
    const value = row[name];
    return typeof value === "number" ? value : shown(value);
  };
}
