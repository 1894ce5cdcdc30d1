// Every scheme of the table, held against the suite of the contract.
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, test } from "node:test";
import { generateStandardKey, importStandardKey } from "../index.ts";
import { describeScheme, type SchemeFacts } from "./scheme.conformance.ts";
import type { Scheme } from "./scheme.ts";
import { isSchemeName, SCHEMES, schemeNamed } from "./schemes.ts";
import { encodeStandardPublicKey } from "./standard-key.ts";

const proven = new Set<string>();
function prove<Secret, SigningSecret>(
  scheme: Scheme<Secret, SigningSecret>,
  facts: SchemeFacts<Secret, SigningSecret>,
): void {
  proven.add(scheme.name);
  describeScheme(scheme, facts);
}

const [KEY, NEXT_KEY, WRONG_KEY] = [generateStandardKey(), generateStandardKey(), generateStandardKey()];
const publicOf = (key: string) => encodeStandardPublicKey(importStandardKey(key).publicKey);
const WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const SMALL_DATA = '{"n":1.0, "text":"9007199254740993"}';
const digestOf = (text: string) => `sha256:${createHash("sha256").update(text).digest("hex")}`;
const CHOSEN = {
  secrets: ["It's a Secret to Everybody", "the next, ünd longer"],
  wrongSecret: "It's a Secret to Nobody",
  invalidSecrets: [],
  toleranceSeconds: null,
};
const TOKENS = {
  ...CHOSEN,
  secrets: ["It's a Token", "the-next-one"],
  invalidSecrets: ["schlüssel", " spaced"],
};
const STANDARD = {
  secrets: [WHSEC, publicOf(KEY), "whsec_b2xkLXNlY3JldC1vbGQtc2VjcmV0LW9sZCE="],
  signingSecrets: [WHSEC, KEY, "whsec_b2xkLXNlY3JldC1vbGQtc2VjcmV0LW9sZCE="],
  wrongSecret: "whsec_YW5vdGhlciBzZWNyZXQgb2YgYW5vdGhlcg==",
  invalidSecrets: ["whsec_not base64", "whpk_AAAA", KEY],
  toleranceSeconds: 300,
};

prove(SCHEMES.standard, {
  ...STANDARD,
  signature: { in: "header", name: "webhook-signature", mayRepeat: true },
  requiredHeaders: ["webhook-id", "webhook-timestamp"],
});
prove(SCHEMES.svix, {
  ...STANDARD,
  signature: { in: "header", name: "svix-signature", mayRepeat: true },
  requiredHeaders: ["svix-id", "svix-timestamp"],
});
prove(SCHEMES["gitlab-signing"], {
  ...STANDARD,
  signature: { in: "header", name: "webhook-signature", mayRepeat: true },
  requiredHeaders: ["webhook-id", "webhook-timestamp"],
  event: { type: "Push Hook" },
});
prove(SCHEMES["http-message"], {
  secrets: [publicOf(KEY), publicOf(NEXT_KEY)],
  signingSecrets: [KEY, NEXT_KEY],
  wrongSecret: publicOf(WRONG_KEY),
  invalidSecrets: [WHSEC, KEY, { keyId: "k" }, { publicKey: publicOf(KEY) }],
  signature: { in: "header", name: "signature", mayRepeat: true },
  requiredHeaders: ["signature-input", "content-digest", "webhook-id", "content-type"],
  // It counts for 300 s, the last of which is excluded.
  toleranceSeconds: { past: 299, future: 300 },
});
prove(SCHEMES.github, { ...CHOSEN, signature: { in: "header", name: "x-hub-signature-256" } });
prove(SCHEMES.bitbucket, { ...CHOSEN, signature: { in: "header", name: "x-hub-signature" } });
prove(SCHEMES.shopify, { ...CHOSEN, signature: { in: "header", name: "x-shopify-hmac-sha256" } });
prove(SCHEMES.square, { ...CHOSEN, signature: { in: "header", name: "x-square-hmacsha256-signature" } });
prove(SCHEMES.linear, {
  ...CHOSEN,
  signature: { in: "header", name: "linear-signature" },
  toleranceSeconds: 60,
});
prove(SCHEMES.meta, {
  ...CHOSEN,
  secrets: ["the app's secret", { appSecret: "another secret", verifyToken: "a token" }],
  invalidSecrets: [{}, { appSecret: "another secret" }, { verifyToken: "a token" }],
  signature: { in: "header", name: "x-hub-signature-256" },
  event: { data: Buffer.from(SMALL_DATA) },
  describes: {
    id: digestOf(
      `{"object":"order.created","entry":[{"id":"evt_01hf7yat00aaaaaaaaaaaaaaaa","time":1700000000,"changes":[{"field":"order.created","value":${SMALL_DATA}}]}]}`,
    ),
  },
});
prove(SCHEMES.websub, {
  ...CHOSEN,
  secrets: ["the hub's secret", { secret: "another secret", topics: ["https://example.com/feed"] }],
  invalidSecrets: [{}, { topics: [] }, "x".repeat(200)],
  signature: { in: "header", name: "x-hub-signature" },
  event: { data: Buffer.from(SMALL_DATA) },
  describes: { id: digestOf(`\n${SMALL_DATA}`), type: "websub" },
});
prove(SCHEMES.gitlab, {
  ...TOKENS,
  signature: { in: "header", name: "x-gitlab-token" },
  coversBody: false,
});
prove(SCHEMES.none, {
  ...TOKENS,
  signature: { in: "header", name: "authorization" },
  coversBody: false,
});

