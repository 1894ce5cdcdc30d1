import assert from "node:assert/strict";
import { createCipheriv } from "node:crypto";
import { describe, test } from "node:test";
import { VerificationError } from "../verification-error.ts";
import { importWechatAes, openSealed, sortedSha1, type WechatAesSecret } from "./wechat-aes.ts";

const SECRET: WechatAesSecret = {
  token: "QDG6eK",
  encodingAESKey: "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C",
  receiveId: "wx5823bf96d3bd56c7",
};
const KEY = Buffer.from(`${SECRET.encodingAESKey}=`, "base64");
const [crypt] = importWechatAes([SECRET]);

/** Encrypts these very bytes, whose number is a multiple of 16: the padding is up to the test. */
function encrypt(padded: Buffer): string {
  const cipher = createCipheriv("aes-256-cbc", KEY, KEY.subarray(0, 16)).setAutoPadding(false);
  return Buffer.concat([cipher.update(padded), cipher.final()]).toString("base64");
}

/** 16 bytes, length, message, receiver and padding. */
function content({
  message = "hello",
  length = 0,
  receiver = SECRET.receiveId,
  pad = (n: number) => Buffer.alloc(n, n),
} = {}) {
  const head = Buffer.alloc(20, "r");
  head.writeUInt32BE(length || message.length, 16);
  const unpadded = Buffer.concat([head, Buffer.from(message + receiver)]);
  return Buffer.concat([unpadded, pad(32 - (unpadded.length % 32))]);
}

function open(encrypted: string, { sign = true } = {}) {
  const signature = sign ? crypt.sign("1700000000", "nonce", encrypted) : "0".repeat(40);
  return openSealed([crypt], {
    timestamp: "1700000000",
    nonce: "nonce",
    encrypted,
    signature,
  }).message.toString();
}

function errorOf(run: () => unknown): { code: string; message: string } {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof VerificationError, `${error}`);
    return { code: error.code, message: error.message };
  }
  assert.fail("nothing was thrown");
}

describe("encryption of WeChat, WeCom and DingTalk", () => {
  test("messages of every length come back, with each padding from 1 to 32", () => {
    const pads = new Set<number>();
    for (let length = 0; length < 70; length += 1) {
      const message = "好".repeat(length % 7) + "x".repeat(length);
      assert.equal(crypt.open(crypt.seal(Buffer.from(message)))?.toString(), message);
      pads.add(content({ message: "x".repeat(length) }).at(-1) ?? 0);
      assert.equal(open(encrypt(content({ message: "x".repeat(length), length }))), "x".repeat(length));
    }
    assert.equal(pads.size, 32);
  });
  test("the same message never looks the same, and what is sealed has no byte more than a block of 32 needs", () => {
    const [one, other] = [crypt.seal(Buffer.from("success")), crypt.seal(Buffer.from("success"))];
    assert.notEqual(one, other);
    assert.equal(Buffer.from(one, "base64").length, 64);
  });
  test("the last character of the key may have bits that stand for nothing", () => {
    // "C" as the last character sets one of the two; as "A" it is the same key.
    const [same] = importWechatAes([{ ...SECRET, encodingAESKey: SECRET.encodingAESKey.replace(/C$/, "A") }]);
    assert.equal(same.open(crypt.seal(Buffer.from("hello")))?.toString(), "hello");
  });
  test("a wrong signature, padding, length, receiver or ciphertext: one and the same answer", () => {
    const whole = encrypt(content());
    const faults: Readonly<Record<string, () => string>> = {
      signature: () => open(whole, { sign: false }),
      "padding of 0": () => open(encrypt(content({ pad: (n) => Buffer.alloc(n) }))),
      "padding of 33": () => open(encrypt(content({ pad: (n) => Buffer.alloc(n, 33) }))),
      "padding of two blocks": () => open(encrypt(content({ pad: (n) => Buffer.alloc(n + 32, n + 32) }))),
      "padding beyond the message": () => open(encrypt(Buffer.alloc(16, 17))),
      "padding of two kinds": () =>
        open(
          encrypt(
            content({ message: "hi", pad: (n) => Buffer.concat([Buffer.alloc(n - 1), Buffer.alloc(1, n)]) }),
          ),
        ),
      "length too great": () => open(encrypt(content({ length: 4_000_000_000 }))),
      "length too small": () => open(encrypt(content({ length: 4 }))),
      "too short": () => open(encrypt(Buffer.alloc(32, 16))),
      "receiver of somebody else": () => open(encrypt(content({ receiver: "wx0000000000000000" }))),
      "no receiver": () => open(encrypt(content({ receiver: "" }))),
      "half a block": () => open(Buffer.alloc(24).toString("base64")),
      "no base64": () => open("*"),
      nothing: () => open(""),
      "base64 in another spelling": () => open(`${whole.slice(0, -1)}\n=`),
    };
    assert.equal(open(whole), "hello");
    const expected = errorOf(() => open(whole, { sign: false }));
    assert.equal(expected.code, "no_matching_signature");
    for (const [about, run] of Object.entries(faults)) assert.deepEqual(errorOf(run), expected, about);
  });
  test("the texts are sorted, not their names", () => {
    assert.equal(sortedSha1(["b", "a", "c"]), sortedSha1(["c", "b", "a"]));
    assert.equal(sortedSha1(["b", "a"]), "da23614e02469a0d7c7bd1bdab5c9c474b1904dc");
  });
  test("a key of another length is refused by name, and not shown", () => {
    for (const encodingAESKey of [
      SECRET.encodingAESKey.slice(1),
      `${SECRET.encodingAESKey}=`,
      `${KEY.toString("hex")}`,
    ]) {
      const { code, message } = errorOf(() => importWechatAes([{ ...SECRET, encodingAESKey }]));
      assert.equal(code, "invalid_secret");
      assert.match(message, /"encodingAESKey".*43/);
      assert.ok(!message.includes(encodingAESKey));
    }
  });
});
