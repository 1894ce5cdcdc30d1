-- In these functions a row of the queue is found by `locator = ANY (ARRAY[..]) AND id = ANY (ARRAY[..])`. It says the same as
-- two equalities, but cannot be merge-joined; and so a planner whose statistics say that the queue is empty (it often is) has
-- no way to begin with a walk through the whole index, which it would keep to when the queue is long.

-- Accept: events with their deliveries, their idempotency records and their source's position, each element all or nothing,
-- the whole batch in one statement. Only elements that were not plainly accepted are answered.

CREATE FUNCTION posthorn.accept(
  -- One element per event. Of its deliveries: how many, and the first and last of their ids.
  e_id text[], e_app_id text[], e_locator integer[], e_day date[], e_uid text[], e_event_type text[], e_timestamp text[],
  e_channels text[], e_ordering_key text[], e_deliver_at bigint[], e_data_start integer[], e_data_end integer[],
  e_payload_start integer[], e_payload_length integer[], e_config_version bigint[], e_fan_out text[], e_fan_out_count integer[],
  e_delivery_count integer[], e_delivery_first text[], e_delivery_last text[], e_publication text[],
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
    app_id, delivery_first, delivery_last, uid, event_type, timestamp, channels, ordering_key, payload)
  SELECT v_now, e.deliver_at, e.locator, e.day, e.data_start, e.data_end, e.delivery_count, e.fan_out_count, v_retention[e.n], e.id,
    e.app_id, e.delivery_first, e.delivery_last, e.uid, e.event_type, e.timestamp, e.channels, e.ordering_key,
    substring(p_payloads FROM e.payload_start + 1 FOR e.payload_length)
  FROM unnest(e_id, e_app_id, e_locator, e_day, e_uid, e_event_type, e_timestamp, e_channels, e_ordering_key, e_deliver_at, e_data_start, e_data_end,
      e_payload_start, e_payload_length, e_fan_out_count, e_delivery_count, e_delivery_first, e_delivery_last) WITH ORDINALITY
    AS e (id, app_id, locator, day, uid, event_type, timestamp, channels, ordering_key, deliver_at, data_start, data_end, payload_start, payload_length,
      fan_out_count, delivery_count, delivery_first, delivery_last, n)
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

-- The deliveries at these positions, which are not simply sent at once: ordered, of a lane that one node owns, due later, or
-- wanted by nobody. Their lanes are locked, in the order of their ids. Answers those that wanted a lease and got none.
CREATE FUNCTION posthorn.accept_waiting(
  p_positions integer[], p_retention integer[], p_alive integer[], p_now bigint,
  d_event integer[], d_id text[], d_locator integer[], d_day date[], d_endpoint_id text[], d_event_id text[], d_event_day date[], d_event_type text[],
  d_payload_bytes integer[], d_trigger text[], d_class smallint[], d_order_key text[], d_holder integer[], d_deliver_at bigint[], d_expires_in bigint[]
) RETURNS text[] LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_mergejoin = off AS $$
DECLARE
  v_endpoint_ids text[];
  v_unleased text[];
