// A change of the master key: everything stays readable, nothing of the former key stays, and no crash in between loses anything.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { hash, randomBytes } from "node:crypto";
import { once } from "node:events";
import {
  chownSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { buffer } from "node:stream/consumers";
import { after, before, beforeEach, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { verifyStandard } from "@posthorn/receiver";
import { completeConfig } from "../src/app/config.ts";
import { openPosthorn, type Posthorn } from "../src/app/open.ts";
import { ENGINE_OPTIONS, type EngineConfig } from "../src/app/options.ts";
import { rotateMasterKey } from "../src/app/rotate-master-key.ts";
import { silentLogger } from "../src/base/logger.ts";
import { NODE_ARGUMENTS } from "../src/cli/proof/child.ts";
import { auditFault } from "../src/domain/audit.ts";
import type { EndpointSecrets } from "../src/engine/engine.ts";
import { resealAll } from "../src/engine/resealing.ts";
import {
  generateMasterKey,
  masterKeyCheck,
  masterKeyMark,
  writeMasterKeys,
} from "../src/security/master-key.ts";
import { createVault } from "../src/security/vault.ts";
import { openSqliteStore } from "../src/store/sqlite/sqlite.ts";
import type { Store } from "../src/store/store.ts";

const NO_VARIABLES = { POSTHORN_MASTER_KEY: "", POSTHORN_OLD_MASTER_KEYS: "" };
const ENDPOINTS = ["plain", "overlapping", "key", "credentials"] as const;
type Name = (typeof ENDPOINTS)[number];
type Secrets = Readonly<Record<Name, EndpointSecrets>>;

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const root = mkdtempSync(path.join(tmpdir(), "posthorn-rotate-"));
const filled = path.join(root, "filled");
const received = new Map<string, Received>();
let allReceived = Promise.withResolvers<void>();
const receiver = createServer(async (request, response) => {
  const body = await buffer(request);
  received.set(request.url ?? "", { headers: request.headers, body });
  response.writeHead(204).end();
  if (received.size === ENDPOINTS.length) allReceived.resolve();
});
let secrets: Secrets;
let dataDir: string;
let directories = 0;
const keyFile = (): string => path.join(dataDir, "master.key");

function configOf(given: Partial<EngineConfig> = {}): EngineConfig {
  return completeConfig(Object.keys(ENGINE_OPTIONS) as (keyof EngineConfig)[], {
    dataDir,
    allowNetworks: ["127.0.0.0/8"],
    allowPorts: "all",
    diskReserveBytes: 0,
    ...given,
  });
}

const start = (given: Partial<EngineConfig> = {}): Promise<Posthorn> => openPosthorn(configOf(given));
const rotate = (given: Partial<EngineConfig> = {}) => rotateMasterKey(configOf(given), silentLogger);

/** Of each endpoint, as the API shows them. */
async function secretsOf(posthorn: Posthorn): Promise<Secrets> {
  const shown = ENDPOINTS.map(async (uid) => [uid, await posthorn.endpoints.secret("shop", uid)]);
  return Object.fromEntries(await Promise.all(shown));
}

before(async () => {
  await once(receiver.listen(0, "127.0.0.1"), "listening");
  const { port } = receiver.address() as AddressInfo;
  dataDir = filled;
  const posthorn = await start();
  await posthorn.apps.create({ uid: "shop", name: "The shop" });
  const create = (uid: Name, more: object) =>
    posthorn.endpoints.create("shop", { uid, url: `http://127.0.0.1:${port}/${uid}`, ...more });
  await create("plain", { headers: { "x-mine": "custom" } });
  await create("overlapping", {});
  await posthorn.endpoints.rotateSecret("shop", "overlapping", {});
  await create("key", { scheme: "standard-ed25519" });
  await create("credentials", {
    authentication: { kind: "basic", username: "shop", password: "pa55word" },
  });
  secrets = await secretsOf(posthorn);
  await posthorn.close();
});
after(() => {
  receiver.close();
  rmSync(root, { recursive: true });
});

beforeEach(() => {
  dataDir = path.join(root, `data-${directories++}`);
  cpSync(filled, dataDir, { recursive: true });
});

/** The lines of master.key, each as the key that it is. */
function keysInFile(): Buffer[] {
  const lines = readFileSync(keyFile(), "utf8").trim().split("\n");
  return lines.map((line) => Buffer.from(line, "base64"));
}

/** Every secret is what it was, and what is published from now on is signed and sent with it. */
async function assertWorks(posthorn: Posthorn): Promise<void> {
  assert.deepEqual(await secretsOf(posthorn), secrets);
  received.clear();
  allReceived = Promise.withResolvers();
  await posthorn.publish({ app: "shop", type: "order.created", data: { a: 1 } });
  await allReceived.promise;
  for (const uid of ENDPOINTS) {
    const { headers, body } = received.get(`/${uid}`) as Received;
    const { secret, publicKey } = secrets[uid];
    verifyStandard({
      headers,
      body,
      secrets: secret === null ? [] : [secret],
      publicKeys: publicKey === null ? [] : [publicKey],
    });
  }
  assert.equal(received.get("/plain")?.headers["x-mine"], "custom");
  const basic = `Basic ${Buffer.from("shop:pa55word").toString("base64")}`;
  assert.equal(received.get("/credentials")?.headers.authorization, basic);
}

async function assertStartsAndWorks(given: Partial<EngineConfig> = {}): Promise<void> {
  const posthorn = await start(given);
  try {
    await assertWorks(posthorn);
  } finally {
    await posthorn.close();
  }
}

/** How many envelopes under this key lie anywhere in the data directory's files. */
function envelopesUnder(key: Uint8Array): number {
  const header = Buffer.concat([Buffer.of(1), hash("sha256", key, "buffer").subarray(0, 4)]);
  return readdirSync(dataDir).reduce((count, name) => count + occurrences(contentOf(name), header), 0);
}

/** A start that was refused may be tidying up its log still. */
function contentOf(name: string): Buffer {
  try {
    return readFileSync(path.join(dataDir, name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return Buffer.alloc(0);
    throw error;
  }
}

function occurrences(content: Buffer, part: Buffer): number {
  let count = 0;
  for (let at = content.indexOf(part); at >= 0; at = content.indexOf(part, at + 1)) count += 1;
  return count;
}

/** Two lines, and the first `rows` endpoints under the new key: as a rotation leaves it that is killed there. The store was not told yet. */
async function leaveHalfWay(rows: number): Promise<{ oldKey: Buffer; newKey: Uint8Array }> {
  const [oldKey] = keysInFile() as [Buffer];
  const newKey = generateMasterKey();
  writeMasterKeys(keyFile(), [newKey, oldKey]);
  const store = await openSqliteStore({ dataDir, reserveBytes: 0, masterKeyMarks: [masterKeyMark(oldKey)] });
  let left = rows;
  const save: Store["write"]["save"] = (change, entry) => {
    if (left-- === 0) throw new Error("killed");
    return store.write.save(change, entry);
  };
  const killed = { ...store, write: { ...store.write, save } };
  await assert.rejects(resealAll(killed, createVault(newKey, [oldKey]), masterKeyCheck(newKey)), /killed/);
  await store.close();
  assert.deepEqual(
    [envelopesUnder(oldKey) > 0, envelopesUnder(newKey) > 0],
    [rows < ENDPOINTS.length, rows > 0],
  );
  return { oldKey, newKey };
}

async function posthorn(
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): Promise<{ code: number; out: string; talk: string }> {
  const main = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
  const env = { ...process.env, NO_COLOR: "1", ...NO_VARIABLES, ...variables };
  return promisify(execFile)(process.execPath, [...NODE_ARGUMENTS, main, ...args], { env }).then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, talk: stderr }),
    ({ code, stdout, stderr }) => ({ code, out: stdout, talk: stderr }),
  );
}

describe("with a key file", () => {
  test("everything is sealed anew, and nothing of the former key is left", async () => {
    const [oldKey] = keysInFile() as [Buffer];
    assert.ok(envelopesUnder(oldKey) >= 6);
    const rotated = await rotate();
    assert.deepEqual(rotated, {
      file: keyFile(),
      endpoints: ENDPOINTS.length,
      resealed: ENDPOINTS.length,
    });
    const keys = keysInFile();
    assert.equal(keys.length, 1);
    assert.notDeepEqual(keys[0], oldKey);
    assert.equal(keys[0]?.length, 32);
    assert.equal(statSync(keyFile()).mode & 0o777, 0o600);
    assert.equal(envelopesUnder(oldKey), 0);
    await assertStartsAndWorks();
    assert.equal(envelopesUnder(oldKey), 0);
    assert.ok(!readdirSync(dataDir).some((name) => name.startsWith("master.key.")), "no draft is left");
  });

  test("the former key opens the store no more", async () => {
    const before = readFileSync(keyFile());
    await rotate();
    const after = readFileSync(keyFile());
    writeFileSync(keyFile(), before);
    await assert.rejects(start(), /sealed under another master key/);
    await assert.rejects(rotate(), /sealed under another master key/);
    assert.deepEqual(readFileSync(keyFile()), before);
    writeFileSync(keyFile(), after);
    await assertStartsAndWorks();
  });

  test("it can be done again and again, and the audit log tells of each time", async () => {
    await rotate();
    await rotate();
    const posthorn = await start();
    const { data } = await posthorn.audit.list({ limit: 250, oldestFirst: true });
    await posthorn.close();
    const rotations = data.filter(({ action }) => action === "master_key.rotate");
    const count = { endpoints: ENDPOINTS.length, changed: ENDPOINTS.length };
    assert.deepEqual(
      rotations.map(({ actor, before, after }) => ({ actor, before, after })),
      Array.from({ length: 2 }, () => ({ actor: { kind: "operator" }, before: null, after: count })),
    );
    assert.deepEqual(
      data.map((entry, index) => auditFault(data[index - 1] ?? null, entry)).filter(Boolean),
      [],
    );
  });

  for (const rows of [0, 1, ENDPOINTS.length]) {
    test(`killed after ${rows} of ${ENDPOINTS.length} endpoints, the server starts, and running again ends it`, async () => {
      const { oldKey, newKey } = await leaveHalfWay(rows);
      await assertStartsAndWorks();
      const { resealed } = await rotate();
      assert.equal(resealed, ENDPOINTS.length - rows);
      assert.deepEqual(keysInFile(), [Buffer.from(newKey)]);
      assert.equal(envelopesUnder(oldKey), 0);
      await assertStartsAndWorks();
    });
  }

  test("killed after the check value was changed, running again leaves one line", async () => {
    const [oldKey] = keysInFile() as [Buffer];
    await rotate();
    const [newKey] = keysInFile() as [Buffer];
    writeMasterKeys(keyFile(), [newKey, oldKey]);
    await assertStartsAndWorks();
    assert.equal((await rotate()).resealed, 0);
    assert.deepEqual(keysInFile(), [newKey]);
  });

  test("is refused while a server runs, and changes nothing", async () => {
    const server = await start();
    const before = readFileSync(keyFile());
    await assert.rejects(rotate(), ({ message }: Error) => {
      assert.match(
        message,
        new RegExp(`^The data directory ${dataDir} is in use by process ${process.pid}\\.`),
      );
      assert.match(message, /Stop it first/);
      return true;
    });
    assert.deepEqual(readFileSync(keyFile()), before);
    await assertWorks(server);
    await server.close();
  });

  test("a former key left in the environment does not keep a new one from being made", async () => {
    const [oldKey] = keysInFile() as [Buffer];
    const other = generateMasterKey();
    const { resealed } = await rotate({ oldMasterKeys: Buffer.from(other).toString("base64") });
    assert.equal(resealed, ENDPOINTS.length);
    assert.equal(keysInFile().length, 1);
    assert.notDeepEqual(keysInFile(), [oldKey]);
    await assertStartsAndWorks();
  });

  test("a link to the key stays one, and the file behind it keeps its owner", async () => {
    const behind = path.join(root, `behind-${directories}.key`);
    renameSync(keyFile(), behind);
    symlinkSync(behind, keyFile());
    const isRoot = process.getuid?.() === 0;
    if (isRoot) chownSync(behind, 1234, 1235);
    const before = readFileSync(behind, "utf8");
    await rotate();
    assert.equal(readlinkSync(keyFile()), behind);
    assert.notEqual(readFileSync(behind, "utf8"), before);
    const { uid, gid, mode } = statSync(behind);
    assert.equal(mode & 0o777, 0o600);
    if (isRoot) assert.deepEqual({ uid, gid }, { uid: 1234, gid: 1235 });
  });

  test("where there is no store none is made", async () => {
    const mistyped = path.join(root, "mistyped");
    await assert.rejects(rotate({ dataDir: mistyped }), /There is no store .*mistyped.*Check --data-dir/);
    assert.equal(existsSync(mistyped), false);
  });

  test("without the file, neither it nor the server makes a new one", async () => {
    unlinkSync(keyFile());
    for (const attempt of [rotate, start]) {
      await assert.rejects(attempt(), ({ message }: Error) => {
        assert.ok(message.startsWith(`${keyFile()} is missing`), message);
        return true;
      });
      assert.equal(existsSync(keyFile()), false);
    }
  });
});

describe("with keys from the environment", () => {
  const base64 = (key: Uint8Array): string => Buffer.from(key).toString("base64");

  test("the new key and the former one, and from then on the new one alone", async () => {
    const [oldKey] = keysInFile() as [Buffer];
    unlinkSync(keyFile());
    const newKey = generateMasterKey();
    const [former, next] = [base64(oldKey), base64(newKey)];
    // As docs/security.md has it: first all can open both, then the new one seals.
    await assertStartsAndWorks({ masterKey: former, oldMasterKeys: next });
    const both = { masterKey: next, oldMasterKeys: former };
    await assertStartsAndWorks(both);
    assert.deepEqual(await rotate(both), {
      file: null,
      endpoints: ENDPOINTS.length,
      resealed: ENDPOINTS.length,
    });
    assert.equal(envelopesUnder(oldKey), 0);
    assert.equal(existsSync(keyFile()), false);
    await assertStartsAndWorks({ masterKey: next });
    await assert.rejects(start({ masterKey: former }), /sealed under another master key/);
    assert.equal((await rotate(both)).resealed, 0);
  });

  test("without the former key nothing is done, and the error names both variables", async () => {
    const [oldKey] = keysInFile() as [Buffer];
    const count = envelopesUnder(oldKey);
    await assert.rejects(rotate({ masterKey: base64(oldKey) }), {
      code: "missing_field",
      message: /POSTHORN_MASTER_KEY: set it to the new key .* POSTHORN_OLD_MASTER_KEYS to the present one/,
    });
    await assert.rejects(
      rotate({ masterKey: base64(generateMasterKey()) }),
      /sealed under another master key/,
    );
    assert.equal(envelopesUnder(oldKey), count);
    await assertStartsAndWorks();
  });

  test("a wrong one is refused: it says where it came from and where the right one goes", async () => {
    unlinkSync(keyFile());
    const content = readFileSync(path.join(dataDir, "posthorn.db"));
    const wrong = base64(randomBytes(32));
    await assert.rejects(start({ masterKey: wrong }), ({ message }: Error) => {
      assert.ok(message.includes(dataDir) && message.includes(`into ${keyFile()}`), message);
      assert.match(message, /The key came from POSTHORN_MASTER_KEY/);
      assert.ok(!message.includes(wrong));
      return true;
    });
    assert.equal(existsSync(keyFile()), false);
    assert.deepEqual(readFileSync(path.join(dataDir, "posthorn.db")), content);
  });
});

describe("posthorn keys rotate-master", () => {
  test("--json says what was done, and no key", async () => {
    const [oldKey] = keysInFile() as [Buffer];
    const { code, out, talk } = await posthorn(["keys", "rotate-master", "--data-dir", dataDir, "--json"]);
    assert.equal(code, 0, talk);
    assert.deepEqual(JSON.parse(out), {
      file: keyFile(),
      endpoints: ENDPOINTS.length,
      resealed: ENDPOINTS.length,
    });
    const [newKey] = keysInFile() as [Buffer];
    for (const key of [oldKey, newKey]) assert.ok(!`${out}${talk}`.includes(key.toString("base64")));
    assert.equal(envelopesUnder(oldKey), 0);
    await assertStartsAndWorks();
  });

  test("with variables alone it asks for the former key, and ends with an error", async () => {
    const [key] = keysInFile() as [Buffer];
    const variables = { POSTHORN_MASTER_KEY: key.toString("base64") };
    const { code, out, talk } = await posthorn(
      ["keys", "rotate-master", "--data-dir", dataDir, "--json"],
      variables,
    );
    assert.notEqual(code, 0);
    assert.match(`${out}${talk}`, /POSTHORN_OLD_MASTER_KEYS/);
    assert.deepEqual(keysInFile(), [key]);
  });
});