const MADE_UP = {
  secrets: ["whsec_8f742231b10e8888abcd", "whsec_of-the-old-one"],
  wrongSecret: "whsec_of-somebody-else",
  invalidSecrets: [{}],
  toleranceSeconds: 300,
};
prove(SCHEMES.stripe, { ...MADE_UP, signature: { in: "header", name: "stripe-signature" } });
prove(SCHEMES.slack, {
  ...MADE_UP,
  signature: { in: "header", name: "x-slack-signature" },
  requiredHeaders: ["x-slack-request-timestamp"],
});
const ZOOM_BODY = `{"event":"order.created","event_ts":1700000000000,"payload":${SMALL_DATA}}`;
prove(SCHEMES.zoom, {
  ...MADE_UP,
  signature: { in: "header", name: "x-zm-signature" },
  requiredHeaders: ["x-zm-request-timestamp"],
  event: { timestamp: "2023-11-14T22:13:20Z", data: Buffer.from(SMALL_DATA) },
  describes: { id: digestOf(ZOOM_BODY) },
});
prove(SCHEMES.twilio, {
  ...MADE_UP,
  signature: { in: "header", name: "x-twilio-signature" },
  toleranceSeconds: null,
});

type KeyPair = { readonly publicKey: KeyObject; readonly privateKey: KeyObject };
type Three = readonly [KeyPair, KeyPair, KeyPair];
const hexOf = ({ publicKey }: KeyPair) =>
  Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url").toString("hex");
const pemOf = ({ privateKey }: KeyPair) =>
  privateKey.export({ format: "pem", type: "pkcs8" }).toString().trim();
const ed25519 = () => generateKeyPairSync("ed25519");
const [ED, NEXT_ED, WRONG_ED]: Three = [ed25519(), ed25519(), ed25519()];
prove(SCHEMES.discord, {
  secrets: [hexOf(ED), hexOf(NEXT_ED)],
  signingSecrets: [pemOf(ED), pemOf(NEXT_ED)],
  wrongSecret: hexOf(WRONG_ED),
  invalidSecrets: [{}, hexOf(ED).slice(2), pemOf(ED)],
  signature: { in: "header", name: "x-signature-ed25519" },
  requiredHeaders: ["x-signature-timestamp"],
  toleranceSeconds: 300,
});
const spkiOf = ({ publicKey }: KeyPair) =>
  publicKey.export({ format: "der", type: "spki" }).toString("base64");
