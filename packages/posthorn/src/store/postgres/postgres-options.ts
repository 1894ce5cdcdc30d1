/** How the store is opened. */
import type { Logger } from "../../base/logger.ts";
import type { MasterKeyMark } from "../../security/master-key.ts";

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database?...`, as libpq and `pg` read it. */
  readonly url: string;
  readonly logger?: Logger;
  /** The name of the cluster; every node that shares the schema must have the same. Default `posthorn`. */
  readonly cluster?: string;
  /**
   * What the master keys that open its secrets are known by, first the one that seals now. A store that is sealed under none
   * of them is refused with a WrongMasterKeyError. Empty: nothing is compared.
   */
  readonly masterKeyMarks?: readonly MasterKeyMark[];
  /** Connections at most, those of its own for settling, listening and the heartbeat included. Default 12. */
  readonly connectionsMax?: number;
  /** How long idempotency keys are remembered. Default 24 h. */
  readonly idempotencyMs?: number;
  /** How long a delivery of a chunked fan-out may wait past its due time. Default 7 days. */
  readonly waitMsMax?: number;
  /** How long figures and finished replays are kept. Default 90 days. */
  readonly figuresMs?: number;
  /** How often this node says that it lives. Default 2 s. */
  readonly heartbeatMs?: number;
  /** After how much silence a node is given up. Default 10 s. */
  readonly deadAfterMs?: number;
  /** How long accepting and reading wait for a database that is away. Default 5 s. */
  readonly patienceMs?: number;
  /** For tests: this machine's clock, compared with the database's. */
  readonly wallMs?: () => number;
}

/** What the verbs need of them. */
export interface PostgresSettings {
  readonly idempotencyMs: number;
  readonly waitMsMax: number;
  readonly figuresMs: number;
  readonly deadAfterMs: number;
  readonly patienceMs: number;
}
