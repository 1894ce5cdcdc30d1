#!/usr/bin/env node
// Starts the command line: dist/ where the package is installed, src/ inside the clone (TypeScript, run as it is, without a build).
// Plain JavaScript that an old Node can read, so that it can say what is missing instead of failing on a syntax error.
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";

const nodeMajorMin = 24;
const sourceCondition = "--conditions=posthorn-source";
const source = new URL("../src/cli/main.ts", import.meta.url);
const inClone = existsSync(source);

const newEnough = Number(process.versions.node.split(".")[0]) >= nodeMajorMin;
const conditionSet =
  process.execArgv.includes(sourceCondition) || (process.env.NODE_OPTIONS ?? "").includes(sourceCondition);

if (newEnough && (!inClone || conditionSet)) {
  if (process.env.npm_lifecycle_event) endWithParent();
  // From source a start takes half the time with it. Not where the package is installed: its place would be a shared /tmp.
  if (inClone) await import(new URL("../../../scripts/compile-cache.mjs", import.meta.url).href);
  await import(inClone ? source.href : new URL("../dist/cli/main.js", import.meta.url).href);
} else {
  startAgain(newEnough ? process.execPath : pinnedNode());
}

/**
 * Under `npm start` and `npx` a shell stands between npm and this process: a SIGTERM to npm ends the shell and would leave a
 * server without a parent, holding its port and its data directory. So this process stops, gracefully, when its parent is gone.
 */
function endWithParent() {
  const parent = process.ppid;
  const look = () => process.ppid !== parent && process.kill(process.pid, "SIGTERM");
  setInterval(look, 500).unref();
}

/** The Node that the repository pins, when this file lies in a clone of it and the pinned Node starts there. */
function pinnedNode() {
  const name = process.platform === "win32" ? "node.cmd" : "node";
  const node = fileURLToPath(new URL(`../../../node_modules/.bin/${name}`, import.meta.url));
  if (inClone && spawnSync(node, ["--version"]).status === 0) return node;
  const hint = inClone ? ", or run npm ci in this repository, which brings its own" : "";
  console.error(
    `posthorn needs Node ${nodeMajorMin} or newer, and this is ${process.version}: install it${hint}.`,
  );
  process.exit(1);
}

/** Runs this file again under `node` with the source condition: in this very process where the platform can, else in a child. */
function startAgain(node) {
  const nodeArguments = [
    ...(inClone ? [sourceCondition] : []),
    fileURLToPath(import.meta.url),
    ...process.argv.slice(2),
  ];
  if (process.execve && process.platform !== "win32")
    process.execve(node, [node, ...nodeArguments], process.env);
  const child = spawn(node, nodeArguments, { stdio: "inherit" });
  // A terminal's Ctrl-C reaches the child by itself; other signals are sent to this process alone.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}
