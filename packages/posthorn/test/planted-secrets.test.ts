// Secrets of every kind are planted in a server that works, fails and is killed; then everything that it has said and left
// behind is searched for them.
import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { createServer as createTlsServer, get } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type ServerProcess, startServer } from "../src/cli/proof/server-process.ts";
import { type Answered, caller } from "./api-fixture.ts";
import { ask, SAME_ORIGIN, signIn } from "./browser-client.ts";
import { type ConnectProxy, openConnectProxy } from "./connect-proxy.ts";

const planted = (what: string): string => `${what}${randomBytes(18).toString("hex")}`;
const pem = (name: string): string => readFileSync(new URL(`data/tls/${name}.pem`, import.meta.url), "utf8");

const CLIENT_KEY = pem("client-key");
const RSA_KEY = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({
  type: "pkcs8",
  format: "pem",
}) as string;
const MASTER_KEY = randomBytes(32).toString("base64");
const PUBLIC_URL = "https://hooks.example";
const ADMIN_KEY = `phk_${planted("admin")}`;
const SECRETS = {
  masterKey: MASTER_KEY,
  masterKeyBytes: Buffer.from(MASTER_KEY, "base64"),
  adminKey: ADMIN_KEY,
  signingSecret: `whsec_${randomBytes(24).toString("base64")}`,
  customHeader: planted("custom"),
  password: planted("password"),
  bearerToken: planted("bearer"),
  headerValue: planted("value"),
  clientSecret: planted("client"),
  accessToken: planted("access"),
  // A line out of the middle: the ends of all such keys are alike.
  clientKey: CLIENT_KEY.split("\n")[1] ?? "",
  encryptionKey: randomBytes(32).toString("base64url"),
  profileSecret: planted("profile"),
  // At most 32 letters and digits: WeChat's own rule.
  partToken: `token${randomBytes(12).toString("hex")}`,
  partKey: randomBytes(33).toString("base64").slice(0, 43),
  encryptKey: planted("encrypt"),
  rsaKey: RSA_KEY.split("\n")[5] ?? "",
  proxied: planted("userinfo"),
  proxyPassword: planted("proxy"),
  tlsKey: pem("key").split("\n")[1] ?? "",
};

/**
 * What of a secret could appear: it without its prefix, the bytes that it is base64 of, it in a URL; and of all that, base64 and
 * hex. Keys that the server makes for itself and never shows (an endpoint's ed25519 key) are not known here, so not looked for.
 */
function formsOf(secret: string | Buffer): Buffer[] {
  const whole = typeof secret === "string" ? Buffer.from(bareOf(secret)) : secret;
  const within = typeof secret === "string" ? [decoded(bareOf(secret))] : [];
  const inUrl = encodeURIComponent(whole.toString("latin1"));
  return [whole, ...within].flatMap((bytes) => {
    const hex = bytes.toString("hex");
    return [bytes, ...[hex, hex.toUpperCase(), inUrl, ...base64Of(bytes)].map((text) => Buffer.from(text))];
  });
}

const bareOf = (secret: string): string => secret.replace(/^(phk|whsec|whsk)_/, "");
const decoded = (text: string): Buffer => Buffer.from(text, /[-_]/.test(text) ? "base64url" : "base64");

/** Three bytes are four characters, so that what stands before (`someone:`) makes three different texts of one secret. */
function base64Of(bytes: Buffer): string[] {
  return [0, 1, 2].flatMap((before) =>
    (["base64", "base64url"] as const).map((alphabet) => {
      const text = Buffer.concat([Buffer.alloc(before), bytes]).toString(alphabet);
      // Only the characters that are of nothing but the secret; and not all of them, in case it was cut off.
      const [from, to] = [Math.ceil((before * 4) / 3), Math.floor(((before + bytes.length) * 4) / 3)];
      return text.slice(from, Math.min(to, from + 24));
    }),
  );
}

function found(where: string, content: Buffer, secrets: Readonly<Record<string, string | Buffer>>): string[] {
  return Object.entries(secrets).flatMap(([name, secret]) =>
    formsOf(secret).some((form) => form.length >= 12 && content.includes(form))
      ? [`${name} in ${where}`]
      : [],
  );
}

