-- What check finds on one side. Each section is one statement whose rows are findings:
--   severity  blocks, warning, info
--   way_back  true: as long as it is so on green (in a section for blue alone: there), a switch has no way back
--   stays     true: it does not come along to green
--   space, name  the object it is about; rows of one section that say the same are gathered: {} in `what` becomes the
--             list of their names. With a space the include and exclude patterns decide.
--   what, fix    words for a person; the statement that mends it
-- Section lines: "--: id [on=blue|green] [capture=log|trigger] [since=16] [until=15]". godwit.* settings are set before (see inspect.c).
-- A column that is missing from a section is NULL.

--: wal-level capture=log
SELECT 'blocks' AS severity, true AS way_back,
       format('wal_level is %s, so the change log holds no rows: nothing can follow this side%s', setting,
              CASE WHEN pending_restart THEN ' (a new value waits for a restart)' ELSE '' END) AS what,
       CASE WHEN current_setting('godwit.flavour') = 'rds'
            THEN 'set rds.logical_replication = 1 in the parameter group, then reboot the instance'
            ELSE 'ALTER SYSTEM SET wal_level = logical; -- then restart the server' END AS fix
FROM pg_settings WHERE name = 'wal_level' AND setting <> 'logical'

--: replication-slots capture=log
SELECT 'blocks' AS severity, true AS way_back,
       format('all %s replication slots are taken (max_replication_slots): godwit needs one on this side', s.setting)
           AS what,
       CASE WHEN current_setting('godwit.flavour') = 'rds'
            THEN format('set max_replication_slots = %s in the parameter group, then reboot the instance', u.used + 4)
            ELSE format('ALTER SYSTEM SET max_replication_slots = %s; -- then restart the server', u.used + 4) END
           AS fix
FROM pg_settings s, (SELECT count(*) AS used FROM pg_replication_slots) u
WHERE s.name = 'max_replication_slots' AND s.setting::int - u.used < 1
  AND NOT EXISTS (SELECT FROM pg_replication_slots
                  WHERE slot_name = current_setting('godwit.slot') AND database = current_database())

--: slot-taken capture=log
SELECT 'blocks' AS severity, true AS way_back, slot_name AS name,
       format('there is a replication slot {} already, of %s: godwit needs the name for its own',
              coalesce('database ' || database, 'the whole server')) AS what,
       format('another name for this migration; or SELECT pg_drop_replication_slot(%L); if nobody reads it', slot_name)
           AS fix
FROM pg_replication_slots
WHERE slot_name = current_setting('godwit.slot') AND database IS DISTINCT FROM current_database()

--: wal-senders capture=log
SELECT 'blocks' AS severity, true AS way_back,
       format('%s of %s WAL senders are taken (max_wal_senders): godwit needs one to read the change log and one more'
              ' while it opens it', u.used, s.setting) AS what,
       CASE WHEN current_setting('godwit.flavour') = 'rds'
            THEN format('set max_wal_senders = %s in the parameter group, then reboot the instance', u.used + 5)
            ELSE format('ALTER SYSTEM SET max_wal_senders = %s; -- then restart the server', u.used + 5) END AS fix
FROM pg_settings s, (SELECT count(*) AS used FROM pg_stat_replication) u
WHERE s.name = 'max_wal_senders' AND s.setting::int - u.used < 2

--: connections
SELECT CASE WHEN f.free < 10 THEN 'blocks' ELSE 'warning' END AS severity,
       format('%s connections are free of %s: godwit takes up to about 12 on this side with the default jobs, the'
              ' application needs the rest', f.free, f.most) AS what,
       format('ALTER SYSTEM SET max_connections = %s; -- then restart the server; or lower copy.jobs and verify.jobs',
              f.most + 40) AS fix
FROM (SELECT current_setting('max_connections')::int AS most,
             current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
             - coalesce(current_setting('reserved_connections', true), '0')::int
             - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'
                AND application_name NOT LIKE 'godwit%') AS free) f
WHERE f.free < 20

--: locks
SELECT CASE WHEN t.tables * 1.2 > t.room THEN 'blocks' ELSE 'warning' END AS severity,
       format('the lock table has room for about %s locks and there are %s tables: the fence locks all of them in one'
              ' transaction, as pg_dump does', t.room, t.tables) AS what,
       format('ALTER SYSTEM SET max_locks_per_transaction = %s; -- then restart the server',
              greatest(64, t.tables * 2 / current_setting('max_connections')::int + 64)) AS fix
