-- Sender profiles: endpoints of theirs have no public keys to list, so that the index is for the schemes that have.
DROP INDEX endpoints_public;
CREATE UNIQUE INDEX endpoints_public ON endpoints (id) WHERE scheme IN ('standard-ed25519', 'standard-both', 'http-message');
