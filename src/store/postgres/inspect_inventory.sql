-- audit: what is there. Each section is one array of flat objects: its rows, keyed by the names of the columns.
-- Section lines: "--: name [since=16] [until=15] [needs=relation]"; @relation@ in the statement is the relation that is
-- needed, where it was found; without it the section is an empty array.

--: databases
SELECT datname AS name, pg_get_userbyid(datdba) AS owner, pg_encoding_to_char(encoding) AS encoding,
       datcollate AS collate, datctype AS ctype,
       CASE WHEN has_database_privilege(oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')
            THEN pg_database_size(oid) END AS bytes,
       datname = current_database() AS is_this, age(datfrozenxid) AS oldest_xid_age
FROM pg_database WHERE NOT datistemplate ORDER BY datname

--: schemas
SELECT n.nspname AS name, pg_get_userbyid(n.nspowner) AS owner,
       count(c.oid) FILTER (WHERE c.relkind IN ('r', 'p')) AS tables,
       coalesce(sum(pg_total_relation_size(c.oid)) FILTER (WHERE c.relkind IN ('r', 'm')), 0)::bigint AS bytes
FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid
WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'godwit') GROUP BY 1, 2 ORDER BY 1

--: tables
SELECT n.nspname AS schema, c.relname AS name, pg_get_userbyid(c.relowner) AS owner,
       CASE c.relkind WHEN 'p' THEN 'partitioned' WHEN 'f' THEN 'foreign'
            ELSE CASE WHEN c.relispartition THEN 'partition' ELSE 'table' END END AS kind,
       CASE c.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'logged' END AS persistence,
       greatest(c.reltuples, 0)::bigint AS rows, coalesce(pg_table_size(c.oid), 0) AS bytes,
       coalesce(pg_indexes_size(c.oid), 0) AS index_bytes,
       (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary) AS has_primary_key,
       CASE c.relreplident WHEN 'd' THEN 'default' WHEN 'i' THEN 'index' WHEN 'f' THEN 'full' ELSE 'nothing' END
           AS replica_identity,
       c.relrowsecurity AS row_security,
       CASE WHEN c.relispartition THEN (SELECT p.inhparent::regclass::text FROM pg_inherits p WHERE p.inhrelid = c.oid)
            END AS parent,
       coalesce(s.n_tup_ins + s.n_tup_upd + s.n_tup_del, 0) AS writes_since_reset,
       coalesce(s.seq_scan, 0) + coalesce(s.idx_scan, 0) AS scans_since_reset
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_all_tables s ON s.relid = c.oid
WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
  AND n.nspname NOT IN ('information_schema', 'godwit')
ORDER BY coalesce(pg_table_size(c.oid), 0) DESC, 1, 2

--: indexes
SELECT n.nspname AS schema, t.relname AS "table", c.relname AS name, m.amname AS method, i.indisunique AS is_unique,
       i.indisprimary AS is_primary, i.indisvalid AS valid, coalesce(pg_relation_size(c.oid), 0) AS bytes,
       coalesce(s.idx_scan, 0) AS scans_since_reset, pg_get_indexdef(c.oid) AS definition
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_am m ON m.oid = c.relam
LEFT JOIN pg_stat_all_indexes s ON s.indexrelid = c.oid
WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'godwit') ORDER BY 1, 2, 3

--: foreign_keys
SELECT n.nspname AS schema, t.relname AS "table", k.conname AS name, rn.nspname AS referenced_schema,
       r.relname AS referenced_table,
       CASE k.confdeltype WHEN 'c' THEN 'cascade' WHEN 'n' THEN 'set null' WHEN 'd' THEN 'set default'
            WHEN 'r' THEN 'restrict' ELSE 'no action' END AS on_delete,
       k.convalidated AS validated, k.condeferrable AS is_deferrable, pg_get_constraintdef(k.oid) AS definition
FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
JOIN pg_class r ON r.oid = k.confrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND n.nspname <> 'godwit' ORDER BY 1, 2, 3

--: constraints
SELECT n.nspname AS schema, t.relname AS "table", k.conname AS name,
       CASE k.contype WHEN 'c' THEN 'check' WHEN 'x' THEN 'exclusion' WHEN 't' THEN 'trigger' WHEN 'u' THEN 'unique'
            ELSE k.contype::text END AS kind, k.convalidated AS validated, pg_get_constraintdef(k.oid) AS definition
FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
WHERE k.contype IN ('c', 'x', 't', 'u') AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'godwit')
ORDER BY 1, 2, 3

--: sequences
SELECT s.schemaname AS schema, s.sequencename AS name, s.data_type::text AS type, s.last_value, s.increment_by,
       s.max_value, s.cycle, s.cache_size,
       CASE WHEN s.last_value IS NOT NULL AND s.increment_by > 0 AND s.max_value > 0
            THEN round(100.0 * s.last_value / s.max_value, 2) END AS percent_used
FROM pg_sequences s WHERE s.schemaname <> 'godwit' ORDER BY 1, 2

--: views
SELECT n.nspname AS schema, c.relname AS name, CASE c.relkind WHEN 'm' THEN 'materialized' ELSE 'view' END AS kind,
       pg_get_userbyid(c.relowner) AS owner, CASE WHEN c.relkind = 'm' THEN coalesce(pg_table_size(c.oid), 0) ELSE 0 END
           AS bytes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2

--: functions
SELECT n.nspname AS schema, p.proname AS name, pg_get_function_identity_arguments(p.oid) AS arguments,
       CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' WHEN 'w' THEN 'window' ELSE 'function' END
           AS kind, l.lanname AS language, pg_get_userbyid(p.proowner) AS owner, p.prosecdef AS security_definer
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'godwit')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY 1, 2, 3

