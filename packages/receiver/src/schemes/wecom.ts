/**
 * WeCom: as WeChat's safe mode, but the question of the console is encrypted, and answered with what is in it.
 * Source: https://developer.work.weixin.qq.com/document/path/90930
 */
import { Buffer } from "node:buffer";
import { queryOf, readParameter } from "../query.ts";
import { textAnswer } from "./answer.ts";
import { SMALL_BODY_BYTES_MAX } from "./payload.ts";
import type { Answer, Clock, Scheme } from "./scheme.ts";
import {
  importWechatAesOfMany,
  parseWechatAesOfMany,
  type WechatAesSecretOfMany,
  type WechatCrypt,
} from "./wechat-aes.ts";
import { composeMessage, describeMessage } from "./wechat-message.ts";
import { isSuccessOrEmpty } from "./wechat-mp-plain.ts";
import { openPost, openWithQuery, signPost } from "./wechat-safe-mode.ts";

/**
 * `receiveId` is the corpid; of a third party's app (第三方应用) the suite id for its commands, and for its data the corpid of whichever
 * customer it is: a list of those, or null, which takes anybody's that was made with token and key. The message says whose it is.
 */
export const wecom: Scheme<WechatAesSecretOfMany> = {
  name: "wecom",
  strength: "weak",
  signsUrl: false,
  needsSecret: true,
  bodyBytesMax: SMALL_BODY_BYTES_MAX,
  handshakesByGet: true,
  verifier(secrets) {
    const crypts = importWechatAesOfMany(secrets);
    return (request, clock) =>
      request.method === "GET"
        ? { kind: "handshake", answer: answerSealedEcho(request.url, crypts, clock) }
        : openPost(request, crypts, clock);
  },
  describe: describeMessage,
  parseSecret: parseWechatAesOfMany,
  parseSigningSecret: parseWechatAesOfMany,
  compose: composeMessage,
  sign: (input, secrets) => signPost(input, importWechatAesOfMany(secrets)[0]),
  isAcknowledged: isSuccessOrEmpty,
};

function answerSealedEcho(url: string, crypts: readonly WechatCrypt[], clock: Clock): Answer {
  const { message } = openWithQuery(url, readParameter(queryOf(url), "echostr"), crypts, clock);
  return textAnswer(Buffer.from(message).toString());
}
