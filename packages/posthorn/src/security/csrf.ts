/**
 * Tokens against cross-site request forgery: signed double-submit, as the OWASP CSRF Prevention Cheat Sheet has it ("Signed
 * Double-Submit Cookie"). A token is worth something only with the session that it was made for, so one that an attacker got
 * for his own session does not help him with another's. Nothing is stored.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

const RANDOM_BYTES = 64;
const TOKEN = /^[0-9a-f]{64}\.[0-9a-f]{128}$/;

/** `hex(HMAC-SHA256(key, session and random)) . hex(random)`: another one at each call, and all of a session are good. */
export function makeCsrfToken(key: Uint8Array, sessionId: string): string {
  const random = randomBytes(RANDOM_BYTES).toString("hex");
  return `${sign(key, sessionId, random).toString("hex")}.${random}`;
}

/** Whether the token was made for this session, in time that does not depend on its content. */
export function isCsrfToken(key: Uint8Array, sessionId: string, token: string): boolean {
  if (!TOKEN.test(token)) return false;
  const [signature = "", random = ""] = token.split(".");
  return timingSafeEqual(Buffer.from(signature, "hex"), sign(key, sessionId, random));
}

/** Each part with its length, so that no two pairs make the same text. */
function sign(key: Uint8Array, sessionId: string, random: string): Buffer {
  const message = `${sessionId.length}!${sessionId}!${random.length}!${random}`;
  return createHmac("sha256", key).update(message).digest();
}
