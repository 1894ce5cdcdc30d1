-- Security: who may do what, what is shown to receivers, and what was done.

-- JSON of what the app may use, each null unless set, and how its endpoints prove that they want their events (NULL: as the
-- platform has it). Set by save.
ALTER TABLE posthorn.apps
  ADD COLUMN limits text NOT NULL DEFAULT '{"publishPerSecond":null,"eventsPerDay":null,"payloadBytes":null,"endpoints":null}',
  ADD COLUMN ownership_check text CHECK (ownership_check IN ('off', 'challenge', 'cloudevents'));

-- `secrets` is from now on a JSON list of {sealed, expiresAtMs, publicKey}: of a signing key (ed25519) its public half in
-- base64; null, or left out by an older node: it is a signing secret.
ALTER TABLE posthorn.endpoints
  -- JSON of store/access.ts: how deliveries show who they are, encryption, and what is known of the receiver's consent.
  ADD COLUMN access text NOT NULL
    DEFAULT '{"authentication":null,"clientCertificate":null,"certificateAuthorities":null,"encryption":null,"verification":null}',
  -- What of it is secret, sealed by the vault; NULL: nothing. Emptied by remove.
  ADD COLUMN sealed_credentials bytea,
  -- Since when the endpoint has been unverified without a break. Set and cleared with its status.
  ADD COLUMN unverified_at_ms bigint;
UPDATE posthorn.endpoints SET unverified_at_ms = posthorn.now_ms() WHERE status = 'unverified';
ALTER TABLE posthorn.endpoints ADD CHECK (unverified_at_ms IS NULL OR status = 'unverified');
CREATE INDEX endpoints_unverified ON posthorn.endpoints (unverified_at_ms) WHERE unverified_at_ms IS NOT NULL;
-- Those whose deliveries are signed with a private key. In the order in which their public keys are listed.
CREATE INDEX endpoints_public ON posthorn.endpoints (id) WHERE scheme <> 'standard' AND removed_at_ms IS NULL;

-- The one app of a key with the role `app`: removed with it. And JSON of what the key may use.
ALTER TABLE posthorn.keys
  ADD COLUMN app_id text COLLATE "C" REFERENCES posthorn.apps (id) ON DELETE CASCADE,
  ADD COLUMN limits text NOT NULL DEFAULT '{"publishPerSecond":null,"eventsPerDay":null,"payloadBytes":null}',
  ADD CHECK ((app_id IS NOT NULL) = (role = 'app'));
CREATE INDEX keys_app ON posthorn.keys (app_id) WHERE app_id IS NOT NULL;

-- Browsers that signed in with a key. Set by save; deleted by remove, with their key (whoever deletes it, an older node too),
-- and by prune once they have ended.
CREATE TABLE posthorn.sessions (
  id text COLLATE "C" PRIMARY KEY,
  hash bytea NOT NULL UNIQUE,
  key_id text COLLATE "C" NOT NULL REFERENCES posthorn.keys (id) ON DELETE CASCADE,
  created_at_ms bigint NOT NULL,
  expires_at_ms bigint NOT NULL
);
CREATE INDEX sessions_key ON posthorn.sessions (key_id);
CREATE INDEX sessions_expiry ON posthorn.sessions (expires_at_ms);

-- Through how many webhooks the event came.
ALTER TABLE posthorn.events ADD COLUMN hops smallint NOT NULL DEFAULT 0;

-- The audit log, each entry chained to the one before. Set by save and remove, never changed, never deleted. JSON is text, so
-- that it is read back, and hashed again, as it was written.
CREATE TABLE posthorn.audit_log (
  -- 1, 2, 3 ... without a gap.
  number bigint PRIMARY KEY CHECK (number > 0),
  id text COLLATE "C" NOT NULL UNIQUE,
  at_ms bigint NOT NULL,
  -- JSON: who, and {kind, id} of what.
  actor text NOT NULL,
  action text NOT NULL,
  target text NOT NULL,
  -- The app that it concerns; it stays when the app is gone.
  app_id text COLLATE "C",
  -- JSON of what changed, redacted.
  before text,
  after text,
  address text,
  request_id text,
  previous_hash text NOT NULL CHECK (length(previous_hash) = 64),
  hash text NOT NULL CHECK (length(hash) = 64)
);
CREATE INDEX audit_log_app ON posthorn.audit_log (app_id, number) WHERE app_id IS NOT NULL;

