-- Tables that hold rows: leaf partitions and plain tables, without what an extension brings along by itself.
-- reltuples is scaled to the table's present size, as the planner does.
SELECT c.oid::text, n.nspname, c.relname,
       CASE WHEN c.reltuples < 0 OR (c.relpages = 0 AND pg_relation_size(c.oid) > 0) THEN -1
            WHEN c.relpages = 0 THEN 0
            ELSE round(c.reltuples / c.relpages * (pg_relation_size(c.oid) / current_setting('block_size')::numeric))
       END::bigint,
       coalesce(pg_table_size(c.oid), 0),
       CASE WHEN c.reltoastrelid <> 0 THEN coalesce(pg_relation_size(c.reltoastrelid), 0) ELSE 0 END,
       CASE c.relreplident WHEN 'd' THEN 'default' WHEN 'i' THEN 'index' WHEN 'f' THEN 'full' ELSE 'nothing' END,
       CASE WHEN c.relispartition THEN (SELECT rn.nspname || '.' || r.relname
                                        FROM pg_class r JOIN pg_namespace rn ON rn.oid = r.relnamespace
                                        WHERE r.oid = pg_partition_root(c.oid)) END
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p'
  AND n.nspname NOT IN ('information_schema', 'godwit') AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
