-- Indexes with their key columns in order. $1: the tables' OIDs.
SELECT i.indrelid, x.relname, i.indisprimary, i.indisunique, am.amname, pg_get_indexdef(i.indexrelid),
       pg_get_expr(i.indpred, i.indrelid), i.indisexclusion,
       (SELECT jsonb_agg(jsonb_build_object('column', a.attname,
                                            'expression', CASE WHEN k.attnum = 0
                                                THEN pg_get_indexdef(i.indexrelid, k.ord::int, true) END,
                                            'descending', (i.indoption::int2[])[k.ord - 1] & 1 = 1) ORDER BY k.ord)
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, ord)
        LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum <> 0
        WHERE k.ord <= i.indnkeyatts)
FROM pg_index i
JOIN pg_class x ON x.oid = i.indexrelid
JOIN pg_am am ON am.oid = x.relam
WHERE i.indrelid = ANY ($1::oid[]) AND i.indisvalid
ORDER BY i.indrelid, i.indisprimary DESC, x.relname COLLATE "C"