CREATE FUNCTION posthorn.refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log never changes: % is refused', TG_OP;
END $$;
CREATE TRIGGER audit_log_never_changes BEFORE UPDATE OR DELETE OR TRUNCATE ON posthorn.audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION posthorn.refuse_audit_change();

-- The last entry: one row, which whoever appends locks, after everything else that its transaction locks.
CREATE TABLE posthorn.audit_head (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  number bigint NOT NULL,
  hash text NOT NULL
) WITH (fillfactor = 50);
INSERT INTO posthorn.audit_head (number, hash) VALUES (0, repeat('0', 64));

-- What was used of the quotas of a day (UTC). Raised by use, deleted by prune when the day is over.
CREATE TABLE posthorn.usage (
  day date NOT NULL,
  -- Id of an app or of a key.
  scope text COLLATE "C" NOT NULL,
  events bigint NOT NULL CHECK (events >= 0),
  PRIMARY KEY (day, scope)
) WITH (fillfactor = 50);

-- Accept and claim, as in 0002 and 0003, with the hops of each event. Those of before stay for nodes of the version before,
-- which go on beside this schema; the next migration drops them.

CREATE FUNCTION posthorn.accept(
  -- One element per event. Of its deliveries: how many, and the first and last of their ids.
  e_id text[], e_app_id text[], e_locator integer[], e_day date[], e_uid text[], e_event_type text[], e_timestamp text[],
  e_channels text[], e_ordering_key text[], e_deliver_at bigint[], e_data_start integer[], e_data_end integer[],
  e_payload_start integer[], e_payload_length integer[], e_config_version bigint[], e_fan_out text[], e_fan_out_count integer[],
  e_delivery_count integer[], e_delivery_first text[], e_delivery_last text[], e_publication text[], e_hops smallint[],
  -- One per delivery, in the order of the events. `d_event` is the position of its event, from 1 on; what else it needs of
  -- the event is given again, since looking it up in an array costs by its length. `d_holder` 0: no lease is wanted.
  d_event integer[], d_id text[], d_locator integer[], d_day date[], d_endpoint_id text[], d_app_id text[], d_event_id text[],
  d_event_day date[], d_event_type text[], d_payload_bytes integer[], d_trigger text[], d_class smallint[], d_order_key text[],
  d_holder integer[], d_deliver_at bigint[], d_expires_in bigint[],
  -- One per idempotency record.
  k_event integer[], k_app_id text[], k_key text[], k_fingerprint text[],
  -- One per source position.
  s_event integer[], s_source_id text[], s_position text[],
  -- All payloads, one after the other.
  p_payloads bytea,
  p_idempotency_ms bigint,
  -- The same batch was sent before, and its answer was lost.
  p_again boolean
) RETURNS TABLE (n integer, kind text, event_id text, key text, deliveries integer, fan_out_pending boolean, unleased text[])
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
  v_now bigint := posthorn.now_ms();
  -- What becomes of each event. 0: stored. 1 stale, 2 gone, 3 duplicate, 4 conflict, 5 failed, 6 taken, 7 stored before.
  -- Numbers, because an element of an array of texts is found by walking it.
  v_code integer[];
  v_retention integer[];
  v_alive integer[];
  v_known jsonb := '{}';
  v_unleased text[] := '{}';
  v_count integer;
  v_expected integer;
  r record;
