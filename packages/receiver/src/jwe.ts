/** `@posthorn/receiver/jwe`: encrypted payloads. Needs no package besides. */
import { type DecryptInput, decryptPayload } from "./encryption/jwe.ts";
import type { Decrypt } from "./receiver/setup.ts";
import { VerificationError } from "./verification-error.ts";

export {
  type ContentEncryption,
  type DecryptedPayload,
  type DecryptInput,
  type DecryptionKey,
  decryptPayload,
} from "./encryption/jwe.ts";
export type { PrivateJwk, PrivateKeyInput } from "./encryption/key-agreement.ts";

/**
 * For the option `decrypt` of a receiver, which calls it once the signature is verified. A payload that is not encrypted is refused.
 * @throws VerificationError `invalid_key` when there is no key
 */
export function jweDecryption(options: Omit<DecryptInput, "body">): Decrypt {
  if (options.keys.length === 0) {
    throw new VerificationError("invalid_key", "There is no key to decrypt with.");
  }
  return (payload) => decryptPayload({ ...options, body: payload }).payload;
}
