/** What may be asked for: PostgreSQL stores no NUL in a text, and refuses a statement that names one. */
export function isStorable(text: string): boolean {
  return !text.includes("\0");
}
