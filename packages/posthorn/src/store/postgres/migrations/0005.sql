-- Publishing inside a user's own transaction. `posthorn.publish` checks what can be checked without waiting for anybody, and
-- appends a row to posthorn.publications: it takes no lock that others wait for, has no unique key, and notifies nobody. Once
-- the transaction has committed, a node finds the row and makes the event of it.

-- A number in the alphabet of our ids, so many characters of it.
CREATE FUNCTION posthorn.base32(value bigint, characters integer) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  written text := '';
BEGIN
  FOR place IN REVERSE characters - 1 .. 0 LOOP
    written := written || substr('0123456789abcdefghjkmnpqrstvwxyz', ((value >> (5 * place)) & 31)::integer + 1, 1);
  END LOOP;
  RETURN written;
END $$;

-- A new id in the form of base/ids.ts: 48 bits of milliseconds, the locator of the app, 80 random bits.
CREATE FUNCTION posthorn.publication_id(app_id text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
  -- Bytes 0 to 5 and 9 to 12 of a version 4 UUID are random through and through.
  random text := replace(gen_random_uuid()::text, '-', '');
BEGIN
  RETURN 'pub_' || posthorn.base32(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint, 10) || substr(right(app_id, 30), 11, 4)
    || posthorn.base32(('x' || substr(random, 1, 10))::bit(40)::bigint, 8)
    || posthorn.base32(('x' || substr(random, 11, 2) || substr(random, 19, 8))::bit(40)::bigint, 8);
END $$;

-- An argument as an error may show it.
CREATE FUNCTION posthorn.shown(given text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN given IS NULL THEN 'NULL' WHEN length(given) > 120 THEN '"' || left(given, 120) || '..."' ELSE '"' || given || '"' END
$$;

-- Ends the statement with what is wrong with an argument. Its name is also the error's column name, for programs.
CREATE FUNCTION posthorn.refuse_argument(argument text, problem text, advice text, state text DEFAULT '22023') RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = state, MESSAGE = 'posthorn.publish: ' || argument || ' ' || problem, HINT = advice, COLUMN = argument;
END $$;

-- The time of an event as it will stand in its payload: ISO 8601 as it came; what PostgreSQL writes for a timestamptz
-- (`2026-01-31 12:00:00.5+00`) is brought into that form.
CREATE FUNCTION posthorn.occurred_at(given text) RETURNS text LANGUAGE plpgsql STABLE AS $$
DECLARE
  written text := regexp_replace(given, '^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?[+-]\d\d)(:\d\d)?$', '\1T\2\3');
  moment timestamptz;
BEGIN
  IF written <> given AND written ~ '[+-]\d\d$' THEN
    written := written || ':00';
  END IF;
  IF length(written) <= 64 AND written ~ '^\d{4}-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$' THEN
    BEGIN
      moment := written::timestamptz;
      RETURN written;
    EXCEPTION WHEN data_exception THEN
      NULL;
    END;
  END IF;
  PERFORM posthorn.refuse_argument('occurred_at', 'must be an ISO 8601 time with an offset (got ' || posthorn.shown(given) || ')',
    'Give a time such as 2026-01-31T12:00:00Z, or a timestamptz as text: now()::text.');
END $$;

CREATE FUNCTION posthorn.publish(
  -- Id or uid.
  app text,
  type text,
  -- JSON. Delivered byte for byte.
  data text,
  uid text DEFAULT NULL,
  -- When it occurred (`timestamp` in the API, which is a keyword here). Now unless given.
  occurred_at text DEFAULT NULL,
  channels text[] DEFAULT NULL,
  ordering_key text DEFAULT NULL,
  deliver_at timestamptz DEFAULT NULL,
  idempotency_key text DEFAULT NULL
) RETURNS text LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  payload_bytes_max CONSTANT integer := 1048576;
  visible CONSTANT text := 'must be 1 to 255 visible ASCII characters (got ';
  v_app_id text;
  v_id text;
  v_occurred_at text;
  v_bytes bytea;
  v_payload_bytes bigint;
  v_json json;
  v_channel text;
  v_detail text;
BEGIN
  SELECT a.id INTO v_app_id FROM posthorn.apps a
  WHERE (a.id = publish.app OR a.uid = publish.app) AND a.removed_at_ms IS NULL;
  IF v_app_id IS NULL THEN
    PERFORM posthorn.refuse_argument('app', 'must be the id or uid of an app (got ' || posthorn.shown(publish.app) || ')',
      'Create the app first, or check its spelling.', '23503');
  END IF;
  IF publish.type IS NULL OR length(publish.type) > 128 OR publish.type !~ '^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$' THEN
    PERFORM posthorn.refuse_argument('type',
      'must be segments of letters, digits, _ and -, joined by dots, at most 128 characters (got ' || posthorn.shown(publish.type) || ')',
      'Use a name such as order.created.');
  END IF;
  IF publish.uid !~ '^[!-~]{1,255}$' THEN
    PERFORM posthorn.refuse_argument('uid', visible || posthorn.shown(publish.uid) || ')', 'Shorten or encode it, or leave it out.');
  END IF;
  IF publish.idempotency_key !~ '^[!-~]{1,255}$' THEN
    PERFORM posthorn.refuse_argument('idempotency_key', visible || posthorn.shown(publish.idempotency_key) || ')', 'Shorten or encode it, or leave it out.');
  END IF;
  IF publish.occurred_at IS NOT NULL THEN
    v_occurred_at := posthorn.occurred_at(publish.occurred_at);
  END IF;
  IF cardinality(publish.channels) > 20 THEN
    PERFORM posthorn.refuse_argument('channels', 'must be at most 20 (got ' || cardinality(publish.channels) || ')', 'Leave some out.');
  END IF;
  FOREACH v_channel IN ARRAY coalesce(publish.channels, '{}') LOOP
    IF v_channel IS NULL OR v_channel !~ '^[A-Za-z0-9_.:-]{1,128}$' THEN
      PERFORM posthorn.refuse_argument('channels', 'must each be 1 to 128 letters, digits and _ . : - (got ' || posthorn.shown(v_channel) || ')',
        'Correct that one.');
    END IF;
  END LOOP;
  IF length(publish.ordering_key) NOT BETWEEN 1 AND 256 THEN
    PERFORM posthorn.refuse_argument('ordering_key', 'must be 1 to 256 characters (got ' || length(publish.ordering_key) || ')',
      'Shorten it, or leave it out.');
  END IF;
  IF publish.deliver_at NOT BETWEEN timestamptz '1970-01-01 00:00:00Z' AND clock_timestamp() + interval '30 days' THEN
    PERFORM posthorn.refuse_argument('deliver_at', 'must be at most 30 days ahead (got ' || publish.deliver_at || ')', 'Publish it later.');
  END IF;

  IF publish.data IS NULL THEN
    PERFORM posthorn.refuse_argument('data', 'must be JSON (got NULL)', 'For the JSON value null give the text ''null''.');
  END IF;
  v_bytes := convert_to(publish.data, 'UTF8');
  -- {"type":"...","timestamp":"...","data":...}; a timestamp that is not given has 24 characters.
  v_payload_bytes := 34 + length(publish.type) + coalesce(length(v_occurred_at), 24) + octet_length(v_bytes);
  IF v_payload_bytes > payload_bytes_max THEN
    PERFORM posthorn.refuse_argument('data', format('makes a payload of %s bytes; at most %s are allowed', v_payload_bytes, payload_bytes_max),
      'Send less, or a reference to it.');
  END IF;
  BEGIN
    v_json := publish.data;
  EXCEPTION WHEN data_exception OR statement_too_complex THEN
    -- What the parser says; never the data itself, which errors and logs must not show.
    GET STACKED DIAGNOSTICS v_detail = PG_EXCEPTION_DETAIL;
    PERFORM posthorn.refuse_argument('data', 'must be JSON', coalesce(nullif(v_detail, ''), 'It is nested too deeply.'));
  END;

  v_id := posthorn.publication_id(v_app_id);
  INSERT INTO posthorn.publications (created_at_ms, id, app_id, envelope, idempotency_key, data)
  VALUES (
    posthorn.now_ms(),
    v_id,
    v_app_id,
    json_strip_nulls(json_build_object(
      'app', v_app_id,
      'type', publish.type,
      'uid', publish.uid,
      'timestamp', v_occurred_at,
      'channels', to_json(publish.channels),
      'orderingKey', publish.ordering_key,
      'deliverAt', to_char(publish.deliver_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    ))::text,
    publish.idempotency_key,
    v_bytes
  );
  RETURN v_id;
END $$;

-- Nobody may publish who was not given the right to: GRANT USAGE ON SCHEMA posthorn, GRANT EXECUTE ON FUNCTION posthorn.publish.
REVOKE ALL ON FUNCTION posthorn.publish, posthorn.base32, posthorn.publication_id, posthorn.shown, posthorn.refuse_argument, posthorn.occurred_at FROM PUBLIC;
