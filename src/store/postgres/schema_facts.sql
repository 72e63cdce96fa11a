-- What the archive does not say of its entries: catalog, OID, kind, schema, table, index or name, bytes, flag.
SELECT 2606, c.oid, 'index', n.nspname, t.relname, i.relname, coalesce(pg_table_size(t.oid), 0), false
FROM pg_constraint c
JOIN pg_class t ON t.oid = c.conrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_class i ON i.oid = c.conindid
WHERE c.contype IN ('p', 'u', 'x')
UNION ALL
SELECT 1259, x.indexrelid, 'index', n.nspname, t.relname, i.relname, coalesce(pg_table_size(t.oid), 0), false
FROM pg_index x
JOIN pg_class t ON t.oid = x.indrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_class i ON i.oid = x.indexrelid
WHERE n.nspname !~ '^pg_'
UNION ALL
-- The flag: can be added without looking at the rows, and validated later.
SELECT 2606, c.oid, 'fk', n.nspname, t.relname, c.conname, coalesce(pg_table_size(t.oid), 0),
       t.relkind = 'r' AND c.convalidated
FROM pg_constraint c
JOIN pg_class t ON t.oid = c.conrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE c.contype = 'f'
UNION ALL
-- The flag: fires for a replica, too.
SELECT 2620, g.oid, 'fires', n.nspname, t.relname, g.tgname, 0, g.tgenabled IN ('A', 'R')
FROM pg_trigger g
JOIN pg_class t ON t.oid = g.tgrelid
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE NOT g.tgisinternal
UNION ALL
SELECT 2618, w.oid, 'fires', n.nspname, t.relname, w.rulename, 0, w.ev_enabled IN ('A', 'R')
FROM pg_rewrite w
JOIN pg_class t ON t.oid = w.ev_class
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE w.rulename <> '_RETURN' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
UNION ALL
SELECT 1259, t.oid, 'matview', n.nspname, t.relname, '', 0, t.relispopulated
FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE t.relkind = 'm'
ORDER BY 1, 2
