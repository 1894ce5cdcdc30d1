/** Endpoints with their secrets and lanes: for fanning out, for the dispatcher, for operators. */

import type { EndpointId } from "../../../base/ids.ts";
import type { BreakerState } from "../../../domain/breaker.ts";
import type {
  AppConfig,
  EndpointConfig,
  EndpointRow,
  KnownEndpoint,
  LaneRecord,
  SealedSecret,
} from "../../store.ts";
import { EPOCH } from "../options.ts";
import { type Query, query } from "../statement.ts";
import type { Reading } from "./reading.ts";
import { APP, type AppRow, appOf, ENDPOINT_COLUMNS, type EndpointColumns, endpointOf } from "./rows.ts";

export interface LaneColumns {
  readonly breaker: BreakerState;
  readonly failingSinceMs: number | null;
  readonly backlog: 0 | 1;
}
export const LANE_COLUMNS = `l.breaker, l.failing_since_ms AS failingSinceMs,
  EXISTS (SELECT 1 FROM deliveries d WHERE d.endpoint_seq = l.endpoint_seq AND d.leased_by IS NULL) AS backlog`;

interface WholeRow extends EndpointColumns, LaneColumns {
  readonly sealedHeaders: Uint8Array | null;
  readonly sealedCredentials: Uint8Array | null;
  readonly filterErrors: number;
  readonly filterError: string | null;
}
const WHOLE = `SELECT ${ENDPOINT_COLUMNS}, p.sealed_headers AS sealedHeaders, p.sealed_credentials AS sealedCredentials,
  l.filter_errors AS filterErrors, l.filter_error AS filterError, ${LANE_COLUMNS}
  FROM endpoints p JOIN apps a ON a.seq = p.app_seq JOIN lanes l ON l.endpoint_seq = p.seq`;

export function laneOf(
  { id, appId, breaker, failingSinceMs, backlog }: Pick<EndpointColumns, "id" | "appId"> & LaneColumns,
  nowMs: number,
): LaneRecord {
  return {
    endpointId: id,
    appId,
    epoch: EPOCH,
    owner: null,
    exclusive: false,
    breaker,
    backlog: backlog === 1,
    failingForMs: failingSinceMs === null ? null : Math.max(0, nowMs - failingSinceMs),
  };
}

export class Endpoints {
  #reading: Reading;
  #app: Query<AppRow>;
  #ofApp: Query<WholeRow>;
  #byId: Query<WholeRow>;
  #byUid: Query<WholeRow>;
  #bySeq: Query<WholeRow>;
  #version: Query<{ version: number }>;
  #secrets: Query<SealedSecret>;

  constructor(reading: Reading) {
    const { db } = reading;
    this.#reading = reading;
    this.#app = query(db, `${APP} WHERE removed_at_ms IS NULL AND (id = ?1 OR uid = ?1)`);
    this.#ofApp = query(db, `${WHOLE} WHERE p.app_seq = ? AND p.removed_at_ms IS NULL ORDER BY p.seq`);
    this.#byId = query(db, `${WHOLE} WHERE p.id = ? AND p.removed_at_ms IS NULL`);
    this.#byUid = query(db, `${WHOLE} WHERE p.uid = ? AND a.id = ? AND p.removed_at_ms IS NULL`);
    this.#bySeq = query(db, `${WHOLE} WHERE p.seq = ?`);
    this.#version = query(db, "SELECT version FROM endpoints WHERE id = ? AND removed_at_ms IS NULL");
    this.#secrets = query(
      db,
      "SELECT sealed, expires_at_ms AS expiresAtMs, public_key AS publicKey FROM endpoint_secrets WHERE endpoint_seq = ? ORDER BY position",
    );
  }

  config(reference: string): AppConfig | undefined {
    const app = this.#app.get(reference);
    if (app === undefined) return undefined;
    return { app: appOf(app), endpoints: this.#ofApp.all(app.seq).map((row) => this.#config(row)) };
  }

  refresh(known: readonly KnownEndpoint[]): { changed: EndpointConfig[]; gone: EndpointId[] } {
    const changed: EndpointConfig[] = [];
    const gone: EndpointId[] = [];
    for (const { endpointId, version } of known) {
      const found = this.#version.get(endpointId);
      if (found?.version === version) continue;
      const row = found === undefined ? undefined : this.#byId.get(endpointId);
      if (row === undefined) gone.push(endpointId);
      else changed.push(this.#config(row));
    }
    return { changed, gone };
  }

  find(reference: {
    readonly id?: string | undefined;
    readonly appId?: string | undefined;
  }): EndpointRow | undefined {
    const { id = "", appId } = reference;
    const byId = this.#byId.get(id);
    const row = byId ?? (appId === undefined ? undefined : this.#byUid.get(id, appId));
    return row === undefined || (appId !== undefined && row.appId !== appId) ? undefined : this.#whole(row);
  }

  bySeq(seq: number): EndpointRow | undefined {
    const row = this.#bySeq.get(seq);
    return row === undefined ? undefined : this.#whole(row);
  }

  #whole(row: WholeRow): EndpointRow {
    return { ...this.#config(row), filterErrors: row.filterErrors, filterError: row.filterError };
  }

  #config(row: WholeRow): EndpointConfig {
    return {
      endpoint: endpointOf(row),
      secrets: this.#secrets.all(row.seq).map((secret) => ({ ...secret })),
      sealedHeaders: row.sealedHeaders,
      sealedCredentials: row.sealedCredentials,
      lane: laneOf(row, this.#reading.nowMs()),
    };
  }
}
