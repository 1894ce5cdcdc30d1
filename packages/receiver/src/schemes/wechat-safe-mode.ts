/** What official accounts in safe mode and WeCom share: a POST with `msg_signature` in its query and `Encrypt` in its body. */
import { queryOf, readParameter, withParameters } from "../query.ts";
import { checkRawBody } from "../raw-body.ts";
import { bytesOf } from "./payload.ts";
import type { Clock, IncomingRequest, SignedRequest, SignInput, Verified } from "./scheme.ts";
import { checkWechatTimestamp, openSealed, randomNonce, sortedSha1, type WechatCrypt } from "./wechat-aes.ts";
import { readEncrypted, wrapEncrypted } from "./wechat-envelope.ts";
import { acknowledgement } from "./wechat-mp-plain.ts";

/** @throws VerificationError */
export function openPost(request: IncomingRequest, crypts: readonly WechatCrypt[], clock: Clock): Verified {
  checkRawBody(request.body);
  const encrypted = readEncrypted(bytesOf(request.body));
  const { message, timestampSeconds } = openWithQuery(request.url, encrypted, crypts, clock);
  return { kind: "event", payload: message, timestampSeconds, acknowledgement };
}

/** @throws VerificationError */
export function openWithQuery(
  url: string,
  encrypted: string,
  crypts: readonly WechatCrypt[],
  clock: Clock,
): { readonly message: Uint8Array; readonly timestampSeconds: number } {
  const query = queryOf(url);
  const signature = readParameter(query, "msg_signature");
  const timestamp = readParameter(query, "timestamp");
  const nonce = readParameter(query, "nonce");
  const timestampSeconds = checkWechatTimestamp(timestamp, clock);
  const { message } = openSealed(crypts, { timestamp, nonce, encrypted, signature });
  return { message, timestampSeconds };
}

/** With the `signature` of plain mode beside `msg_signature`, as WeChat sends it. */
export function signPost(input: SignInput, crypt: WechatCrypt): SignedRequest {
  const timestamp = String(input.timestampSeconds);
  const nonce = randomNonce();
  const encrypted = crypt.seal(input.body);
  const parameters = {
    signature: sortedSha1([crypt.token, timestamp, nonce]),
    timestamp,
    nonce,
    encrypt_type: "aes",
    msg_signature: crypt.sign(timestamp, nonce, encrypted),
  };
  return {
    method: "POST",
    url: withParameters(input.url, parameters),
    headers: { "content-type": input.contentType },
    body: wrapEncrypted(input.body, crypt.receiveId, encrypted),
  };
}