const p256 = () => generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const [EC, NEXT_EC, WRONG_EC]: Three = [p256(), p256(), p256()];
prove(SCHEMES.sendgrid, {
  secrets: [spkiOf(EC), spkiOf(NEXT_EC)],
  signingSecrets: [pemOf(EC), pemOf(NEXT_EC)],
  wrongSecret: spkiOf(WRONG_EC),
  invalidSecrets: [{}, spkiOf(EC).slice(4), spkiOf(ED), pemOf(EC)],
  signature: { in: "header", name: "x-twilio-email-event-webhook-signature" },
  requiredHeaders: ["x-twilio-email-event-webhook-timestamp"],
  toleranceSeconds: 300,
});

const AES_KEY = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
const WECHAT_AES = {
  secrets: [
    { token: "QDG6eK8x", encodingAESKey: AES_KEY, receiveId: "wx5823bf96d3bd56c7" },
    { token: "another-token", encodingAESKey: "n".repeat(43), receiveId: "wx0000000000000002" },
  ],
  wrongSecret: { token: "QDG6eK8x", encodingAESKey: AES_KEY, receiveId: "wx0000000000000666" },
  invalidSecrets: [
    { encodingAESKey: AES_KEY, receiveId: "wx5823bf96d3bd56c7" },
    { token: "QDG6eK8x", receiveId: "wx5823bf96d3bd56c7" },
    { token: "QDG6eK8x", encodingAESKey: AES_KEY },
    { token: "QDG6eK8x", encodingAESKey: AES_KEY.slice(1), receiveId: "wx5823bf96d3bd56c7" },
  ],
  toleranceSeconds: 300,
  // Of the body only what is encrypted counts.
  changes: [(body: string) => body.replace(/[\w+/](?=[\w+/]{60})/, (first) => (first === "A" ? "B" : "A"))],
};
prove(SCHEMES.wechat, { ...WECHAT_AES, signature: { in: "query", name: "msg_signature" } });
prove(SCHEMES.wecom, { ...WECHAT_AES, signature: { in: "query", name: "msg_signature" } });
prove(
  {
    ...SCHEMES.dingtalk,
    // It comes under two names, and one is enough: here the other one is taken away.
    sign(input, secrets) {
      const signed = SCHEMES.dingtalk.sign(input, secrets);
      return { ...signed, url: signed.url.replace(/[?&]signature=\w+/, "") };
    },
  },
  { ...WECHAT_AES, signature: { in: "query", name: "msg_signature" } },
);
prove(SCHEMES["wechat-plain"], {
  ...{ ...CHOSEN, secrets: ["a-token-of-the-console", "the-next-token"], wrongSecret: "another-token" },
  signature: { in: "query", name: "signature" },
  toleranceSeconds: 300,
  coversBody: false,
});
prove(SCHEMES.feishu, {
  secrets: [
    { encryptKey: "an encrypt key", verificationToken: "a verification token" },
    { encryptKey: "the next encrypt key" },
  ],
  wrongSecret: { encryptKey: "another encrypt key" },
  invalidSecrets: [{}, { encryptKey: "" }, { verificationToken: 7 }],
  signature: { in: "header", name: "x-lark-signature" },
  requiredHeaders: ["x-lark-request-timestamp", "x-lark-request-nonce"],
  toleranceSeconds: 300,
});

const rsa = () =>
  generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
  });
