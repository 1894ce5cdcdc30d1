export type { HeadersInput } from "./headers.ts";
export {
  generateStandardSecret,
  importStandardSecret,
  StandardSecret,
  type StandardSecretInput,
  type StandardSignInput,
  type StandardVerifyInput,
  signStandard,
  type VerifiedRequest,
  verifyStandard,
} from "./schemes/standard.ts";
export { VerificationError, type VerificationErrorCode } from "./verification-error.ts";