FROM (SELECT current_setting('max_locks_per_transaction')::bigint
             * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int) AS room,
             (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema') AS tables) t
WHERE t.tables * 2 > t.room

--: wal-retention capture=log
SELECT 'warning' AS severity,
       CASE WHEN setting::bigint = -1
            THEN 'max_slot_wal_keep_size is -1: while godwit is not running, its slot keeps WAL until the disk is full'
                 ' (while it runs, follow.wal_limit bounds it)'
            ELSE format('max_slot_wal_keep_size is %s MB: after so much WAL unread the server drops our place, and the'
                        ' copy has to begin anew', setting) END AS what,
       CASE WHEN current_setting('godwit.flavour') = 'rds'
            THEN 'set max_slot_wal_keep_size = 20000 in the parameter group (MB; below the free disk)'
            ELSE 'ALTER SYSTEM SET max_slot_wal_keep_size = ''20GB''; SELECT pg_reload_conf(); -- below the free disk' END
           AS fix
FROM pg_settings WHERE name = 'max_slot_wal_keep_size' AND setting::bigint < 1024

--: wal-disk capture=log
SELECT 'info' AS severity,
       format('%s of WAL is on disk now, and grows by what is written while godwit is behind. SQL cannot tell how much'
              ' disk is free', pg_size_pretty(sum(size))) AS what,
       format('look on the server: df -h %s', coalesce((SELECT setting FROM pg_settings WHERE name = 'data_directory'),
              'DATA_DIRECTORY') || '/pg_wal') AS fix
FROM pg_ls_waldir() HAVING count(*) > 0

--: idle-slots capture=log
SELECT CASE WHEN coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0) > 1e9 THEN 'warning' ELSE 'info' END
           AS severity, slot_name AS name,
       'replication slots that nobody reads keep WAL on the disk that ours needs too: {}' AS what,
       format('SELECT pg_drop_replication_slot(%L); -- if nobody comes back for it; it keeps %s', slot_name,
              pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn))) AS fix
FROM pg_replication_slots WHERE NOT active AND slot_name NOT LIKE 'godwit%' ORDER BY slot_name

--: role-superuser
SELECT 'warning' AS severity,
       format('godwit is the superuser %I here: more than it needs, and a fault of ours could reach further', rolname)
           AS what,
       'run the script of `godwit check --grants` and put its role into the migration file' AS fix
FROM pg_roles WHERE rolname = session_user AND rolsuper

--: role-replication capture=log
SELECT 'blocks' AS severity, true AS way_back,
       CASE current_setting('godwit.flavour')
       WHEN 'rds' THEN format('%I is no member of rds_replication, so it may not read the change log', rolname)
       ELSE format('%I has no REPLICATION, so it may not read the change log', rolname) END AS what,
       CASE current_setting('godwit.flavour')
       WHEN 'rds' THEN format('GRANT rds_replication TO %I;', rolname)
       WHEN 'owner-only' THEN 'capture: trigger -- in the migration file, under the store'
       ELSE format('ALTER ROLE %I REPLICATION; -- by a superuser; or capture: trigger', rolname) END AS fix
FROM pg_roles WHERE rolname = session_user AND NOT rolsuper AND NOT rolreplication
  AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'rds_replication'
                  AND pg_has_role(session_user, r.oid, 'USAGE'))

--: replica-role on=blue
SELECT 'warning' AS severity, n.nspname AS space, c.relname AS name,
       format('%I may not set session_replication_role: after the switch, as long as blue follows green, these tables are'
              ' without foreign keys and enabled triggers. A rollback puts them back inside its pause, and validates the'
              ' foreign keys behind it. Tables: {}', session_user) AS what,
       CASE WHEN current_setting('server_version_num')::int >= 150000
            THEN format('GRANT SET ON PARAMETER session_replication_role TO %I; -- by a superuser; spares it', session_user)
            ELSE '' END AS fix
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE current_setting('godwit.replica') = 'false' AND c.relkind IN ('r', 'p') AND n.nspname <> 'godwit'
  AND (EXISTS (SELECT FROM pg_constraint k WHERE k.contype = 'f' AND c.oid IN (k.conrelid, k.confrelid))
       OR EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1' AND r.ev_enabled <> 'D')
       OR EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D'
                  AND t.tgname NOT IN ('godwit_fence', '!godwit_capture', '!godwit_truncate')))
