import { VerificationError } from "./verification-error.ts";

/** No sign, fraction, exponent or space: `parseInt` would take "1614265330x". */
const UNIX_SECONDS = /^\d{1,12}$/;

export function isUnixSeconds(value: string | number): boolean {
  return UNIX_SECONDS.test(String(value));
}

/**
 * The unix seconds of a request, no further from now than the tolerance, in either direction, both ends included.
 * @param name what the errors call it
 * @throws VerificationError `invalid_timestamp`, `timestamp_too_old`, `timestamp_too_new`
 */
export function checkTimestamp(
  name: string,
  timestamp: string,
  { nowSeconds, toleranceSeconds }: { readonly nowSeconds: number; readonly toleranceSeconds: number },
): number {
  // A NaN would make both comparisons below false and let every timestamp pass.
  if (!(toleranceSeconds >= 0) || !Number.isFinite(nowSeconds)) {
    throw new RangeError("toleranceSeconds must be at least 0 and nowSeconds a finite number");
  }
  if (!isUnixSeconds(timestamp)) {
    throw new VerificationError(
      "invalid_timestamp",
      `${name} must be unix seconds, digits only. Check that no proxy changes it.`,
    );
  }
  const timestampSeconds = Number(timestamp);
  const ageSeconds = nowSeconds - timestampSeconds;
  if (ageSeconds > toleranceSeconds) {
    throw new VerificationError(
      "timestamp_too_old",
      `${name} is ${ageSeconds} s old, more than the ${toleranceSeconds} s allowed. Check this machine's clock, and that the request was not recorded and sent again.`,
    );
  }
  if (-ageSeconds > toleranceSeconds) {
    throw new VerificationError(
      "timestamp_too_new",
      `${name} is ${-ageSeconds} s ahead, more than the ${toleranceSeconds} s allowed. Check this machine's clock.`,
    );
  }
  return timestampSeconds;
}
