/** Why a request was not accepted. The codes are stable: programs may switch on them. */
export type VerificationErrorCode =
  | "missing_header"
  | "duplicate_header"
  | "invalid_timestamp"
  | "timestamp_too_old"
  | "timestamp_too_new"
  | "no_matching_signature"
  | "invalid_secret"
  | "invalid_body";

/** The request is not proven to come from the sender: answer 400 or 401 and do not process it. */
export class VerificationError extends Error {
  override readonly name = "VerificationError";
  readonly code: VerificationErrorCode;

  constructor(code: VerificationErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
