/** The public keys that deliveries are signed with. */
import type { AppId, EndpointId } from "../../../base/ids.ts";
import { KEY_SCHEMES } from "../../../domain/scheme.ts";
import type { PublicKeyRecord } from "../../store.ts";
import type { Context } from "../context.ts";
import { secretsOf } from "./endpoints.ts";
import { Values } from "./values.ts";

interface Row {
  readonly endpointId: EndpointId;
  readonly appId: AppId;
  readonly secrets: string;
  readonly nowMs: number;
}

/** As the index has them. */
const SCHEMES = KEY_SCHEMES.map((scheme) => `'${scheme}'`).join(", ");

/** Each endpoint has one at least; at most `limit` keys in all. */
export async function publicKeys(
  { connections }: Context,
  { appId, limit }: { readonly appId?: AppId; readonly limit: number },
): Promise<PublicKeyRecord[]> {
  const values = new Values();
  const ofApp = appId === undefined ? "" : `AND p.app_id = ${values.add(appId)}`;
  const text = `SELECT p.id AS "endpointId", p.app_id AS "appId", p.secrets, posthorn.now_ms() AS "nowMs"
    FROM posthorn.endpoints p
    WHERE p.scheme IN (${SCHEMES}) AND p.removed_at_ms IS NULL ${ofApp} ORDER BY p.id LIMIT ${values.add(limit)}`;
  const rows = await connections.runSafely<Row>("read", { text }, values.list);
  return rows.flatMap(keysOf).slice(0, limit);
}

/** Those that nothing is signed with any more are left out. */
function keysOf({ endpointId, appId, secrets, nowMs }: Row): PublicKeyRecord[] {
  return secretsOf(secrets).flatMap(({ publicKey, expiresAtMs }) =>
    publicKey === null || (expiresAtMs ?? nowMs + 1) <= nowMs
      ? []
      : [{ endpointId, appId, publicKey, expiresAtMs }],
  );
}
