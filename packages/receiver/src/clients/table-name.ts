/** PostgreSQL cuts names at 63 bytes, and the names of indices are longer than their table's. */
const LENGTH_MAX = 48;

/**
 * A table's name, in quotes for SQL.
 * @throws RangeError unless it is a plain identifier: letters, digits and underscores, no digit first, at most 48
 */
export function quoteTable(name: string): string {
  if (name.length > LENGTH_MAX || !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    throw new RangeError(
      `table is ${JSON.stringify(name)}: it must be letters, digits and underscores, no digit first, at most ${LENGTH_MAX} characters`,
    );
  }
  return `"${name}"`;
}
