-- What the duties need: adding figures, and finding what is past its time.

-- Two lists of counts, element by element; the shorter one counts as followed by zeros.
CREATE FUNCTION posthorn.add_counts(a bigint[], b bigint[]) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
  SELECT coalesce(array_agg(coalesce(sums.a, 0) + coalesce(sums.b, 0) ORDER BY sums.n), '{}')
  FROM unnest(a, b) WITH ORDINALITY AS sums (a, b, n)
$$;

-- Voided, and rescue has taken over the last of what it held.
ALTER TABLE posthorn.incarnations ADD COLUMN drained boolean NOT NULL DEFAULT false CHECK (NOT drained OR voided_at_ms IS NOT NULL);

-- What prune looks for.
CREATE INDEX endpoints_drained ON posthorn.endpoints (removed_at_ms) WHERE drained;
CREATE INDEX apps_removed ON posthorn.apps (removed_at_ms) WHERE removed_at_ms IS NOT NULL;
