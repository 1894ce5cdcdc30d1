-- The first schema. Rules that hold in every table:
-- * `seq` is the order of creation inside this file. It never leaves the store; other tables refer to it, because eight
--   bytes cost less than an id of 34 in every index, and because it grows, so that indexes append.
-- * `id` is the public id. `..._ms` is a time of the store's steady clock in unix milliseconds.
-- * JSON columns are text. Byte columns are blobs, never text.
-- * What grows with traffic (events, deliveries, attempts) has no foreign keys: they would cost an index and a look-up per
--   row. The writer keeps these references right, and the property test of the conformance suite checks them.

-- What the store knows about itself: one row.
CREATE TABLE store_facts (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  -- What the store's clock had reached. Set by each beat, advance and stop; the next start never begins before it.
  now_ms INTEGER NOT NULL,
  -- When pruning last found nothing left to do. Set by prune.
  pruned_at_ms INTEGER
) STRICT;
INSERT INTO store_facts (one, now_ms) VALUES (1, 0);

-- The starts of a node. Set by enlist; deleted by prune 90 days after they were voided.
CREATE TABLE incarnations (
  -- AUTOINCREMENT: a number is never given twice, so a lease never means another incarnation.
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  started_at_ms INTEGER NOT NULL,
  -- The last beat. Set by beat.
  beat_at_ms INTEGER NOT NULL,
  -- When a later start took its place. Set by enlist.
  voided_at_ms INTEGER
) STRICT;

-- Apps. Set by save; `removed_at_ms` by remove. A removed app stays until prune has deleted its last event.
CREATE TABLE apps (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  uid TEXT,
  name TEXT NOT NULL,
  metadata TEXT NOT NULL CHECK (json_valid(metadata)),
  retention_days INTEGER NOT NULL CHECK (retention_days > 0),
  -- Bumped by every save and remove of the app or of one of its endpoints; accept compares it.
  config_version INTEGER NOT NULL CHECK (config_version > 0),
  created_at_ms INTEGER NOT NULL,
  updated_at_ms INTEGER NOT NULL,
  removed_at_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX apps_uid ON apps (uid) WHERE uid IS NOT NULL AND removed_at_ms IS NULL;

-- Endpoints. Set by save; removed as apps are, and kept while a delivery of theirs is.
CREATE TABLE endpoints (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  app_seq INTEGER NOT NULL REFERENCES apps (seq),
  uid TEXT,
  url TEXT NOT NULL,
  description TEXT NOT NULL,
  event_types TEXT NOT NULL CHECK (json_valid(event_types)),
  channels TEXT NOT NULL CHECK (json_valid(channels)),
  filter TEXT,
  rate_limit_per_second REAL,
  in_flight_max INTEGER NOT NULL,
  timeout_ms INTEGER NOT NULL,
  retry_schedule TEXT NOT NULL CHECK (json_valid(retry_schedule)),
  ordering TEXT NOT NULL CHECK (ordering IN ('unordered', 'fifo', 'keyed')),
  on_dead_letter TEXT NOT NULL CHECK (on_dead_letter IN ('continue', 'block')),
  scheme TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('enabled', 'paused', 'unverified', 'disabled')),
  disable_reason TEXT CHECK (disable_reason IN ('by_hand', 'gone', 'failing', 'receiver_asked')),
  -- Custom headers, sealed by the vault; NULL: none. Emptied by remove.
  sealed_headers BLOB,
  -- Bumped by every save.
  version INTEGER NOT NULL CHECK (version > 0),
  created_at_ms INTEGER NOT NULL,
  updated_at_ms INTEGER NOT NULL,
  removed_at_ms INTEGER,
  -- 1: removed, and cancel has ended the last of its deliveries. Set by cancel.
  drained INTEGER NOT NULL DEFAULT 0 CHECK (drained IN (0, 1)),
  CHECK (disable_reason IS NULL OR status = 'disabled'),
  CHECK (drained = 0 OR removed_at_ms IS NOT NULL)
) STRICT;
CREATE INDEX endpoints_app ON endpoints (app_seq);
CREATE UNIQUE INDEX endpoints_uid ON endpoints (app_seq, uid) WHERE uid IS NOT NULL AND removed_at_ms IS NULL;
CREATE INDEX endpoints_undrained ON endpoints (seq) WHERE removed_at_ms IS NOT NULL AND drained = 0;
CREATE INDEX endpoints_removed ON endpoints (removed_at_ms) WHERE removed_at_ms IS NOT NULL;