ORDER BY 3, 4

--: capture-order on=blue capture=trigger
SELECT 'info' AS severity, n.nspname AS space, c.relname AS name,
       'tables with AFTER ROW triggers. What such a trigger changes in another row of the statement that fired it is'
       ' captured before that row itself, so the two would be applied in the wrong order; godwit verify would find it: {}'
           AS what,
       'nothing to do, unless one of them changes rows of its own table' AS fix
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND t.tgtype & 67 = 1 AND t.tgenabled <> 'D' AND n.nspname <> 'godwit'
  AND t.tgname NOT IN ('!godwit_capture') AND c.relkind = 'r'
ORDER BY 2, 3

--: role-create
SELECT 'blocks' AS severity,
       format('%I may not create in the database: the schema godwit and the publication cannot be made', session_user)
           AS what,
       format('GRANT CREATE ON DATABASE %I TO %I;', current_database(), session_user) AS fix
WHERE NOT has_database_privilege(session_user, current_database(), 'CREATE')

--: role-monitor
SELECT CASE current_setting('godwit.capture') WHEN 'trigger' THEN 'warning' ELSE 'blocks' END AS severity,
       format('%I is no member of pg_monitor: it cannot see what the sessions of other roles do, nor where they come from;'
              ' that they are there it sees', session_user) AS what,
       format('GRANT pg_monitor TO %I;', session_user) AS fix
WHERE NOT pg_has_role(session_user, 'pg_monitor', 'USAGE')

--: role-signal
SELECT 'warning' AS severity,
       format('%I may not end other roles'' sessions: one that stands in the way of a switch has to be ended by you',
              session_user) AS what,
       format('GRANT pg_signal_backend TO %I;', session_user) AS fix
WHERE NOT pg_has_role(session_user, 'pg_signal_backend', 'USAGE')

--: role-member
SELECT 'blocks' AS severity, n.nspname AS space, c.relname AS name,
       format('%I is no member of %I, who owns tables: {}. Without it they can neither be published nor fenced',
              session_user, o.rolname) AS what,
       format('GRANT %I TO %I;', o.rolname, session_user) AS fix
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'godwit')
  AND NOT o.rolsuper AND NOT pg_has_role(session_user, c.relowner, 'USAGE')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY o.rolname, 2, 3

--: superuser-owned
SELECT 'blocks' AS severity, n.nspname AS space, c.relname AS name,
       format('the superuser %I owns tables: {}. Membership in it would make godwit a superuser', o.rolname) AS what,
       format('ALTER TABLE %I.%I OWNER TO %I;', n.nspname, c.relname,
              CASE WHEN d.rolsuper THEN 'app_owner' ELSE d.rolname END)
           || CASE WHEN d.rolsuper THEN ' -- a role without superuser rights that owns the application''s tables' ELSE '' END
           AS fix
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
JOIN pg_database b ON b.datname = current_database() JOIN pg_roles d ON d.oid = b.datdba
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'godwit')
  AND o.rolsuper AND NOT pg_has_role(session_user, c.relowner, 'USAGE')
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
ORDER BY o.rolname, 2, 3

--: role-owns on=blue
SELECT 'warning' AS severity, n.nspname AS space, c.relname AS name,
       format('godwit''s role %I owns tables itself: {}. The fence lets this role pass, so the application must not'
              ' log in as it', session_user) AS what,
       'give godwit a role of its own: godwit check --grants' AS fix
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'godwit')
  AND pg_get_userbyid(c.relowner) = session_user
ORDER BY 2, 3

--: role-shared
SELECT 'blocks' AS severity,
       format('pid %s (%s@%s)', pid, coalesce(nullif(application_name, ''), 'no application_name'),
              coalesce(host(client_addr), 'local')) AS name,
       format('sessions that are not godwit''s are logged in as its role %I: {}. No fence would stop their writes',
              session_user) AS what,
       format('SELECT pg_terminate_backend(%s); -- and give godwit a role of its own', pid) AS fix
FROM pg_stat_activity
WHERE usename = session_user AND datname = current_database() AND backend_type = 'client backend'
  AND pid <> pg_backend_pid() AND application_name NOT LIKE 'godwit%'
