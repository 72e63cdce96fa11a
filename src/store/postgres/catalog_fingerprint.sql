-- One row for each thing whose definition no stream carries: kind, schema, name, md5. Definitions are taken as they are
-- stored (node trees), which is cheap and stays the same as long as nobody changes them. Left out is what godwit itself
-- makes or changes: its home, publication and triggers, replica identities, whether a constraint is validated or a
-- trigger enabled, and whether a leaf has a foreign key of its own or from its partitioned table (whose own says nothing
-- that its leaves do not say); and what changes without DDL: statistics, file numbers, sequence values.
WITH spaces AS (
    SELECT oid, nspname FROM pg_namespace
    WHERE nspname NOT IN ('information_schema', 'godwit') AND nspname !~ '^pg_'
), rel AS (
    SELECT c.*, s.nspname FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
), things(kind, space, name, definition) AS (
    SELECT CASE WHEN r.relkind IN ('r', 'p') THEN 'tables' ELSE 'views' END, r.nspname::text, r.relname::text,
           concat_ws('|', r.relkind, r.relpersistence, r.relrowsecurity, r.relforcerowsecurity, r.relpartbound,
               (SELECT string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull,
                                            a.attidentity, a.attgenerated, a.attcollation,
                                            (SELECT d.adbin FROM pg_attrdef d
                                             WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum)),
                                  ',' ORDER BY a.attnum)
                FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped),
               (SELECT string_agg(i.inhparent::text, ',' ORDER BY i.inhparent)
                FROM pg_inherits i WHERE i.inhrelid = r.oid),
               (SELECT string_agg(concat_ws(' ', x.relname, i.indkey, i.indclass, i.indcollation, i.indoption,
                                            i.indisunique, i.indisprimary, i.indisvalid, i.indpred, i.indexprs),
                                  ',' ORDER BY x.relname)
                FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = r.oid),
               (SELECT string_agg(concat_ws(' ', k.conname, k.contype, k.conkey, k.confrelid, k.confkey,
                                            k.confupdtype, k.confdeltype, k.condeferrable, k.condeferred, k.conbin),
                                  ',' ORDER BY k.conname, k.oid)
                FROM pg_constraint k
                WHERE k.conrelid = r.oid AND (k.contype <> 'f' OR r.relkind = 'r' AND NOT EXISTS (
                    SELECT FROM pg_constraint p WHERE p.oid = k.conparentid AND p.conrelid = k.conrelid))),
               (SELECT string_agg(concat_ws(' ', t.tgname, t.tgfoid, t.tgtype, t.tgattr, t.tgqual, t.tgargs),
                                  ',' ORDER BY t.tgname)
                FROM pg_trigger t WHERE t.tgrelid = r.oid AND NOT t.tgisinternal AND t.tgname !~ '^!?godwit'),
               (SELECT string_agg(concat_ws(' ', w.rulename, w.ev_type, w.is_instead, w.ev_qual, w.ev_action),
                                  ',' ORDER BY w.rulename)
                FROM pg_rewrite w WHERE w.ev_class = r.oid),
               (SELECT string_agg(concat_ws(' ', p.polname, p.polcmd, p.polpermissive, p.polqual, p.polwithcheck),
                                  ',' ORDER BY p.polname)
                FROM pg_policy p WHERE p.polrelid = r.oid))
    FROM rel r
    WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
    UNION ALL
    SELECT 'sequences', r.nspname, r.relname,
           concat_ws('|', q.seqtypid, q.seqincrement, q.seqmax, q.seqmin, q.seqstart, q.seqcache, q.seqcycle)
    FROM rel r JOIN pg_sequence q ON q.seqrelid = r.oid
    UNION ALL
    SELECT 'functions', s.nspname, concat(p.proname, '(', p.proargtypes, ')'),
           concat_ws('|', p.prokind, p.prolang, p.prosrc, p.probin, to_jsonb(p) ->> 'prosqlbody', p.provolatile,
                     p.proisstrict, p.prosecdef, p.proparallel, p.proconfig, p.prorettype, p.proargnames,
                     p.proargdefaults)
    FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace
    UNION ALL
    SELECT 'types', s.nspname, t.typname,
           concat_ws('|', t.typtype, t.typbasetype, t.typtypmod, t.typnotnull, t.typdefaultbin,
               (SELECT string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
               (SELECT string_agg(concat_ws(' ', k.conname, k.conbin), ',' ORDER BY k.conname)
                FROM pg_constraint k WHERE k.contypid = t.oid))
    FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace
    WHERE t.typtype IN ('d', 'e', 'r')
    UNION ALL
    SELECT 'schemas', '', nspname, '' FROM spaces
    UNION ALL
    SELECT 'extensions', '', extname, extversion FROM pg_extension
    UNION ALL
    SELECT 'statistics', s.nspname, x.stxname, concat_ws('|', x.stxrelid, x.stxkeys, x.stxkind)
    FROM pg_statistic_ext x JOIN spaces s ON s.oid = x.stxnamespace
    UNION ALL
    SELECT 'event triggers', '', evtname, concat_ws('|', evtevent, evtfoid, evttags)
    FROM pg_event_trigger WHERE evtname !~ '^godwit'
    UNION ALL
    SELECT 'large objects', '', '', concat_ws('|', count(*), max(oid)) FROM pg_largeobject_metadata
)
SELECT kind, space, name, md5(definition) FROM things
ORDER BY kind COLLATE "C", space COLLATE "C", name COLLATE "C", md5(definition)
