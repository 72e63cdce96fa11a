-- What cannot be without the tables $1 (OIDs): the tables themselves, views on them (and on those), sequences they own;
-- and foreign keys of others that point at them.
WITH RECURSIVE gone AS (
    SELECT unnest($1::oid[]) AS oid
    UNION
    SELECT x.oid
    FROM gone g
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = g.oid
    CROSS JOIN LATERAL (
        SELECT w.ev_class AS oid FROM pg_rewrite w
        WHERE d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid AND w.ev_class <> g.oid
        UNION ALL
        SELECT s.oid FROM pg_class s
        WHERE d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND s.oid = d.objid AND s.relkind = 'S') x
)
SELECT 'relation', c.oid, n.nspname, c.relname
FROM gone g JOIN pg_class c ON c.oid = g.oid JOIN pg_namespace n ON n.oid = c.relnamespace
UNION ALL
SELECT 'fk', k.oid, '', k.conname
FROM pg_constraint k JOIN gone g ON g.oid = k.confrelid
WHERE k.contype = 'f' AND NOT EXISTS (SELECT FROM gone o WHERE o.oid = k.conrelid)
