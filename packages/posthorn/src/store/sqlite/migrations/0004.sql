-- Security: who may do what, what is shown to receivers, and what was done.

-- JSON of what the app may use, each null unless set, and how its endpoints prove that they want their events (NULL: as the
-- platform has it). Set by save.
ALTER TABLE apps ADD COLUMN limits TEXT NOT NULL
  DEFAULT '{"publishPerSecond":null,"eventsPerDay":null,"payloadBytes":null,"endpoints":null}' CHECK (json_valid(limits));
ALTER TABLE apps ADD COLUMN ownership_check TEXT CHECK (ownership_check IN ('off', 'challenge', 'cloudevents'));

-- JSON of store/access.ts: how deliveries show who they are, encryption, and what is known of the receiver's consent.
ALTER TABLE endpoints ADD COLUMN access TEXT NOT NULL
  DEFAULT '{"authentication":null,"clientCertificate":null,"certificateAuthorities":null,"encryption":null,"verification":null}'
  CHECK (json_valid(access));
-- What of it is secret, sealed by the vault; NULL: nothing. Emptied by remove.
ALTER TABLE endpoints ADD COLUMN sealed_credentials BLOB;
-- Since when the endpoint has been unverified without a break. Set and cleared with its status; cleared by remove.
ALTER TABLE endpoints ADD COLUMN unverified_at_ms INTEGER CHECK (unverified_at_ms IS NULL OR status = 'unverified');
UPDATE endpoints SET unverified_at_ms = (SELECT now_ms FROM store_facts) WHERE status = 'unverified';
CREATE INDEX endpoints_unverified ON endpoints (seq) WHERE unverified_at_ms IS NOT NULL;
-- Those whose deliveries are signed with a private key. In the order in which their public keys are listed.
CREATE UNIQUE INDEX endpoints_public ON endpoints (id) WHERE scheme <> 'standard';

-- Of a signing key (ed25519); NULL: it is a signing secret.
ALTER TABLE endpoint_secrets ADD COLUMN public_key BLOB CHECK (length(public_key) = 32);

-- The one app of a key with the role `app`: removed with it. And JSON of what the key may use.
ALTER TABLE keys ADD COLUMN app_seq INTEGER REFERENCES apps (seq) CHECK ((app_seq IS NOT NULL) = (role = 'app'));
ALTER TABLE keys ADD COLUMN limits TEXT NOT NULL
  DEFAULT '{"publishPerSecond":null,"eventsPerDay":null,"payloadBytes":null}' CHECK (json_valid(limits));
CREATE INDEX keys_app ON keys (app_seq) WHERE app_seq IS NOT NULL;

-- Browsers that signed in with a key. Set by save; deleted by remove, with their key, and by prune once they have ended.
CREATE TABLE sessions (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  hash BLOB NOT NULL UNIQUE,
  key_seq INTEGER NOT NULL REFERENCES keys (seq),
  created_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_key ON sessions (key_seq);
CREATE INDEX sessions_expiry ON sessions (expires_at_ms);

-- Through how many webhooks the event came. It stands behind the payload; 0 and 1 take no byte there, so that a list which
-- shows them need not read it.
ALTER TABLE events ADD COLUMN hops INTEGER NOT NULL DEFAULT 0 CHECK (hops >= 0);

-- The audit log, each entry chained to the one before. Set by save and remove, never changed, never deleted.
CREATE TABLE audit_log (
  -- 1, 2, 3 ... without a gap.
  number INTEGER PRIMARY KEY CHECK (number > 0),
  id TEXT NOT NULL UNIQUE,
  at_ms INTEGER NOT NULL,
  -- JSON: who, and {kind, id} of what.
  actor TEXT NOT NULL CHECK (json_valid(actor)),
  action TEXT NOT NULL,
  target TEXT NOT NULL CHECK (json_valid(target)),
  -- The app that it concerns; it stays when the app is gone.
  app_id TEXT,
  -- JSON of what changed, redacted.
  before TEXT CHECK (json_valid(before)),
  after TEXT CHECK (json_valid(after)),
  address TEXT,
  request_id TEXT,
  previous_hash TEXT NOT NULL CHECK (length(previous_hash) = 64),
  hash TEXT NOT NULL CHECK (length(hash) = 64)
) STRICT;
-- An app's entries in order: (app_id, number).
CREATE INDEX audit_log_app ON audit_log (app_id) WHERE app_id IS NOT NULL;
-- REPLACE deletes without asking the trigger for DELETE.
CREATE TRIGGER audit_log_grows_at_its_end BEFORE INSERT ON audit_log
WHEN NEW.number <> ifnull((SELECT max(number) FROM audit_log), 0) + 1 OR EXISTS (SELECT 1 FROM audit_log WHERE id = NEW.id)
BEGIN
  SELECT RAISE(ABORT, 'the audit log never changes');
END;
CREATE TRIGGER audit_log_is_not_changed BEFORE UPDATE ON audit_log
BEGIN
  SELECT RAISE(ABORT, 'the audit log never changes');
END;
CREATE TRIGGER audit_log_is_not_shortened BEFORE DELETE ON audit_log
BEGIN
  SELECT RAISE(ABORT, 'the audit log never changes');
END;

-- What was used of the quotas of a day. Raised by use, deleted by prune when the day is over.
CREATE TABLE usage (
  -- When the day began: 0:00 UTC.
  day_ms INTEGER NOT NULL,
  -- Id of an app or of a key.
  scope TEXT NOT NULL,
  events INTEGER NOT NULL CHECK (events >= 0),
  PRIMARY KEY (day_ms, scope)
) STRICT, WITHOUT ROWID;

-- Which master key the secrets are sealed under; NULL: nobody has said. Set at a start, and by save (`master_key`).
ALTER TABLE store_facts ADD COLUMN master_key_check BLOB CHECK (length(master_key_check) = 16);