test("a planted secret is found in whatever form it appears, and no other one is taken for it", () => {
  const bytes = randomBytes(24);
  const secrets = { text: `phk_${planted("found")}`, bytes: `whsec_${bytes.toString("base64")}` };
  const at = (content: string | Buffer): string[] => found("it", Buffer.from(content), secrets);
  const { text } = secrets;
  for (const before of ["", "a", "ab", "abc", "someone:"]) {
    for (const form of ["utf8", "base64", "base64url", "hex"] as const) {
      const said = Buffer.from(`${before}${text}, and more`).toString(form);
      assert.deepEqual(at(`Basic ${said}`), ["text in it"], `${form} after "${before}"`);
      const sent = Buffer.concat([Buffer.from(before), bytes, Buffer.from("...")]);
      assert.deepEqual(at(form === "utf8" ? sent : sent.toString(form)), ["bytes in it"], form);
    }
  }
  assert.deepEqual(at(`0x${Buffer.from(text).toString("hex").toUpperCase()}`), ["text in it"]);
  assert.deepEqual(at(JSON.stringify(secrets)), ["text in it", "bytes in it"]);
  assert.deepEqual(at(planted("found") + randomBytes(24).toString("base64")), []);
});

describe("planted secrets", () => {
  const dataDir = mkdtempSync(path.join(tmpdir(), "posthorn-planted-"));
  const said: string[] = [];
  const answers: { readonly to: string; readonly text: string }[] = [];
  /** Secrets that the server itself made. */
  const made: Record<string, string> = {};
  const received: { readonly url: string; readonly headers: Readonly<Record<string, unknown>> }[] = [];
  let server: ServerProcess;
  let receiver: Server;
  let mutual: Server;
  let proxy: ConnectProxy;
  const port = (of: Server): number => (of.address() as AddressInfo).port;
  const waiting: (() => void)[] = [];

  const receivedAt = async (url: string): Promise<Readonly<Record<string, unknown>>> => {
    for (;;) {
      const request = received.find((each) => each.url === url);
      if (request !== undefined) return request.headers;
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
  };
  const call = async (
    method: string,
    target: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Answered> => {
    const answered = await caller(server.url, ADMIN_KEY)(method, target, body, headers);
    const sent = JSON.stringify([...answered.headers]);
    answers.push({ to: `${method} ${target}`, text: `${answered.status} ${sent} ${answered.text}` });
    return answered;
  };
  /** Where secrets belong: an answer that is not searched. */
  const reveal = (method: string, target: string, body?: unknown) =>
    caller(server.url, ADMIN_KEY)(method, target, body);

  before(async () => {
    const answer = (
      request: { url?: string; headers: Record<string, unknown> },
      end: (status: number, body?: string) => void,
    ) => {
      received.push({ url: request.url ?? "", headers: request.headers });
      for (const resolve of waiting.splice(0)) resolve();
      if (request.url === "/token")
        end(
          200,
          JSON.stringify({ access_token: SECRETS.accessToken, token_type: "Bearer", expires_in: 3600 }),
        );
      else end(request.url?.includes("failing") ? 500 : 200, "nothing to see");
    };
    receiver = createServer((request, response) => {
      request.resume();
      answer(request, (status, body) => response.writeHead(status).end(body));
    }).listen(0, "127.0.0.1");
    mutual = createTlsServer(
      {
        cert: pem("local"),
        key: pem("key"),
        ca: pem("client-authority"),
        requestCert: true,
        rejectUnauthorized: true,
      },
      (request, response) => {
        request.resume();
        answer(request, (status, body) => response.writeHead(status).end(body));
      },
    ).listen(0, "127.0.0.1");
    await Promise.all([once(receiver, "listening"), once(mutual, "listening")]);
    proxy = await openConnectProxy();
    server = await startServer({
      dataDir,
      key: ADMIN_KEY,
      flags: [
        ...["--log-level", "debug", "--log-format", "json", "--request-log"],
        "--public-url",
        PUBLIC_URL,
      ],
      environment: {
        POSTHORN_MASTER_KEY: MASTER_KEY,
        POSTHORN_OLD_MASTER_KEYS: "",
        POSTHORN_OUTBOUND_PROXY: `http://someone:${SECRETS.proxyPassword}@127.0.0.1:${proxy.port}`,
      },
      onLog: (line) => said.push(line),
    });
  });

  after(async () => {
    server.kill("SIGKILL");
    await server.exited;
    await proxy.close();
    for (const each of [receiver, mutual]) {
      each.closeAllConnections();
      each.close();
    }
    rmSync(dataDir, { recursive: true, force: true });
  });

  test("are used: each arrives where it belongs", async () => {
    await call("POST", "/v1/apps", { name: "shop", uid: "shop" });
    const plain = `http://127.0.0.1:${port(receiver)}`;
    const endpoints = {
      plain: { secret: SECRETS.signingSecret, headers: { "x-custom": SECRETS.customHeader } },
      basic: { authentication: { kind: "basic", username: "someone", password: SECRETS.password } },
      bearer: { authentication: { kind: "bearer", token: SECRETS.bearerToken } },
      header: { authentication: { kind: "header", name: "x-key", value: SECRETS.headerValue } },
      oauth2: {
        authentication: {
          kind: "oauth2",
          tokenUrl: `${plain}/token`,
          clientId: "posthorn",
          clientSecret: SECRETS.clientSecret,
        },
      },
      encrypted: { encryption: { kind: "dir", key: SECRETS.encryptionKey } },
      signed: { scheme: "standard-both" },
      failing: { authentication: { kind: "basic", username: "someone", password: SECRETS.password } },
      github: { scheme: "github", secret: SECRETS.profileSecret },
      wechat: {
        scheme: "wechat",
        secret: { token: SECRETS.partToken, encodingAESKey: SECRETS.partKey, receiveId: "wx1" },
      },
      feishu: { scheme: "feishu", secret: { encryptKey: SECRETS.encryptKey } },
      alipay: { scheme: "alipay", signingKey: RSA_KEY },
      mutual: {
        url: `https://127.0.0.1:${port(mutual)}/mutual`,
        certificateAuthorities: pem("local"),
        clientCertificate: { certificate: pem("client"), privateKey: CLIENT_KEY },
      },
    };
    for (const [uid, settings] of Object.entries(endpoints)) {
      const answered = await call("POST", "/v1/apps/shop/endpoints", {
        uid,
        url: `${plain}/${uid}`,
        ...settings,
      });
      assert.equal(answered.status, 201, `${uid}: ${answered.text}`);
    }
    for (const role of ["viewer", "publisher", "app"]) {
      const body = { role, name: role, ...(role === "app" ? { app: "shop" } : {}) };
      made[`${role}Key`] = (await reveal("POST", "/v1/keys", body)).json.secret;
    }
    made.signedSecret = (await reveal("GET", "/v1/apps/shop/endpoints/signed/secret")).json.secret;
    made.rotatedSecret = (
      await reveal("POST", "/v1/apps/shop/endpoints/plain/secret/rotate", {})
    ).json.secret;
    assert.equal(
      (await call("POST", "/v1/events", { app: "shop", type: "order.created", data: { n: 1 } })).status,
      202,
    );

    const hop = `Basic ${Buffer.from(`someone:${SECRETS.proxyPassword}`).toString("base64")}`;
    assert.equal((await receivedAt("/plain"))["x-custom"], SECRETS.customHeader);
    assert.equal(proxy.headers["proxy-authorization"], hop);
    assert.equal(
      (await receivedAt("/basic")).authorization,
      `Basic ${Buffer.from(`someone:${SECRETS.password}`).toString("base64")}`,
    );
    assert.equal((await receivedAt("/bearer")).authorization, `Bearer ${SECRETS.bearerToken}`);
    assert.equal((await receivedAt("/header"))["x-key"], SECRETS.headerValue);
    assert.equal((await receivedAt("/oauth2")).authorization, `Bearer ${SECRETS.accessToken}`);
    assert.equal((await receivedAt("/encrypted"))["content-type"], "application/jose");
    assert.match(String((await receivedAt("/signed"))["webhook-signature"]), /^v1,\S+ v1a,\S+$/);
    await Promise.all(["/mutual", "/failing", "/feishu", "/alipay"].map(receivedAt));
    assert.match(String((await receivedAt("/github"))["x-hub-signature-256"]), /^sha256=/);
  });

  test("are used: a browser's session, and the callback of an ownership check", async () => {
    const { cookie, csrfToken } = await signIn(server.url, ADMIN_KEY);
    made.sessionToken = cookie.split("=")[1] ?? "";
    made.csrfToken = csrfToken.split(".")[0] ?? "";
    made.csrfRandom = csrfToken.split(".")[1] ?? "";
    for (const [token, status] of [
      [csrfToken, 201],
      [`${csrfToken}0`, 403],
    ] as const) {
      const headers = { ...SAME_ORIGIN, cookie, "x-csrf-token": token };
      const answered = await ask(server.url, "POST", "/console/v1/apps", {
        headers,
        body: { name: "browser" },
      });
      assert.equal(answered.status, status);
      answers.push({ to: "a browser's POST", text: JSON.stringify(answered) });
    }
    await call("GET", "/v1/apps", undefined, { cookie, authorization: `Bearer ${made.sessionToken}` });

    await call("POST", "/v1/apps", { name: "asks", uid: "asks", ownershipCheck: "cloudevents" });
    const url = `http://127.0.0.1:${port(receiver)}/asked`;
    await call("POST", "/v1/apps/asks/endpoints", { uid: "asked", url });
    const callback = new URL(String((await receivedAt("/asked"))["webhook-request-callback"]));
    assert.equal(callback.origin, PUBLIC_URL);
    // The endpoint's id, a dot, and what is secret.
    made.callbackKey = callback.pathname.split(".").at(-1) ?? "";
    assert.equal((await call("POST", `${callback.pathname}?WebHook-Allowed-Rate=none`)).status, 422);
    assert.equal((await call("POST", callback.pathname)).status, 200);
    assert.equal((await call("POST", callback.pathname)).status, 404);
  });

  test("are not shown when they are refused", async () => {
    const url = "http://127.0.0.1/refused";
    for (const refused of [
      { url, secret: `${SECRETS.signingSecret}!` },
      { url, secret: [SECRETS.signingSecret] },
      { url, signingKey: `whsk_${SECRETS.bearerToken}` },
      { url, scheme: "github", secret: `${SECRETS.profileSecret} ` },
      { url, scheme: "github", secret: { token: SECRETS.profileSecret } },
      { url, scheme: "wechat", secret: SECRETS.partToken },
      { url, scheme: "wechat", secret: { token: SECRETS.partToken, encodingAESKey: `${SECRETS.partKey}=` } },
      { url, scheme: "wechat", secret: { token: SECRETS.partToken, other: SECRETS.partKey } },
      { url, scheme: "feishu", secret: { encryptKey: ` ${SECRETS.encryptKey}` } },
      { url, scheme: "alipay", signingKey: RSA_KEY.slice(0, 900) },
      { url, scheme: "github", signingKey: RSA_KEY },
      { url, headers: { host: SECRETS.customHeader } },
      { url, headers: { "x-bad": `${SECRETS.customHeader}\r\nx: y` } },
      { url, authentication: { kind: "basic", username: "a:b", password: SECRETS.password } },
      { url, authentication: { kind: "bearer", token: `${SECRETS.bearerToken}\n` } },
      { url, authentication: { kind: "header", name: "host", value: SECRETS.headerValue } },
      {
        url,
        authentication: {
          kind: "oauth2",
          tokenUrl: "ftp://x",
          clientId: "",
          clientSecret: SECRETS.clientSecret,
        },
      },
      { url, authentication: SECRETS.password },
      { url, clientCertificate: { certificate: pem("local"), privateKey: CLIENT_KEY } },
      { url, clientCertificate: { certificate: CLIENT_KEY, privateKey: CLIENT_KEY } },
      { url, encryption: { kind: "dir", key: `${SECRETS.encryptionKey}=` } },
      { url: `http://someone:${SECRETS.proxied}@127.0.0.1/` },
    ]) {
      const answered = await call("POST", "/v1/apps/shop/endpoints", refused);
      assert.equal(answered.status, 422, answered.text);
    }
    const stranger = caller(server.url, `${ADMIN_KEY}x`);
    answers.push({ to: "a stranger's GET", text: (await stranger("GET", "/v1/apps")).text });
    const basic = { authorization: `Basic ${SECRETS.password}` };
    answers.push({ to: "a wrong scheme", text: (await stranger("GET", "/v1/apps", undefined, basic)).text });
    await call("GET", `/v1/apps/${ADMIN_KEY}`);
    await call("DELETE", `/v1/keys/${ADMIN_KEY}`);
    await call("PATCH", "/v1/apps/shop/endpoints/basic", {
      authentication: { kind: "basic", username: "x", password: SECRETS.password },
    });
  });

  test("stand in no answer, not even in one made for an operator", async () => {
    const { json } = await call("GET", "/openapi.json");
    const delivery = (await call("GET", "/v1/deliveries?endpoint=failing&app=shop")).json.data[0];
    const entry = (await call("GET", "/v1/audit")).json.data[0];
    const key = (await call("GET", "/v1/keys")).json.data[0];
    const node = (await call("GET", "/v1/nodes")).json.data[0];
    const values: Record<string, string> = {
      app: "shop",
      endpoint: "basic",
      delivery: delivery.id,
      event: delivery.eventId,
      entry: entry.id,
      key: key.id,
      node: node.id,
      eventType: "order.created",
    };
    for (const [template, methods] of Object.entries<Record<string, unknown>>(json.paths)) {
      // The one route that is there to reveal.
      if (methods.get === undefined || template.endsWith("/secret")) continue;
      const target = template.replaceAll(/\{([a-zA-Z]+)\}/g, (_, name) => values[name] ?? "none");
      const query = /stats$/.test(template) ? "?since=2026-01-01T00:00:00Z" : "";
      await call("GET", target + query);
    }
    for (const uid of [
      "plain",
      "basic",
      "bearer",
      "header",
      "oauth2",
      "encrypted",
      "signed",
      "mutual",
      "github",
      "wechat",
      "feishu",
      "alipay",
    ])
      await call("GET", `/v1/apps/shop/endpoints/${uid}`);
    const secrets = { ...SECRETS, ...made };
    const breaches = answers.flatMap(({ to, text }) =>
      found(`${to}: ${text.slice(0, 80)}`, Buffer.from(text), secrets),
    );
    assert.deepEqual(breaches, []);
    assert.ok(answers.length > 60);
  });

  test("stand neither in the log nor in clear on the disk of a server that was killed", async () => {
    server.kill("SIGKILL");
    await server.exited;
    assert.ok(
      said.some((line) => line.includes("request.answered")),
      "requests are logged",
    );
    const secrets = { ...SECRETS, ...made };
    assert.deepEqual(found("the log", Buffer.from(said.join("\n")), secrets), []);
    const files = readdirSync(dataDir);
    for (const name of ["posthorn.db", "posthorn.db-wal"]) assert.ok(files.includes(name), name);
    const breaches = files.flatMap((name) => found(name, readFileSync(path.join(dataDir, name)), secrets));
    assert.deepEqual(breaches, []);
  });

  test("stand in no word of a server that cannot start or that crashes", async () => {
    const words: string[] = [];
    const start = (environment: Record<string, string>, flags: string[] = []) =>
      startServer({ dataDir, key: ADMIN_KEY, flags, environment, onLog: (line) => words.push(line) });
    // Another master key, one of a wrong form, an admin key of a wrong form, options that hold a secret.
    const other = randomBytes(32).toString("base64");
    await assert.rejects(start({ POSTHORN_MASTER_KEY: other }), /master key/);
    await assert.rejects(
      start({ POSTHORN_MASTER_KEY: `${MASTER_KEY}${SECRETS.password}` }),
      /must hold 32 bytes/,
    );
    await assert.rejects(
      start({ POSTHORN_MASTER_KEY: MASTER_KEY, POSTHORN_ADMIN_KEY: SECRETS.password }),
      /admin key/,
    );
    await assert.rejects(
      start({
        POSTHORN_MASTER_KEY: MASTER_KEY,
        POSTHORN_STORE: `postgres://a:${SECRETS.password}@127.0.0.1:1/x`,
      }),
    );
    await assert.rejects(
      start({
        POSTHORN_MASTER_KEY: MASTER_KEY,
        POSTHORN_OUTBOUND_PROXY: `ftp://a:${SECRETS.proxied}@127.0.0.1`,
      }),
    );
    const file = (name: string): string => fileURLToPath(new URL(`data/tls/${name}.pem`, import.meta.url));
    const tls = (cert: string, key: string): string[] => ["--tls-cert", file(cert), "--tls-key", file(key)];
    await assert.rejects(
      start({ POSTHORN_MASTER_KEY: MASTER_KEY }, tls("key", "key")),
      /holds no certificate/,
    );
    await assert.rejects(start({ POSTHORN_MASTER_KEY: MASTER_KEY }, tls("client", "key")), /belong/);
    // A crash of a server that answers HTTPS: an error that nobody catches.
    const fault = path.join(dataDir, "fault.mjs");
    writeFileSync(fault, "process.on('SIGUSR2', () => { throw new Error('a fault') })");
    const crashing = await startServer({
      dataDir,
      key: ADMIN_KEY,
      flags: [...tls("local", "key"), "--log-level", "debug", "--request-log"],
      environment: {
        POSTHORN_MASTER_KEY: MASTER_KEY,
        NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ""} --import ${fault}`,
      },
      onLog: (line) => words.push(line),
    });
    const [response] = await once(
      get(`${crashing.url}/readyz`, { ca: pem("local"), agent: false }),
      "response",
    );
    words.push(JSON.stringify(response.headers), await text(response));
    assert.equal(response.statusCode, 200);
    crashing.kill("SIGUSR2");
    const ended = await crashing.exited;
    assert.notEqual(ended.code, 0);
    assert.ok(words.some((line) => line.includes("a fault")));
    const secrets = { ...SECRETS, ...made, other };
    assert.deepEqual(found("the output", Buffer.from(words.join("\n")), secrets), []);
    const breaches = readdirSync(dataDir).flatMap((name) =>
      found(name, readFileSync(path.join(dataDir, name)), secrets),
    );
    assert.deepEqual(breaches, []);
  });
});
