-- The best key of each table: the primary key, else the index the table names as its replica identity, else the
-- narrowest unique index that is complete, immediate, valid, over plain columns that are never null.
SELECT DISTINCT ON (i.indrelid) i.indrelid::text, x.relname, i.indisprimary, k.columns
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_am m ON m.oid = x.relam AND m.amname = 'btree'
JOIN pg_class c ON c.oid = i.indrelid AND c.relkind = 'r' AND c.relpersistence = 'p'
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT string_agg(a.attname::text, E'\x01' ORDER BY u.position) AS columns, bool_and(a.attnotnull) AS not_null,
           count(*) AS width
    FROM unnest(i.indkey::int2[]) WITH ORDINALITY u(attnum, position)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.attnum
    WHERE u.position <= i.indnkeyatts) k
WHERE i.indisunique AND i.indimmediate AND i.indisvalid AND i.indisready AND i.indislive AND NOT i.indisexclusion
  AND i.indpred IS NULL AND i.indexprs IS NULL AND k.not_null AND k.width = i.indnkeyatts
  AND n.nspname NOT IN ('information_schema', 'godwit') AND n.nspname !~ '^pg_'
ORDER BY i.indrelid, i.indisprimary DESC, i.indisreplident DESC, k.width, x.relname COLLATE "C"
