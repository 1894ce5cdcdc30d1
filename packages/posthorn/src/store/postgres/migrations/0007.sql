-- Copies of another store into this one (`posthorn store copy`).

-- The copy: one row, made before anything else is written. Nodes work on the database only once it is whole.
CREATE TABLE posthorn.copies (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  -- What is copied: the id of its operator app.
  source text COLLATE "C" NOT NULL,
  -- How far it is, as JSON. Whoever goes on with it understands it.
  progress text NOT NULL,
  started_at_ms bigint NOT NULL,
  -- When it was compared with its source and found equal. NULL: it is unfinished.
  finished_at_ms bigint
);

-- The retention class that the rows of an app are put in. It stays as it was first seen, so that no row comes twice.
CREATE TABLE posthorn.copied_apps (
  app_id text COLLATE "C" PRIMARY KEY,
  retention_days smallint NOT NULL
);