const [RSA, NEXT_RSA, WRONG_RSA] = [rsa(), rsa(), rsa()];
const API_V3_KEY = "a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb";
const ofPlatform = (serial: string, publicKey: string) => ({
  ...{ serial, publicKey: publicKey.trim(), apiV3Key: API_V3_KEY },
});
prove(SCHEMES.wechatpay, {
  secrets: [ofPlatform("PUB_KEY_ID_1", RSA.publicKey), ofPlatform("5157F09E", NEXT_RSA.publicKey)],
  signingSecrets: [
    { serial: "PUB_KEY_ID_1", privateKey: RSA.privateKey.trim(), apiV3Key: API_V3_KEY },
    { serial: "5157F09E", privateKey: NEXT_RSA.privateKey.trim(), apiV3Key: API_V3_KEY },
  ],
  wrongSecret: ofPlatform("PUB_KEY_ID_1", WRONG_RSA.publicKey),
  invalidSecrets: [
    { serial: "PUB_KEY_ID_1", publicKey: RSA.publicKey },
    { serial: "PUB_KEY_ID_1", apiV3Key: API_V3_KEY },
    { publicKey: RSA.publicKey, apiV3Key: API_V3_KEY },
    { ...ofPlatform("PUB_KEY_ID_1", RSA.publicKey), apiV3Key: API_V3_KEY.slice(1) },
    ofPlatform("PUB_KEY_ID_1", RSA.privateKey),
  ],
  signature: { in: "header", name: "wechatpay-signature" },
  requiredHeaders: ["wechatpay-timestamp", "wechatpay-nonce", "wechatpay-serial"],
  toleranceSeconds: 300,
});
prove(SCHEMES.alipay, {
  secrets: [RSA.publicKey.trim(), { publicKey: NEXT_RSA.publicKey.trim(), coversSignType: true }],
  signingSecrets: [RSA.privateKey.trim(), NEXT_RSA.privateKey.trim()],
  wrongSecret: WRONG_RSA.publicKey.trim(),
  invalidSecrets: [{}, { publicKey: RSA.publicKey, coversSignType: "yes" }, RSA.privateKey],
  signature: { in: "form", name: "sign" },
  toleranceSeconds: null,
  changes: [
    (body) => body.replace("created", "deleted"),
    (body) => body.replace("9007199254740993", "9007199254740992"),
    (body) => body.replace("version=1.0&", ""),
    (body) => `${body}&added=1`,
  ],
});
const ofWebhook = (webhookId: string, publicKey: string) => ({ webhookId, publicKey: publicKey.trim() });
prove(SCHEMES.paypal, {
  secrets: [
    ofWebhook("4JH86294D6297924G", RSA.publicKey),
    ofWebhook("9JH86294D6297924G", NEXT_RSA.publicKey),
  ],
  signingSecrets: [
    { webhookId: "4JH86294D6297924G", privateKey: RSA.privateKey.trim() },
    { webhookId: "9JH86294D6297924G", privateKey: NEXT_RSA.privateKey.trim() },
  ],
  wrongSecret: ofWebhook("1JH86294D6297924G", RSA.publicKey),
  invalidSecrets: [
    { webhookId: "4JH86294D6297924G" },
    { publicKey: RSA.publicKey },
    ofWebhook("a|b", RSA.publicKey),
    ofWebhook("4JH86294D6297924G", RSA.privateKey),
    { webhookId: "4JH86294D6297924G", certificate: RSA.publicKey },
  ],
  signature: { in: "header", name: "paypal-transmission-sig" },
  requiredHeaders: ["paypal-transmission-id", "paypal-transmission-time", "paypal-auth-algo"],
  toleranceSeconds: 300,
});

describe("the table", () => {
  test("all of its schemes are held against the suite", () => {
    assert.deepEqual(new Set(Object.keys(SCHEMES)), proven);
  });
  test("names a scheme as users write it, and as the vectors have it", () => {
    for (const [name, scheme] of Object.entries(SCHEMES)) {
      assert.equal(scheme.name, name);
      assert.equal(schemeNamed(name), scheme);
    }
    assert.equal(schemeNamed("standard-webhooks"), SCHEMES.standard);
    assert.equal(schemeNamed("gitlab-token").strength, "token");
  });
  test("lists the names when there is no such scheme, whatever objects inherit", () => {
    for (const name of ["tarot", "toString", "__proto__", "GitHub", ""]) {
      assert.ok(!isSchemeName(name));
      assert.throws(
        () => schemeNamed(name),
        /RangeError: There is no scheme ".*"\. There are standard, svix, /,
      );
    }
  });
});
