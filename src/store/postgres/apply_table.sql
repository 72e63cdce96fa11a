-- The columns of a target table in the order of $3. $1, $2: the table; $4: the names of its key's columns.
WITH target AS (
    SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2
), key_index AS (
    -- Any unique index over exactly these columns, whatever their order in it.
    SELECT i.indrelid, i.indkey::int2[] AS columns, i.indclass::oid[] AS classes, i.indnkeyatts
    FROM target JOIN pg_index i ON i.indrelid = target.oid
    WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
      AND ARRAY(SELECT a.attname::text COLLATE "C"
                FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, ord)
                JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                WHERE k.ord <= i.indnkeyatts ORDER BY 1)
        = ARRAY(SELECT u.name COLLATE "C" FROM unnest($4::text[]) u(name) ORDER BY 1)
    ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1
), equality AS (
    SELECT x.attnum, format('OPERATOR(%I.%s)', n.nspname, o.oprname) AS operator
    FROM key_index, unnest(columns, classes) WITH ORDINALITY x(attnum, class, ord)
    JOIN pg_opclass oc ON oc.oid = x.class
    JOIN pg_amop ao ON ao.amopfamily = oc.opcfamily AND ao.amoplefttype = oc.opcintype
        AND ao.amoprighttype = oc.opcintype AND ao.amopstrategy = 3
    JOIN pg_operator o ON o.oid = ao.amopopr
    JOIN pg_namespace n ON n.oid = o.oprnamespace
    WHERE x.ord <= indnkeyatts
)
SELECT a.atttypid, t.typarray, t.typdelim, format_type(a.atttypid, -1), a.attidentity, a.attgenerated,
       (WITH RECURSIVE base AS (
            SELECT t.typtype AS kind, t.typbasetype AS next
            UNION ALL
            SELECT b.typtype, b.typbasetype FROM base JOIN pg_type b ON b.oid = base.next
        ) SELECT bool_or(kind = 'c') FROM base),
       e.operator
FROM unnest($3::text[]) WITH ORDINALITY w(name, ord)
LEFT JOIN pg_attribute a ON a.attrelid = (SELECT oid FROM target) AND a.attname = w.name AND a.attnum > 0
    AND NOT a.attisdropped
LEFT JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN equality e ON e.attnum = a.attnum
ORDER BY w.ord;
