-- Foreign keys and checks. $1: the tables' OIDs.
SELECT k.conrelid, k.contype, k.conname, k.convalidated, pg_get_expr(k.conbin, k.conrelid), rn.nspname, r.relname,
       k.confdeltype, k.confupdtype,
       (SELECT jsonb_agg(a.attname ORDER BY c.ord) FROM unnest(k.conkey) WITH ORDINALITY c(attnum, ord)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.attnum),
       (SELECT jsonb_agg(a.attname ORDER BY c.ord) FROM unnest(k.confkey) WITH ORDINALITY c(attnum, ord)
        JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = c.attnum),
       k.condeferrable, k.condeferred
FROM pg_constraint k
LEFT JOIN pg_class r ON r.oid = k.confrelid
LEFT JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE k.conrelid = ANY ($1::oid[]) AND k.contype IN ('f', 'c')
ORDER BY k.conrelid, k.conname COLLATE "C"
