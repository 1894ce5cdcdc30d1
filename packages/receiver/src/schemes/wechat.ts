/**
 * WeChat official accounts, mini programs and platforms in safe mode (and in the mode that sends both forms, of which only the
 * encrypted one counts): `msg_signature` is SHA-1 over the sorted token, timestamp, nonce and encrypted message.
 * Source: https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Technical_Plan.html
 */
import { SMALL_BODY_BYTES_MAX } from "./payload.ts";
import type { Scheme } from "./scheme.ts";
import { importWechatAes, parseWechatAes, type WechatAesSecret } from "./wechat-aes.ts";
import { composeMessage, describeMessage } from "./wechat-message.ts";
import { answerEcho, isSuccessOrEmpty } from "./wechat-mp-plain.ts";
import { openPost, signPost } from "./wechat-safe-mode.ts";

/** `receiveId` is the appid: of the account, or of the platform. */
export const wechat: Scheme<WechatAesSecret> = {
  name: "wechat",
  strength: "weak",
  signsUrl: false,
  needsSecret: true,
  bodyBytesMax: SMALL_BODY_BYTES_MAX,
  handshakesByGet: true,
  verifier(secrets) {
    const crypts = importWechatAes(secrets);
    const tokens = crypts.map(({ token }) => token);
    return (request, clock) =>
      // The question of the console is not encrypted, even here.
      request.method === "GET"
        ? { kind: "handshake", answer: answerEcho(request.url, tokens, clock) }
        : openPost(request, crypts, clock);
  },
  describe: describeMessage,
  parseSecret: parseWechatAes,
  parseSigningSecret: parseWechatAes,
  compose: composeMessage,
  sign: (input, secrets) => signPost(input, importWechatAes(secrets)[0]),
  isAcknowledged: isSuccessOrEmpty,
};
