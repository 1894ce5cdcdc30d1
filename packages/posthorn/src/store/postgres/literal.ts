/**
 * Array literals for PostgreSQL, made by hand because they carry every batch: the driver's own way looks at each element
 * several times. The statement casts them (`$1::text[]`).
 */

const NEEDS_ESCAPE = /["\\]/;

/** Numbers, booleans, ids and days: nothing in them needs a quote. */
export function plainArray(values: readonly (string | number | boolean | null)[]): string {
  let text = "{";
  for (let index = 0; index < values.length; index++) {
    if (index > 0) text += ",";
    const value = values[index];
    text += value === null ? "NULL" : String(value);
  }
  return `${text}}`;
}

/** Texts of any content. */
export function textArray(values: readonly (string | null)[]): string {
  let text = "{";
  for (let index = 0; index < values.length; index++) {
    if (index > 0) text += ",";
    const value = values[index] as string | null;
    if (value === null) text += "NULL";
    else text += NEEDS_ESCAPE.test(value) ? `"${value.replaceAll(/["\\]/g, "\\$&")}"` : `"${value}"`;
  }
  return `${text}}`;
}
