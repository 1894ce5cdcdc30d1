/** stdout is data, stderr is talk. Colour follows NO_COLOR, FORCE_COLOR and whether the stream is a terminal. */
import { styleText } from "node:util";
import { aligned, type Cell } from "./table.ts";

export type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan";

/** Data: one line. */
export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** One JSON document. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2));
}

/** Talk: one line. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

export function colour(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return styleText(style, text, { stream });
}

/** Rows under their column names. */
export function printTable(columns: readonly string[], rows: readonly (readonly Cell[])[]): void {
  const [head = "", ...lines] = aligned([columns, ...rows]);
  print(colour("bold", head));
  for (const line of lines) print(line);
}

/** One thing: a field a line. Objects and lists are shown as JSON. */
export function printFields(fields: Readonly<Record<string, unknown>>): void {
  for (const line of aligned(Object.entries(fields).map(([name, value]) => [name, shown(value)])))
    print(line);
}

/** A value as a cell of a table shows it. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return "-";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
