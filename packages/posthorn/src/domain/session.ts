/** A browser's session: someone signed in with a key, and acts with that key's role until it ends. */
import type { KeyId, SessionId } from "../base/ids.ts";

export interface Session {
  readonly id: SessionId;
  readonly keyId: KeyId;
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
}
