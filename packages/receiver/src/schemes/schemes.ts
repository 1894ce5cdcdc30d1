/** THE table of schemes: the names that users write, and the names of the signature vectors where those differ. */
import { alipay } from "./alipay.ts";
import { bitbucket } from "./bitbucket.ts";
import { dingtalk } from "./dingtalk.ts";
import { discord } from "./discord.ts";
import { feishu } from "./feishu.ts";
import { github } from "./github.ts";
import { gitlab } from "./gitlab.ts";
import { gitlabSigning } from "./gitlab-signing.ts";
import { httpMessage } from "./http-message.ts";
import { linear } from "./linear.ts";
import { meta } from "./meta.ts";
import { none } from "./none.ts";
import { paypal } from "./paypal.ts";
import type { Scheme } from "./scheme.ts";
import { sendgrid } from "./sendgrid.ts";
import { shopify } from "./shopify.ts";
import { slack } from "./slack.ts";
import { square } from "./square.ts";
import { standard } from "./standard.ts";
import { stripe } from "./stripe.ts";
import { svix } from "./svix.ts";
import { twilio } from "./twilio.ts";
import { websub } from "./websub.ts";
import { wechat } from "./wechat.ts";
import { wechatPlain } from "./wechat-mp-plain.ts";
import { wechatPay } from "./wechatpay.ts";
import { wecom } from "./wecom.ts";
import { zoom } from "./zoom.ts";

/** A scheme of which nobody knows what its secrets are: they come as text, through `parseSecret`. */
export type AnyScheme = Scheme<unknown, unknown>;

/** By profile. */
export const SCHEMES = {
  standard,
  svix,
  "http-message": httpMessage,
  github,
  gitlab,
  "gitlab-signing": gitlabSigning,
  bitbucket,
  meta,
  websub,
  linear,
  shopify,
  square,
  stripe,
  slack,
  zoom,
  twilio,
  sendgrid,
  discord,
  paypal,
  wechat,
  "wechat-plain": wechatPlain,
  wecom,
  wechatpay: wechatPay,
  alipay,
  feishu,
  dingtalk,
  none,
} as const satisfies Readonly<Record<string, AnyScheme>>;

/** Names of `signature-vectors.json`: one profile may have several parts. */
const ALIASES = {
  "standard-webhooks": "standard",
  "http-message-signature": "http-message",
  "gitlab-token": "gitlab",
  "wechat-aes": "wechat",
  "wechat-mp-plain": "wechat-plain",
  "wechatpay-signature": "wechatpay",
  "wechatpay-aead": "wechatpay",
  "feishu-signature": "feishu",
  "feishu-decrypt": "feishu",
} as const satisfies Readonly<Record<string, ProfileName>>;

type Profiles = typeof SCHEMES;
type Aliases = typeof ALIASES;
export type ProfileName = keyof Profiles;
export type SchemeName = ProfileName | keyof Aliases;

/** The scheme object of a name: `SchemeOf<"github">` is `Scheme<string>`. */
export type SchemeOf<Name extends SchemeName> = Profiles[Name extends keyof Aliases
  ? Aliases[Name]
  : Name & ProfileName];

export function isSchemeName(name: string): name is SchemeName {
  return Object.hasOwn(SCHEMES, name) || Object.hasOwn(ALIASES, name);
}

/** @throws RangeError for a name that there is none of; the text lists them */
export function schemeNamed<Name extends SchemeName>(name: Name): SchemeOf<Name>;
export function schemeNamed(name: string): AnyScheme;
export function schemeNamed(name: string): AnyScheme {
  if (!isSchemeName(name)) {
    throw new RangeError(`There is no scheme "${name}". There are ${Object.keys(SCHEMES).join(", ")}.`);
  }
  return SCHEMES[name in ALIASES ? ALIASES[name as keyof Aliases] : (name as ProfileName)];
}
