-- What only a person can port: kind, name, definition. Without what an extension brings along by itself.
WITH space AS (
    SELECT oid, nspname FROM pg_namespace WHERE nspname NOT IN ('information_schema', 'godwit') AND nspname !~ '^pg_'
), brought AS (
    SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
), found(kind, name, sql, oid, class) AS (
    SELECT CASE c.relkind WHEN 'v' THEN 'view' ELSE 'materialised view' END, format('%I.%I', n.nspname, c.relname),
           pg_get_viewdef(c.oid), c.oid, 'pg_class'::regclass
    FROM pg_class c JOIN space n ON n.oid = c.relnamespace WHERE c.relkind IN ('v', 'm')
    UNION ALL
    SELECT CASE c.relkind WHEN 'p' THEN 'partitioned table' ELSE 'foreign table' END,
           format('%I.%I', n.nspname, c.relname), coalesce(pg_get_partkeydef(c.oid), ''), c.oid, 'pg_class'::regclass
    FROM pg_class c JOIN space n ON n.oid = c.relnamespace WHERE c.relkind = 'f' OR (c.relkind = 'p' AND NOT c.relispartition)
    UNION ALL
    SELECT 'sequence', format('%I.%I', n.nspname, c.relname),
           format('CREATE SEQUENCE %I.%I INCREMENT %s MINVALUE %s MAXVALUE %s START %s', n.nspname, c.relname,
                  s.seqincrement, s.seqmin, s.seqmax, s.seqstart) || CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END,
           c.oid, 'pg_class'::regclass
    FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN space n ON n.oid = c.relnamespace
    WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
    UNION ALL
    SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
           format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)),
           CASE WHEN p.prokind <> 'a' THEN pg_get_functiondef(p.oid) ELSE '' END, p.oid, 'pg_proc'::regclass
    FROM pg_proc p JOIN space n ON n.oid = p.pronamespace
    UNION ALL
    SELECT 'trigger', format('%I on %I.%I', g.tgname, n.nspname, c.relname), pg_get_triggerdef(g.oid), c.oid,
           'pg_class'::regclass
    FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN space n ON n.oid = c.relnamespace
    WHERE NOT g.tgisinternal AND g.tgname !~ '^godwit_'
    UNION ALL
    SELECT 'rule', format('%I on %I.%I', r.rulename, n.nspname, c.relname), pg_get_ruledef(r.oid), c.oid,
           'pg_class'::regclass
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN space n ON n.oid = c.relnamespace
    WHERE r.ev_type <> '1'
    UNION ALL
    SELECT 'policy', format('%I on %I.%I', p.polname, n.nspname, c.relname), coalesce(pg_get_expr(p.polqual, c.oid), ''),
           c.oid, 'pg_class'::regclass
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN space n ON n.oid = c.relnamespace
    UNION ALL
    SELECT CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END, format('%I.%I', n.nspname, t.typname),
           CASE t.typtype
               WHEN 'd' THEN concat_ws(' ', format_type(t.typbasetype, t.typtypmod),
                   (SELECT string_agg(pg_get_constraintdef(k.oid), ' ' ORDER BY k.conname) FROM pg_constraint k
                    WHERE k.contypid = t.oid))
               WHEN 'e' THEN (SELECT format('ENUM (%s)', string_agg(quote_literal(e.enumlabel), ', '
                              ORDER BY e.enumsortorder)) FROM pg_enum e WHERE e.enumtypid = t.oid)
               ELSE '' END,
           t.oid, 'pg_type'::regclass
    FROM pg_type t JOIN space n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE t.typtype IN ('d', 'e', 'r') OR (t.typtype = 'c' AND c.relkind = 'c')
    UNION ALL
    SELECT 'event trigger', evtname::text, format('%s EXECUTE FUNCTION %s', evtevent, evtfoid::regproc), oid,
           'pg_event_trigger'::regclass
    FROM pg_event_trigger
    UNION ALL
    SELECT 'extension', extname::text, extversion, oid, 'pg_extension'::regclass FROM pg_extension WHERE extname <> 'plpgsql'
)
SELECT f.kind, f.name, f.sql
FROM found f
WHERE NOT EXISTS (SELECT FROM brought b WHERE b.classid = f.class AND b.objid = f.oid)
ORDER BY f.kind COLLATE "C", f.name COLLATE "C"
