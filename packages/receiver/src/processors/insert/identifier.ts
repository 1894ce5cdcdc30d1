/** Names of tables and columns, checked before they are quoted. Pure. */
import { Buffer } from "node:buffer";
import type { TableName } from "./dialect.ts";

/** `orders`, or `shop.orders` in a schema (MySQL: a database; SQLite: an attached one). @throws RangeError */
export function tableNameOf(text: string): TableName {
  const parts = text.split(".");
  const [first = "", second] = parts;
  if (parts.length > 2 || parts.includes("")) {
    throw new RangeError(`table ${JSON.stringify(text)} is neither "table" nor "schema.table"`);
  }
  return second === undefined ? { schema: null, table: first } : { schema: first, table: second };
}

export interface IdentifierRules {
  readonly mark: '"' | "`";
  /** In bytes of UTF-8; longer ones would be cut, or refused. */
  readonly bytesMax: number;
  /** Characters that it may not hold, besides control characters. */
  readonly refused?: RegExp;
}

/** @throws RangeError for a name that no database has, or that this one would change */
export function quoteIdentifier(name: string, { mark, bytesMax, refused }: IdentifierRules): string {
  const bytes = Buffer.byteLength(name);
  if (
    bytes === 0 ||
    bytes > bytesMax ||
    !name.isWellFormed() ||
    /\p{Cc}/u.test(name) ||
    refused?.test(name)
  ) {
    throw new RangeError(
      `the name ${JSON.stringify(name)} cannot be used: it takes 1 to ${bytesMax} bytes, no control characters${
        refused === undefined ? "" : `, and nothing of ${refused.source}`
      }`,
    );
  }
  return mark + name.replaceAll(mark, mark + mark) + mark;
}

export function quoteTable({ schema, table }: TableName, quote: (name: string) => string): string {
  return schema === null ? quote(table) : `${quote(schema)}.${quote(table)}`;
}
