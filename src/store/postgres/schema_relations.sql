-- Tables and partitioned tables with the one each is a partition of: what include and exclude choose from.
SELECT c.oid, n.nspname, c.relname, c.relkind = 'p',
       CASE WHEN c.relispartition THEN (SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid LIMIT 1) END
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('information_schema', 'godwit') AND n.nspname !~ '^pg_'
ORDER BY c.oid
