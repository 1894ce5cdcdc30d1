/** Text in columns. */

export type Cell = string | number | null;

/** Lines whose columns stand under each other: numbers to the right, text to the left, two spaces between. */
export function aligned(rows: readonly (readonly Cell[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries())
      widths[column] = Math.max(widths[column] ?? 0, cellText(cell).length);
  }
  return rows.map((row) => {
    const cells = row.map((cell, column) => {
      const width = widths[column] ?? 0;
      return typeof cell === "number" ? cellText(cell).padStart(width) : cellText(cell).padEnd(width);
    });
    return cells.join("  ").trimEnd();
  });
}

/** No cell may break its line or move the cursor: names and descriptions are other people's text. */
export function cellText(cell: Cell): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return cell === null ? "-" : String(cell).replace(/[\u0000-\u001f\u007f-\u009f]/g, " ");
}
