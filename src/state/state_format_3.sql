-- Format 3: a row that was left out of a chunk says which, for a chunk that is read again begins anew.
ALTER TABLE quarantine ADD COLUMN chunk INTEGER;
CREATE INDEX quarantine_of_chunk ON quarantine (chunk) WHERE chunk IS NOT NULL;
