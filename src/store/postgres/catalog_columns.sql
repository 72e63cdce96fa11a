-- Columns of the same tables. A type is binary safe when its binary form means the same on any server: nothing in it
-- is a number that only this server gave out. An array's form holds its element's OID, hence built-in elements only;
-- an enum's form is its label, a domain's that of its base, a range's that of its bounds.
WITH RECURSIVE type_info AS (
    SELECT t.oid, t.typtype, t.typsend <> 0 AND t.typreceive <> 0 AS has_binary, n.nspname = 'pg_catalog' AS builtin,
           t.typname, t.typbasetype,
           CASE WHEN t.typlen = -1 AND t.typelem <> 0 AND t.typcategory = 'A' THEN t.typelem ELSE 0 END AS element,
           coalesce(r.rngsubtype, 0) AS bounds
    FROM pg_type t
    JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN LATERAL (SELECT g.rngsubtype FROM pg_range g
                       WHERE g.rngtypid = t.oid OR t.oid::text = to_jsonb(g) ->> 'rngmultitypid' LIMIT 1) r
           ON t.typtype IN ('r', 'm')
), part AS (
    SELECT DISTINCT a.atttypid AS root, a.atttypid AS oid, false AS in_array
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r'
    UNION
    SELECT p.root, x.next, x.array OR p.in_array
    FROM part p
    JOIN type_info t ON t.oid = p.oid
    CROSS JOIN LATERAL (SELECT CASE WHEN t.typtype = 'd' THEN t.typbasetype
                                    WHEN t.typtype IN ('r', 'm') THEN t.bounds
                                    ELSE t.element END AS next,
                               t.typtype NOT IN ('d', 'r', 'm') AS array) x
    WHERE x.next <> 0
), safe AS (
    SELECT p.root, bool_and(CASE
               WHEN p.in_array AND NOT t.builtin THEN false
               WHEN t.typtype IN ('d', 'e') THEN true
               WHEN t.typtype IN ('r', 'm') THEN t.bounds <> 0
               WHEN t.typtype <> 'b' THEN false
               WHEN t.element <> 0 THEN true
               ELSE t.builtin AND t.has_binary AND t.typname !~ '^reg'
                    AND t.typname NOT IN ('aclitem', 'oidvector', 'xml', 'pg_node_tree', 'pg_ndistinct', 'cstring',
                                          'pg_dependencies', 'pg_mcv_list', 'pg_brin_bloom_summary', 'refcursor',
                                          'pg_brin_minmax_multi_summary', 'pg_ddl_command', 'gtsvector')
           END) AS ok
    FROM part p JOIN type_info t ON t.oid = p.oid
    GROUP BY p.root
)
SELECT a.attrelid::text, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid::text,
       a.attnotnull, a.attgenerated <> '', a.attidentity = 'a', coalesce(s.ok, false)
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN safe s ON s.root = a.atttypid
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r' AND c.relpersistence = 'p'
  AND n.nspname NOT IN ('information_schema', 'godwit') AND n.nspname !~ '^pg_'
ORDER BY a.attrelid, a.attnum
