-- What acts on the applier's statements here: name, how it is taken off, how it is put back, what comes later.
-- $1, $2: spaces and names of the collections; $3: the applier runs as replica, and only what fires for a replica counts.
WITH RECURSIVE moved AS (
    SELECT c.oid
    FROM unnest($1::text[], $2::text[]) w(space, name)
    JOIN pg_namespace n ON n.nspname = w.space
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name
), touched AS (
    -- A foreign key of a leaf belongs to the partitioned table it was declared on.
    SELECT oid FROM moved
    UNION
    SELECT i.inhparent FROM touched t JOIN pg_inherits i ON i.inhrelid = t.oid
), fk AS (
    SELECT k.oid, k.conname, k.conrelid, k.confrelid, k.convalidated, c.relkind, n.nspname, c.relname,
           regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '') AS definition,
           obj_description(k.oid, 'pg_constraint') AS comment
    FROM pg_constraint k
    JOIN pg_class c ON c.oid = k.conrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT $3::boolean
      AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
      AND (k.conrelid IN (SELECT oid FROM touched) OR k.confrelid IN (SELECT oid FROM touched))
), family AS (
    SELECT fk.oid AS top, fk.oid FROM fk
    UNION
    SELECT f.top, k.oid FROM family f JOIN pg_constraint k ON k.conparentid = f.oid
), leaf AS (
    -- Only a foreign key of a table with rows of its own can be made without looking at them; those of the leaves are
    -- taken over by the one of their partitioned table when that is made again, behind all of them.
    SELECT fk.oid AS top,
           string_agg(format('ALTER TABLE ONLY %I.%I DROP CONSTRAINT IF EXISTS %I', n.nspname, c.relname, k.conname),
                      '; ' ORDER BY c.oid) AS take_off,
           string_agg(format('ALTER TABLE ONLY %I.%I ADD CONSTRAINT %I %s NOT VALID', n.nspname, c.relname, k.conname,
                             regexp_replace(pg_get_constraintdef(k.oid), ' NOT VALID$', '')),
                      '; ' ORDER BY c.oid) AS put_back,
           jsonb_agg(format('ALTER TABLE ONLY %I.%I VALIDATE CONSTRAINT %I', n.nspname, c.relname, k.conname)
                     ORDER BY c.oid) AS validate
    FROM fk
    JOIN family f ON f.top = fk.oid
    JOIN pg_constraint k ON k.oid = f.oid AND k.confrelid = fk.confrelid
    JOIN pg_class c ON c.oid = k.conrelid AND c.relkind = 'r'
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE fk.relkind = 'p'
    GROUP BY fk.oid
), firing(name, take_off, put_back, later) AS (
    SELECT format('FK CONSTRAINT %s %s %s', nspname, relname, conname),
           CASE WHEN relkind = 'p'
                THEN concat_ws('; ', format('ALTER TABLE %I.%I DROP CONSTRAINT IF EXISTS %I', nspname, relname, conname),
                               leaf.take_off)
                ELSE format('ALTER TABLE ONLY %I.%I DROP CONSTRAINT IF EXISTS %I', nspname, relname, conname) END,
           CASE WHEN relkind = 'p' THEN coalesce(leaf.put_back, '')
                ELSE format('ALTER TABLE ONLY %I.%I ADD CONSTRAINT %I %s NOT VALID', nspname, relname, conname,
                            definition) END,
           CASE WHEN relkind = 'p'
                THEN coalesce(leaf.validate, '[]') || jsonb_build_array(
                         format('ALTER TABLE %I.%I ADD CONSTRAINT %I %s', nspname, relname, conname, definition))
                WHEN convalidated
                THEN jsonb_build_array(
                         format('ALTER TABLE ONLY %I.%I VALIDATE CONSTRAINT %I', nspname, relname, conname))
                ELSE '[]' END
           || CASE WHEN comment IS NULL THEN '[]'
                   ELSE jsonb_build_array(format('COMMENT ON CONSTRAINT %I ON %I.%I IS %L', conname, nspname, relname,
                                                 comment)) END
    FROM fk LEFT JOIN leaf ON leaf.top = fk.oid
    UNION ALL
    -- Before version 15 the trigger that a leaf has from its partitioned table passes for an internal one.
    SELECT format('TRIGGER %s %s %s', n.nspname, c.relname, g.tgname),
           format('ALTER TABLE ONLY %I.%I DISABLE TRIGGER %I', n.nspname, c.relname, g.tgname),
           format('ALTER TABLE ONLY %I.%I ENABLE %sTRIGGER %I', n.nspname, c.relname,
                  CASE g.tgenabled WHEN 'A' THEN 'ALWAYS ' WHEN 'R' THEN 'REPLICA ' ELSE '' END, g.tgname),
           '[]'
    FROM moved m
    JOIN pg_trigger g ON g.tgrelid = m.oid
    JOIN pg_class c ON c.oid = m.oid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_constraint k ON k.oid = g.tgconstraint
    WHERE (NOT g.tgisinternal OR (g.tgparentid <> 0 AND coalesce(k.contype, 't') = 't'))
      AND g.tgname NOT IN ('godwit_fence', '!godwit_capture', '!godwit_truncate') AND g.tgenabled IN ('A', CASE WHEN $3::boolean THEN 'R' ELSE 'O' END)
    UNION ALL
    SELECT format('RULE %s %s %s', n.nspname, c.relname, r.rulename),
           format('ALTER TABLE ONLY %I.%I DISABLE RULE %I', n.nspname, c.relname, r.rulename),
           format('ALTER TABLE ONLY %I.%I ENABLE %sRULE %I', n.nspname, c.relname,
                  CASE r.ev_enabled WHEN 'A' THEN 'ALWAYS ' WHEN 'R' THEN 'REPLICA ' ELSE '' END, r.rulename),
           '[]'
    FROM moved m
    JOIN pg_rewrite r ON r.ev_class = m.oid
    JOIN pg_class c ON c.oid = m.oid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE r.ev_type <> '1' AND r.ev_enabled IN ('A', CASE WHEN $3::boolean THEN 'R' ELSE 'O' END)
)
SELECT name, take_off, put_back, later FROM firing ORDER BY name COLLATE "C"
