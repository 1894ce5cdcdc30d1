// The README as a reader follows it: each snippet saved under its name beside a `node_modules`, and used.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createCipheriv, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import {
  encodeStandardPublicKey,
  generateStandardKey,
  generateStandardSecret,
  importStandardKey,
  signHttpMessage,
  signStandard,
} from "../src/index.ts";
import { VerificationError } from "../src/verification-error.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const snippets = new Map(
  [...readme.matchAll(/^```ts (\S+)\n(.*?)^```$/gms)].map(([, file = "", text = ""]) => [file, text]),
);
const folder = mkdtempSync(path.join(tmpdir(), "posthorn-receiver-readme-"));
const modules = fileURLToPath(new URL("../../../node_modules", import.meta.url));
symlinkSync(modules, path.join(folder, "node_modules"), "junction");
writeFileSync(path.join(folder, "package.json"), '{"type":"module"}');
after(() => rmSync(folder, { recursive: true, force: true }));

const key = importStandardKey(generateStandardKey());
const secret = generateStandardSecret();
process.env.WEBHOOK_PUBLIC_KEY = encodeStandardPublicKey(key.publicKey);
process.env.WEBHOOK_SECRET = secret;
const body = '{"type":"order.created"}';
const timestampSeconds = Math.floor(Date.now() / 1000);

function save(name: string): string {
  const file = path.join(folder, name);
  const text = snippets.get(name);
  assert.ok(text, `the README has no snippet ${name}`);
  writeFileSync(file, text);
  return file;
}
const load = (name: string) => import(pathToFileURL(save(name)).href);

function standardHeaders(content: string, by: { secrets?: string[]; keys?: (typeof key)[] }) {
  const id = "evt_1";
  return {
    "webhook-id": id,
    "webhook-timestamp": String(timestampSeconds),
    "webhook-signature": signStandard({ id, timestampSeconds, body: content, ...by }),
  };
}

test("every snippet has a test here", () => {
  assert.deepEqual([...snippets.keys()], ["server.ts", "public-key.ts", "http-message.ts", "decrypt.ts"]);
  assert.equal(readme.match(/^```\w/gm)?.length, snippets.size);
});

test("the server accepts what is signed with its secret, and nothing else", async () => {
  const [port, file] = [await freePort(), save("server.ts")];
  writeFileSync(
    file,
    readFileSync(file, "utf8").replace("3000)", `${port}, () => console.log("listening"))`),
  );
  const server = spawn(process.execPath, [file], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    await once(server.stdout, "data");
    const post = (content: string) =>
      fetch(`http://127.0.0.1:${port}`, {
        method: "POST",
        headers: standardHeaders(body, { secrets: [secret] }),
        body: content,
      });
    assert.equal((await post(body)).status, 204);
    const refused = await post(`${body} `);
    assert.deepEqual([refused.status, await refused.text()], [401, "no_matching_signature"]);
  } finally {
    server.kill();
    await once(server, "exit");
  }
});

test("a public key verifies", async () => {
  const { verify } = await load("public-key.ts");
  const headers = standardHeaders(body, { secrets: [secret], keys: [key] });
  assert.deepEqual(verify(headers, Buffer.from(body)), { id: "evt_1", timestampSeconds });
  assert.throws(() => verify(headers, Buffer.from("{}")), VerificationError);
});

test("an HTTP message verifies, over a real connection", async () => {
  const { verify } = (await load("http-message.ts")) as {
    verify: (request: IncomingMessage) => Promise<{ id: string; keyId: string }>;
  };
  const server = createServer((request, response) => {
    verify(request).then(
      (verified) => response.end(JSON.stringify(verified)),
      (error) => response.writeHead(401).end(error.code),
    );
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  try {
    const headers = { "content-type": "application/json", "webhook-id": "evt_1" };
    const times = { createdSeconds: timestampSeconds, expiresSeconds: timestampSeconds + 300 };
    const url = "https://hooks.example.com/in?from=a%20b";
    const signed = signHttpMessage({ method: "POST", url, headers, body, keys: [key], ...times });
    const post = async (target: string) => {
      const request = { method: "POST", headers: { ...headers, ...signed }, body };
      return (await fetch(`http://127.0.0.1:${port}${target}`, request)).text();
    };
    assert.deepEqual(JSON.parse(await post("/in?from=a%20b")), { id: "evt_1", keyId: key.keyId });
    assert.equal(await post("/in"), "no_matching_signature");
  } finally {
    server.close();
    server.closeAllConnections();
  }
});

test("an encrypted payload opens", async () => {
  const { open } = await load("decrypt.ts");
  const encryptionKey = randomBytes(32);
  process.env.ENCRYPTION_KEY = encryptionKey.toString("base64url");
  const header = Buffer.from('{"alg":"dir","enc":"A256GCM"}').toString("base64url");
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", encryptionKey, iv).setAAD(Buffer.from(header));
  const ciphertext = Buffer.concat([cipher.update(body), cipher.final()]);
  const parts = [iv, ciphertext, cipher.getAuthTag()].map((part) => part.toString("base64url"));
  const sealed = [header, "", ...parts].join(".");
  const opened = open(standardHeaders(sealed, { secrets: [secret] }), Buffer.from(sealed));
  assert.deepEqual(opened, { id: "evt_1", event: { type: "order.created" } });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await new Promise((closed) => server.close(closed));
  return port;
}
