/** What must never be shown: known forms of secrets inside texts, and the values of fields that hold one. */

/** `phk_` API keys, `whsec_` signing secrets, `whsk_` signing keys; credentials of an Authorization header or a URL; PEM keys. */
const SECRETS = /\b(phk_|whsec_|whsk_)[A-Za-z0-9+/=_-]+/g;
const CREDENTIALS = /\b(Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{8,}/gi;
const PRIVATE_KEYS = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g;
const USER_INFO = /(\/\/)[^\s/?#@"]+@/g;

/** The text with every secret in it cut to its prefix. */
export function maskSecrets(text: string): string {
  return text
    .replace(SECRETS, "$1***")
    .replace(CREDENTIALS, "$1 ***")
    .replace(PRIVATE_KEYS, "-----PRIVATE KEY ***-----")
    .replace(USER_INFO, "$1***@");
}

const SECRET_FIELDS =
  /^(secret|headers|authorization|cookie|password|token|key|value|adminkey|masterkey|oldmasterkeys|signingkey|privatekey|clientsecret|encryptionkey)$/i;

/** Objects that hold one: as a whole they are not shown, other fields of theirs are. */
const SECRET_HOLDERS = /^(authentication|clientcertificate|encryption)$/i;

/** Whether the value that an RFC 6901 pointer names may be, or hold, or lie within, a secret: `/secret`, `/headers/X-Token`. */
export function pointsAtSecret(pointer: string): boolean {
  const parts = pointer.split("/");
  return parts.some((part) => SECRET_FIELDS.test(part)) || SECRET_HOLDERS.test(parts.at(-1) ?? "");
}