BEGIN
  SELECT array_agg(CASE WHEN a.id IS NULL THEN 2 WHEN a.config_version + f.catalogue_version <> e.config_version THEN 1 ELSE 0 END ORDER BY e.n),
    array_agg(coalesce(a.retention_days, 0) ORDER BY e.n)
  INTO v_code, v_retention
  FROM unnest(e_app_id, e_config_version) WITH ORDINALITY AS e (app_id, config_version, n)
    CROSS JOIN posthorn.facts f
    LEFT JOIN posthorn.apps a ON a.id = e.app_id AND a.removed_at_ms IS NULL;

  IF p_again THEN
    FOR r IN SELECT e.n, e.id, e.locator, e.day FROM unnest(e_id, e_locator, e_day) WITH ORDINALITY AS e (id, locator, day, n) LOOP
      -- Planned with its values, so that it looks at one partition.
      EXECUTE 'SELECT 1 FROM posthorn.events WHERE locator = $1 AND day = $2 AND id = $3' INTO v_count USING r.locator, r.day, r.id;
      IF v_count IS NOT NULL THEN v_code[r.n] := 7; END IF;
    END LOOP;
    SELECT coalesce(array_agg(d.id), '{}') INTO v_unleased
    FROM unnest(d_event, d_id, d_locator, d_holder) AS d (event, id, locator, holder)
      LEFT JOIN posthorn.deliveries x ON x.locator = ANY (ARRAY[d.locator]) AND x.id = ANY (ARRAY[d.id])
    WHERE v_code[d.event] = 7 AND d.holder <> 0 AND x.leased_by IS DISTINCT FROM d.holder;
  END IF;

  -- A publication of a user's own transaction is picked up once.
  FOR r IN
    SELECT e.n FROM unnest(e_publication) WITH ORDINALITY AS e (publication, n)
    WHERE e.publication IS NOT NULL AND v_code[e.n] <> 7 AND NOT EXISTS (
      -- By its id first: planned together, the index of all that wait looks as good to a planner without statistics.
      SELECT 1 FROM (SELECT p.refused_at_ms FROM posthorn.publications p WHERE p.id = e.publication OFFSET 0 FOR UPDATE) p
      WHERE p.refused_at_ms IS NULL)
  LOOP
    v_code[r.n] := 6;
  END LOOP;

  IF cardinality(k_key) > 0 THEN
    FOR r IN
      SELECT k.event, k.app_id, k.key, i.fingerprint = decode(k.fingerprint, 'hex') AS same, i.event_id, i.deliveries,
        i.created_at_ms + p_idempotency_ms <= v_now AS expired
      FROM unnest(k_event, k_app_id, k_key, k_fingerprint) WITH ORDINALITY AS k (event, app_id, key, fingerprint, n)
        JOIN posthorn.idempotency i ON i.app_id = k.app_id AND i.key = k.key
      WHERE v_code[k.event] IN (0, 1) ORDER BY k.app_id, k.key, k.n
    LOOP
      IF r.expired THEN
        DELETE FROM posthorn.idempotency i WHERE i.app_id = r.app_id AND i.key = r.key AND i.created_at_ms + p_idempotency_ms <= v_now;
      ELSIF NOT r.same OR v_code[r.event] <> 4 THEN
        v_code[r.event] := CASE WHEN r.same THEN 3 ELSE 4 END;
        v_known := v_known || jsonb_build_object(r.event, jsonb_build_object('event_id', r.event_id, 'key', r.key, 'deliveries', r.deliveries));
      END IF;
    END LOOP;
    -- Sorted, so that two nodes wait for one another in the same order.
    INSERT INTO posthorn.idempotency (app_id, key, fingerprint, event_id, deliveries, created_at_ms)
    SELECT k.app_id, k.key, decode(k.fingerprint, 'hex'), e.id, e.delivery_count + e.fan_out_count, v_now
    FROM unnest(k_event, k_app_id, k_key, k_fingerprint) WITH ORDINALITY AS k (event, app_id, key, fingerprint, n)
      JOIN unnest(e_id, e_delivery_count, e_fan_out_count) WITH ORDINALITY AS e (id, delivery_count, fan_out_count, n) ON e.n = k.event
    WHERE v_code[k.event] = 0 ORDER BY k.app_id, k.key, k.n
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    SELECT count(*) INTO v_expected FROM unnest(k_event) AS k (event) WHERE v_code[k.event] = 0;
    IF v_count < v_expected THEN
      -- Someone else has one of them since, or an earlier element of this batch. In order, so that the first one wins.
      FOR r IN
        SELECT k.event, k.app_id, k.key, decode(k.fingerprint, 'hex') AS fingerprint, e.id, e.deliveries
        FROM unnest(k_event, k_app_id, k_key, k_fingerprint) WITH ORDINALITY AS k (event, app_id, key, fingerprint, n)
          JOIN (SELECT id, delivery_count + fan_out_count AS deliveries, n
            FROM unnest(e_id, e_delivery_count, e_fan_out_count) WITH ORDINALITY AS e (id, delivery_count, fan_out_count, n)) e ON e.n = k.event
        WHERE v_code[k.event] = 0 ORDER BY k.n
      LOOP
        DECLARE
          v_row posthorn.idempotency;
        BEGIN
          -- Not for one that another of its keys has refused meanwhile: nothing of it stays.
          IF v_code[r.event] = 0 THEN
            INSERT INTO posthorn.idempotency (app_id, key, fingerprint, event_id, deliveries, created_at_ms)
            VALUES (r.app_id, r.key, r.fingerprint, r.id, r.deliveries, v_now) ON CONFLICT DO NOTHING;
          END IF;
          SELECT * INTO v_row FROM posthorn.idempotency i WHERE i.app_id = r.app_id AND i.key = r.key;
          IF v_row.event_id IS NOT NULL AND v_row.event_id <> r.id AND (v_row.fingerprint <> r.fingerprint OR v_code[r.event] <> 4) THEN
            v_code[r.event] := CASE WHEN v_row.fingerprint = r.fingerprint THEN 3 ELSE 4 END;
            v_known := v_known || jsonb_build_object(r.event, jsonb_build_object('event_id', v_row.event_id, 'key', r.key, 'deliveries', v_row.deliveries));
            DELETE FROM posthorn.idempotency i USING unnest(k_event, k_app_id, k_key) AS k (event, app_id, key)
            WHERE k.event = r.event AND i.app_id = k.app_id AND i.key = k.key AND i.event_id = r.id;
          END IF;
        END;
      END LOOP;
    END IF;
  END IF;

  SELECT coalesce(array_agg(number), '{}') INTO v_alive FROM posthorn.incarnations
  WHERE number = ANY (ARRAY(SELECT DISTINCT unnest(d_holder))) AND voided_at_ms IS NULL;

  -- What is sent at once by this node: most of all. It locks nothing and writes no lane.
  -- Each lane is looked up once, however many deliveries it gets: while a transaction of long ago keeps its dead versions from
  -- being removed, finding the living one takes longer and longer.
  WITH lane AS MATERIALIZED (
    SELECT l.endpoint_id, l.app_id FROM (SELECT DISTINCT unnest(d_endpoint_id) AS endpoint_id) wanted
      JOIN posthorn.lanes l ON l.endpoint_id = wanted.endpoint_id
    WHERE NOT l.removed AND NOT l.exclusive AND l.breaker = 'closed'
  )
  INSERT INTO posthorn.deliveries (created_at_ms, expires_at_ms, due_at_ms, locator, day, event_day, leased_by, payload_bytes,
    retention_days, class, later, id, endpoint_id, event_id, event_type, trigger)
  SELECT v_now, v_now + d.expires_in, v_now, d.locator, d.day, d.event_day, d.holder, d.payload_bytes, v_retention[d.event], d.class, false,
    d.id, d.endpoint_id, d.event_id, d.event_type, d.trigger
  FROM unnest(d_event, d_id, d_locator, d_day, d_endpoint_id, d_app_id, d_event_id, d_event_day, d_event_type, d_payload_bytes, d_trigger, d_class,
      d_order_key, d_holder, d_deliver_at, d_expires_in)
    AS d (event, id, locator, day, endpoint_id, app_id, event_id, event_day, event_type, payload_bytes, trigger, class, order_key, holder, deliver_at, expires_in)
    JOIN lane l ON l.endpoint_id = d.endpoint_id AND l.app_id = d.app_id
  WHERE v_code[d.event] = 0 AND d.order_key IS NULL AND d.holder = ANY (v_alive) AND (d.deliver_at IS NULL OR d.deliver_at <= v_now);
  GET DIAGNOSTICS v_count = ROW_COUNT;
  SELECT count(*) INTO v_expected FROM unnest(d_event) AS d (event) WHERE v_code[d.event] = 0;

  IF v_count < v_expected THEN
    -- A delivery for an endpoint that the app has not fails its event.
    FOR r IN
      SELECT d.event, array_agg(d.endpoint_id) AS endpoint_ids
      FROM unnest(d_event, d_endpoint_id, d_app_id) AS d (event, endpoint_id, app_id)
        LEFT JOIN posthorn.lanes l ON l.endpoint_id = d.endpoint_id AND l.app_id = d.app_id AND NOT l.removed
      WHERE v_code[d.event] = 0 AND l.endpoint_id IS NULL GROUP BY d.event
    LOOP
      -- Removed since the version was looked at: look again, it will be stale or gone.
      IF NOT EXISTS (SELECT 1 FROM posthorn.apps a CROSS JOIN posthorn.facts f
        WHERE a.id = e_app_id[r.event] AND a.removed_at_ms IS NULL AND a.config_version + f.catalogue_version = e_config_version[r.event])
      THEN
        RAISE EXCEPTION 'the configuration of app % changed meanwhile', e_app_id[r.event] USING ERRCODE = '40001';
      END IF;
      v_code[r.event] := 5;
      v_known := v_known || jsonb_build_object(r.event, jsonb_build_object('key', array_to_string(r.endpoint_ids, ', ')));
      DELETE FROM posthorn.deliveries x USING unnest(d_event, d_locator, d_id) AS d (event, locator, id)
      WHERE d.event = r.event AND x.locator = ANY (ARRAY[d.locator]) AND x.id = ANY (ARRAY[d.id]);
      DELETE FROM posthorn.idempotency i USING unnest(k_event, k_app_id, k_key) AS k (event, app_id, key)
      WHERE k.event = r.event AND i.app_id = k.app_id AND i.key = k.key AND i.event_id = e_id[r.event];
    END LOOP;
    v_unleased := v_unleased || posthorn.accept_waiting(
      ARRAY(SELECT d.n::integer FROM unnest(d_event, d_locator, d_id) WITH ORDINALITY AS d (event, locator, id, n)
        WHERE v_code[d.event] = 0 AND NOT EXISTS (SELECT 1 FROM posthorn.deliveries x WHERE x.locator = ANY (ARRAY[d.locator]) AND x.id = ANY (ARRAY[d.id]) OFFSET 0)),
      v_retention, v_alive, v_now, d_event, d_id, d_locator, d_day, d_endpoint_id, d_event_id, d_event_day, d_event_type, d_payload_bytes,
      d_trigger, d_class, d_order_key, d_holder, d_deliver_at, d_expires_in);
  END IF;

  INSERT INTO posthorn.events (accepted_at_ms, deliver_at_ms, locator, day, data_start, data_end, delivery_count, fan_out_count, retention_days, id,
    app_id, delivery_first, delivery_last, uid, event_type, timestamp, channels, ordering_key, payload, hops)
  SELECT v_now, e.deliver_at, e.locator, e.day, e.data_start, e.data_end, e.delivery_count, e.fan_out_count, v_retention[e.n], e.id,
    e.app_id, e.delivery_first, e.delivery_last, e.uid, e.event_type, e.timestamp, e.channels, e.ordering_key,
    substring(p_payloads FROM e.payload_start + 1 FOR e.payload_length), e.hops
  FROM unnest(e_id, e_app_id, e_locator, e_day, e_uid, e_event_type, e_timestamp, e_channels, e_ordering_key, e_deliver_at, e_data_start, e_data_end,
      e_payload_start, e_payload_length, e_fan_out_count, e_delivery_count, e_delivery_first, e_delivery_last, e_hops) WITH ORDINALITY
    AS e (id, app_id, locator, day, uid, event_type, timestamp, channels, ordering_key, deliver_at, data_start, data_end, payload_start, payload_length,
      fan_out_count, delivery_count, delivery_first, delivery_last, hops, n)
  WHERE v_code[e.n] = 0;

  INSERT INTO posthorn.fan_outs (event_id, event_day, retention_days, locator, endpoints)
  SELECT e.id, e.day, v_retention[e.n], e.locator, e.fan_out
  FROM unnest(e_id, e_day, e_locator, e_fan_out) WITH ORDINALITY AS e (id, day, locator, fan_out, n)
  WHERE v_code[e.n] = 0 AND e.fan_out IS NOT NULL;

  IF cardinality(s_event) > 0 THEN
    -- Of several positions of one source the last counts.
    INSERT INTO posthorn.source_positions AS p (source_id, position, updated_at_ms)
    SELECT DISTINCT ON (s.source_id) s.source_id, decode(s.position, 'hex'), v_now
    FROM unnest(s_event, s_source_id, s_position) WITH ORDINALITY AS s (event, source_id, position, n)
    WHERE v_code[s.event] = 0 ORDER BY s.source_id, s.n DESC
    ON CONFLICT (source_id) DO UPDATE SET position = excluded.position, updated_at_ms = excluded.updated_at_ms;
  END IF;

  -- What became an event, now or before, is not picked up again.
  DELETE FROM posthorn.publications p USING unnest(e_publication) WITH ORDINALITY AS e (publication, n)
  WHERE e.publication IS NOT NULL AND p.id = e.publication AND v_code[e.n] IN (0, 3, 7);

  RETURN QUERY
  SELECT e.n::integer, (ARRAY['accepted', 'stale', 'gone', 'duplicate', 'conflict', 'failed', 'taken', 'accepted'])[v_code[e.n] + 1],
    v_known -> e.n::text ->> 'event_id', v_known -> e.n::text ->> 'key', (v_known -> e.n::text ->> 'deliveries')::integer,
    EXISTS (SELECT 1 FROM posthorn.fan_outs f WHERE f.event_id = v_known -> e.n::text ->> 'event_id'), u.ids
  FROM unnest(v_code) WITH ORDINALITY AS e (code, n)
    LEFT JOIN (SELECT d.event, array_agg(d.id) AS ids FROM unnest(d_event, d_id) AS d (event, id)
      WHERE cardinality(v_unleased) > 0 AND d.id = ANY (v_unleased) GROUP BY d.event) u ON u.event = e.n
  WHERE e.code <> 0 OR u.ids IS NOT NULL;
