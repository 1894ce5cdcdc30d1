/** The questions by which providers check a URL: a receiver that was written for one answers them by itself. */
import {
  dingtalk,
  type FeishuSecret,
  feishu,
  type SignedRequest,
  slack,
  type WechatAesSecret,
  type WechatAesSecretOfMany,
  wechatPlain,
  wecom,
} from "@posthorn/receiver";
import type { Asked, Inquiry } from "./profile.ts";

/** https://docs.slack.dev/reference/events/url_verification */
export function askSlack(inquiry: Inquiry, secret: string): Asked {
  const question = { token: "", challenge: inquiry.challenge, type: "url_verification" };
  return slack.sign(inputOf(inquiry, question), [secret]);
}

/** https://open.feishu.cn/document/server-docs/event-subscription-guide/event-subscription-configure-/request-url-configuration-case */
export function askFeishu(inquiry: Inquiry, secret: FeishuSecret): Asked {
  const token = secret.verificationToken ?? "";
  const question = { challenge: inquiry.challenge, token, type: "url_verification" };
  return feishu.sign(inputOf(inquiry, question), [secret]);
}

/** Answered as each event is: https://open.dingtalk.com/document/orgapp/configure-event-subcription */
export function askDingtalk(inquiry: Inquiry, secret: WechatAesSecret): Asked {
  const signed = dingtalk.sign(inputOf(inquiry, { EventType: "check_url" }), [secret]);
  return { ...signed, isAcknowledged: true };
}

/** Neither encrypted nor signed as its messages are: https://developers.weixin.qq.com/doc/offiaccount/Basic_Information/Access_Overview.html */
export function askWechat(inquiry: Inquiry, { token }: WechatAesSecret): Asked {
  return getting(wechatPlain.sign(inputOf(inquiry, {}), [token]), inquiry.challenge);
}

/** With the challenge encrypted: https://developer.work.weixin.qq.com/document/path/90930 */
export function askWecom(inquiry: Inquiry, secret: WechatAesSecretOfMany): Asked {
  const message = Buffer.from(inquiry.challenge);
  const signed = wecom.sign({ ...inputOf(inquiry, {}), body: message }, [secret]);
  const [, encrypted = ""] =
    /<Encrypt><!\[CDATA\[([^\]]+)]]>/.exec(Buffer.from(signed.body).toString()) ?? [];
  return getting(signed, encrypted);
}

function inputOf({ url, timestampSeconds }: Inquiry, question: object) {
  const body = Buffer.from(JSON.stringify(question));
  return { id: "", type: "", url, timestampSeconds, contentType: "application/json", body };
}

/** The same query, and in it what is to come back. */
function getting({ url }: SignedRequest, echo: string): Asked {
  const asked = new URL(url);
  asked.search += `&echostr=${encodeURIComponent(echo)}`;
  return { method: "GET", url: asked.href, headers: {}, body: null };
}
