import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { PosthornError } from "../base/errors.ts";
import { completeConfig, loadConfig, withLoopback } from "./config.ts";
import { CONFIG_OPTIONS, flagOf, OPTION_NAMES, variableOf } from "./options.ts";

const refusal = (run: () => unknown): PosthornError => {
  try {
    run();
  } catch (error) {
    if (error instanceof PosthornError) return error;
    throw error;
  }
  return assert.fail("it was taken");
};

describe("configuration", () => {
  let file: string;
  let directory: string;
  const write = (content: unknown) =>
    writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content));
  beforeEach(() => {
    directory = mkdtempSync(path.join(tmpdir(), "posthorn-config-"));
    file = path.join(directory, "posthorn.json");
    write({});
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  test("without anything, every option has its default", () => {
    const config = loadConfig({ file });
    for (const name of OPTION_NAMES) assert.deepEqual(config[name], CONFIG_OPTIONS[name].fallback);
    assert.deepEqual([config.host, config.port, config.dataDir], ["127.0.0.1", 8071, "./posthorn-data"]);
  });

  test("a flag wins over a variable, a variable over the file, the file over the default", () => {
    write({ port: 1, host: "file", logLevel: "warn" });
    const environment = { POSTHORN_PORT: "2", POSTHORN_HOST: "variable", PATH: "/bin" };
    const config = loadConfig({ flags: { port: "3" }, environment, file });
    assert.deepEqual([config.port, config.host, config.logLevel], [3, "variable", "warn"]);
    assert.equal(loadConfig({ environment: { ...environment, POSTHORN_CONFIG: file } }).logLevel, "warn");
  });

  test("text is read as what the option is", () => {
    const { allowNetworks, allowPorts, strictTypes, metricsOpen } = loadConfig({
      environment: {
        POSTHORN_ALLOW_NETWORKS: "127.0.0.0/8, 10.0.0.0/8,",
        POSTHORN_ALLOW_PORTS: "9000,3000-3002",
        POSTHORN_STRICT_TYPES: "true",
        POSTHORN_METRICS_OPEN: "0",
        POSTHORN_HOST: "",
      },
      file,
    });
    assert.deepEqual(allowNetworks, ["127.0.0.0/8", "10.0.0.0/8"]);
    assert.deepEqual(allowPorts, [9000, 3000, 3001, 3002]);
    assert.deepEqual([strictTypes, metricsOpen], [true, false]);
    assert.equal(loadConfig({ flags: { allowPorts: "all" }, file }).allowPorts, "all");
    assert.equal(loadConfig({ flags: { strictTypes: true }, file }).strictTypes, true);
  });

  test("what cannot be used is named, with its source, its value and what to give", () => {
    const port = refusal(() => loadConfig({ environment: { POSTHORN_PORT: "80a" }, file }));
    assert.match(port.message, /^POSTHORN_PORT: .*give 0 to 65535 \(got "80a"\)/);
    assert.match(refusal(() => loadConfig({ flags: { port: "70000" }, file })).message, /^--port: .*70000/);
    write({ allowPorts: [0] });
    assert.match(refusal(() => loadConfig({ file })).message, /posthorn\.json: allowPorts: .*\(got \[0\]\)/);
    const ports = { POSTHORN_ALLOW_PORTS: "9-3" };
    assert.match(refusal(() => loadConfig({ environment: ports })).message, /9-3/);
  });

  test("what is not known is an error, in each source", () => {
    const variable = refusal(() => loadConfig({ environment: { POSTHORN_DATADIR: "x" }, file }));
    assert.equal(variable.code, "unknown_field");
    assert.match(variable.message, /POSTHORN_DATADIR is not known\. Did you mean POSTHORN_DATA_DIR/);
    write({ colour: 1 });
    assert.match(refusal(() => loadConfig({ file })).message, /key colour is not known/);
    loadConfig({ environment: { POSTHORN_TEST_ANY: "1", POSTHORN_URL: "x" }, file: write({}) ?? file });
  });

  test("a file that cannot be read is an error, unless it is the one that need not be there", () => {
    assert.match(
      refusal(() => loadConfig({ file: path.join(directory, "none.json") })).message,
      /none\.json/,
    );
    for (const content of ["{", "[]", "null"]) {
      write(content);
      assert.equal(refusal(() => loadConfig({ file })).code, "invalid_field");
    }
  });

  test("secrets come from the environment alone, and no error shows them", () => {
    write({ adminKey: "phk_planted" });
    const inFile = refusal(() => loadConfig({ file }));
    assert.match(inFile.message, /POSTHORN_ADMIN_KEY/);
    assert.ok(!inFile.message.includes("planted"));
    assert.equal(flagOf("masterKey"), undefined);
    write({});
    assert.equal(loadConfig({ environment: { POSTHORN_MASTER_KEY: "k" }, file }).masterKey, "k");
  });

  test("the URL of a store may hold a password, and no error shows it", () => {
    const store = "mysql://me:planted@db/x";
    for (const sources of [{ flags: { store } }, { environment: { POSTHORN_STORE: store } }]) {
      const { message, value } = refusal(() => loadConfig({ ...sources, file }));
      assert.match(message, /(--store|POSTHORN_STORE): must be `sqlite:` or begin with `postgres:/);
      assert.ok(!`${message} ${value}`.includes("planted"));
    }
    assert.equal(loadConfig({ flags: { store: "postgresql://db/x" }, file }).store, "postgresql://db/x");
  });

  test("roles are some of a few words", () => {
    assert.deepEqual(loadConfig({ flags: { roles: "api, dispatch" }, file }).roles, ["api", "dispatch"]);
    for (const roles of ["api,send", ","]) {
      const { message } = refusal(() => loadConfig({ environment: { POSTHORN_ROLES: roles }, file }));
      assert.match(message, /^POSTHORN_ROLES: .*list of `api`, `dispatch`, `sources`/);
    }
  });

  test("flags and variables are made of the names", () => {
    assert.equal(flagOf("breakerProbeEveryMs"), "--breaker-probe-every-ms");
    assert.equal(variableOf("breakerProbeEveryMs"), "POSTHORN_BREAKER_PROBE_EVERY_MS");
  });

  test("the library's values are checked the same way", () => {
    assert.equal(completeConfig(["port"], {}).port, 8071);
    assert.equal(refusal(() => completeConfig(["port"], { port: "8071" })).pointer, "/port");
    assert.equal(refusal(() => completeConfig(["port"], { prot: 1 } as never)).pointer, "/prot");
  });

  test("loopback is added to what was allowed", () => {
    const config = withLoopback(loadConfig({ flags: { allowNetworks: "10.0.0.0/8" }, file }));
    assert.deepEqual(config.allowNetworks, ["10.0.0.0/8", "127.0.0.0/8", "::1/128"]);
    assert.equal(config.allowPorts, "all");
  });
});
