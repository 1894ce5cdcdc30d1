-- The tables. Rules that hold in every one:
-- * `id` is the public id, compared byte by byte (COLLATE "C"): ids sort by time. `..._ms` is unix milliseconds of the
--   database's clock (now_ms). JSON columns are text, byte columns bytea.
-- * `locator` and `day` are taken from the ids: which shard, and which daily partition. Keys of what grows with traffic
--   begin with them, so that on a sharded PostgreSQL the same statements distribute by `locator`.
-- * What grows with traffic (events, deliveries, attempts) has no foreign keys: they would cost an index and a look-up per
--   row. The functions keep these references right, and the property test of the conformance suite checks them.
-- * No default partition: it would be scanned at every detach, and DETACH CONCURRENTLY forbids it.

-- The clock of the store. `posthorn.advance_ms` is a setting of the session that tests use, and nobody else.
CREATE FUNCTION posthorn.now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
    + coalesce(nullif(current_setting('posthorn.advance_ms', true), ''), '0')::bigint
$$;

-- What the store knows about itself: one row.
CREATE TABLE posthorn.facts (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  -- The name that every node must be configured with, and a check value of its master key: two clusters on one schema
  -- would read each other's secrets and fail. Set by the first node that opens the store.
  cluster text,
  key_check bytea,
  -- Raised when an event type changes. Part of every app's configVersion.
  catalogue_version bigint NOT NULL DEFAULT 0,
  -- When pruning last found nothing left to do.
  pruned_at_ms bigint
);
INSERT INTO posthorn.facts DEFAULT VALUES;

-- The starts of nodes. Set by enlist, kept alive by beat; deleted by prune 90 days after they ended.
CREATE TABLE posthorn.incarnations (
  -- What leases refer to. Never given twice.
  number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  id text COLLATE "C" NOT NULL UNIQUE,
  name text NOT NULL,
  version text NOT NULL,
  roles text[] NOT NULL,
  started_at_ms bigint NOT NULL,
  -- The last beat, and since when they have come without a gap: who was cut off itself may not judge others.
  beat_at_ms bigint NOT NULL,
  steady_since_ms bigint NOT NULL,
  -- When it was given up: it retired, or was silent for too long. What it holds is rescued.
  voided_at_ms bigint,
  -- How it ended.
  ended text CHECK (ended IN ('retired', 'silent')),
  CHECK ((voided_at_ms IS NULL) = (ended IS NULL))
) WITH (fillfactor = 50);

-- Duties that one node has at a time and that span several transactions: replays, publications. The holder keeps it while
-- it lives; an advisory lock would stay with a process that is stopped but not dead.
CREATE TABLE posthorn.duties (
  name text PRIMARY KEY,
  holder integer
);

-- Apps. Set by save; `removed_at_ms` by remove. Deleted by prune when nothing of them is left.
CREATE TABLE posthorn.apps (
  id text COLLATE "C" PRIMARY KEY,
  uid text,
  name text NOT NULL,
  metadata text NOT NULL,
  retention_days smallint NOT NULL CHECK (retention_days > 0),
  -- Bumped by every save and remove of the app or of one of its endpoints; accept compares it.
  config_version bigint NOT NULL CHECK (config_version > 0),
  created_at_ms bigint NOT NULL,
  updated_at_ms bigint NOT NULL,
  removed_at_ms bigint
);
CREATE UNIQUE INDEX apps_uid ON posthorn.apps (uid) WHERE uid IS NOT NULL AND removed_at_ms IS NULL;

