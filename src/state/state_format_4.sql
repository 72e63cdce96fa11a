-- Format 4: a row of godwit's own plan that the target lacks, or has as it was, says so: it is read again when it changes on
-- the source, and its note goes with the transaction at healed_order.
ALTER TABLE quarantine ADD COLUMN left_out INTEGER NOT NULL DEFAULT 0;
ALTER TABLE quarantine ADD COLUMN healed_order INTEGER;
UPDATE quarantine SET left_out = 1 WHERE chunk IS NOT NULL;
CREATE INDEX quarantine_of_row ON quarantine (collection, row_key) WHERE left_out = 1;
