-- The types $1 and all that they are made of: below a domain, in an array, the bounds of a range.
WITH RECURSIVE part AS (
    SELECT t.oid FROM pg_type t WHERE t.oid = ANY ($1::oid[])
    UNION
    SELECT x.next
    FROM part p
    JOIN pg_type t ON t.oid = p.oid
    LEFT JOIN LATERAL (SELECT g.rngsubtype FROM pg_range g
                       WHERE g.rngtypid = t.oid OR t.oid::text = to_jsonb(g) ->> 'rngmultitypid' LIMIT 1) r
           ON t.typtype IN ('r', 'm')
    CROSS JOIN LATERAL (SELECT CASE WHEN t.typtype = 'd' THEN t.typbasetype
                                    WHEN t.typtype IN ('r', 'm') THEN r.rngsubtype
                                    WHEN t.typlen = -1 AND t.typelem <> 0 AND t.typcategory = 'A' THEN t.typelem
                                    ELSE 0 END AS next) x
    WHERE x.next <> 0
)
SELECT t.oid, t.typtype, t.typname, format_type(t.oid, NULL),
       CASE WHEN t.typtype = 'd' THEN t.typbasetype
            WHEN t.typtype IN ('r', 'm') THEN (SELECT g.rngsubtype FROM pg_range g WHERE g.rngtypid = t.oid
                                               OR t.oid::text = to_jsonb(g) ->> 'rngmultitypid' LIMIT 1)
            WHEN t.typlen = -1 AND t.typelem <> 0 AND t.typcategory = 'A' THEN t.typelem
            ELSE 0 END,
       CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
       coalesce((SELECT b.typdelim FROM pg_type b WHERE b.oid = t.typelem), ','),
       (SELECT jsonb_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
       n.nspname = 'pg_catalog'
FROM part p
JOIN pg_type t ON t.oid = p.oid
JOIN pg_namespace n ON n.oid = t.typnamespace
ORDER BY t.oid