-- Signing secrets, sealed by the vault. Replaced as a whole by save, deleted by remove.
CREATE TABLE endpoint_secrets (
  endpoint_seq INTEGER NOT NULL REFERENCES endpoints (seq),
  -- 0: the current one.
  position INTEGER NOT NULL,
  sealed BLOB NOT NULL,
  -- When an old one ends; NULL: the current one.
  expires_at_ms INTEGER,
  PRIMARY KEY (endpoint_seq, position)
) STRICT, WITHOUT ROWID;

-- The queue of an endpoint: one row each, made and deleted with it. Pausing, disabling and an open breaker are facts of
-- this row alone; no delivery is rewritten for them.
CREATE TABLE lanes (
  endpoint_seq INTEGER PRIMARY KEY REFERENCES endpoints (seq),
  -- 1: the endpoint is enabled and not removed. Set by save and remove.
  runnable INTEGER NOT NULL CHECK (runnable IN (0, 1)),
  -- A hint: nothing stored unleased is due before. Lowered when something is stored unleased or a retry is scheduled,
  -- set exactly by claim. NULL: nothing is due.
  next_due_at_ms INTEGER,
  -- State of the breaker. Set by settle; closed again when a disabled endpoint is enabled.
  breaker TEXT NOT NULL DEFAULT 'closed' CHECK (breaker IN ('closed', 'open', 'half_open')),
  -- Open breaker: when one due delivery may be tried, and how long after that the next one.
  probe_at_ms INTEGER,
  probe_every_ms INTEGER,
  -- Since when every attempt has failed, and how many have. Set by settle, cleared by a success.
  failing_since_ms INTEGER,
  failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
  -- Events that the endpoint's filter could not judge. Raised by record.
  filter_errors INTEGER NOT NULL DEFAULT 0,
  -- What the last of them said. Set by record.
  filter_error TEXT,
  -- When the lane is worth a claim; NULL: not before something changes.
  wake_at_ms INTEGER GENERATED ALWAYS AS (
    CASE WHEN runnable = 1 AND next_due_at_ms IS NOT NULL THEN max(next_due_at_ms, ifnull(probe_at_ms, 0)) END
  ) VIRTUAL,
  CHECK ((breaker = 'open') = (probe_at_ms IS NOT NULL)),
  CHECK ((failing_since_ms IS NULL) = (failures = 0))
) STRICT;
CREATE INDEX lanes_wake ON lanes (wake_at_ms, endpoint_seq) WHERE wake_at_ms IS NOT NULL;

-- Ordered keys that stand still because their head dead-lettered under `onDeadLetter: "block"`. Set by settle and expire;
-- lifted by `unblock`, by a delivered redelivery of the event, and by a change of the endpoint that ends blocking.
CREATE TABLE lane_blocks (
  endpoint_seq INTEGER NOT NULL REFERENCES endpoints (seq),
  order_key TEXT NOT NULL,
  event_seq INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL,
  PRIMARY KEY (endpoint_seq, order_key)
) STRICT, WITHOUT ROWID;

