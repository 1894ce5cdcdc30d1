-- Nodes are shown as those of a shared store are.
ALTER TABLE incarnations ADD COLUMN roles TEXT NOT NULL DEFAULT '["api","dispatch","sources"]' CHECK (json_valid(roles));
-- 1: it stopped in good order. Set by retire.
ALTER TABLE incarnations ADD COLUMN retired INTEGER NOT NULL DEFAULT 0 CHECK (retired IN (0, 1));
