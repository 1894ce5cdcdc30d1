import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { after, describe, test } from "node:test";
import {
  encodeStandardPublicKey,
  generateStandardKey,
  generateStandardSecret,
  importStandardKey,
  SCHEMES,
} from "@posthorn/receiver";
import { CliError } from "../exit-code.ts";
import { Workspace } from "../proof/workspace.ts";
import { signCommand } from "./sign.ts";
import { verifyCommand } from "./verify.ts";

interface Secrets {
  readonly signing: string;
  readonly verifying: string;
}

const same = (secret: string | object): Secrets => {
  const text = typeof secret === "string" ? secret : JSON.stringify(secret);
  return { signing: text, verifying: text };
};
const random = (bytes = 18) => randomBytes(bytes).toString("base64url");
const whsec = () => same(generateStandardSecret());
const wechatAes = () =>
  same({
    token: random(),
    encodingAESKey: randomBytes(32).toString("base64").slice(0, 43),
    receiveId: "wx1",
  });

function keys(): Secrets {
  const signing = generateStandardKey();
  return { signing, verifying: encodeStandardPublicKey(importStandardKey(signing).publicKey) };
}

function rsa(form: (part: "public" | "private", pem: string) => string | object): Secrets {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
  const signing = same(form("private", privateKey)).signing;
  return { signing, verifying: same(form("public", publicKey)).verifying };
}

function discordKeys(): Secrets {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const raw = Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url");
  const signing = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  return { signing, verifying: raw.toString("hex") };
}

function sendgridKeys(): Secrets {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const signing = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  return { signing, verifying: publicKey.export({ format: "der", type: "spki" }).toString("base64") };
}

/** Files of secrets as their owners have them, made up anew for each run. */
const SECRETS: Readonly<Record<keyof typeof SCHEMES, () => Secrets>> = {
  standard: whsec,
  svix: whsec,
  "gitlab-signing": whsec,
  "http-message": keys,
  github: () => same(random()),
  gitlab: () => same(random()),
  bitbucket: () => same(random()),
  meta: () => same({ appSecret: random(), verifyToken: random() }),
  websub: () => same(random()),
  linear: () => same(random()),
  shopify: () => same(random()),
  square: () => same(random()),
  stripe: () => same(`whsec_${random()}`),
  slack: () => same(random()),
  zoom: () => same(random()),
  twilio: () => same(random()),
  sendgrid: sendgridKeys,
  discord: discordKeys,
  paypal: () => rsa((part, pem) => ({ webhookId: "4JH86294D6297924G", [`${part}Key`]: pem })),
  wechat: wechatAes,
  wecom: wechatAes,
  dingtalk: wechatAes,
  "wechat-plain": () => same(random()),
  wechatpay: () =>
    rsa((part, pem) => ({ serial: "PUB_KEY_ID_1", [`${part}Key`]: pem, apiV3Key: "a".repeat(32) })),
  alipay: () => rsa((_part, pem) => pem),
  feishu: () => same({ encryptKey: random() }),
  none: () => same(random()),
};

const AT = "2026-01-31T00:00:00Z";
const URL_SENT = "https://receiver.example/hooks?tenant=7";

