export { contentDigest, verifyContentDigest } from "./content-digest.ts";
export {
  type ContentEncryption,
  type DecryptedPayload,
  type DecryptInput,
  type DecryptionKey,
  decryptPayload,
} from "./encryption/jwe.ts";
export type { PrivateJwk, PrivateKeyInput } from "./encryption/key-agreement.ts";
export type { HeadersInput } from "./headers.ts";
export {
  type HttpMessageHeaders,
  type HttpMessagePublicKey,
  type HttpMessageSignInput,
  type HttpMessageVerifyInput,
  signHttpMessage,
  type VerifiedHttpMessage,
  verifyHttpMessage,
} from "./schemes/http-message.ts";
export {
  type StandardSignInput,
  type StandardVerifyInput,
  signStandard,
  type VerifiedRequest,
  verifyStandard,
} from "./schemes/standard.ts";
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
export { VerificationError, type VerificationErrorCode } from "./verification-error.ts";
