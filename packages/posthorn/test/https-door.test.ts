// HTTPS in, over real sockets: what the door shows, how it follows its files, and what it never does.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { type ConnectionOptions, connect } from "node:tls";
import { promisify } from "node:util";
import { Tls } from "../src/api/rest/tls.ts";
import { loadConfig } from "../src/app/config.ts";
import { startServer } from "../src/app/serve.ts";
import type { Logger } from "../src/base/logger.ts";
import { type Door, KEY, openDoor, raw } from "./api-fixture.ts";

const data = path.join(import.meta.dirname, "data/tls");
const pem = (name: string): string => readFileSync(path.join(data, name), "utf8");
const fingerprint = (name: string): string => new X509Certificate(pem(name)).fingerprint256;

/** Keeps what was logged, and says when something was. */
class Log {
  readonly entries: { level: string; event: string; facts: Record<string, unknown> }[] = [];
  #waiting: (() => void)[] = [];
  readonly logger = Object.fromEntries(
    ["debug", "info", "warn", "error"].map((level) => [
      level,
      (facts: Record<string, unknown>, event: string) => {
        this.entries.push({ level, event, facts });
        for (const look of this.#waiting) look();
      },
    ]),
  ) as unknown as Logger;

  async wait(event: string, since = 0): Promise<Record<string, unknown>> {
    const { promise, resolve } = Promise.withResolvers<Record<string, unknown>>();
    const look = (): void => {
      const found = this.entries.slice(since).find((entry) => entry.event === event);
      if (found !== undefined) resolve(found.facts);
    };
    this.#waiting.push(look);
    look();
    const facts = await promise;
    this.#waiting = this.#waiting.filter((other) => other !== look);
    return facts;
  }
}

describe("the door over HTTPS", () => {
  const directory = mkdtempSync(path.join(tmpdir(), "posthorn-tls-"));
  const files = { certificate: path.join(directory, "cert.pem"), key: path.join(directory, "key.pem") };
  const log = new Log();
  let door: Door;
  let tls: Tls;

  /** The fingerprint of the certificate that a new connection is shown. */
  async function shown(options: ConnectionOptions = {}): Promise<string> {
    const socket = connect({ port: door.port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
    await once(socket, "secureConnect");
    const { fingerprint256 } = socket.getPeerCertificate();
    socket.destroy();
    return fingerprint256;
  }
  /** As tools do that renew certificates: written beside it, then renamed into place. */
  function replace(file: string, content: string): void {
    writeFileSync(`${file}.new`, content);
    renameSync(`${file}.new`, file);
  }

  before(async () => {
    writeFileSync(files.certificate, pem("local.pem"));
    writeFileSync(files.key, pem("key.pem"));
    tls = new Tls({ files, logger: log.logger, lookEveryMs: 10 });
    door = await openDoor({}, { tls, logger: log.logger });
  });
  after(async () => {
    await door.close();
    rmSync(directory, { recursive: true });
  });

  test("answers at an https URL, and says that it is to be used from now on", async () => {
    assert.match(door.url, /^https:\/\/127\.0\.0\.1:\d+$/);
    const asked = request(`${door.url}/healthz`, { ca: pem("local.pem") }).end();
    const [answer] = await once(asked, "response");
    assert.equal(answer.statusCode, 200);
    assert.equal(answer.headers["strict-transport-security"], "max-age=31536000");
    answer.resume();
  });

  test("speaks TLS 1.2 and 1.3, and nothing older", async () => {
    for (const version of ["TLSv1.2", "TLSv1.3"] as const)
      assert.equal(await shown({ minVersion: version, maxVersion: version }), fingerprint("local.pem"));
    // Level 0: so that the client itself offers it.
    const old = { minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
    await assert.rejects(shown(old), /version|ECONNRESET/i);
  });

  test("sends nobody on who comes with plain HTTP, and answers nothing of his", async () => {
    const answer = await raw(
      door.port,
      `GET /v1/apps HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${KEY}\r\n\r\n`,
    );
    assert.doesNotMatch(answer, /^HTTP\/1\.1 [23]|location:/i);
  });

  test("shows what its files hold, whichever way they are replaced; a connection that is open goes on", async () => {
    const open = connect({ port: door.port, host: "127.0.0.1", rejectUnauthorized: false });
    await once(open, "secureConnect");
    let since = log.entries.length;
    replace(files.certificate, pem("hooks.pem"));
    await log.wait("tls.reloaded", since);
    assert.equal(await shown(), fingerprint("hooks.pem"));

    // A link to a directory that is turned, as Kubernetes and certbot do it.
    for (const name of ["one", "two"]) mkdirSync(path.join(directory, name));
    cpSync(path.join(data, "self-signed.pem"), path.join(directory, "one/cert.pem"));
    cpSync(path.join(data, "local.pem"), path.join(directory, "two/cert.pem"));
    const live = path.join(directory, "live");
    symlinkSync("one", live);
    since = log.entries.length;
    symlinkSync("live/cert.pem", `${files.certificate}.new`);
    renameSync(`${files.certificate}.new`, files.certificate);
    await log.wait("tls.reloaded", since);
    assert.equal(await shown(), fingerprint("self-signed.pem"));
    since = log.entries.length;
    symlinkSync("two", `${live}.new`);
    renameSync(`${live}.new`, live);
    await log.wait("tls.reloaded", since);
    assert.equal(await shown(), fingerprint("local.pem"));
    rmSync(files.certificate);
    replace(files.certificate, pem("local.pem"));

    open.write("GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert.match(await text(open), /^HTTP\/1\.1 200 /);
  });

  test("keeps the old one when the new one cannot be used, says once what is wrong with which file, and recovers", async () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const otherKey = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    const troubles: [keyof typeof files, string, RegExp][] = [
      ["certificate", pem("hooks.pem").slice(0, 300), /cert\.pem holds no certificate in PEM/],
      ["key", otherKey, /The key in .*key\.pem does not belong to the certificate in .*cert\.pem/],
      ["key", "", /key\.pem holds no private key in PEM/],
    ];
    for (const [which, content, message] of troubles) {
      const since = log.entries.length;
      replace(files[which], content);
      const { error } = await log.wait("tls.reload_failed", since);
      assert.match(String(error), message);
      assert.doesNotMatch(String(error), /[A-Za-z0-9+]{40}/, "nothing of a key");
      assert.equal(await shown(), fingerprint("local.pem"));
      for (let look = 0; look < 3; look++) await tls.duty.runOnce();
      replace(files[which], pem(which === "key" ? "key.pem" : "local.pem"));
    }
    const since = log.entries.length;
    rmSync(files.key);
    assert.match(
      String((await log.wait("tls.reload_failed", since)).error),
      /key\.pem cannot be read: ENOENT/,
    );
    assert.equal(await shown(), fingerprint("local.pem"));
    writeFileSync(files.key, pem("key.pem"));
    replace(files.certificate, pem("hooks.pem"));
    await log.wait("tls.reloaded", since);
    assert.equal(await shown(), fingerprint("hooks.pem"));
    const said = log.entries.filter(({ event }) => event === "tls.reload_failed");
    assert.equal(said.length, 4, "each trouble once");
    assert.equal(log.entries.filter(({ event }) => event === "duty.failed").length, 0);
  });

  test("with an expired certificate it starts, and warns", () => {
    const own = new Log();
    const expired = path.join(data, "expired.pem");
    new Tls({ files: { certificate: expired, key: path.join(data, "key.pem") }, logger: own.logger });
    assert.deepEqual(
      own.entries.map(({ level, event, facts }) => [level, event, facts.file]),
      [["warn", "tls.certificate_expired", expired]],
    );
  });
});

describe("a server that is to speak HTTPS", () => {
  const refusal = (overrides: object): Promise<unknown> =>
    assert.rejects(
      startServer({ ...loadConfig(), logLevel: "silent", port: 0, dataDir: "/dev/null/x", ...overrides }),
      (error) => {
        refusal.message = (error as Error).message;
        return true;
      },
    );
  refusal.message = "";
  const [tlsCert, tlsKey] = [path.join(data, "local.pem"), path.join(data, "key.pem")];

  test("does not start, before anything is opened, when its files cannot be used, and says which and why", async () => {
    await refusal({ tlsCert });
    assert.match(refusal.message, /^--tls-cert is given without --tls-key/);
    await refusal({ tlsKey });
    assert.match(refusal.message, /^--tls-key is given without --tls-cert/);
    await refusal({ tlsCert: "/nowhere/cert.pem", tlsKey });
    assert.match(refusal.message, /^The file \/nowhere\/cert\.pem cannot be read: ENOENT/);
    await refusal({ tlsCert: tlsKey, tlsKey });
    assert.match(refusal.message, /key\.pem holds no certificate in PEM/);
    await refusal({ tlsCert, tlsKey: tlsCert });
    assert.match(refusal.message, /local\.pem holds no private key in PEM/);
  });
});

describe("behind a proxy that is trusted", () => {
  test("HSTS is said to who used HTTPS towards it, the log names who asked; a stranger's headers change neither", async () => {
    const log = new Log();
    const options = { logger: log.logger, requestLog: true };
    const trusting = await openDoor({}, { ...options, trustedProxies: ["127.0.0.0/8"], hstsSeconds: 60 });
    const wary = await openDoor({}, { ...options, trustedProxies: ["10.0.0.0/8"] });
    try {
      const headers = { "x-forwarded-for": "203.0.113.7", "x-forwarded-proto": "https" };
      const hsts = async (door: Door, sent: Record<string, string>) =>
        (await door.call("GET", "/healthz", undefined, sent)).headers.get("strict-transport-security");
      assert.equal(await hsts(trusting, headers), "max-age=60");
      assert.equal(await hsts(trusting, {}), null);
      assert.equal(await hsts(wary, headers), null);
      await log.wait("request.answered", 2);
      const addresses = log.entries.map(({ facts }) => facts.address);
      assert.deepEqual(addresses, ["203.0.113.7", "127.0.0.1", "127.0.0.1"]);
    } finally {
      await Promise.all([trusting.close(), wary.close()]);
    }
  });
});

describe("the command line", () => {
  test("believes a private authority when it is given one", async () => {
    const files = { certificate: path.join(data, "local.pem"), key: path.join(data, "key.pem") };
    const door = await openDoor(
      { apps: { list: async () => ({ data: [], nextCursor: null }) } as never },
      { tls: new Tls({ files, logger: new Log().logger }) },
    );
    const run = (...flags: string[]) =>
      promisify(execFile)(
        process.execPath,
        [
          path.join(import.meta.dirname, "../src/cli/main.ts"),
          "apps",
          "list",
          "--json",
          "--url",
          door.url,
          ...flags,
        ],
        { env: { ...process.env, POSTHORN_KEY: KEY } },
      );
    try {
      const [refused, answered] = await Promise.all([
        run().catch((error: { stderr: string }) => error.stderr),
        run("--ca", files.certificate),
      ]);
      assert.match(String(refused), /self-signed certificate/);
      assert.deepEqual(JSON.parse(answered.stdout), { data: [], nextCursor: null });
    } finally {
      await door.close();
    }
  });
});