ORDER BY pid

--: role-limits
SELECT CASE WHEN rolconnlimit BETWEEN 0 AND 9 OR rolvaliduntil < now() + interval '1 day' THEN 'blocks' ELSE 'warning' END
           AS severity,
       concat_ws('; ', CASE WHEN rolconnlimit BETWEEN 0 AND 19 THEN
                           format('%I may have %s connections, godwit takes up to about 12', rolname, rolconnlimit) END,
                 CASE WHEN rolvaliduntil < now() + interval '60 days' THEN
                     format('the password of %I ends at %s, which may be in mid-move', rolname, rolvaliduntil) END) AS what,
       format('ALTER ROLE %I CONNECTION LIMIT -1 VALID UNTIL ''infinity'';', rolname) AS fix
FROM pg_roles
WHERE rolname = session_user AND (rolconnlimit BETWEEN 0 AND 19 OR rolvaliduntil < now() + interval '60 days')

--: row-security
SELECT 'blocks' AS severity, n.nspname AS space, c.relname AS name,
       format('row level security is forced on tables, also for their owner: {}. %I would not see all their rows',
              session_user) AS what,
       format('ALTER ROLE %I BYPASSRLS; -- by a superuser', session_user) AS fix
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relforcerowsecurity AND c.relkind IN ('r', 'p') AND n.nspname <> 'godwit'
  AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = session_user AND (rolsuper OR rolbypassrls))
ORDER BY 2, 3

--: schema-usage
SELECT 'blocks' AS severity, n.nspname AS name,
       format('%I may not look into these schemas: {}', session_user) AS what,
       format('GRANT USAGE ON SCHEMA %I TO %I;', n.nspname, session_user) AS fix
FROM pg_namespace n
WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'godwit')
  AND NOT has_schema_privilege(session_user, n.oid, 'USAGE')
  AND EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p'))
ORDER BY 2

--: table-select on=blue
SELECT 'blocks' AS severity, n.nspname AS space, c.relname AS name,
       format('%I may not read these tables: {}', session_user) AS what,
       format('GRANT SELECT ON %I.%I TO %I;', n.nspname, c.relname, session_user) AS fix
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname !~ '^pg_'
  AND n.nspname NOT IN ('information_schema', 'godwit') AND pg_has_role(session_user, c.relowner, 'USAGE')
  AND NOT has_table_privilege(session_user, c.oid, 'SELECT')
ORDER BY 2, 3

--: open-transactions on=blue
SELECT 'warning' AS severity,
       format('pid %s (%s@%s, %s, %s for %s)', pid, usename, coalesce(host(client_addr), 'local'),
              coalesce(nullif(application_name, ''), 'no application_name'), state,
              date_trunc('second', now() - xact_start)) AS name,
       'opening the change log waits until these transactions end: {}' AS what,
       format('SELECT pg_terminate_backend(%s);', pid) AS fix
FROM pg_stat_activity
WHERE backend_xid IS NOT NULL AND xact_start < now() - interval '5 seconds' AND pid <> pg_backend_pid()
ORDER BY xact_start

--: prepared-transactions on=blue
SELECT CASE WHEN prepared < now() - interval '1 minute' THEN 'blocks' ELSE 'warning' END AS severity,
       format('%L of %s, since %s', gid, owner, date_trunc('second', prepared)) AS name,
       'opening the change log waits until these prepared transactions end, and nobody ends them by itself: {}' AS what,
       format('ROLLBACK PREPARED %L; -- or COMMIT PREPARED, in database %I', gid, database) AS fix
FROM pg_prepared_xacts ORDER BY prepared

--: wraparound
SELECT 'warning' AS severity,
       format('the oldest row of this database is %s million transactions old: past 2,000 million the server stops'
              ' taking writes, and a slot holds vacuum back', age(datfrozenxid) / 1000000) AS what,
       'VACUUM FREEZE; -- before the move' AS fix
FROM pg_database WHERE datname = current_database() AND age(datfrozenxid) > 1200000000

--: large-objects on=blue
SELECT 'blocks' AS severity, true AS stays,
       format('%s large objects are in use, and no change log carries them: this version refuses to move such a database',
              count(*)) AS what,
       'SELECT oid, lomowner::regrole FROM pg_largeobject_metadata; -- orphans are removed by: vacuumlo -n '
           || quote_ident(current_database()) AS fix
