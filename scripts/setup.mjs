// Runs before each npm script (prestart, pretest, ...), on whatever Node the machine has: plain JavaScript, Node 20 is enough.
// Installs what package-lock.json says when node_modules does not hold exactly that, and makes sure that a Node >= 24 will run the script.
// Says nothing when there is nothing to do.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const windows = process.platform === "win32";
const nodeMajorMin = 24;

if (!installed()) install();
ensureNode();

/** Whether node_modules holds every package of the lock file in the locked version (npm keeps its own record of what it installed). */
function installed() {
  const record = path.join(root, "node_modules/.package-lock.json");
  if (!existsSync(record)) return false;
  const present = JSON.parse(readFileSync(record, "utf8")).packages;
  const wanted = JSON.parse(readFileSync(path.join(root, "package-lock.json"), "utf8")).packages;
  return Object.entries(wanted).every(([place, { version, link, optional }]) => {
    if (!place.startsWith("node_modules/")) return true;
    const found = present[place];
    if (found === undefined) return optional === true; // a package for another platform
    return found.version === version && Boolean(found.link) === Boolean(link);
  });
}

/** `npm ci`, with the npm that runs this script. It takes the versions of the lock file, whichever Node runs it. */
function install() {
  console.log("Installing dependencies (once, about 10 s) ...");
  const arguments_ = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
  const npm = process.env.npm_execpath;
  const { status } = npm?.endsWith(".js")
    ? spawnSync(process.execPath, [npm, ...arguments_], { cwd: root, stdio: "inherit" })
    : spawnSync(windows ? "npm.cmd" : "npm", arguments_, { cwd: root, stdio: "inherit", shell: windows });
  if (status !== 0) fail("npm ci failed, see above: the first start needs an npm registry that answers.");
}

/**
 * The scripts run `node` from node_modules/.bin, where the pinned Node lies. Where that does not start (no build for this
 * platform, another libc), it is taken out of the way, so that the machine's own Node is found, if that one is new enough.
 */
function ensureNode() {
  const pinned = path.join(root, "node_modules/.bin", windows ? "node.cmd" : "node");
  if (existsSync(pinned)) {
    if (nodeMajor(pinned) >= nodeMajorMin) return;
    for (const name of ["node", "node.cmd", "node.ps1"])
      rmSync(path.join(path.dirname(pinned), name), { force: true });
  }
  if (nodeMajor("node") >= nodeMajorMin) return;
  fail(
    `No Node that can run Posthorn: there is no pinned Node for ${process.platform}-${process.arch}, and the one installed is ` +
      `${process.version}. Install Node ${nodeMajorMin} or newer from https://nodejs.org and try again.`,
  );
}

/** Major version of the Node at `command`; 0 when it does not start. */
function nodeMajor(command) {
  const { status, stdout } = spawnSync(command, ["--version"], { encoding: "utf8", shell: windows });
  return status === 0 ? Number(/^v(\d+)\./.exec(stdout)?.[1] ?? 0) : 0;
}

function fail(line) {
  console.error(line);
  process.exit(1);
}