END $$;

CREATE FUNCTION posthorn.claim_deliveries(
  p_endpoint_ids text[], p_first integer[], p_retries integer[], p_replays integer[], p_total integer[], p_from bigint[], p_holder integer,
  p_bytes_max bigint
) RETURNS TABLE (
  lane integer, epoch integer, elsewhere boolean, more boolean, next_due_at_ms bigint, id text, app_id text, event_id text, event_type text, trigger text, class smallint,
  order_key text, failures integer, attempts integer, expunged boolean, payload bytea, hops smallint
) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
  v_now bigint := posthorn.now_ms();
  v_left bigint := p_bytes_max;
  v_given integer := 0;
  v_lane posthorn.lanes;
  v_rows integer;
  v_bytes bigint;
  v_next bigint;
  v_from bigint;
  v_locked text[] := '{}';
  -- What was leased, in order: its lane's position, its key, and where its payload lies.
  v_lanes integer[] := '{}';
  v_locators integer[] := '{}';
  v_ids text[] := '{}';
  v_retention_days smallint[] := '{}';
  v_event_days date[] := '{}';
  v_slice_locators integer[];
  v_slice_ids text[];
  v_slice_retention_days smallint[];
  v_slice_event_days date[];
  r record;
BEGIN
  -- A lane that somebody keeps locked does not keep the others from being claimed: 50 ms are waited for it, and then it has more.
  FOR turn IN 1 .. 10 LOOP
    v_locked := v_locked || ARRAY(SELECT l.endpoint_id FROM posthorn.lanes l
      WHERE l.endpoint_id = ANY (p_endpoint_ids) AND l.endpoint_id <> ALL (v_locked) ORDER BY l.endpoint_id FOR NO KEY UPDATE SKIP LOCKED);
    EXIT WHEN NOT EXISTS (SELECT 1 FROM posthorn.lanes l WHERE l.endpoint_id = ANY (p_endpoint_ids) AND l.endpoint_id <> ALL (v_locked));
    PERFORM pg_sleep(0.005);
  END LOOP;
  v_now := posthorn.now_ms();
  -- After the locks: who was voided while we waited gets nothing.
  IF NOT EXISTS (SELECT 1 FROM posthorn.incarnations WHERE number = p_holder AND voided_at_ms IS NULL) THEN RETURN; END IF;

  FOR i IN 1 .. cardinality(p_endpoint_ids) LOOP
    SELECT * INTO v_lane FROM posthorn.lanes l WHERE l.endpoint_id = p_endpoint_ids[i];
    CONTINUE WHEN NOT FOUND OR NOT v_lane.runnable;
    IF v_lane.endpoint_id <> ALL (v_locked) THEN
      lane := i; epoch := v_lane.epoch; elsewhere := false; more := true; next_due_at_ms := NULL;
      RETURN NEXT;
      CONTINUE;
    END IF;
    IF v_lane.exclusive OR v_lane.breaker <> 'closed' THEN
      IF v_lane.owner IS DISTINCT FROM p_holder THEN
        IF EXISTS (SELECT 1 FROM posthorn.incarnations n WHERE n.number = v_lane.owner AND n.voided_at_ms IS NULL) THEN
          lane := i; epoch := v_lane.epoch; elsewhere := true; more := false;
          RETURN NEXT;
          CONTINUE;
        END IF;
        v_lane.epoch := v_lane.epoch + 1;
        UPDATE posthorn.lanes l SET owner = p_holder, epoch = v_lane.epoch WHERE l.endpoint_id = v_lane.endpoint_id;
      END IF;
    END IF;

    -- Without a hint nothing is due, and nothing is found.
    v_from := CASE WHEN v_lane.next_due_at_ms IS NOT NULL THEN greatest(v_lane.next_due_at_ms, p_from[i]) END;
    WITH due AS (
      (SELECT d.locator, d.id, d.class, d.due_at_ms, d.payload_bytes FROM posthorn.deliveries d
        WHERE d.endpoint_id = v_lane.endpoint_id AND d.class = 0 AND d.leased_by IS NULL
          AND d.due_at_ms >= v_from AND d.due_at_ms <= v_now ORDER BY d.due_at_ms, d.id LIMIT p_first[i])
      UNION ALL
      (SELECT d.locator, d.id, d.class, d.due_at_ms, d.payload_bytes FROM posthorn.deliveries d
        WHERE d.endpoint_id = v_lane.endpoint_id AND d.class = 1 AND d.leased_by IS NULL
          AND d.due_at_ms >= v_from AND d.due_at_ms <= v_now ORDER BY d.due_at_ms, d.id LIMIT p_retries[i])
      UNION ALL
      (SELECT d.locator, d.id, d.class, d.due_at_ms, d.payload_bytes FROM posthorn.deliveries d
        WHERE d.endpoint_id = v_lane.endpoint_id AND d.class = 2 AND d.leased_by IS NULL
          AND d.due_at_ms >= v_from AND d.due_at_ms <= v_now ORDER BY d.due_at_ms, d.id LIMIT p_replays[i])
      ORDER BY 3, 4, 2 LIMIT p_total[i]
    ), fitting AS (
      SELECT * FROM (SELECT due.*, row_number() OVER place AS place, sum(due.payload_bytes) OVER place AS bytes
        FROM due WINDOW place AS (ORDER BY due.class, due.due_at_ms, due.id)) w
      WHERE w.bytes <= v_left OR (v_given = 0 AND w.place = 1)
    ), leased AS (
      UPDATE posthorn.deliveries d SET leased_by = p_holder FROM fitting f
      -- Not IS NULL: with it the indexes of what waits look as good as the key to a planner that thinks the table empty.
      WHERE d.locator = ANY (ARRAY[f.locator]) AND d.id = ANY (ARRAY[f.id]) AND coalesce(d.leased_by, 0) = 0
      RETURNING d.locator, d.id, d.class, d.due_at_ms, d.payload_bytes, d.retention_days, d.event_day
    )
    SELECT array_agg(locator), array_agg(id), array_agg(retention_days), array_agg(event_day), count(*), coalesce(sum(payload_bytes), 0)
    INTO v_slice_locators, v_slice_ids, v_slice_retention_days, v_slice_event_days, v_rows, v_bytes
    FROM (SELECT * FROM leased ORDER BY class, due_at_ms, id) ordered;

    IF v_rows > 0 THEN
      v_locators := v_locators || v_slice_locators;
      v_ids := v_ids || v_slice_ids;
      v_retention_days := v_retention_days || v_slice_retention_days;
      v_event_days := v_event_days || v_slice_event_days;
      v_lanes := v_lanes || array_fill(i, ARRAY[v_rows]);
      v_given := v_given + v_rows;
      v_left := v_left - v_bytes;
    END IF;
    v_next := posthorn.next_due(v_lane.endpoint_id, v_from);
    IF v_next IS NULL OR v_next > v_now THEN
      IF v_from > v_lane.next_due_at_ms THEN v_next := posthorn.next_due(v_lane.endpoint_id, v_lane.next_due_at_ms); END IF;
      UPDATE posthorn.lanes l SET next_due_at_ms = v_next WHERE l.endpoint_id = v_lane.endpoint_id AND l.next_due_at_ms IS DISTINCT FROM v_next;
    END IF;
    IF v_rows > 0 AND v_lane.breaker = 'open' THEN
      UPDATE posthorn.lanes l SET probe_at_ms = v_now + l.probe_every_ms WHERE l.endpoint_id = v_lane.endpoint_id;
    END IF;
    lane := i; epoch := v_lane.epoch; elsewhere := false; more := coalesce(v_next <= v_now, false); next_due_at_ms := v_next;
    RETURN NEXT;
  END LOOP;

  -- With the payloads, day by day: planned with its values, the statement looks at one partition. LATERAL ... LIMIT, because
  -- a planner that thinks the partition empty takes half of the key for as good as the whole.
  FOR r IN
    SELECT DISTINCT c.retention_days, c.event_day FROM unnest(v_retention_days, v_event_days) AS c (retention_days, event_day)
  LOOP
    RETURN QUERY EXECUTE
      'SELECT c.lane, NULL::integer, NULL::boolean, NULL::boolean, NULL::bigint, d.id, e.app_id, d.event_id, d.event_type, d.trigger, d.class, d.order_key, d.failures,
        d.attempt_count, e.expunged_at_ms IS NOT NULL, e.payload, e.hops
      FROM unnest($1, $2, $3) WITH ORDINALITY AS c (lane, locator, id, n)
        JOIN posthorn.deliveries d ON d.locator = ANY (ARRAY[c.locator]) AND d.id = ANY (ARRAY[c.id])
        CROSS JOIN LATERAL (SELECT e.app_id, e.expunged_at_ms, e.payload, e.hops FROM posthorn.events e
          WHERE e.retention_days = $4 AND e.day = $5 AND e.locator = d.locator AND e.id = d.event_id LIMIT 1) e
      WHERE d.retention_days = $4 AND d.event_day = $5
      ORDER BY c.n'
    USING v_lanes, v_locators, v_ids, r.retention_days, r.event_day;
  END LOOP;
END $$;