FROM pg_largeobject_metadata HAVING count(*) > 0

--: unlogged on=blue
SELECT 'warning' AS severity, true AS stays, n.nspname AS space, c.relname AS name,
       'the rows of unlogged tables stay behind, because the change log does not have them: {}' AS what,
       format('ALTER TABLE %I.%I SET LOGGED; -- if its rows are to move; rewrites it', n.nspname, c.relname) AS fix
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'u' AND n.nspname !~ '^pg_' AND n.nspname <> 'godwit' ORDER BY 2, 3

--: triggers-always on=blue
SELECT 'info' AS severity, n.nspname AS space, c.relname AS name,
       'triggers that are ENABLE ALWAYS or REPLICA are off on the side that follows: they would fire again for what godwit'
       ' applies there. Tables: {}' AS what,
       format('ALTER TABLE %I.%I ENABLE TRIGGER %I; -- only if it is to fire for the application''s own statements alone',
              n.nspname, c.relname, t.tgname) AS fix
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgenabled IN ('A', 'R') AND NOT t.tgisinternal AND c.relkind = 'r' AND n.nspname <> 'godwit'
  AND NOT EXISTS (SELECT FROM pg_proc p JOIN pg_namespace pn ON pn.oid = p.pronamespace
                  WHERE p.oid = t.tgfoid AND pn.nspname = 'godwit')
ORDER BY 2, 3

--: rules-always on=blue
SELECT 'info' AS severity, n.nspname AS space, c.relname AS name,
       'rules that are ENABLE ALWAYS or REPLICA are off on the side that follows: they would act again on what godwit applies'
       ' there. Tables: {}' AS what,
       format('ALTER TABLE %I.%I ENABLE RULE %I; -- only if it is to act on the application''s own statements alone',
              n.nspname, c.relname, r.rulename) AS fix
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE r.ev_enabled IN ('A', 'R') AND r.ev_type <> '1' AND c.relkind = 'r' AND n.nspname <> 'godwit'
ORDER BY 2, 3

--: rules on=blue
SELECT 'info' AS severity, n.nspname AS space, c.relname AS name,
       'rewrite rules move along; on the side that follows they do not act. Tables: {}' AS what, 
       'nothing to do' AS fix
FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE r.ev_enabled = 'O' AND r.ev_type <> '1' AND c.relkind = 'r' AND n.nspname !~ '^pg_'
  AND n.nspname NOT IN ('information_schema', 'godwit')
ORDER BY 2, 3

--: inheritance on=blue
SELECT 'info' AS severity, n.nspname AS space, c.relname AS name,
       'tables that inherit from others without being partitions; each is moved by itself, with its own rows: {}' AS what,
       'nothing to do' AS fix
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT c.relispartition AND c.relkind = 'r' ORDER BY 2, 3

--: foreign-tables on=blue
SELECT 'warning' AS severity, true AS stays, n.nspname AS space, c.relname AS name,
       'the rows of foreign tables are elsewhere and stay there; green must reach the same servers, with user'
       ' mappings of its own: {}' AS what,
       format('-- on green, for each server: CREATE USER MAPPING FOR ... SERVER %I OPTIONS (...);', s.srvname) AS fix
FROM pg_foreign_table f JOIN pg_class c ON c.oid = f.ftrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_foreign_server s ON s.oid = f.ftserver ORDER BY 2, 3

--: event-triggers on=blue
SELECT 'warning' AS severity, true AS stays, evtname AS name,
       'event triggers stay behind; only a superuser can make them on green: {}' AS what,
       format('-- on green, by a superuser: CREATE EVENT TRIGGER %I ON %s EXECUTE FUNCTION %s();', evtname, evtevent,
              evtfoid::regproc) AS fix
FROM pg_event_trigger ORDER BY evtname

--: subscriptions on=blue
SELECT CASE WHEN subenabled THEN 'warning' ELSE 'info' END AS severity, true AS stays, subname AS name,
       'subscriptions stay behind, and an enabled one writes past the fence: it blocks the switch: {}' AS what,
       format('ALTER SUBSCRIPTION %I DISABLE; -- before the switch; make it anew on green behind it', subname) AS fix
FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY subname