--: triggers
SELECT n.nspname AS schema, c.relname AS "table", t.tgname AS name, fn.nspname || '.' || p.proname AS function,
       CASE t.tgenabled WHEN 'O' THEN 'origin' WHEN 'A' THEN 'always' WHEN 'R' THEN 'replica' ELSE 'disabled' END
           AS enabled, pg_get_triggerdef(t.oid) AS definition
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_namespace fn ON fn.oid = p.pronamespace
WHERE NOT t.tgisinternal AND fn.nspname <> 'godwit' ORDER BY 1, 2, 3

--: types
SELECT n.nspname AS schema, t.typname AS name,
       CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite' WHEN 'r' THEN 'range'
            ELSE 'base' END AS kind, pg_get_userbyid(t.typowner) AS owner
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'godwit') AND t.typcategory <> 'A'
  AND t.typtype IN ('e', 'd', 'c', 'r', 'b') AND coalesce(c.relkind, 'c') = 'c'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
ORDER BY 1, 2

--: policies
SELECT schemaname AS schema, tablename AS "table", policyname AS name, permissive = 'PERMISSIVE' AS is_permissive,
       array_to_string(roles, ', ') AS roles, cmd AS command
FROM pg_policies ORDER BY 1, 2, 3

--: extensions
SELECT x.extname AS name, x.extversion AS version, n.nspname AS schema, a.default_version AS server_has
FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace
LEFT JOIN pg_available_extensions a ON a.name = x.extname ORDER BY 1

--: roles
SELECT r.rolname AS name, r.rolcanlogin AS can_login, r.rolsuper AS is_superuser, r.rolreplication AS can_replicate,
       r.rolbypassrls AS bypasses_row_security, r.rolconnlimit AS connection_limit, r.rolvaliduntil::text AS valid_until,
       coalesce((SELECT string_agg(g.rolname, ', ' ORDER BY g.rolname) FROM pg_auth_members m
                 JOIN pg_roles g ON g.oid = m.roleid WHERE m.member = r.oid), '') AS member_of
FROM pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1

--: grants
SELECT n.nspname AS schema, c.relname AS name,
       CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'table' END
           AS kind, CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END AS grantee,
       string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type) AS privileges
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'godwit') AND a.grantee <> c.relowner
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 4

--: foreign_servers
SELECT s.srvname AS name, w.fdwname AS wrapper, pg_get_userbyid(s.srvowner) AS owner,
       (SELECT count(*) FROM pg_foreign_table f WHERE f.ftserver = s.oid) AS foreign_tables,
       (SELECT count(*) FROM pg_user_mappings m WHERE m.srvid = s.oid) AS user_mappings
FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw ORDER BY 1

--: publications
SELECT p.pubname AS name, pg_get_userbyid(p.pubowner) AS owner, p.puballtables AS all_tables,
       (SELECT count(*) FROM pg_publication_rel r WHERE r.prpubid = p.oid) AS tables
FROM pg_publication p ORDER BY 1

--: subscriptions
SELECT subname AS name, pg_get_userbyid(subowner) AS owner, subenabled AS enabled,
       array_to_string(subpublications, ', ') AS publications
FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1

--: event_triggers
SELECT evtname AS name, evtevent AS event, evtfoid::regproc::text AS function, evtenabled <> 'D' AS enabled
FROM pg_event_trigger ORDER BY 1

--: cron_jobs needs=cron.job
SELECT jobid, schedule, command, database, username AS "user", active FROM @relation@ ORDER BY jobid

--: large_objects
SELECT pg_get_userbyid(lomowner) AS owner, count(*) AS objects FROM pg_largeobject_metadata GROUP BY 1 ORDER BY 1

--: settings
SELECT name, setting AS value, coalesce(unit, '') AS unit, source, boot_val AS "default"
FROM pg_settings
WHERE source NOT IN ('default', 'override', 'session', 'client') AND setting IS DISTINCT FROM boot_val
  AND name !~ '^godwit' ORDER BY name

--: database_settings
SELECT coalesce(d.datname, '') AS database, coalesce(r.rolname, '') AS role, c.line AS setting
FROM pg_db_role_setting s LEFT JOIN pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_roles r ON r.oid = s.setrole,
     unnest(s.setconfig) c(line)
WHERE s.setdatabase = 0 OR d.datname = current_database() ORDER BY 1, 2, 3

--: replication
SELECT slot_name AS name, slot_type AS kind, coalesce(plugin, '') AS plugin, coalesce(database, '') AS database, active,
       CASE WHEN pg_is_in_recovery() THEN NULL
            ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint END AS retained_bytes
FROM pg_replication_slots ORDER BY 1

--: connections
SELECT coalesce(nullif(application_name, ''), '(none)') AS application, usename AS "user",
       coalesce(host(client_addr), 'local') AS address, count(*) AS sessions,
       count(*) FILTER (WHERE state = 'active') AS active,
       count(*) FILTER (WHERE state LIKE 'idle in transaction%') AS idle_in_transaction,
       coalesce(max(extract(epoch FROM now() - xact_start))::bigint, 0) AS oldest_transaction_seconds
FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
  AND coalesce(application_name, '') NOT LIKE 'godwit %'
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3

--: statements needs=pg_stat_statements
SELECT left(regexp_replace(s.query, '\s+', ' ', 'g'), 300) AS query, pg_get_userbyid(s.userid) AS "user", s.calls,
       round(s.total_exec_time::numeric, 1) AS total_milliseconds, round(s.mean_exec_time::numeric, 3) AS mean_milliseconds,
       s.rows
FROM @relation@ s JOIN pg_database d ON d.oid = s.dbid
WHERE d.datname = current_database() ORDER BY s.total_exec_time DESC LIMIT 25
