export { contentDigest, verifyContentDigest } from "./content-digest.ts";
export { DEDUPE_WINDOW_MS, type DedupeStore, type OnceOutcome, type OnceWork } from "./dedupe/dedupe.ts";
export { type MemoryDedupeOptions, memoryDedupe } from "./dedupe/memory/memory-dedupe.ts";
export {
  type ContentEncryption,
  type DecryptedPayload,
  type DecryptInput,
  type DecryptionKey,
  decryptPayload,
} from "./encryption/jwe.ts";
export type { PrivateJwk, PrivateKeyInput } from "./encryption/key-agreement.ts";
export type { HeadersInput } from "./headers.ts";
export type { Inbox, InboxEntry, InboxEvent, Postponement, PutOutcome } from "./inbox/inbox.ts";
export type { ProcessContext, Processor } from "./processors/processor.ts";
export {
  abort,
  type Control,
  DeliveryControl,
  disable,
  PoisonError,
  retryAfter,
} from "./receiver/control.ts";
export type { ReceiverCounters } from "./receiver/counters.ts";
export type { DeadLetter, DeadLetters } from "./receiver/dead-letters.ts";
export type { ReceiverDoor } from "./receiver/door.ts";
export type { EventMap, ReceivedEvent } from "./receiver/event.ts";
export type { EventUnder, Handler, HandlerContext, Handlers, Step } from "./receiver/handlers.ts";
export type { ReceiverOptions, SecretInput } from "./receiver/options.ts";
export { createReceiver, type Receiver } from "./receiver/receiver.ts";
export type { Decrypt, ErrorContext, RetryOptions } from "./receiver/setup.ts";
export { type AlipaySecret, alipay } from "./schemes/alipay.ts";
export { bitbucket } from "./schemes/bitbucket.ts";
export { dingtalk } from "./schemes/dingtalk.ts";
export { discord } from "./schemes/discord.ts";
export { feishu } from "./schemes/feishu.ts";
export type { FeishuSecret } from "./schemes/feishu-secret.ts";
export { github } from "./schemes/github.ts";
export { gitlab } from "./schemes/gitlab.ts";
export { gitlabSigning } from "./schemes/gitlab-signing.ts";
export { type HttpMessageSecret, httpMessage } from "./schemes/http-message.ts";
export {
  type HttpMessageHeaders,
  type HttpMessagePublicKey,
  type HttpMessageSignInput,
  type HttpMessageVerifyInput,
  signHttpMessage,
  type VerifiedHttpMessage,
  verifyHttpMessage,
} from "./schemes/http-message-profile.ts";
export { linear } from "./schemes/linear.ts";
export { type MetaSecret, meta } from "./schemes/meta.ts";
export { none } from "./schemes/none.ts";
export {
  type PayPalSecret,
  type PayPalSigningSecret,
  paypal,
  paypalCertificateUrl,
} from "./schemes/paypal.ts";
export type {
  Answer,
  Clock,
  Composition,
  Description,
  IncomingRequest,
  OutgoingEvent,
  Scheme,
  SignedRequest,
  SignInput,
  Strength,
  Verified,
  Verify,
} from "./schemes/scheme.ts";
export {
  type AnyScheme,
  isSchemeName,
  SCHEMES,
  type SchemeName,
  type SchemeOf,
  schemeNamed,
} from "./schemes/schemes.ts";
export { sendgrid } from "./schemes/sendgrid.ts";
export { shopify } from "./schemes/shopify.ts";
export { slack } from "./schemes/slack.ts";
export { square } from "./schemes/square.ts";
export { standard } from "./schemes/standard.ts";
export {
  encodeStandardPublicKey,
  generateStandardKey,
  importStandardKey,
  importStandardPublicKey,
  jwkOf,
  keyIdOf,
  type StandardJwk,
  StandardKey,
  StandardPublicKey,
  type StandardPublicKeyInput,
} from "./schemes/standard-key.ts";
export {
  generateStandardSecret,
  importStandardSecret,
  StandardSecret,
  type StandardSecretInput,
} from "./schemes/standard-secret.ts";
export {
  type StandardSignInput,
  type StandardVerifyInput,
  signStandard,
  type VerifiedRequest,
  verifyStandard,
} from "./schemes/standard-signature.ts";
export { stripe } from "./schemes/stripe.ts";
export { svix } from "./schemes/svix.ts";
export { twilio } from "./schemes/twilio.ts";
export { type WebSubSecret, websub } from "./schemes/websub.ts";
export { wechat } from "./schemes/wechat.ts";
export type { WechatAesSecret, WechatAesSecretOfMany } from "./schemes/wechat-aes.ts";
export { wechatPlain } from "./schemes/wechat-mp-plain.ts";
export { wechatPay } from "./schemes/wechatpay.ts";
export type { WechatPaySecret, WechatPaySigningSecret } from "./schemes/wechatpay-secret.ts";
export { wecom } from "./schemes/wecom.ts";
export { zoom } from "./schemes/zoom.ts";
export { VerificationError, type VerificationErrorCode } from "./verification-error.ts";