-- Endpoints. Set by save; removed as apps are, and kept while a delivery of theirs is.
CREATE TABLE posthorn.endpoints (
  id text COLLATE "C" PRIMARY KEY,
  app_id text COLLATE "C" NOT NULL REFERENCES posthorn.apps (id),
  uid text,
  url text NOT NULL,
  description text NOT NULL,
  event_types text NOT NULL,
  channels text NOT NULL,
  filter text,
  rate_limit_per_second double precision,
  in_flight_max integer NOT NULL,
  timeout_ms integer NOT NULL,
  retry_schedule text NOT NULL,
  ordering text NOT NULL CHECK (ordering IN ('unordered', 'fifo', 'keyed')),
  on_dead_letter text NOT NULL CHECK (on_dead_letter IN ('continue', 'block')),
  scheme text NOT NULL,
  status text NOT NULL CHECK (status IN ('enabled', 'paused', 'unverified', 'disabled')),
  disable_reason text CHECK (disable_reason IN ('by_hand', 'gone', 'failing', 'receiver_asked')),
  -- Custom headers, sealed by the vault; NULL: none. Emptied by remove.
  sealed_headers bytea,
  -- JSON list of {sealed (base64), expiresAtMs}: signing secrets, sealed by the vault, the current one first. Emptied by remove.
  secrets text NOT NULL,
  -- Bumped by every save.
  version integer NOT NULL CHECK (version > 0),
  created_at_ms bigint NOT NULL,
  updated_at_ms bigint NOT NULL,
  removed_at_ms bigint,
  -- Removed, and cancel has ended the last of its deliveries.
  drained boolean NOT NULL DEFAULT false,
  CHECK (disable_reason IS NULL OR status = 'disabled'),
  CHECK (NOT drained OR removed_at_ms IS NOT NULL)
);
CREATE INDEX endpoints_app ON posthorn.endpoints (app_id, id);
CREATE UNIQUE INDEX endpoints_uid ON posthorn.endpoints (app_id, uid) WHERE uid IS NOT NULL AND removed_at_ms IS NULL;
CREATE INDEX endpoints_undrained ON posthorn.endpoints (id) WHERE removed_at_ms IS NOT NULL AND NOT drained;

