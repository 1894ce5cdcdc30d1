import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { describe, test } from "node:test";
import { generateStandardSecret } from "@posthorn/receiver";
import { newAppId, newId } from "../base/ids.ts";
import type { GivenSecrets, Scheme } from "../domain/scheme.ts";
import { createVault } from "../security/vault.ts";
import { newSecrets } from "./endpoint-secrets.ts";
import { openSecret } from "./sealing.ts";

const vault = createVault(Buffer.alloc(32, 1));
const whsec = (bytes: number) => `whsec_${Buffer.alloc(bytes, 7).toString("base64")}`;

/** What is sealed of what was given. */
function sealedOf(scheme: Scheme, given: GivenSecrets): string {
  const owner = { id: newId("ep"), appId: newAppId(), scheme };
  const [made] = newSecrets(vault, owner, given);
  assert.ok(made);
  return openSecret(vault, owner.appId, owner.id, made.sealed);
}

function isRefused(scheme: Scheme, given: GivenSecrets, text: RegExp): void {
  const values = Object.values(given).flatMap((each) =>
    typeof each === "object" ? Object.values(each) : each,
  );
  assert.throws(
    () => sealedOf(scheme, given),
    (error: Error & { code?: string }) => {
      assert.ok(["invalid_field", "unknown_field"].includes(error.code ?? ""));
      assert.match(error.message, text);
      return values.every((value) => value.length < 8 || !error.message.includes(value));
    },
  );
}

describe("a secret of one's own", () => {
  test("of Standard Webhooks is whsec_ and the base64 of 24 to 64 bytes, padded or not", () => {
    for (const secret of [
      generateStandardSecret(),
      ...[24, 25, 26, 32, 64].map(whsec),
      whsec(25).replace(/=+$/, ""),
    ]) {
      assert.equal(sealedOf("standard", { secret }), secret);
    }
  });

  test("that could not sign is refused now, not at the first attempt", () => {
    for (const secret of [
      ...[23, 65, 66].map(whsec),
      whsec(24).slice(6),
      `${whsec(24)}A`,
      "whsec_",
      `whsec_${"-".repeat(32)}`,
      `${whsec(24)}\n`,
      "whsk_AAAA",
      { token: "a token" },
    ]) {
      isRefused(
        "standard",
        { secret },
        /^\/secret must be whsec_ followed by the base64 of 24 to 64 bytes\.$/,
      );
    }
    isRefused("standard-ed25519", { signingKey: `whsk_${"A".repeat(86)}==` }, /^\/signingKey must be whsk_/);
    isRefused("svix", { secret: "no-standard-secret" }, /^\/secret: /);
    for (const scheme of ["svix", "gitlab-signing"] as const) {
      for (const secret of [whsec(10), whsec(23), whsec(65)])
        isRefused(scheme, { secret }, /^\/secret: .*24 to 64 random bytes/);
      assert.equal(sealedOf(scheme, { secret: whsec(24) }), whsec(24));
    }
    isRefused("github", { secret: "too-short" }, /^\/secret of the scheme github must be text: 16 to 256/);
    isRefused(
      "gitlab",
      { secret: "a line end, or\r\na blank" },
      /^\/secret of the scheme gitlab must be text/,
    );
    isRefused("stripe", { secret: { token: "an object" } }, /^\/secret of the scheme stripe must be text/);
  });

  test("with parts: those that are left out are made, and a wrong one is named", () => {
    const parts = { token: "QDG6eK", encodingAESKey: "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C" };
    const receiveId = "wx5823bf96d3bd56c7";
    assert.deepEqual(JSON.parse(sealedOf("wechat", { secret: { ...parts, receiveId } })), {
      ...parts,
      receiveId,
    });
    assert.deepEqual(JSON.parse(sealedOf("wecom", { secret: JSON.stringify({ ...parts, receiveId }) })), {
      ...parts,
      receiveId,
    });
    const made = JSON.parse(sealedOf("dingtalk", { secret: { receiveId } }));
    assert.match(made.token, /^[A-Za-z0-9]{32}$/);
    assert.match(made.encodingAESKey, /^[A-Za-z0-9]{43}$/);
    assert.equal(made.receiveId, receiveId);
    assert.match(JSON.parse(sealedOf("wechat", {})).receiveId, /^app_/);
    assert.match(JSON.parse(sealedOf("feishu", {})).encryptKey, /^[A-Za-z0-9]{32}$/);
    isRefused("wechat", { secret: { encodingAESKey: "too short a key" } }, /^\/secret: .*encodingAESKey/);
    for (const token of ["", "ab", "a b c", "x".repeat(33)])
      isRefused("wechat", { secret: { ...parts, token } }, /^\/secret\/token .*3 to 32 letters and digits/);
    for (const encryptKey of ["fifteen-letters", "\r\nwith a line end in it"])
      isRefused("feishu", { secret: { encryptKey } }, /^\/secret\/encryptKey .*16 to 256/);
    const inherited = '{"__proto__":{"token":"QDG6eK"}}';
    isRefused("wechat", { secret: inherited }, /must be an object with token/);
    isRefused(
      "wechat",
      { secret: { encodingAesKey: parts.encodingAESKey } },
      /^\/secret\/encodingAesKey is no part/,
    );
    isRefused(
      "feishu",
      { secret: "only text of one part" },
      /must be an object with encryptKey, verificationToken/,
    );
  });

  test("of alipay is an RSA key of 2048 to 4096 bits, in whatever PEM", () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const pkcs8 = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
    const signingKey = privateKey.export({ type: "pkcs1", format: "pem" }) as string;
    assert.equal(sealedOf("alipay", { signingKey }), pkcs8);
    const short = generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey;
    const curve = generateKeyPairSync("ed25519").privateKey;
    for (const key of [short, curve]) {
      const pem = key.export({ type: "pkcs8", format: "pem" }) as string;
      isRefused("alipay", { signingKey: pem }, /^\/signingKey .*RSA private key of 2048 to 4096 bits/);
    }
    isRefused("alipay", { signingKey: pkcs8.slice(0, 300) }, /^\/signingKey .*RSA private key/);
  });
});