-- The catalogue of event types. Set by save, deleted by remove.
CREATE TABLE event_types (
  name TEXT PRIMARY KEY,
  description TEXT NOT NULL,
  schema TEXT CHECK (schema IS NULL OR json_valid(schema)),
  example TEXT CHECK (example IS NULL OR json_valid(example)),
  group_name TEXT,
  deprecated INTEGER NOT NULL CHECK (deprecated IN (0, 1)),
  created_at_ms INTEGER NOT NULL,
  updated_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- API keys, as hashes. Set by save, deleted by remove.
CREATE TABLE keys (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  hash BLOB NOT NULL UNIQUE,
  role TEXT NOT NULL,
  name TEXT NOT NULL,
  prefix TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER,
  -- Set by save (`key_used`).
  last_used_at_ms INTEGER
) STRICT;

-- Events. Set by accept, never changed except by expunging; deleted by prune when they and all their deliveries are past
-- the app's retention. The payload stands last, so that lists need not read it.
CREATE TABLE events (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  app_seq INTEGER NOT NULL,
  uid TEXT,
  event_type TEXT NOT NULL,
  timestamp TEXT NOT NULL,
  -- JSON list; NULL: none.
  channels TEXT,
  ordering_key TEXT,
  deliver_at_ms INTEGER,
  accepted_at_ms INTEGER NOT NULL,
  -- The deliveries made with the event have the seqs from `delivery_first` on, `delivery_count` of them.
  delivery_first INTEGER NOT NULL,
  delivery_count INTEGER NOT NULL,
  -- Endpoints frozen at accept and reached later, chunk by chunk.
  fan_out_count INTEGER NOT NULL,
  -- When the payload was zeroed. Set by remove.
  expunged_at_ms INTEGER,
  data_start INTEGER NOT NULL,
  data_end INTEGER NOT NULL,
  payload BLOB NOT NULL,
  CHECK (data_start <= data_end AND data_end <= length(payload))
) STRICT;
CREATE UNIQUE INDEX events_id ON events (id);
-- An app's events in order: entries are (app_seq, seq).
CREATE INDEX events_app ON events (app_seq);

-- Fan-outs still going on: an event for more endpoints than are reached at once. Set by accept, moved on by
-- extendFanOut, deleted at their end, by cancel and by expunging.
CREATE TABLE fan_outs (
  event_seq INTEGER PRIMARY KEY,
  -- JSON list of endpoint ids, frozen at accept.
  endpoints TEXT NOT NULL CHECK (json_valid(endpoints)),
  -- How many of them are done.
  cursor INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Keys that must not be used again for a while. Set by accept, deleted by prune.
CREATE TABLE idempotency (
  seq INTEGER PRIMARY KEY,
  app_seq INTEGER NOT NULL,
  key TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  event_seq INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX idempotency_key ON idempotency (app_seq, key);

-- How far each source had got: committed with the event that it made. Set by accept.
CREATE TABLE source_positions (
  source_id TEXT PRIMARY KEY,
  position BLOB NOT NULL,
  updated_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Unfinished deliveries, and nothing else: this is the queue. Set by accept, extendFanOut, redeliver and advanceReplay;
-- leased by accept and claim; given back by settle and rescue; moved to delivery_history, in one transaction, by whatever
-- ends them (settle, rescue, expire, cancel).
CREATE TABLE deliveries (
  -- Across this table and delivery_history: creation order, and the order of ordered lanes.
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  app_seq INTEGER NOT NULL,
  endpoint_seq INTEGER NOT NULL,
  event_seq INTEGER NOT NULL,
  trigger TEXT NOT NULL CHECK (trigger IN ('publish', 'redeliver', 'replay', 'test')),
  -- 1: made after its event was accepted (chunked fan-out, redelivery, replay), so outside the event's range of seqs.
  later INTEGER NOT NULL CHECK (later IN (0, 1)),
  class INTEGER NOT NULL CHECK (class IN (0, 1, 2)),
  -- NULL: unordered. '': fifo. Else the ordering key.
  order_key TEXT,
  -- When the next attempt is due. NULL: held, because it is not at the head of its order.
  due_at_ms INTEGER,
  -- When it gives up, unless it is leased then.
  expires_at_ms INTEGER NOT NULL,
  -- The incarnation that sends it now. NULL: waiting.
  leased_by INTEGER,
  -- Failed attempts that count for the schedule; all attempts; the `unknown` ones at the end in a row.
  failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
  attempt_count INTEGER NOT NULL DEFAULT 0 CHECK (attempt_count >= 0),
  unknowns INTEGER NOT NULL DEFAULT 0 CHECK (unknowns >= 0),
  created_at_ms INTEGER NOT NULL,
  CHECK (due_at_ms IS NOT NULL OR (order_key IS NOT NULL AND leased_by IS NULL)),
  CHECK (order_key IS NULL OR trigger = 'publish')
) STRICT;
CREATE UNIQUE INDEX deliveries_id ON deliveries (id);
CREATE INDEX deliveries_leased ON deliveries (leased_by) WHERE leased_by IS NOT NULL;
-- A fresh delivery that is sent at once touches none of the following.
CREATE INDEX deliveries_due ON deliveries (endpoint_seq, class, due_at_ms) WHERE leased_by IS NULL AND due_at_ms IS NOT NULL;
CREATE INDEX deliveries_waiting ON deliveries (endpoint_seq) WHERE leased_by IS NULL;
CREATE INDEX deliveries_expiry ON deliveries (expires_at_ms) WHERE leased_by IS NULL;
CREATE INDEX deliveries_order ON deliveries (endpoint_seq, order_key) WHERE order_key IS NOT NULL;
CREATE INDEX deliveries_later ON deliveries (event_seq) WHERE later = 1;

-- Finished deliveries. Set by what ends a delivery, never changed, deleted by prune with their event.
CREATE TABLE delivery_history (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  app_seq INTEGER NOT NULL,
  endpoint_seq INTEGER NOT NULL,
  event_seq INTEGER NOT NULL,
  trigger TEXT NOT NULL,
  later INTEGER NOT NULL,
  state TEXT NOT NULL,
  reason TEXT,
  -- Attempts that count: failed ones, and the one that delivered.
  attempts INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL,
  finished_at_ms INTEGER NOT NULL,
  CHECK (
    (state = 'delivered' AND reason IS NULL)
    OR (state = 'dead_lettered' AND reason IS NOT NULL
      AND reason IN ('attempts_exhausted', 'expired', 'endpoint_disabled', 'refused', 'invalid'))
    OR (state = 'cancelled' AND reason IS NOT NULL AND reason IN ('by_hand', 'endpoint_deleted', 'expunged'))
  )
) STRICT;
CREATE UNIQUE INDEX history_id ON delivery_history (id);
CREATE INDEX history_endpoint ON delivery_history (endpoint_seq);
CREATE INDEX history_failed ON delivery_history (endpoint_seq) WHERE state <> 'delivered';
CREATE INDEX history_later ON delivery_history (event_seq) WHERE later = 1;
CREATE TRIGGER delivery_history_is_final BEFORE UPDATE ON delivery_history
BEGIN
  SELECT RAISE(ABORT, 'a finished delivery never changes');
END;

-- Attempts. Set by settle and rescue, deleted by prune with their delivery.
CREATE TABLE attempts (
  delivery_seq INTEGER NOT NULL,
  -- 1, 2, 3 ... within the delivery.
  number INTEGER NOT NULL CHECK (number > 0),
  id TEXT NOT NULL,
  started_at_ms INTEGER NOT NULL,
  duration_ms INTEGER NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('succeeded', 'rejected', 'timed_out', 'unreachable', 'invalid', 'unknown')),
  -- HTTP status of what was answered.
  status INTEGER,
  -- JSON of what else the outcome says (control, retryAfterMs, phase, cause, detail); NULL: nothing.
  facts TEXT,
  url TEXT NOT NULL,
  response_body BLOB,
  PRIMARY KEY (delivery_seq, number),
  CHECK ((status IS NOT NULL) = (outcome IN ('succeeded', 'rejected')))
) STRICT, WITHOUT ROWID;

-- Replays. Set by save, moved on by advanceReplay; deleted by prune 90 days after their end.
CREATE TABLE replays (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  app_seq INTEGER NOT NULL REFERENCES apps (seq),
  endpoint_seq INTEGER NOT NULL REFERENCES endpoints (seq),
  since_ms INTEGER NOT NULL,
  until_ms INTEGER NOT NULL,
  states TEXT NOT NULL CHECK (json_valid(states)),
  event_types TEXT NOT NULL CHECK (json_valid(event_types)),
  state TEXT NOT NULL CHECK (state IN ('running', 'finished', 'cancelled')),
  -- Where the next step begins; NULL: at the start.
  cursor TEXT,
  examined INTEGER NOT NULL DEFAULT 0,
  created INTEGER NOT NULL DEFAULT 0,
  created_at_ms INTEGER NOT NULL,
  finished_at_ms INTEGER,
  CHECK ((state = 'running') = (finished_at_ms IS NULL))
) STRICT;
CREATE INDEX replays_app ON replays (app_seq);
CREATE INDEX replays_running ON replays (state) WHERE state = 'running';
CREATE INDEX replays_endpoint ON replays (endpoint_seq);

-- Figures per endpoint and minute, each node its own rows. Raised by record, deleted by prune after 90 days.
CREATE TABLE figures (
  endpoint_seq INTEGER NOT NULL,
  minute_ms INTEGER NOT NULL,
  incarnation_seq INTEGER NOT NULL,
  created INTEGER NOT NULL,
  delivered INTEGER NOT NULL,
  dead_lettered INTEGER NOT NULL,
  cancelled INTEGER NOT NULL,
  -- Attempts by outcome.
  succeeded INTEGER NOT NULL,
  rejected INTEGER NOT NULL,
  timed_out INTEGER NOT NULL,
  unreachable INTEGER NOT NULL,
  invalid INTEGER NOT NULL,
  unknown INTEGER NOT NULL,
  filter_errors INTEGER NOT NULL,
  -- JSON list: the latency histogram by bucket.
  latency TEXT NOT NULL CHECK (json_valid(latency)),
  PRIMARY KEY (endpoint_seq, minute_ms, incarnation_seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX figures_minute ON figures (minute_ms);