BEGIN
  SELECT array_agg(DISTINCT d.endpoint_id) INTO v_endpoint_ids
  FROM unnest(d_endpoint_id) WITH ORDINALITY AS d (endpoint_id, n) WHERE d.n = ANY (p_positions);
  PERFORM 1 FROM posthorn.lanes WHERE endpoint_id = ANY (v_endpoint_ids) ORDER BY endpoint_id FOR NO KEY UPDATE;
  -- Read anew with the locks in hand: nothing becomes due at a time that a claim has passed already.
  p_now := posthorn.now_ms();

  -- A lane for one node that nobody living owns becomes that of the one that wants to send.
  UPDATE posthorn.lanes l SET owner = w.holder, epoch = l.epoch + 1
  FROM (SELECT d.endpoint_id, min(d.holder) AS holder FROM unnest(d_endpoint_id, d_holder) WITH ORDINALITY AS d (endpoint_id, holder, n)
    WHERE d.n = ANY (p_positions) AND d.holder = ANY (p_alive) GROUP BY d.endpoint_id) w
  WHERE l.endpoint_id = w.endpoint_id AND l.exclusive AND l.breaker = 'closed' AND l.runnable
    AND (l.owner IS NULL OR NOT EXISTS (SELECT 1 FROM posthorn.incarnations i WHERE i.number = l.owner AND i.voided_at_ms IS NULL));

  WITH lane AS MATERIALIZED (
    SELECT * FROM posthorn.lanes WHERE endpoint_id = ANY (v_endpoint_ids)
  ), wanted AS (
    SELECT d.*, l.sequence AS last_sequence,
      row_number() OVER (PARTITION BY d.endpoint_id, d.order_key IS NULL ORDER BY d.n) AS place_in_lane,
      row_number() OVER (PARTITION BY d.endpoint_id, d.order_key ORDER BY d.n) AS place_in_key,
      d.holder = ANY (p_alive) AND (NOT (l.exclusive OR l.breaker <> 'closed') OR l.owner = d.holder) AS may_lease,
      greatest(p_now, coalesce(d.deliver_at, 0)) AS due_at_ms
    FROM unnest(d_event, d_id, d_locator, d_day, d_endpoint_id, d_event_id, d_event_day, d_event_type, d_payload_bytes, d_trigger, d_class,
        d_order_key, d_holder, d_deliver_at, d_expires_in) WITH ORDINALITY
      AS d (event, id, locator, day, endpoint_id, event_id, event_day, event_type, payload_bytes, trigger, class, order_key, holder, deliver_at, expires_in, n)
      JOIN lane l ON l.endpoint_id = d.endpoint_id
    WHERE d.n = ANY (p_positions)
  ), placed AS (
    SELECT w.*, w.order_key IS NOT NULL AND (w.place_in_key > 1
      OR EXISTS (SELECT 1 FROM posthorn.deliveries x WHERE x.endpoint_id = w.endpoint_id AND x.order_key = w.order_key)
      OR EXISTS (SELECT 1 FROM posthorn.lane_blocks b WHERE b.endpoint_id = w.endpoint_id AND b.order_key = w.order_key)) AS held
    FROM wanted w
  ), stored AS (
    INSERT INTO posthorn.deliveries (created_at_ms, expires_at_ms, due_at_ms, sequence, locator, day, event_day, leased_by, payload_bytes,
      retention_days, class, later, id, endpoint_id, event_id, event_type, trigger, order_key)
    SELECT p_now, due_at_ms + expires_in, CASE WHEN NOT held THEN due_at_ms END,
      CASE WHEN order_key IS NOT NULL THEN last_sequence + place_in_lane END, locator, day, event_day,
      CASE WHEN may_lease AND NOT held AND due_at_ms <= p_now THEN holder END, payload_bytes,
      p_retention[event], class, false, id, endpoint_id, event_id, event_type, trigger, order_key
    FROM placed
    RETURNING id, endpoint_id, leased_by, due_at_ms, order_key
  ), lowered AS (
    UPDATE posthorn.lanes l SET sequence = l.sequence + s.ordered,
      next_due_at_ms = least(l.next_due_at_ms, s.due_at_ms)
    FROM (SELECT endpoint_id, count(order_key) AS ordered, min(due_at_ms) FILTER (WHERE leased_by IS NULL) AS due_at_ms
      FROM stored GROUP BY endpoint_id) s
    WHERE l.endpoint_id = s.endpoint_id
      AND (s.ordered > 0 OR (s.due_at_ms IS NOT NULL AND (l.next_due_at_ms IS NULL OR l.next_due_at_ms > s.due_at_ms)))
  )
  SELECT coalesce(array_agg(p.id), '{}') INTO v_unleased
  FROM placed p JOIN stored s ON s.id = p.id WHERE p.holder <> 0 AND s.leased_by IS NULL;
  RETURN v_unleased;
END $$;
