-- The ends of deliveries, and settle.

-- Something of these lanes is stored unleased and due then. Locks the lanes, in the order of their ids.
CREATE FUNCTION posthorn.note_due(p_endpoint_ids text[], p_due bigint[]) RETURNS void LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  PERFORM 1 FROM posthorn.lanes WHERE endpoint_id = ANY (p_endpoint_ids) ORDER BY endpoint_id FOR NO KEY UPDATE;
  UPDATE posthorn.lanes l SET next_due_at_ms = w.due_at_ms
  FROM (SELECT n.endpoint_id, min(n.due_at_ms) AS due_at_ms FROM unnest(p_endpoint_ids, p_due) AS n (endpoint_id, due_at_ms)
    WHERE n.due_at_ms IS NOT NULL GROUP BY n.endpoint_id) w
  WHERE l.endpoint_id = w.endpoint_id AND (l.next_due_at_ms IS NULL OR l.next_due_at_ms > w.due_at_ms);
END $$;

-- The oldest unfinished delivery of an order key is due, if it was held. Its lane must be locked, and the time is read with
-- the lock in hand, so that nothing becomes due at a time that a claim has passed already.
CREATE FUNCTION posthorn.release_head(p_endpoint_id text, p_order_key text, p_now bigint) RETURNS boolean LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  p_now := posthorn.now_ms();
  UPDATE posthorn.deliveries d SET due_at_ms = p_now
  FROM (SELECT locator, id FROM posthorn.deliveries WHERE endpoint_id = p_endpoint_id AND order_key = p_order_key ORDER BY sequence LIMIT 1) head
  WHERE d.locator = ANY (ARRAY[head.locator]) AND d.id = ANY (ARRAY[head.id]) AND d.due_at_ms IS NULL;
  IF NOT FOUND THEN RETURN false; END IF;
  UPDATE posthorn.lanes SET next_due_at_ms = p_now WHERE endpoint_id = p_endpoint_id AND (next_due_at_ms IS NULL OR next_due_at_ms > p_now);
  RETURN true;
END $$;

