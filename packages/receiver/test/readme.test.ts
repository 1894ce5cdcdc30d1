// The README as a reader follows it: each snippet saved under its name beside a `node_modules`, and used.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createCipheriv, randomBytes } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { after, test } from "node:test";
import { freePort } from "../../posthorn/test/free-port.ts";
import {
  encodeStandardPublicKey,
  generateStandardKey,
  generateStandardSecret,
  importStandardKey,
  signHttpMessage,
  signStandard,
} from "../src/index.ts";
import { VerificationError } from "../src/verification-error.ts";
import { repository, SnippetFolder, snippetsOf } from "./snippet-folder.ts";

const page = "packages/receiver/README.md";
const folder = new SnippetFolder();
after(() => folder.remove());
const load = (name: string) => folder.load(page, name);

const key = importStandardKey(generateStandardKey());
const secret = generateStandardSecret();
process.env.WEBHOOK_PUBLIC_KEY = encodeStandardPublicKey(key.publicKey);
process.env.WEBHOOK_SECRET = secret;
const body = '{"type":"order.created"}';
const timestampSeconds = Math.floor(Date.now() / 1000);

function standardHeaders(content: string, by: { secrets?: string[]; keys?: (typeof key)[] }) {
  const id = "evt_1";
  return {
    "webhook-id": id,
    "webhook-timestamp": String(timestampSeconds),
    "webhook-signature": signStandard({ id, timestampSeconds, body: content, ...by }),
  };
}

test("every snippet has a test here", () => {
  assert.deepEqual(
    [...snippetsOf(page).keys()],
    ["server.ts", "verify.ts", "public-key.ts", "http-message.ts", "encrypted.ts", "decrypt.ts"],
  );
  const readme = readFileSync(path.join(repository, page), "utf8");
  assert.equal(readme.match(/^```\w/gm)?.length, snippetsOf(page).size);
});

test("the server accepts what is signed with its secret, and nothing else", async () => {
  const port = await freePort();
  const file = folder.save(page, "server.ts", (text) =>
    text.replace("3000)", `${port}, () => console.log("listening"))`),
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
    const logged = once(server.stdout, "data");
    assert.equal((await post(body)).status, 200);
    assert.match(String(await logged), /^evt_1 /);
    const refused = await post(`${body} `);
    assert.equal(refused.status, 401);
    assert.match(await refused.text(), /"code":"no_matching_signature"/);
  } finally {
    server.kill();
    await once(server, "exit");
  }
});

test("a webhook is verified without a receiver", async (context) => {
  context.mock.method(console, "log", () => {});
  const { webhook } = await load("verify.ts");
  const headers = standardHeaders(body, { secrets: [secret] });
  assert.equal(webhook(headers, Buffer.from(body)), 204);
  assert.equal(webhook(headers, Buffer.from("{}")), 401);
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

test("an encrypted payload opens, in a receiver and by hand", async (context) => {
  const encryptionKey = randomBytes(32);
  process.env.ENCRYPTION_KEY = encryptionKey.toString("base64url");
  const header = Buffer.from('{"alg":"dir","enc":"A256GCM"}').toString("base64url");
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", encryptionKey, iv).setAAD(Buffer.from(header));
  const ciphertext = Buffer.concat([cipher.update(body), cipher.final()]);
  const parts = [iv, ciphertext, cipher.getAuthTag()].map((part) => part.toString("base64url"));
  const sealed = [header, "", ...parts].join(".");
  const headers = standardHeaders(sealed, { secrets: [secret] });
  const { open } = await load("decrypt.ts");
  assert.deepEqual(open(headers, Buffer.from(sealed)), { id: "evt_1", event: { type: "order.created" } });
  const log = context.mock.method(console, "log", () => {});
  const { receiver } = await load("encrypted.ts");
  const request = new Request("https://receiver.example/", { method: "POST", headers, body: sealed });
  assert.equal((await receiver.fetch(request)).status, 200);
  assert.deepEqual(log.mock.calls[0]?.arguments, ["evt_1", { type: "order.created" }]);
});
