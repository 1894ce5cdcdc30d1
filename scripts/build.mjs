// Builds dist/ of the published packages: tsc, then the files that tsc does not carry over. The receiver comes first,
// because posthorn's build reads its declarations.
import { spawnSync } from "node:child_process";
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const tsc = fileURLToPath(import.meta.resolve("typescript/package.json")).replace("package.json", "bin/tsc");

for (const name of ["receiver", "posthorn"]) {
  const room = path.join(root, "packages", name);
  rmSync(path.join(room, "dist"), { recursive: true, force: true });
  const { status } = spawnSync(process.execPath, [tsc, "-p", path.join(room, "tsconfig.build.json")], {
    stdio: "inherit",
  });
  if (status !== 0) process.exit(1);
  // tsc rewrites the extension in imports, but not in the entry file of a worker thread.
  for (const file of globSync("**/*.js", { cwd: path.join(room, "dist") })) {
    const place = path.join(room, "dist", file);
    const written = readFileSync(place, "utf8");
    const rewritten = written.replace(/(new URL\("\.[^"]+)\.ts("\s*,\s*import\.meta\.url)/g, "$1.js$2");
    if (rewritten !== written) writeFileSync(place, rewritten);
  }
  for (const file of globSync("**/*.sql", { cwd: path.join(room, "src") })) {
    cpSync(path.join(room, "src", file), path.join(room, "dist", file));
  }
  cpSync(path.join(root, "LICENSE"), path.join(room, "LICENSE"));
}
