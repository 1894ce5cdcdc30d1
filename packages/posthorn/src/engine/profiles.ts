/** THE table of sender profiles. */
import { randomBytes, randomInt } from "node:crypto";
import * as schemes from "@posthorn/receiver";
import type { ProfileName } from "../domain/scheme.ts";
import { type Profile, profileOf, type SecretForm, type SecretPart } from "./profile.ts";
import { askDingtalk, askFeishu, askSlack, askWechat, askWecom } from "./profile-questions.ts";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const lettersAndDigits = (length: number): string =>
  Array.from({ length }, () => LETTERS[randomInt(LETTERS.length)]).join("");

/** 256 bits. */
const HEX: SecretForm = { kind: "text", make: () => randomBytes(32).toString("hex") };
/** As secrets of our own schemes: fewer than 24 bytes are for receivers to put up with, not for a sender to choose. */
const STANDARD: SecretForm = {
  kind: "text",
  make: schemes.generateStandardSecret,
  check: (text) => void schemes.importStandardSecret(text, { strict: true }),
};
const STRIPE: SecretForm = { kind: "text", make: schemes.generateStandardSecret };
/** Lengths and alphabets are those of the providers' consoles, which other libraries check. */
const WECHAT: SecretForm = {
  kind: "parts",
  parts: {
    token: {
      make: () => lettersAndDigits(32),
      like: { pattern: /^[A-Za-z0-9]{3,32}$/, wish: "3 to 32 letters and digits" },
    },
    encodingAESKey: { make: () => lettersAndDigits(43) },
    receiveId: { make: (appId) => appId, stays: true },
  },
};
const FEISHU_PART: SecretPart = {
  make: () => lettersAndDigits(32),
  like: { pattern: /^[\x21-\x7e]{16,256}$/, wish: "16 to 256 letters, digits and signs of ASCII" },
};
const FEISHU: SecretForm = {
  kind: "parts",
  parts: { encryptKey: FEISHU_PART, verificationToken: FEISHU_PART },
};

const STANDARD_HEADERS = ["webhook-id", "webhook-timestamp", "webhook-signature"];
const one = { overlaps: false };

const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  svix: profileOf("svix", schemes.svix, {
    secret: STANDARD,
    overlaps: true,
    headers: ["svix-id", "svix-timestamp", "svix-signature"],
  }),
  github: profileOf("github", schemes.github, {
    ...one,
    secret: HEX,
    headers: ["x-github-event", "x-github-delivery", "x-hub-signature-256"],
  }),
  gitlab: profileOf("gitlab", schemes.gitlab, {
    ...one,
    secret: HEX,
    headers: ["x-gitlab-event", "idempotency-key", "x-gitlab-token"],
  }),
  "gitlab-signing": profileOf("gitlab-signing", schemes.gitlabSigning, {
    secret: STANDARD,
    overlaps: true,
    headers: ["x-gitlab-event", "idempotency-key", ...STANDARD_HEADERS],
  }),
  bitbucket: profileOf("bitbucket", schemes.bitbucket, {
    ...one,
    secret: HEX,
    headers: ["x-event-key", "x-request-uuid", "x-hub-signature"],
  }),
  stripe: profileOf("stripe", schemes.stripe, {
    secret: STRIPE,
    overlaps: true,
    headers: ["stripe-signature"],
  }),
  shopify: profileOf("shopify", schemes.shopify, {
    ...one,
    secret: HEX,
    headers: ["x-shopify-topic", "x-shopify-webhook-id", "x-shopify-hmac-sha256"],
  }),
  slack: profileOf("slack", schemes.slack, {
    ...one,
    secret: HEX,
    headers: ["x-slack-signature", "x-slack-request-timestamp"],
    ask: askSlack,
  }),
  wechat: profileOf("wechat", schemes.wechat, { ...one, secret: WECHAT, headers: [], ask: askWechat }),
  wecom: profileOf("wecom", schemes.wecom, { ...one, secret: WECHAT, headers: [], ask: askWecom }),
  feishu: profileOf("feishu", schemes.feishu, {
    ...one,
    secret: FEISHU,
    headers: ["x-lark-signature", "x-lark-request-timestamp", "x-lark-request-nonce"],
    ask: askFeishu,
  }),
  dingtalk: profileOf("dingtalk", schemes.dingtalk, {
    ...one,
    secret: WECHAT,
    headers: [],
    ask: askDingtalk,
  }),
  alipay: profileOf("alipay", schemes.alipay, { ...one, secret: { kind: "key" }, headers: [] }),
};

/** @throws Error for a name that a newer version wrote: nothing is sent in a form that is not known here */
export function profileNamed(name: ProfileName): Profile {
  if (Object.hasOwn(PROFILES, name)) return PROFILES[name];
  throw new Error(`There is no scheme "${name}" in this version.`);
}
