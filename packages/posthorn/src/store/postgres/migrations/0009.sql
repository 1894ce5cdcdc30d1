-- Sender profiles: endpoints of theirs have no public keys to list, so that the index is for the schemes that have.
DROP INDEX posthorn.endpoints_public;
CREATE INDEX endpoints_public ON posthorn.endpoints (id)
  WHERE scheme IN ('standard-ed25519', 'standard-both', 'http-message') AND removed_at_ms IS NULL;
