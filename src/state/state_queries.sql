-- Every query of the journal but the tables' definitions, by name; read by io/sqlite.

-- :meta_get
SELECT value FROM meta WHERE name = ?1

-- :meta_put
INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value

-- :has_meta
SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'meta'

-- :table_count
SELECT count(*) FROM sqlite_schema

-- :quick_check
PRAGMA quick_check(1)

-- :fact_get
SELECT json FROM fact WHERE name = ?1

-- :fact_put
INSERT INTO fact (name, json) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET json = excluded.json

-- :fact_remove
DELETE FROM fact WHERE name = ?1

-- :stage_get
SELECT name, since_wall_us FROM stage

-- :stage_put
INSERT INTO stage (one, name, since_wall_us) VALUES (1, ?1, ?2)
    ON CONFLICT (one) DO UPDATE SET name = excluded.name, since_wall_us = excluded.since_wall_us
    WHERE stage.name <> excluded.name

-- :run_begin
INSERT INTO run (what, began_wall_us) VALUES (?1, ?2)

-- :run_end
UPDATE run SET ended_wall_us = ?2, outcome = ?3 WHERE id = ?1

-- :run_open
SELECT id FROM run WHERE what = ?1 AND outcome IS NULL ORDER BY id DESC LIMIT 1

-- :step_begin
INSERT INTO step (run, name, status, began_wall_us, detail) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (run, name) DO UPDATE
    SET status = excluded.status, began_wall_us = excluded.began_wall_us, ended_wall_us = NULL,
        detail = coalesce(excluded.detail, step.detail)

-- :step_end
UPDATE step SET status = ?3, ended_wall_us = ?4, detail = coalesce(?5, detail) WHERE run = ?1 AND name = ?2

-- :steps_of
SELECT name, status, began_wall_us, coalesce(ended_wall_us, 0), detail FROM step WHERE run = ?1 ORDER BY id

-- :collection_count
SELECT count(*) FROM collection

-- :collection_all
SELECT json FROM collection ORDER BY id

-- :collection_add
INSERT INTO collection (id, json, estimated_rows, estimated_bytes) VALUES (?1, ?2, ?3, ?4)

-- :load_status_get
SELECT load_status FROM collection WHERE id = ?1

-- :load_status_put
UPDATE collection SET load_status = ?2 WHERE id = ?1

-- :chunk_add
INSERT INTO chunk (collection, low, high) VALUES (?1, ?2, ?3)

-- :chunk_next
-- From the collection that the fewest workers are at, the longest of several. chunk_to_load holds the few chunks that
-- the splitter is ahead.
WITH waiting AS (
    SELECT collection, count(*) FILTER (WHERE leased) AS workers, min(id) FILTER (WHERE NOT leased) AS first
      FROM (SELECT id, collection, lease_worker IS NOT NULL AND lease_boot IS ?1 AND lease_mono_us > ?2 AS leased
              FROM chunk WHERE loaded = 0)
     GROUP BY collection)
SELECT chunk.id, chunk.collection, chunk.low, chunk.high, chunk.loaded, chunk.mark, chunk.rows, chunk.bytes
  FROM waiting JOIN collection ON collection.id = waiting.collection JOIN chunk ON chunk.id = waiting.first
 ORDER BY waiting.workers, collection.estimated_bytes DESC, collection.id
 LIMIT 1

-- :chunk_lease
UPDATE chunk SET lease_worker = ?2, lease_boot = ?3, lease_mono_us = ?4 WHERE id = ?1

-- :chunk_extend
UPDATE chunk SET lease_mono_us = ?4 WHERE id = ?1 AND lease_worker = ?2 AND lease_boot = ?3 AND loaded = 0

-- :chunk_loaded
UPDATE chunk SET loaded = 1, mark = ?2, rows = ?3, bytes = ?4, lease_worker = NULL, lease_boot = NULL,
                 lease_mono_us = NULL
 WHERE id = ?1

-- :chunk_release
UPDATE chunk SET lease_worker = NULL, lease_boot = NULL, lease_mono_us = NULL WHERE id = ?1

