/** Names of receivers: they tell their keys, and their entries in an inbox, from those of others in the same store. */

const LENGTH_MAX = 200;
const used = new WeakMap<object, Set<string>>();

/** @throws TypeError */
export function checkName(name: string): string {
  if (
    typeof name === "string" &&
    /^[^:\0]+$/.test(name) &&
    name.length <= LENGTH_MAX &&
    name.isWellFormed()
  ) {
    return name;
  }
  throw new TypeError(
    `name: ${JSON.stringify(name)} must be a text of 1 to ${LENGTH_MAX} characters without a colon and NUL.`,
  );
}

/**
 * @returns gives the name back
 * @throws TypeError when another receiver uses it on the same store
 */
export function useName(name: string, store: object): () => void {
  const names = used.get(store) ?? new Set();
  if (names.has(name)) {
    throw new TypeError(
      `name: another receiver named ${JSON.stringify(name)} uses this store, and each would take the other's events for duplicates. Give each a \`name\` of its own.`,
    );
  }
  used.set(store, names.add(name));
  return () => void names.delete(name);
}
