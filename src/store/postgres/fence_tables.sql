-- The tables the fence stands on, and how its trigger is on each. $1, $2: spaces and names of the collections.
-- Above a leaf its partitioned tables and inheritance parents belong to it: statement triggers fire where the statement
-- is aimed, and a statement that is aimed at a parent may take its lock on the leaf only after them.
WITH RECURSIVE wanted AS (
    SELECT w.space, w.name, c.oid
    FROM unnest($1::text[], $2::text[]) w(space, name)
    LEFT JOIN pg_namespace n ON n.nspname = w.space
    LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
), above AS (
    SELECT oid FROM wanted WHERE oid IS NOT NULL
    UNION
    SELECT i.inhparent FROM above a JOIN pg_inherits i ON i.inhrelid = a.oid
)
SELECT format('%I.%I', n.nspname, c.relname) AS name,
       CASE
           WHEN t.oid IS NULL THEN 'missing'
           WHEN t.tgtype <> 62 OR t.tgqual IS NOT NULL OR t.tgfoid <> to_regproc('godwit.fence_check') THEN 'altered'
           WHEN t.tgenabled <> 'A' THEN 'disabled'
           ELSE 'on'
       END AS state
FROM above a
JOIN pg_class c ON c.oid = a.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_trigger t ON t.tgrelid = c.oid AND t.tgname = 'godwit_fence'
UNION ALL
SELECT format('%I.%I', space, name), 'gone' FROM wanted WHERE oid IS NULL
ORDER BY 1;