-- :chunk_release_all
UPDATE chunk SET lease_worker = NULL, lease_boot = NULL, lease_mono_us = NULL WHERE lease_worker IS NOT NULL

-- :chunks_of
SELECT id, collection, low, high, loaded, mark, rows, bytes FROM chunk WHERE collection = ?1 ORDER BY id

-- :chunk_get
SELECT id, collection, low, high, loaded, mark, rows, bytes FROM chunk WHERE id = ?1

-- :chunk_restore
INSERT INTO chunk (id, collection, low, high, loaded, mark, rows, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (id) DO UPDATE
    SET loaded = excluded.loaded, mark = excluded.mark, rows = excluded.rows, bytes = excluded.bytes,
        lease_worker = NULL, lease_boot = NULL, lease_mono_us = NULL

-- :chunk_totals
SELECT count(*), coalesce(sum(loaded), 0), coalesce(sum(CASE WHEN loaded THEN rows END), 0),
       coalesce(sum(CASE WHEN loaded THEN bytes END), 0)
  FROM chunk

-- :collection_totals
SELECT count(*), coalesce(sum(load_status >= ?1), 0), coalesce(sum(max(estimated_rows, 0)), 0),
       coalesce(sum(max(estimated_bytes, 0)), 0)
  FROM collection

-- :quarantine_add
INSERT INTO quarantine (stream, collection, operation, row_key, reason, position_order, position_text, wall_us, change,
                        chunk, left_out)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, nullif(?10, 0), ?11)

-- The same change of the same transaction.
-- :quarantine_has
SELECT EXISTS (SELECT 1 FROM quarantine
                WHERE position_order = ?1 AND stream = ?2 AND collection = ?3 AND operation = ?4 AND row_key = ?5)

-- :quarantine_has_chunk
SELECT EXISTS (SELECT 1 FROM quarantine WHERE chunk = ?1)

-- :quarantine_forget_chunk
DELETE FROM quarantine WHERE chunk = ?1

-- :quarantine_all
SELECT id, stream, collection, operation, row_key, reason, position_order, position_text, wall_us, left_out
  FROM quarantine ORDER BY id

-- One row's, or of all rows of a collection (row_key NULL).
-- :quarantine_heal
UPDATE quarantine SET healed_order = ?1
 WHERE left_out = 1 AND stream = ?2 AND collection = ?3 AND (?4 IS NULL OR row_key = ?4)

-- :quarantine_has_healed
SELECT EXISTS (SELECT 1 FROM quarantine WHERE left_out = 1 AND stream = ?1 AND healed_order IS NOT NULL)

-- :quarantine_drop_healed
DELETE FROM quarantine WHERE left_out = 1 AND stream = ?1 AND healed_order <= ?2

-- What its transaction would have mended was rolled back.
-- :quarantine_undo_healed
UPDATE quarantine SET healed_order = NULL WHERE left_out = 1 AND stream = ?1 AND healed_order IS NOT NULL

-- :quarantine_clear
DELETE FROM quarantine WHERE ?1 = 0 OR id = ?1

-- What was found equal before this is not known to be so any more.
-- :verdict_unsettle
UPDATE verdict SET json = json_set(json, '$.verdict', 'unresolved', '$.stale', ?1)
 WHERE json_extract(json, '$.verdict') = 'equal'

-- What verify has found so far does not count any more, nor what it is noting at this moment (see verify/kept.h).
-- :verify_forget
DELETE FROM fact WHERE name IN ('verify.run', 'verify.progress')

-- :verdict_put
INSERT INTO verdict (collection, json, wall_us) VALUES (?1, ?2, ?3)
    ON CONFLICT (collection) DO UPDATE SET json = excluded.json, wall_us = excluded.wall_us

-- :verdict_all
SELECT collection, json, wall_us FROM verdict ORDER BY collection

-- :event_add
INSERT INTO event (wall_us, kind, text) VALUES (?1, ?2, ?3)

-- :event_since
SELECT id, wall_us, kind, text FROM event WHERE id > ?1 ORDER BY id
