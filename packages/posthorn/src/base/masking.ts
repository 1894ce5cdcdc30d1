/** What must never be shown: known forms of secrets inside texts, and the values of fields that hold one. */

/** `phk_` API keys, `whsec_` signing secrets, `whsk_` signing keys; and credentials of an Authorization header or a URL. */
const SECRETS = /\b(phk_|whsec_|whsk_)[A-Za-z0-9+/=_-]+/g;
const CREDENTIALS = /\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{8,}/gi;
const USER_INFO = /(\/\/)[^\s/?#@"]+@/g;

/** The text with every secret in it cut to its prefix. */
export function maskSecrets(text: string): string {
  return text.replace(SECRETS, "$1***").replace(CREDENTIALS, "$1 ***").replace(USER_INFO, "$1***@");
}

const SECRET_FIELDS = /^(secret|headers|authorization|cookie|password|token|key|adminkey|masterkey)$/i;

/** Whether the value that an RFC 6901 pointer names may be, or lie within, a secret: `/secret`, `/headers/X-Token`. */
export function pointsAtSecret(pointer: string): boolean {
  return pointer.split("/").some((part) => SECRET_FIELDS.test(part));
}
