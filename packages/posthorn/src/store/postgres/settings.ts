/** The options of the store, complete and checked. */
import { PosthornError } from "../../base/errors.ts";
import { DEFAULTS, LIMITS } from "../../domain/defaults.ts";
import { CONNECTIONS_MIN } from "./pool.ts";
import type { PostgresOptions, PostgresSettings } from "./postgres-options.ts";

const DAY_MS = 86_400_000;
/** The listener's and the heartbeat's. */
const OWN_CONNECTIONS = 2;
const CONNECTIONS_DEFAULT = 12;
const HEARTBEAT_MS = 2000;
const DEAD_AFTER_MS = 10_000;
const PATIENCE_MS = 5000;
/** A node that misses three beats is still alive. */
const BEATS_MIN = 4;

export interface CompleteOptions {
  readonly settings: PostgresSettings;
  readonly heartbeatMs: number;
  /** Without those that have a thread or a duty of their own. */
  readonly poolConnections: number;
}

/** @throws PosthornError `invalid_field` */
export function completeOptions(options: PostgresOptions): CompleteOptions {
  const { heartbeatMs = HEARTBEAT_MS, deadAfterMs = DEAD_AFTER_MS } = options;
  const { connectionsMax = CONNECTIONS_DEFAULT } = options;
  const connectionsMin = CONNECTIONS_MIN + OWN_CONNECTIONS;
  if (!Number.isInteger(connectionsMax) || connectionsMax < connectionsMin) {
    throw refused("connectionsMax", connectionsMax, `a whole number of at least ${connectionsMin}`);
  }
  if (!(heartbeatMs > 0)) throw refused("heartbeatMs", heartbeatMs, "a duration above 0");
  if (!(deadAfterMs >= BEATS_MIN * heartbeatMs)) {
    throw refused("deadAfterMs", deadAfterMs, `at least ${BEATS_MIN} times heartbeatMs (${heartbeatMs})`);
  }
  return {
    heartbeatMs,
    poolConnections: connectionsMax - OWN_CONNECTIONS,
    settings: {
      idempotencyMs: options.idempotencyMs ?? DEFAULTS.idempotencyMs,
      waitMsMax: options.waitMsMax ?? LIMITS.waitMsMax,
      figuresMs: options.figuresMs ?? 90 * DAY_MS,
      deadAfterMs,
      patienceMs: options.patienceMs ?? PATIENCE_MS,
    },
  };
}

function refused(name: keyof PostgresOptions, value: number, form: string): PosthornError {
  return new PosthornError("invalid_field", `${name}: give ${form} (got ${value}).`, {
    pointer: `/${name}`,
    value,
  });
}