describe("posthorn sign and posthorn verify", () => {
  const workspace = new Workspace("sign-and-verify");
  after(() => workspace.close());
  let files = 0;
  const file = (content: string | Uint8Array): string => {
    files += 1;
    const path = workspace.file(String(files));
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  };

  /** What it prints: the commands are synchronous, so nothing else writes meanwhile. */
  function run(command: "sign" | "verify", args: readonly string[]): string {
    const chunks: Uint8Array[] = [];
    const { write } = process.stdout;
    process.stdout.write = (chunk: string | Uint8Array) => chunks.push(Buffer.from(chunk)) > 0;
    try {
      (command === "sign" ? signCommand() : verifyCommand()).exitOverride().parse(args, { from: "user" });
    } finally {
      process.stdout.write = write;
    }
    return Buffer.concat(chunks).toString();
  }

  function sign(name: string, secret: string, ...more: string[]) {
    const given = ["--scheme", name, "--secret-file", file(secret), "--at", AT, "--url", URL_SENT, "--json"];
    return JSON.parse(run("sign", [...given, ...more])) as {
      url: string;
      headers: Record<string, string>;
      body: string;
    };
  }

  function verify(
    name: string,
    secret: string,
    { url, headers, body }: ReturnType<typeof sign>,
    ...more: string[]
  ): string {
    const lines = Object.entries(headers).flatMap(([key, value]) => ["--header", `${key}: ${value}`]);
    const given = ["--scheme", name, "--secret-file", file(secret), "--at", AT, "--url", url, ...lines];
    return run("verify", [...given, "--body", file(Buffer.from(body, "base64")), ...more]);
  }

  const data = '{"2":1, "1":2,"n":9007199254740993,"d":1.0,"text":"Grüße 你好"}';

  for (const [name, generate] of Object.entries(SECRETS)) {
    test(`${name}: what the one signs, the other takes, and with another secret refuses`, () => {
      const secrets = generate();
      const compose = ["--compose", "--id", "evt_1", "--body", file(data)];
      const type = name === "gitlab-signing" || name === "gitlab" ? "Push Hook" : "order.created";
      const signed = sign(name, secrets.signing, "--type", type, ...compose);
      const valid = JSON.parse(verify(name, secrets.verifying, signed, "--json"));
      assert.equal(valid.valid, true);
      // Where a provider has ids or types, they are those that were given.
      const own = name === "websub" ? "websub" : type;
      assert.equal(valid.type, own);
      assert.ok([null, "evt_1"].includes(valid.id) || /^sha256:/.test(valid.id), valid.id);
      assert.ok(verify(name, secrets.verifying, signed, "--payload").length > 20);
      assert.throws(
        () => verify(name, generate().verifying, signed),
        (error) =>
          error instanceof CliError && error.exitCode === 1 && /^Not valid: .+ \(\w+\)$/.test(error.message),
      );
    });
  }

  test("every scheme of the table is here", () => {
    assert.deepEqual(new Set(Object.keys(SECRETS)), new Set(Object.keys(SCHEMES)));
  });

  test("bytes are signed as they are, and a payload comes out as it went in, encrypted or not", () => {
    const bytes = `${data}\n`;
    for (const name of ["standard", "github", "feishu"] as const) {
      const secrets = SECRETS[name]();
      const signed = sign(name, secrets.signing, "--type", "a.b", "--body", file(bytes));
      assert.equal(verify(name, secrets.verifying, signed, "--payload"), bytes, name);
    }
  });

  test("prints the request as it goes over the wire, or the command that sends it", () => {
    const args = ["--scheme", "github", "--secret-file", file("it's"), "--type", "push", "--id", "evt_1"];
    const body = ["--body", file('{"it\'s":1}')];
    assert.match(
      run("sign", [...args, ...body]),
      /^POST http:\/\/127\.0\.0\.1:9000\/\ncontent-type: application\/json\n[\s\S]*\nx-hub-signature-256: sha256=[0-9a-f]{64}\n\n\{"it's":1\}$/,
    );
    const curl = run("sign", [...args, ...body, "--curl", "--content-type", "it's/odd"]);
    assert.match(
      curl,
      /^echo eyJpdCdzIjoxfQ== \| base64 -d \| curl .*-H 'content-type: it'\\''s\/odd' .*--data-binary @- 'http/,
    );
    const both = signCommand()
      .configureOutput({ writeErr() {} })
      .exitOverride();
    assert.throws(
      () => both.parse([...args, ...body, "--curl", "--json"], { from: "user" }),
      /'--curl' cannot be used with option '--json'/,
    );
  });

  test("a question that a provider asks first is answered", () => {
    const secret = JSON.stringify({ appSecret: random(), verifyToken: "the-token" });
    const url =
      "https://receiver.example/?hub.mode=subscribe&hub.verify_token=the-token&hub.challenge=1158201444";
    const args = ["--scheme", "meta", "--secret-file", file(secret), "--method", "get", "--url", url];
    assert.equal(run("verify", args), "valid: a question of the sender; the answer is 200 1158201444\n");
    assert.equal(JSON.parse(run("verify", [...args, "--json"])).handshake.body, "1158201444");
  });

  test("what cannot be is said, and no secret with it", () => {
    const secret = "a-secret-that-nobody-may-see";
    const cases: [command: "sign" | "verify", args: string[], RegExp][] = [
      ["sign", ["--body", file("{}")], /There is no --secret-file to sign with/],
      ["verify", ["--body", file("{}")], /There is no --secret-file to check with/],
      [
        "sign",
        ["--scheme", "wechat", "--secret", secret, "--body", file("{}")],
        /The secret cannot be used: .*JSON/,
      ],
      ["sign", ["--secret-file", workspace.file("nowhere")], /--secret-file: ENOENT/],
      [
        "verify",
        ["--secret-file", file("whsec_YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"), "--body", "/nowhere"],
        /--body: ENOENT/,
      ],
    ];
    for (const [command, args, message] of cases) {
      assert.throws(
        () => run(command, args),
        (error) =>
          error instanceof CliError && message.test(error.message) && !error.message.includes(secret),
        String(message),
      );
    }
  });
});