-- The queue of an endpoint: one row each, made with it. Pausing, disabling and an open breaker are facts of this row
-- alone; no delivery is rewritten for them. Whoever stores something unleased locks the row, and so does a claim: so the
-- hint is exact, and a claim may begin to look at it, past the dead rows of what was claimed before.
CREATE TABLE posthorn.lanes (
  endpoint_id text COLLATE "C" PRIMARY KEY REFERENCES posthorn.endpoints (id),
  app_id text COLLATE "C" NOT NULL,
  -- The endpoint is enabled and not removed.
  runnable boolean NOT NULL,
  removed boolean NOT NULL DEFAULT false,
  -- Ordered, rate-limited or with a small cap: one node at a time, whatever its breaker does.
  exclusive boolean NOT NULL,
  -- The incarnation that alone sends for this lane. NULL: shared by all, or nobody's yet. Raising the epoch fences what
  -- an earlier owner, or a node that took the lane for shared, still says about it.
  owner integer,
  epoch integer NOT NULL DEFAULT 1,
  -- Nothing stored unleased is due before. NULL: nothing is.
  next_due_at_ms bigint,
  -- The last number given in its order.
  sequence bigint NOT NULL DEFAULT 0,
  breaker text NOT NULL DEFAULT 'closed' CHECK (breaker IN ('closed', 'open', 'half_open')),
  -- Open breaker: when one due delivery may be tried, and how long after that the next one.
  probe_at_ms bigint,
  probe_every_ms bigint,
  -- Since when every attempt has failed, and how many have. Set by settle, cleared by a success.
  failing_since_ms bigint,
  failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
  -- Events that the endpoint's filter could not judge, and what the last of them said.
  filter_errors bigint NOT NULL DEFAULT 0,
  filter_error text,
  -- When the lane is worth a claim; NULL: not before something changes.
  wake_at_ms bigint GENERATED ALWAYS AS (
    CASE WHEN runnable AND next_due_at_ms IS NOT NULL THEN greatest(next_due_at_ms, coalesce(probe_at_ms, 0)) END
  ) STORED,
  CHECK ((breaker = 'open') = (probe_at_ms IS NOT NULL)),
  CHECK ((failing_since_ms IS NULL) = (failures = 0))
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX lanes_wake ON posthorn.lanes (wake_at_ms, endpoint_id) WHERE wake_at_ms IS NOT NULL;
CREATE INDEX lanes_owner ON posthorn.lanes (owner) WHERE owner IS NOT NULL;

-- Ordered keys that stand still because their head dead-lettered under `onDeadLetter: "block"`.
CREATE TABLE posthorn.lane_blocks (
  endpoint_id text COLLATE "C" NOT NULL,
  order_key text NOT NULL,
  event_id text COLLATE "C" NOT NULL,
  created_at_ms bigint NOT NULL,
  PRIMARY KEY (endpoint_id, order_key)
);

-- The catalogue of event types.
CREATE TABLE posthorn.event_types (
  name text COLLATE "C" PRIMARY KEY,
  description text NOT NULL,
  schema text,
  example text,
  group_name text,
  deprecated boolean NOT NULL,
  created_at_ms bigint NOT NULL,
  updated_at_ms bigint NOT NULL
);

-- API keys, as hashes.
CREATE TABLE posthorn.keys (
  id text COLLATE "C" PRIMARY KEY,
  hash bytea NOT NULL UNIQUE,
  role text NOT NULL,
  name text NOT NULL,
  prefix text NOT NULL,
  created_at_ms bigint NOT NULL,
  expires_at_ms bigint,
  last_used_at_ms bigint
);

-- Events. Set by accept, never changed except by expunging; gone with their partition. The payload stands last, so that
-- lists need not read it.
CREATE TABLE posthorn.events (
  accepted_at_ms bigint NOT NULL,
  deliver_at_ms bigint,
  -- When the payload was zeroed. Set by remove.
  expunged_at_ms bigint,
  locator integer NOT NULL,
  day date NOT NULL,
  data_start integer NOT NULL,
  data_end integer NOT NULL,
  -- How many deliveries were made with the event, and the first and last of their ids: so they are found without an index.
  delivery_count integer NOT NULL,
  -- Endpoints frozen at accept and reached later, chunk by chunk.
  fan_out_count integer NOT NULL,
  -- Of the app, at the time: which partition the row goes with.
  retention_days smallint NOT NULL,
  id text COLLATE "C" NOT NULL,
  app_id text COLLATE "C" NOT NULL,
  delivery_first text COLLATE "C",
  delivery_last text COLLATE "C",
  uid text,
  event_type text NOT NULL,
  timestamp text NOT NULL,
  -- JSON list; NULL: none.
  channels text,
  ordering_key text,
  payload bytea NOT NULL,
  PRIMARY KEY (locator, day, id, retention_days),
  CHECK (data_start <= data_end AND data_end <= length(payload))
) PARTITION BY LIST (retention_days);
-- For lists of all apps: rows lie in the order of time.
CREATE INDEX events_accepted ON posthorn.events USING brin (accepted_at_ms) WITH (pages_per_range = 16);

-- Fan-outs still going on: an event for more endpoints than are reached at once.
CREATE TABLE posthorn.fan_outs (
  event_id text COLLATE "C" PRIMARY KEY,
  event_day date NOT NULL,
  retention_days smallint NOT NULL,
  locator integer NOT NULL,
  -- JSON list of endpoint ids, frozen at accept.
  endpoints text NOT NULL,
  -- How many of them are done.
  cursor integer NOT NULL DEFAULT 0
);

-- Keys that must not be used again for a while. Set by accept, deleted by prune.
CREATE TABLE posthorn.idempotency (
  app_id text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  fingerprint bytea NOT NULL,
  event_id text COLLATE "C" NOT NULL,
  -- What a duplicate is answered with.
  deliveries integer NOT NULL,
  created_at_ms bigint NOT NULL,
  PRIMARY KEY (app_id, key)
);
CREATE INDEX idempotency_created ON posthorn.idempotency (created_at_ms);

-- How far each source had got: committed with the event that it made.
CREATE TABLE posthorn.source_positions (
  source_id text COLLATE "C" PRIMARY KEY,
  position bytea NOT NULL,
  updated_at_ms bigint NOT NULL
);

-- Unfinished deliveries, and nothing else: this is the queue. Leased by accept and claim, given back by settle and rescue,
-- moved to delivery_history, in one transaction, by whatever ends them.
CREATE TABLE posthorn.deliveries (
  created_at_ms bigint NOT NULL,
  -- When it gives up, unless it is leased then.
  expires_at_ms bigint NOT NULL,
  -- When the next attempt is due. NULL: held, because it is not at the head of its order.
  due_at_ms bigint,
  -- Its place in its lane's order.
  sequence bigint,
  locator integer NOT NULL,
  -- The days of the delivery and of its event: where history and payload lie.
  day date NOT NULL,
  event_day date NOT NULL,
  -- The incarnation that sends it now. NULL: waiting.
  leased_by integer,
  -- Failed attempts that count for the schedule; all attempts; the `unknown` ones at the end in a row.
  failures integer NOT NULL DEFAULT 0 CHECK (failures >= 0),
  attempt_count integer NOT NULL DEFAULT 0 CHECK (attempt_count >= 0),
  unknowns integer NOT NULL DEFAULT 0 CHECK (unknowns >= 0),
  -- Of its event, so that a claim keeps to its bytes without reading one.
  payload_bytes integer NOT NULL,
  retention_days smallint NOT NULL,
  class smallint NOT NULL CHECK (class IN (0, 1, 2)),
  -- Made after its event was accepted: chunked fan-out, redelivery, replay.
  later boolean NOT NULL,
  id text COLLATE "C" NOT NULL,
  endpoint_id text COLLATE "C" NOT NULL,
  event_id text COLLATE "C" NOT NULL,
  event_type text NOT NULL,
  trigger text NOT NULL CHECK (trigger IN ('publish', 'redeliver', 'replay', 'test')),
  -- NULL: unordered. '': fifo. Else the ordering key.
  order_key text,
  PRIMARY KEY (locator, id),
  CHECK (due_at_ms IS NOT NULL OR (order_key IS NOT NULL AND leased_by IS NULL)),
  CHECK (order_key IS NULL OR trigger = 'publish'),
  CHECK ((order_key IS NULL) = (sequence IS NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX deliveries_leased ON posthorn.deliveries (leased_by) WHERE leased_by IS NOT NULL;
-- A fresh delivery that is sent at once touches none of the following.
CREATE INDEX deliveries_waiting ON posthorn.deliveries (endpoint_id, class, due_at_ms, id) WHERE leased_by IS NULL AND class >= 0;
-- `> 0` and `>= 0` always hold. A query that does not say so too cannot use the index: to a planner that thinks the queue
-- empty, walking through another partial index is as good as looking up the right one.
CREATE INDEX deliveries_expiry ON posthorn.deliveries (expires_at_ms) WHERE leased_by IS NULL AND expires_at_ms > 0;
CREATE INDEX deliveries_order ON posthorn.deliveries (endpoint_id, order_key, sequence) WHERE order_key IS NOT NULL;
CREATE INDEX deliveries_later ON posthorn.deliveries (event_id, id) WHERE later;

-- Finished deliveries. Set by what ends a delivery, never changed, gone with their partition.
CREATE TABLE posthorn.delivery_history (
  created_at_ms bigint NOT NULL,
  finished_at_ms bigint NOT NULL,
  locator integer NOT NULL,
  day date NOT NULL,
  event_day date NOT NULL,
  -- Attempts that count: failed ones, and the one that delivered.
  attempts integer NOT NULL,
  retention_days smallint NOT NULL,
  later boolean NOT NULL,
  id text COLLATE "C" NOT NULL,
  endpoint_id text COLLATE "C" NOT NULL,
  event_id text COLLATE "C" NOT NULL,
  event_type text NOT NULL,
  trigger text NOT NULL,
  state text NOT NULL,
  reason text,
  PRIMARY KEY (locator, day, id, retention_days),
  CHECK (
    (state = 'delivered' AND reason IS NULL)
    OR (state = 'dead_lettered' AND reason IS NOT NULL
      AND reason IN ('attempts_exhausted', 'expired', 'endpoint_disabled', 'refused', 'invalid'))
    OR (state = 'cancelled' AND reason IS NOT NULL AND reason IN ('by_hand', 'endpoint_deleted', 'expunged'))
  )
) PARTITION BY LIST (retention_days);
CREATE INDEX history_endpoint ON posthorn.delivery_history (endpoint_id, id);
CREATE INDEX history_failed ON posthorn.delivery_history (endpoint_id, id) WHERE state <> 'delivered';
CREATE INDEX history_later ON posthorn.delivery_history (event_id, id) WHERE later;
CREATE INDEX history_created ON posthorn.delivery_history USING brin (created_at_ms) WITH (pages_per_range = 16);

-- Attempts. Set by settle and rescue; `day` is that of the delivery, so that they lie and go with it.
CREATE TABLE posthorn.attempts (
  started_at_ms bigint NOT NULL,
  locator integer NOT NULL,
  day date NOT NULL,
  -- 1, 2, 3 ... within the delivery.
  number integer NOT NULL CHECK (number > 0),
  duration_ms integer NOT NULL,
  -- HTTP status of what was answered.
  status integer,
  retention_days smallint NOT NULL,
  delivery_id text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('succeeded', 'rejected', 'timed_out', 'unreachable', 'invalid', 'unknown')),
  -- JSON of what else the outcome says (control, retryAfterMs, phase, cause, detail); NULL: nothing.
  facts text,
  url text NOT NULL,
  response_body bytea,
  PRIMARY KEY (locator, day, delivery_id, number, retention_days),
  CHECK ((status IS NOT NULL) = (outcome IN ('succeeded', 'rejected')))
) PARTITION BY LIST (retention_days);

-- Replays.
CREATE TABLE posthorn.replays (
  id text COLLATE "C" PRIMARY KEY,
  app_id text COLLATE "C" NOT NULL REFERENCES posthorn.apps (id),
  endpoint_id text COLLATE "C" NOT NULL REFERENCES posthorn.endpoints (id),
  since_ms bigint NOT NULL,
  until_ms bigint NOT NULL,
  states text NOT NULL,
  event_types text NOT NULL,
  state text NOT NULL CHECK (state IN ('running', 'finished', 'cancelled')),
  -- Where the next step begins; NULL: at the start.
  cursor text,
  examined bigint NOT NULL DEFAULT 0,
  created bigint NOT NULL DEFAULT 0,
  created_at_ms bigint NOT NULL,
  finished_at_ms bigint,
  CHECK ((state = 'running') = (finished_at_ms IS NULL))
);
CREATE INDEX replays_app ON posthorn.replays (app_id, id);
CREATE INDEX replays_running ON posthorn.replays (id) WHERE state = 'running';
CREATE INDEX replays_endpoint ON posthorn.replays (endpoint_id);

-- Figures per endpoint and minute, each node its own rows.
CREATE TABLE posthorn.figures (
  minute_ms bigint NOT NULL,
  incarnation integer NOT NULL,
  created bigint NOT NULL,
  delivered bigint NOT NULL,
  dead_lettered bigint NOT NULL,
  cancelled bigint NOT NULL,
  -- Attempts by outcome.
  succeeded bigint NOT NULL,
  rejected bigint NOT NULL,
  timed_out bigint NOT NULL,
  unreachable bigint NOT NULL,
  invalid bigint NOT NULL,
  unknown bigint NOT NULL,
  filter_errors bigint NOT NULL,
  endpoint_id text COLLATE "C" NOT NULL,
  -- The latency histogram by bucket.
  latency bigint[] NOT NULL,
  PRIMARY KEY (endpoint_id, minute_ms, incarnation)
) WITH (fillfactor = 50);
CREATE INDEX figures_minute ON posthorn.figures USING brin (minute_ms) WITH (pages_per_range = 16);

-- Events published inside users' own transactions, until a node has picked them up. No unique key and no notification: the
-- user's transaction appends a row and waits for nothing.
CREATE TABLE posthorn.publications (
  number bigint GENERATED ALWAYS AS IDENTITY,
  created_at_ms bigint NOT NULL,
  -- When a node refused it; then it stays, with the problem as JSON {code, message, pointer}.
  refused_at_ms bigint,
  id text COLLATE "C" NOT NULL,
  app_id text COLLATE "C" NOT NULL,
  -- The envelope as JSON, but for the data.
  envelope text NOT NULL,
  idempotency_key text,
  problem text,
  data bytea NOT NULL,
  CHECK ((refused_at_ms IS NULL) = (problem IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX publications_waiting ON posthorn.publications (number) WHERE refused_at_ms IS NULL;
CREATE INDEX publications_id ON posthorn.publications (id);
CREATE INDEX publications_refused ON posthorn.publications (id) WHERE refused_at_ms IS NOT NULL;

-- The daily partitions of one retention class, made when they are missing. Answers how many were. They are made apart and
-- attached: CREATE ... PARTITION OF would lock the parent against everybody.
CREATE FUNCTION posthorn.make_partitions(p_retention_days smallint, p_from date, p_to date) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  parent text;
  of_class text;
  of_day text;
  each_day date;
  made integer := 0;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('posthorn.make_partitions'));
  FOREACH parent IN ARRAY ARRAY['events', 'delivery_history', 'attempts'] LOOP
    of_class := format('%s_%s', parent, p_retention_days);
    IF to_regclass('posthorn.' || of_class) IS NULL THEN
      EXECUTE format('CREATE TABLE posthorn.%I (LIKE posthorn.%I INCLUDING CONSTRAINTS) PARTITION BY RANGE (day)', of_class, parent);
      EXECUTE format('ALTER TABLE posthorn.%I ATTACH PARTITION posthorn.%I FOR VALUES IN (%s)', parent, of_class, p_retention_days);
    END IF;
    FOR each_day IN SELECT generate_series(p_from, p_to, interval '1 day')::date LOOP
      of_day := format('%s_%s', of_class, to_char(each_day, 'YYYYMMDD'));
      IF to_regclass('posthorn.' || of_day) IS NULL THEN
        EXECUTE format('CREATE TABLE posthorn.%I (LIKE posthorn.%I INCLUDING CONSTRAINTS)', of_day, of_class);
        EXECUTE format('ALTER TABLE posthorn.%I ATTACH PARTITION posthorn.%I FOR VALUES FROM (%L) TO (%L)',
          of_class, of_day, each_day, each_day + 1);
        made := made + 1;
      END IF;
    END LOOP;
  END LOOP;
  RETURN made;
END $$;
