-- Which payloads were zeroed is asked by whoever copies the store: without this, by reading every event.
CREATE INDEX events_expunged ON events (expunged_at_ms) WHERE expunged_at_ms IS NOT NULL;
