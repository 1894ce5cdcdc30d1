// Draws the floors as they are in the source. `npm run floors` prints the picture and what is wrong with the imports,
// `npm run floors -- --write` also puts it into ARCHITECTURE.md.
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { breach, cycles, floors, type Import, place, readSource, repository } from "./floors.ts";

const architecture = path.join(repository, "ARCHITECTURE.md");
const marked = /(<!-- floors -->\n```text\n)([^`]*)(```\n<!-- \/floors -->)/;

/** One line for each room, from the top floor down: floor, room with its doors, the rooms that it imports. */
export function picture({ files, imports }: { files: string[]; imports: Import[] }): string {
  const rooms = floors.flatMap((names, floor) => names.map((room) => ({ room, floor })));
  const used = Map.groupBy(
    imports.filter(({ relative }) => relative),
    ({ from }) => place(from)[0],
  );
  const lines = rooms.flatMap(({ room, floor }) => {
    const inside = files.map(place).filter(([name]) => name === room);
    if (inside.length === 0) return [];
    const doors = [...new Set(inside.flatMap(([, door]) => door ?? []))].join(", ");
    const targets = new Set((used.get(room) ?? []).map(({ to }) => place(to)[0]));
    const below = rooms
      .filter((other) => other.room !== room && targets.has(other.room))
      .map((other) => other.room);
    const name = doors === "" ? room : `${room} (${doors})`;
    return [
      `${floor}  ${name.padEnd(28)}${below.length > 0 ? `-> ${below.reverse().join(" ")}` : ""}`.trimEnd(),
    ];
  });
  return lines.reverse().join("\n");
}

/** The picture that ARCHITECTURE.md shows now. */
export function pictureShown(): string | undefined {
  return marked.exec(readFileSync(architecture, "utf8"))?.[2]?.trimEnd();
}

if (import.meta.main) {
  const source = readSource("posthorn");
  const drawn = picture(source);
  console.log(drawn);
  if (process.argv.includes("--write")) {
    const page = readFileSync(architecture, "utf8");
    writeFileSync(
      architecture,
      page.replace(marked, (_, before, _old, after) => `${before}${drawn}\n${after}`),
    );
  }
  const wrong = [
    ...source.imports.flatMap((one) => breach(one) ?? []),
    ...cycles(source.imports).map((files) => `cycle: ${files.join(" -> ")}`),
  ];
  for (const line of wrong) console.error(line);
  process.exitCode = wrong.length > 0 ? 1 : 0;
}
