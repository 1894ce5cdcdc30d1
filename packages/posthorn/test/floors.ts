// Reads every import of a package's source and holds it against the floors.
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const repository = fileURLToPath(new URL("../../..", import.meta.url));

/** The floors from the bottom up. A room is the first folder under src; the file src/index.ts is a room on the top floor. */
export const floors = [
  ["base"],
  ["domain"],
  ["security"],
  ["store", "transports", "sources"],
  ["engine"],
  ["api"],
  ["app"],
  ["cli", "index.ts"],
];
/** The rooms whose folders are neighbours of one another: a contract's implementations, the API's doors. */
const divided = new Set(["store", "transports", "sources", "api"]);

/** One import: the file (path under src), and what it names: a path under src, or a package. */
export interface Import {
  from: string;
  to: string;
  relative: boolean;
  /** `import("...")`: at run time where it is needed, or of a type. */
  dynamic?: boolean;
}

const statement =
  /^\s*(?:import|export)\b[^;"'`]*?\bfrom\s*"([^"]+)"|^\s*import\s*"([^"]+)"|\bimport\(\s*"([^"]+)"|new URL\(\s*"([^"]+\.ts)",\s*import\.meta\.url/gm;

/** Every import of packages/<name>/src, type imports and worker entry files included, tests excluded; with the list of files. */
export function readSource(name: string): { files: string[]; imports: Import[] } {
  const source = path.join(repository, "packages", name, "src");
  const files = globSync("**/*.ts", { cwd: source })
    .filter((file) => !/\.(test|conformance)\.ts$/.test(file))
    .sort();
  const imports = files.flatMap((from) =>
    [...readFileSync(path.join(source, from), "utf8").matchAll(statement)].map((match): Import => {
      const named = match.slice(1).find((group) => group !== undefined) as string;
      const relative = named.startsWith(".");
      const to = relative ? path.join(path.dirname(from), named) : named;
      return { from, to, relative, dynamic: match[3] !== undefined };
    }),
  );
  return { files, imports };
}

/** The files that one file imports, and those that they import, with that file itself. */
export function reached(start: string, imports: Import[]): Set<string> {
  const files = new Set([start]);
  for (const file of files) {
    for (const { from, to, relative } of imports) if (from === file && relative) files.add(to);
  }
  return files;
}

/** What is wrong with one import of packages/posthorn/src: one line, or undefined when it goes down the floors. */
export function breach({ from, to, relative }: Import): string | undefined {
  const [room, door] = place(from);
  const floor = floorOf(room);
  if (floor < 0) return `${from}: no floor has a room ${room}`;
  if (!relative) return undefined;
  if (to.startsWith("..")) return `${from} imports ${to}, outside of its package's src`;
  const [roomTo, doorTo] = place(to);
  const floorTo = floorOf(roomTo);
  if (roomTo === room) {
    const apart = divided.has(room) && door !== undefined && doorTo !== undefined && door !== doorTo;
    return apart ? `${from} imports ${to}, of the neighbour ${room}/${doorTo}` : undefined;
  }
  if (floorTo < 0) return `${from} imports ${to}: no floor has a room ${roomTo}`;
  if (floorTo === floor) return `${from} imports ${to}, of the neighbour ${roomTo}`;
  return floorTo > floor
    ? `${from} (floor ${floor}) imports ${to} (floor ${floorTo}): imports go down only`
    : undefined;
}

/** The cycles between files, each as the list of files that import one another in turn. */
export function cycles(imports: Import[]): string[][] {
  const next = Map.groupBy(imports, ({ from }) => from);
  const done = new Set<string>();
  const found: string[][] = [];
  const visit = (file: string, trail: string[]): void => {
    const start = trail.indexOf(file);
    if (start >= 0) found.push([...trail.slice(start), file]);
    if (start >= 0 || done.has(file)) return;
    for (const { to, relative } of next.get(file) ?? []) if (relative) visit(to, [...trail, file]);
    done.add(file);
  };
  for (const file of next.keys()) visit(file, []);
  return found;
}

/** The room of a file and, where it lies in a folder of a divided room, that folder. */
export function place(file: string): [room: string, door?: string] {
  const [room = "", door, ...below] = file.split("/");
  return divided.has(room) && below.length > 0 ? [room, door] : [room];
}

function floorOf(room: string): number {
  return floors.findIndex((rooms) => rooms.includes(room));
}
