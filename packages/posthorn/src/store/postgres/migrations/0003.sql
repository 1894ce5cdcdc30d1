-- Claim: leases due deliveries of the named lanes, in one statement for all of them. It costs by the lanes named and the rows
-- given. What was claimed before leaves dead rows, which stay as long as any transaction of the database is older than they
-- are; so the search begins where the node's last claim of the lane ended (`p_from`, its low-water mark, 0: unknown). The lane's
-- own hint is exact, but written only when the lane runs dry: a row that is changed at each claim would have as many dead
-- versions. Before it is written down that nothing is due, the search is done once more from the hint.

CREATE FUNCTION posthorn.claim(
  p_endpoint_ids text[], p_first integer[], p_retries integer[], p_replays integer[], p_total integer[], p_from bigint[], p_holder integer,
  p_bytes_max bigint
) RETURNS TABLE (
  lane integer, epoch integer, elsewhere boolean, more boolean, next_due_at_ms bigint, id text, app_id text, event_id text, event_type text, trigger text, class smallint,
  order_key text, failures integer, attempts integer, expunged boolean, payload bytea
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
        d.attempt_count, e.expunged_at_ms IS NOT NULL, e.payload
      FROM unnest($1, $2, $3) WITH ORDINALITY AS c (lane, locator, id, n)
        JOIN posthorn.deliveries d ON d.locator = ANY (ARRAY[c.locator]) AND d.id = ANY (ARRAY[c.id])
        CROSS JOIN LATERAL (SELECT e.app_id, e.expunged_at_ms, e.payload FROM posthorn.events e
          WHERE e.retention_days = $4 AND e.day = $5 AND e.locator = d.locator AND e.id = d.event_id LIMIT 1) e
      WHERE d.retention_days = $4 AND d.event_day = $5
      ORDER BY c.n'
    USING v_lanes, v_locators, v_ids, r.retention_days, r.event_day;
  END LOOP;
END $$;

-- When the lane's next unleased delivery is due, seen from a time before which there is none; NULL: there is none.
CREATE FUNCTION posthorn.next_due(p_endpoint_id text, p_from bigint) RETURNS bigint LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  IF p_from IS NULL THEN RETURN NULL; END IF;
  RETURN least(
    (SELECT due_at_ms FROM posthorn.deliveries WHERE endpoint_id = p_endpoint_id AND class = 0 AND leased_by IS NULL AND due_at_ms >= p_from
      ORDER BY due_at_ms, id LIMIT 1),
    (SELECT due_at_ms FROM posthorn.deliveries WHERE endpoint_id = p_endpoint_id AND class = 1 AND leased_by IS NULL AND due_at_ms >= p_from
      ORDER BY due_at_ms, id LIMIT 1),
    (SELECT due_at_ms FROM posthorn.deliveries WHERE endpoint_id = p_endpoint_id AND class = 2 AND leased_by IS NULL AND due_at_ms >= p_from
      ORDER BY due_at_ms, id LIMIT 1));
END $$;