--: publications on=blue
SELECT 'warning' AS severity, true AS stays, pubname AS name,
       'publications of others stay behind; whoever reads them must read from green after the switch, from a slot made'
       ' there: {}' AS what,
       format('-- on green before the switch: make publication %I and a slot for each reader', pubname) AS fix
FROM pg_publication WHERE pubname NOT LIKE 'godwit%' ORDER BY pubname

--: extension-tables on=blue
SELECT 'warning' AS severity, true AS stays, n.nspname || '.' || c.relname AS name,
       'rows in tables that belong to extensions stay behind: {}' AS what,
       format('-- compare and copy by hand what is not the extension''s own: %I.%I (%s)', n.nspname, c.relname, x.extname)
           AS fix
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
JOIN pg_extension x ON x.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
WHERE c.relkind = 'r' AND pg_relation_size(c.oid) > 0 ORDER BY 2

--: invalid-indexes on=blue
SELECT 'warning' AS severity, true AS stays, n.nspname AS space, t.relname AS name,
       'indexes that are not valid (a CREATE INDEX CONCURRENTLY that failed) are not moved. Tables: {}' AS what,
       format('DROP INDEX %I.%I; -- or REINDEX INDEX it', n.nspname, c.relname) AS fix
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND c.relkind = 'i' AND n.nspname !~ '^pg_' ORDER BY 2, 3

--: oid-columns on=blue
SELECT 'warning' AS severity, n.nspname AS space, c.relname AS name,
       'columns of type oid hold numbers of this server; they move as they are, and mean something else or nothing on'
       ' green. Tables: {}' AS what,
       format('-- look what %I.%I.%I refers to', n.nspname, c.relname, a.attname) AS fix
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE a.atttypid IN ('oid'::regtype, 'oid[]'::regtype) AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind = 'r'
  AND c.relpersistence = 'p' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'godwit')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 2, 3

--: materialized-views on=blue
SELECT 'info' AS severity, n.nspname || '.' || c.relname AS name,
       'materialized views are filled anew on green, at the end of the load: {}' AS what, 
       format('REFRESH MATERIALIZED VIEW %I.%I; -- on green after the switch, where it has to be newer', n.nspname, c.relname)
           AS fix
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm' ORDER BY 2

--: temporary-tables on=blue
SELECT 'info' AS severity, true AS stays,
       format('%s temporary tables are in use: they live and die with their sessions and do not move', count(*)) AS what,
       'nothing to do' AS fix
FROM pg_class WHERE relpersistence = 't' AND relkind = 'r' HAVING count(*) > 0

--: collation-versions
SELECT 'warning' AS severity, n.nspname || '.' || c.collname AS name,
       'the operating system changed how these collations sort since their indexes were built; such an index can miss'
       ' rows: {}' AS what,
       format('REINDEX DATABASE %I; ALTER COLLATION %I.%I REFRESH VERSION;', current_database(), n.nspname, c.collname)
           AS fix
FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
WHERE c.collversion <> pg_collation_actual_version(c.oid)
  AND EXISTS (SELECT FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid
              WHERE a.attcollation = c.oid AND r.relkind IN ('r', 'i') AND a.attnum > 0)
ORDER BY 2

--: database-collation-version since=15
SELECT 'warning' AS severity,
       format('the database was made with collation version %s, the operating system now has %s: indexes on text can miss'
              ' rows', datcollversion, pg_database_collation_actual_version(oid)) AS what,
       format('REINDEX DATABASE %I; ALTER DATABASE %I REFRESH COLLATION VERSION;', datname, datname) AS fix
FROM pg_database
WHERE datname = current_database() AND datcollversion <> pg_database_collation_actual_version(oid)

--: load-settings on=green
SELECT 'info' AS severity,
       format('max_wal_size is %s: a load makes a checkpoint each time so much is written, which slows it down',
              pg_size_pretty(setting::bigint * 1024 * 1024)) AS what,
       CASE WHEN current_setting('godwit.flavour') = 'rds' THEN 'raise max_wal_size in the parameter group'
            ELSE 'ALTER SYSTEM SET max_wal_size = ''16GB''; SELECT pg_reload_conf(); -- put it back after the load' END
           AS fix
FROM pg_settings WHERE name = 'max_wal_size' AND setting::bigint < 4096
  AND current_setting('godwit.stage_is_new') = 'true'