-- What follows for an order from the end of a delivery; true: the next one of its key is due. Only for those that have an
-- order key, and for redeliveries and replays, which lift the block of their event when they arrive.
CREATE FUNCTION posthorn.ended(
  p_endpoint_id text, p_order_key text, p_event_id text, p_trigger text, p_state text, p_held boolean, p_now bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_key text;
  v_released boolean := false;
BEGIN
  IF p_order_key IS NULL THEN
    IF p_state <> 'delivered' OR p_trigger = 'publish'
      OR NOT EXISTS (SELECT 1 FROM posthorn.lane_blocks WHERE endpoint_id = p_endpoint_id AND event_id = p_event_id) THEN RETURN false; END IF;
    PERFORM 1 FROM posthorn.lanes WHERE endpoint_id = p_endpoint_id FOR NO KEY UPDATE;
    FOR v_key IN DELETE FROM posthorn.lane_blocks WHERE endpoint_id = p_endpoint_id AND event_id = p_event_id RETURNING order_key LOOP
      v_released := posthorn.release_head(p_endpoint_id, v_key, p_now) OR v_released;
    END LOOP;
    RETURN v_released;
  END IF;
  IF p_held THEN RETURN false; END IF;
  PERFORM 1 FROM posthorn.lanes WHERE endpoint_id = p_endpoint_id FOR NO KEY UPDATE;
  IF p_state = 'dead_lettered' AND EXISTS (SELECT 1 FROM posthorn.endpoints WHERE id = p_endpoint_id AND ordering <> 'unordered' AND on_dead_letter = 'block') THEN
    INSERT INTO posthorn.lane_blocks (endpoint_id, order_key, event_id, created_at_ms) VALUES (p_endpoint_id, p_order_key, p_event_id, p_now)
    ON CONFLICT DO NOTHING;
    RETURN false;
  END IF;
  RETURN posthorn.release_head(p_endpoint_id, p_order_key, p_now);
END $$;

-- Ends deliveries, whoever holds them: by deadline, by hand, with their endpoint. Answers those that it ended. Who ends
-- several ordered ones locks their lanes before, in the order of their ids.
CREATE FUNCTION posthorn.finish(
  p_locators integer[], p_ids text[], p_states text[], p_reasons text[], p_attempts integer[], p_now bigint
) RETURNS TABLE (id text, app_id text, endpoint_id text, event_id text, event_type text, state text, reason text, released boolean)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
  r record;
BEGIN
  FOR r IN
    WITH gone AS (
      DELETE FROM posthorn.deliveries d USING unnest(p_locators, p_ids, p_states, p_reasons, p_attempts) WITH ORDINALITY AS f (locator, id, state, reason, attempts, n)
      WHERE d.locator = ANY (ARRAY[f.locator]) AND d.id = ANY (ARRAY[f.id])
      RETURNING d.*, f.state, f.reason, f.attempts, f.n
    ), kept AS (
      INSERT INTO posthorn.delivery_history (created_at_ms, finished_at_ms, locator, day, event_day, attempts, retention_days, later, id,
        endpoint_id, event_id, event_type, trigger, state, reason)
      SELECT created_at_ms, p_now, locator, day, event_day, failures + attempts, retention_days, later, id,
        endpoint_id, event_id, event_type, trigger, state, reason
      FROM gone
    )
    SELECT g.*, l.app_id FROM gone g JOIN posthorn.lanes l ON l.endpoint_id = g.endpoint_id ORDER BY g.endpoint_id, g.sequence, g.n
  LOOP
    id := r.id; app_id := r.app_id; endpoint_id := r.endpoint_id; event_id := r.event_id; event_type := r.event_type;
    state := r.state; reason := r.reason;
    released := (r.order_key IS NOT NULL OR r.trigger <> 'publish')
      AND posthorn.ended(r.endpoint_id, r.order_key, r.event_id, r.trigger, r.state, r.due_at_ms IS NULL, p_now);
    RETURN NEXT;
  END LOOP;
END $$;

-- Settle: attempts, what follows from them, and breakers that changed, in one statement. Answers only what was not plainly
-- settled: a failed attempt (with the failures of its lane), a released next one, and elements that did not hold their lease.
-- A lease is compared through coalesce, so that no planner takes the index of leased rows, all of this node's, for as good as
-- the key when its statistics say that the table is empty.
CREATE FUNCTION posthorn.settle(
  s_id text[], s_locator integer[], s_holder integer[], s_endpoint_id text[], s_next text[], s_reason text[], s_due_in bigint[], s_expires_in bigint[],
  s_failed boolean[], s_recovers boolean[],
  -- The attempts. NULL ids: none, the lease is given back.
  a_id text[], a_number integer[], a_started_ago bigint[], a_duration integer[], a_outcome text[], a_status integer[], a_facts text[], a_url text[],
  a_body_start integer[], a_body_length integer[], p_bodies bytea,
  b_endpoint_id text[], b_holder integer[], b_epoch integer[], b_state text[], b_every bigint[],
  -- Some of these were sent before, and the answer was lost.
  p_again boolean
) RETURNS TABLE (n integer, kind text, failures integer, failing_for_ms bigint, released boolean)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
  v_now bigint := posthorn.now_ms();
  v_alive integer[];
  v_count integer;
  v_attempts integer := 0;
  v_held integer[] := '{}';
  v_released integer[] := '{}';
  r record;
BEGIN
  SELECT coalesce(array_agg(number), '{}') INTO v_alive FROM posthorn.incarnations
  WHERE number = ANY (ARRAY(SELECT DISTINCT unnest(s_holder || b_holder))) AND voided_at_ms IS NULL;

  -- All lanes that may be written or whose order may go on, in one pass and in the order of their ids; and then the time:
  -- nothing becomes due at a time that a claim has passed already. What simply arrives at a lane without order locks none.
  PERFORM 1 FROM posthorn.lanes WHERE endpoint_id = ANY (s_endpoint_id || b_endpoint_id) AND (sequence > 0 OR endpoint_id = ANY (b_endpoint_id || ARRAY(
    SELECT s.endpoint_id FROM unnest(s_endpoint_id, s_next, s_failed, s_recovers) AS s (endpoint_id, next, failed, recovers)
    WHERE s.next IN ('retry', 'release') OR s.failed OR s.recovers)))
  ORDER BY endpoint_id FOR NO KEY UPDATE;
  v_now := posthorn.now_ms();

  -- What was settled by the call before is not settled again: a retry that this node has claimed again meanwhile would get the
  -- outcome of the try before.
  FOR r IN
    SELECT s.n, s.locator, s.id, s.attempt_id, d.day, d.retention_days
    FROM unnest(s_id, s_locator, s_next, a_id, a_number) WITH ORDINALITY AS s (id, locator, next, attempt_id, number, n)
      JOIN posthorn.deliveries d ON d.locator = ANY (ARRAY[s.locator]) AND d.id = ANY (ARRAY[s.id])
    WHERE p_again AND s.attempt_id IS NOT NULL AND d.attempt_count >= s.number
  LOOP
    EXECUTE 'SELECT 1 FROM posthorn.attempts t WHERE t.retention_days = $1 AND t.day = $2 AND t.locator = $3 AND t.delivery_id = $4 AND t.id = $5'
    INTO v_count USING r.retention_days, r.day, r.locator, r.id, r.attempt_id;
    IF v_count IS NOT NULL THEN s_holder[r.n] := 0; END IF;
  END LOOP;

  -- What ends, with its attempt.
  WITH settled AS (
    SELECT * FROM unnest(s_id, s_locator, s_holder, s_next, s_reason, a_id, a_number, a_started_ago, a_duration, a_outcome, a_status, a_facts, a_url,
        a_body_start, a_body_length) WITH ORDINALITY
      AS s (id, locator, holder, next, reason, attempt_id, number, started_ago, duration, outcome, status, facts, url, body_start, body_length, n)
    WHERE s.next IN ('delivered', 'dead_lettered') AND s.holder = ANY (v_alive) ORDER BY s.id
  ), gone AS (
    DELETE FROM posthorn.deliveries d USING settled s
    WHERE d.locator = ANY (ARRAY[s.locator]) AND d.id = ANY (ARRAY[s.id]) AND coalesce(d.leased_by, 0) = s.holder
    RETURNING d.*, s.next, s.reason, s.attempt_id, s.number, s.started_ago, s.duration, s.outcome, s.status, s.facts, s.url, s.body_start, s.body_length, s.n
  ), kept AS (
    INSERT INTO posthorn.delivery_history (created_at_ms, finished_at_ms, locator, day, event_day, attempts, retention_days, later, id,
      endpoint_id, event_id, event_type, trigger, state, reason)
    SELECT created_at_ms, v_now, locator, day, event_day, failures + 1, retention_days, later, id,
      endpoint_id, event_id, event_type, trigger, next, reason
    FROM gone
  ), tried AS (
    INSERT INTO posthorn.attempts (started_at_ms, locator, day, number, duration_ms, status, retention_days, delivery_id, id, outcome, facts, url, response_body)
    SELECT v_now - started_ago, locator, day, number, duration, status, retention_days, id, attempt_id, outcome, facts, url,
      CASE WHEN body_length IS NOT NULL THEN substring(p_bodies FROM body_start + 1 FOR body_length) END
    FROM gone
    ON CONFLICT DO NOTHING
    RETURNING 1
  )
  SELECT array_agg(n) AS positions, (SELECT count(*) FROM tried) AS attempts,
    -- Those that something may follow from in an order.
    jsonb_agg(jsonb_build_object('endpoint_id', endpoint_id, 'order_key', order_key, 'event_id', event_id, 'trigger', trigger, 'state', next, 'n', n)
      ORDER BY endpoint_id, n) FILTER (WHERE order_key IS NOT NULL OR trigger <> 'publish') AS followed
  INTO r FROM gone;
  v_held := coalesce(r.positions, '{}');
  v_attempts := r.attempts;
  IF r.followed IS NOT NULL THEN
    SELECT coalesce(array_agg(f.n), '{}') INTO v_released
    FROM jsonb_to_recordset(r.followed) AS f (endpoint_id text, order_key text, event_id text, trigger text, state text, n integer)
    WHERE posthorn.ended(f.endpoint_id, f.order_key, f.event_id, f.trigger, f.state, false, v_now);
  END IF;

  IF EXISTS (SELECT 1 FROM unnest(s_next) AS s (next) WHERE s.next IN ('retry', 'release')) THEN
    -- What goes on: a retry with its attempt, a lease given back without one.
    WITH settled AS (
      SELECT * FROM unnest(s_id, s_locator, s_holder, s_next, s_due_in, s_expires_in, a_id, a_number, a_started_ago, a_duration, a_outcome, a_status,
          a_facts, a_url, a_body_start, a_body_length) WITH ORDINALITY
        AS s (id, locator, holder, next, due_in, expires_in, attempt_id, number, started_ago, duration, outcome, status, facts, url, body_start, body_length, n)
      WHERE s.next IN ('retry', 'release') AND s.holder = ANY (v_alive) ORDER BY s.id
    ), waiting AS (
      UPDATE posthorn.deliveries d SET leased_by = NULL, due_at_ms = v_now + s.due_in,
        expires_at_ms = CASE WHEN s.next = 'retry' THEN v_now + s.expires_in ELSE d.expires_at_ms END,
        class = CASE WHEN s.next = 'retry' THEN greatest(d.class, 1) ELSE d.class END,
        failures = CASE WHEN s.next = 'retry' THEN d.failures + 1 ELSE d.failures END,
        attempt_count = CASE WHEN s.next = 'retry' THEN d.attempt_count + 1 ELSE d.attempt_count END,
        unknowns = CASE WHEN s.next = 'retry' THEN 0 ELSE d.unknowns END
      FROM settled s WHERE d.locator = ANY (ARRAY[s.locator]) AND d.id = ANY (ARRAY[s.id]) AND coalesce(d.leased_by, 0) = s.holder
      RETURNING d.*, s.next, s.attempt_id, s.number, s.started_ago, s.duration, s.outcome, s.status, s.facts, s.url, s.body_start, s.body_length, s.n
    ), tried AS (
      INSERT INTO posthorn.attempts (started_at_ms, locator, day, number, duration_ms, status, retention_days, delivery_id, id, outcome, facts, url, response_body)
      SELECT v_now - started_ago, locator, day, number, duration, status, retention_days, id, attempt_id, outcome, facts, url,
        CASE WHEN body_length IS NOT NULL THEN substring(p_bodies FROM body_start + 1 FOR body_length) END
      FROM waiting WHERE next = 'retry'
      ON CONFLICT DO NOTHING
      RETURNING 1
    )
    SELECT v_held || coalesce(array_agg(n), '{}'), v_attempts + (SELECT count(*) FROM tried) INTO v_held, v_attempts FROM waiting;
    PERFORM posthorn.note_due(array_agg(s.endpoint_id), array_agg(v_now + s.due_in))
    FROM unnest(s_endpoint_id, s_due_in) WITH ORDINALITY AS s (endpoint_id, due_in, n)
    WHERE s.n = ANY (v_held) AND s_next[s.n] IN ('retry', 'release') HAVING count(*) > 0;
  END IF;

  SELECT count(*) INTO v_count FROM unnest(v_held) AS h (n) WHERE a_id[h.n] IS NOT NULL;
  IF v_attempts < v_count THEN
    -- A fenced writer's late attempt took the number that one of these was begun with: the next one, then.
    FOR r IN SELECT h.n FROM unnest(v_held) AS h (n) WHERE a_id[h.n] IS NOT NULL LOOP
      PERFORM posthorn.add_attempt(s_locator[r.n], s_id[r.n], a_id[r.n], v_now - a_started_ago[r.n], a_duration[r.n], a_outcome[r.n], a_status[r.n],
        a_facts[r.n], a_url[r.n],
        CASE WHEN a_body_length[r.n] IS NOT NULL THEN substring(p_bodies FROM a_body_start[r.n] + 1 FOR a_body_length[r.n]) END);
    END LOOP;
  END IF;

  -- How long the lanes of failed attempts have been failing.
  IF true = ANY (s_failed) OR true = ANY (s_recovers) THEN
    RETURN QUERY
    WITH facts AS (
      SELECT s.endpoint_id, bool_or(s.recovers) AS recovers, count(*) FILTER (WHERE s.failed) AS failed, array_agg(s.n) FILTER (WHERE s.failed) AS positions
      FROM unnest(s_endpoint_id, s_failed, s_recovers) WITH ORDINALITY AS s (endpoint_id, failed, recovers, n)
      WHERE (s.failed OR s.recovers) AND s.n = ANY (v_held) GROUP BY s.endpoint_id
    ), changed AS (
      UPDATE posthorn.lanes l SET failures = CASE WHEN f.recovers THEN 0 ELSE l.failures END + f.failed,
        failing_since_ms = CASE WHEN f.failed = 0 THEN NULL WHEN f.recovers THEN v_now ELSE coalesce(l.failing_since_ms, v_now) END
      FROM facts f WHERE l.endpoint_id = f.endpoint_id
      RETURNING f.positions, l.failures, v_now - l.failing_since_ms AS failing_for_ms
    )
    SELECT p.n::integer, 'settled', c.failures, c.failing_for_ms, p.n = ANY (v_released)
    FROM changed c, unnest(c.positions) AS p (n);
  END IF;
  RETURN QUERY SELECT p.n, 'settled', NULL::integer, NULL::bigint, true FROM unnest(v_released) AS p (n) WHERE NOT coalesce(s_failed[p.n], false);

  -- Those that did not hold their lease: their attempt is on record, their verdict is not, but for a late success.
  FOR r IN SELECT s.n FROM unnest(s_id) WITH ORDINALITY AS s (id, n) WHERE s.n <> ALL (v_held) ORDER BY s.n LOOP
    n := r.n;
    kind := posthorn.settle_fenced(s_locator[n], s_id[n], s_next[n], a_id[n], v_now - a_started_ago[n], a_duration[n], a_outcome[n], a_status[n], a_facts[n],
      a_url[n], CASE WHEN a_body_length[n] IS NOT NULL THEN substring(p_bodies FROM a_body_start[n] + 1 FOR a_body_length[n]) END, v_now);
    failures := NULL; failing_for_ms := NULL; released := false;
    RETURN NEXT;
  END LOOP;

  IF cardinality(b_endpoint_id) > 0 THEN
    -- The owner's word counts; of those that share a lane, the first one's. A lane that closes is shared again.
    UPDATE posthorn.lanes l SET breaker = b.state,
      probe_at_ms = CASE WHEN b.state = 'open' THEN v_now + b.every END,
      probe_every_ms = CASE WHEN b.state = 'open' THEN b.every END,
      owner = CASE WHEN b.state <> 'closed' OR l.exclusive THEN b.holder END,
      epoch = CASE WHEN l.owner IS DISTINCT FROM (CASE WHEN b.state <> 'closed' OR l.exclusive THEN b.holder END) THEN l.epoch + 1 ELSE l.epoch END
    FROM unnest(b_endpoint_id, b_holder, b_epoch, b_state, b_every) AS b (endpoint_id, holder, epoch, state, every)
    WHERE l.endpoint_id = b.endpoint_id AND b.holder = ANY (v_alive) AND NOT l.removed
      AND (l.owner = b.holder OR (l.epoch = b.epoch AND NOT EXISTS (
        SELECT 1 FROM posthorn.incarnations i WHERE i.number = l.owner AND i.voided_at_ms IS NULL)));
  END IF;
END $$;

-- Puts an attempt on record under the next number, unless it is there. Answers whether it was put.
CREATE FUNCTION posthorn.add_attempt(
  p_locator integer, p_delivery_id text, p_id text, p_started_at_ms bigint, p_duration integer, p_outcome text, p_status integer, p_facts text, p_url text, p_body bytea
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_day date;
  v_retention smallint;
  v_added integer;
BEGIN
  SELECT day, retention_days INTO v_day, v_retention FROM posthorn.delivery_row(p_locator, p_delivery_id);
  EXECUTE 'INSERT INTO posthorn.attempts (started_at_ms, locator, day, number, duration_ms, status, retention_days, delivery_id, id, outcome, facts, url, response_body)
    SELECT $1, $2, $3, coalesce(max(t.number), 0) + 1, $4, $5, $6, $7, $8, $9, $10, $11, $12 FROM posthorn.attempts t
    WHERE t.retention_days = $6 AND t.day = $3 AND t.locator = $2 AND t.delivery_id = $7
    HAVING NOT coalesce(bool_or(t.id = $8), false)'
  USING p_started_at_ms, p_locator, v_day, p_duration, p_status, v_retention, p_delivery_id, p_id, p_outcome, p_facts, p_url, p_body;
  GET DIAGNOSTICS v_added = ROW_COUNT;
  RETURN v_added = 1;
END $$;

-- A delivery, unfinished or not, and where it lies. A finished one lies in the partition of its id's day, or a later one
-- where a test has moved the clock.
CREATE FUNCTION posthorn.delivery_row(p_locator integer, p_id text, OUT day date, OUT retention_days smallint, OUT state text)
LANGUAGE plpgsql AS $$
DECLARE
  v_from date := posthorn.day_of(p_id);
BEGIN
  SELECT d.day, d.retention_days, 'pending' INTO day, retention_days, state FROM posthorn.deliveries d WHERE d.locator = p_locator AND d.id = p_id;
  IF day IS NULL THEN
    EXECUTE 'SELECT h.day, h.retention_days, h.state FROM posthorn.delivery_history h WHERE h.locator = $1 AND h.day = ANY ($2) AND h.id = $3'
    INTO day, retention_days, state
    USING p_locator, ARRAY(SELECT v_from + n::integer FROM generate_series(0,
      (coalesce(nullif(current_setting('posthorn.advance_ms', true), ''), '0')::bigint + 86399999) / 86400000) AS n), p_id;
  END IF;
END $$;

-- The day on which an id was made: its first ten characters after the prefix are milliseconds in base 32.
CREATE FUNCTION posthorn.day_of(p_id text) RETURNS date LANGUAGE sql IMMUTABLE AS $$
  SELECT date '1970-01-01' + floor(sum((strpos('0123456789abcdefghjkmnpqrstvwxyz', substr(p_id, length(p_id) - 30 + place, 1)) - 1)::bigint << (5 * (10 - place)))
    / 86400000)::integer
  FROM generate_series(1, 10) AS place
$$;

-- Of a writer whose lease was taken over: 'fenced', 'fenced_finished', 'final:<state>', or 'failed' when there is no such delivery.
CREATE FUNCTION posthorn.settle_fenced(
  p_locator integer, p_id text, p_next text, p_attempt_id text, p_started_at_ms bigint, p_duration integer, p_outcome text, p_status integer, p_facts text,
  p_url text, p_body bytea, p_now bigint
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_state text;
  v_order_key text;
  v_endpoint_id text;
  v_added boolean := false;
BEGIN
  -- Lanes before deliveries, as everybody locks them.
  SELECT endpoint_id, order_key INTO v_endpoint_id, v_order_key FROM posthorn.deliveries WHERE locator = p_locator AND id = p_id;
  IF v_order_key IS NOT NULL THEN PERFORM 1 FROM posthorn.lanes WHERE endpoint_id = v_endpoint_id FOR NO KEY UPDATE; END IF;
  PERFORM 1 FROM posthorn.deliveries WHERE locator = p_locator AND id = p_id FOR UPDATE;
  SELECT state INTO v_state FROM posthorn.delivery_row(p_locator, p_id);
  IF v_state IS NULL THEN RETURN 'failed'; END IF;
  IF p_attempt_id IS NOT NULL THEN
    v_added := posthorn.add_attempt(p_locator, p_id, p_attempt_id, p_started_at_ms, p_duration, p_outcome, p_status, p_facts, p_url, p_body);
  END IF;
  IF v_state <> 'pending' THEN RETURN 'final:' || v_state; END IF;
  IF NOT v_added THEN RETURN 'fenced'; END IF;
  IF p_outcome <> 'succeeded' THEN
    UPDATE posthorn.deliveries SET attempt_count = attempt_count + 1 WHERE locator = p_locator AND id = p_id;
    RETURN 'fenced';
  END IF;
  PERFORM posthorn.finish(ARRAY[p_locator], ARRAY[p_id], ARRAY['delivered'], ARRAY[NULL::text], ARRAY[1], p_now);
  RETURN 'fenced_finished';
END $$;
