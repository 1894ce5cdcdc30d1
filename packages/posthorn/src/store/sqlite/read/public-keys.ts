/** Public keys that deliveries are signed with: what receivers verify them by. */
import type { AppId } from "../../../base/ids.ts";
import { KEY_SCHEMES } from "../../../domain/scheme.ts";
import type { PublicKeyRecord } from "../../store.ts";
import { type Query, query } from "../statement.ts";
import type { Reading } from "./reading.ts";

const COLUMNS =
  "p.id AS endpointId, a.id AS appId, s.public_key AS publicKey, s.expires_at_ms AS expiresAtMs";
const JOINED = "JOIN apps a ON a.seq = p.app_seq JOIN endpoint_secrets s ON s.endpoint_seq = p.seq";
const SCHEMES = KEY_SCHEMES.map((scheme) => `'${scheme}'`).join(", ");
const WANTED = `p.scheme IN (${SCHEMES}) AND p.removed_at_ms IS NULL AND s.public_key IS NOT NULL AND ifnull(s.expires_at_ms, 9e15) > ?1`;
const IN_ORDER = "ORDER BY p.id, s.position LIMIT ?2";

export class PublicKeys {
  #reading: Reading;
  #all: Query<PublicKeyRecord>;
  #ofApp: Query<PublicKeyRecord>;

  constructor(reading: Reading) {
    const { db } = reading;
    this.#reading = reading;
    // In the order of the index: a page costs what it holds, however many endpoints sign with a secret.
    this.#all = query(
      db,
      `SELECT ${COLUMNS} FROM endpoints p INDEXED BY endpoints_public ${JOINED} WHERE ${WANTED} ${IN_ORDER}`,
    );
    this.#ofApp = query(
      db,
      `SELECT ${COLUMNS} FROM endpoints p INDEXED BY endpoints_app ${JOINED}
      WHERE p.app_seq = (SELECT seq FROM apps WHERE id = ?3) AND ${WANTED} ${IN_ORDER}`,
    );
  }

  run({ appId, limit }: { readonly appId?: AppId; readonly limit: number }): PublicKeyRecord[] {
    const nowMs = this.#reading.nowMs();
    return appId === undefined ? this.#all.all(nowMs, limit) : this.#ofApp.all(nowMs, limit, appId);
  }
}
