/** Why a request was not accepted. The codes are stable: programs may switch on them. */
export type VerificationErrorCode =
  | "missing_header"
  | "duplicate_header"
  | "invalid_header"
  | "missing_parameter"
  | "duplicate_parameter"
  | "invalid_timestamp"
  | "timestamp_too_old"
  | "timestamp_too_new"
  | "signature_expired"
  | "missing_component"
  | "algorithm_mismatch"
  | "no_matching_signature"
  | "digest_mismatch"
  | "invalid_secret"
  | "invalid_key"
  | "invalid_body"
  | "invalid_url"
  | "invalid_payload"
  | "body_too_large"
  | "invalid_encryption"
  | "unsupported_encryption"
  | "decryption_failed";

/** The request is not proven to come from the sender: answer 400 or 401 and do not process it. */
export class VerificationError extends Error {
  override readonly name = "VerificationError";
  readonly code: VerificationErrorCode;

  constructor(code: VerificationErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
