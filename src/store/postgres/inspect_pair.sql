-- What only both sides together tell. "ask" runs on blue and gives one jsonb, "look" runs on green with it as $1 and
-- gives findings as in inspect_check.sql. The fixes are for green unless they say otherwise. Section lines:
-- "--: what ask", "--: id look=what".

--: database ask
SELECT jsonb_build_object('encoding', pg_encoding_to_char(encoding), 'collate', datcollate, 'ctype', datctype,
       'provider', coalesce(to_jsonb(d) ->> 'datlocprovider', 'c'),
       'locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', ''))
FROM pg_database d WHERE datname = current_database()

--: encoding look=database
SELECT CASE WHEN pg_encoding_to_char(encoding) = 'UTF8' AND $1::jsonb ->> 'encoding' <> 'SQL_ASCII' THEN 'warning'
            ELSE 'blocks' END AS severity,
       format('blue''s encoding is %s, green''s is %s: %s', $1::jsonb ->> 'encoding', pg_encoding_to_char(encoding),
              CASE WHEN $1::jsonb ->> 'encoding' = 'SQL_ASCII' THEN 'nobody can tell how blue''s bytes are to be read'
                   WHEN pg_encoding_to_char(encoding) = 'UTF8' THEN 'text is converted on the way, and back'
                   ELSE 'text that green cannot write stops the copy' END) AS what,
       format('DROP DATABASE %I; CREATE DATABASE %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L;', datname,
              datname, $1::jsonb ->> 'encoding', $1::jsonb ->> 'collate', $1::jsonb ->> 'ctype') AS fix
FROM pg_database WHERE datname = current_database() AND pg_encoding_to_char(encoding) <> $1::jsonb ->> 'encoding'

--: database-collation look=database
SELECT 'warning' AS severity,
       format('blue sorts text by %s, green by %s: ORDER BY and ranges on text answer differently after the switch',
              concat_ws(' ', $1::jsonb ->> 'collate', nullif($1::jsonb ->> 'locale', '')),
              concat_ws(' ', datcollate, nullif(coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale'), '')))
           AS what,
       format('DROP DATABASE %I; CREATE DATABASE %I TEMPLATE template0 ENCODING %L LC_COLLATE %L LC_CTYPE %L%s;', datname,
              datname, $1::jsonb ->> 'encoding', $1::jsonb ->> 'collate', $1::jsonb ->> 'ctype',
              CASE WHEN $1::jsonb ->> 'provider' = 'i'
                   THEN format(' LOCALE_PROVIDER icu ICU_LOCALE %L', $1::jsonb ->> 'locale') ELSE '' END) AS fix
FROM pg_database d
WHERE datname = current_database()
  AND (datcollate <> $1::jsonb ->> 'collate' OR datctype <> $1::jsonb ->> 'ctype'
       OR coalesce(to_jsonb(d) ->> 'datlocprovider', 'c') <> $1::jsonb ->> 'provider'
       OR coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', '') <> $1::jsonb ->> 'locale')

--: version ask
SELECT jsonb_build_object('number', current_setting('server_version_num')::int, 'name', current_setting('server_version'))

--: version look=version
SELECT 'warning' AS severity,
       format('green is older (%s) than blue (%s): definitions that only the newer one knows will be refused',
              current_setting('server_version'), $1::jsonb ->> 'name') AS what,
       'take a green of at least blue''s major version' AS fix
WHERE current_setting('server_version_num')::int / 10000 < ($1::jsonb ->> 'number')::int / 10000

--: extensions ask
SELECT coalesce(jsonb_agg(jsonb_build_object('name', extname, 'version', extversion)), '[]')
FROM pg_extension WHERE extname <> 'plpgsql'

--: extension-missing look=extensions
SELECT 'blocks' AS severity, e.name,
       CASE WHEN a.name IS NULL THEN 'blue has extensions that green''s server does not carry: {}'
            ELSE 'blue has extensions that only a superuser can make on green: {}' END AS what,
       CASE WHEN a.name IS NULL
            THEN format('install what carries it on green''s server (a package such as postgresql-%s-%s), then'
                        ' CREATE EXTENSION %I;', current_setting('server_version_num')::int / 10000,
                        replace(e.name, '_', '-'), e.name)
            ELSE format('CREATE EXTENSION %I; -- by a superuser', e.name) END AS fix
FROM jsonb_to_recordset($1::jsonb) AS e(name text, version text)
LEFT JOIN pg_available_extensions a ON a.name = e.name
WHERE a.installed_version IS NULL
  AND (a.name IS NULL
       OR (NOT EXISTS (SELECT FROM pg_available_extension_versions v WHERE v.name = e.name AND v.trusted)
           AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = session_user AND rolsuper)))
ORDER BY 3, 2

--: extension-version look=extensions
SELECT 'warning' AS severity,
       format('%s (%s on blue, %s on green)', e.name, e.version, coalesce(a.installed_version, a.default_version)) AS name,
       'extensions have other versions on green: {}' AS what,
       CASE WHEN EXISTS (SELECT FROM pg_extension_update_paths(e.name) u
                         WHERE u.source = a.installed_version AND u.target = e.version AND u.path IS NOT NULL)
            THEN format('ALTER EXTENSION %I UPDATE TO %L;', e.name, e.version)
            WHEN a.installed_version IS NOT NULL AND NOT EXISTS (SELECT FROM pg_available_extension_versions v
                                                                 WHERE v.name = e.name AND v.version = e.version)
            THEN format('-- on blue, which is behind: ALTER EXTENSION %I UPDATE TO %L;', e.name, a.installed_version)
            WHEN a.installed_version IS NOT NULL
            THEN format('DROP EXTENSION %I; CREATE EXTENSION %I VERSION %L;', e.name, e.name, e.version)
            ELSE format('CREATE EXTENSION %I VERSION %L; -- if that version is to be had', e.name, e.version) END AS fix
FROM jsonb_to_recordset($1::jsonb) AS e(name text, version text)
JOIN pg_available_extensions a ON a.name = e.name
WHERE coalesce(a.installed_version, a.default_version) <> e.version ORDER BY 2

--: roles ask
WITH spaces AS (
    SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'godwit')
), used(role, owns) AS (
    SELECT relowner, true FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
    WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND d.deptype = 'e')
    UNION ALL SELECT proowner, true FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace
    WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid
                      AND d.deptype = 'e')
    UNION ALL SELECT typowner, true FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace
    WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid
                      AND d.deptype IN ('e', 'i')) -- neither an extension's, nor an array, nor the rows of a relation
    UNION ALL SELECT nspowner, true FROM pg_namespace n JOIN spaces s ON s.oid = n.oid WHERE nspname <> 'public'
    UNION ALL SELECT a.grantee, false FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace, aclexplode(relacl) a
    UNION ALL SELECT a.grantee, false FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
    JOIN spaces s ON s.oid = c.relnamespace, aclexplode(attacl) a
    UNION ALL SELECT a.grantee, false FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace, aclexplode(proacl) a
    UNION ALL SELECT a.grantee, false FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace, aclexplode(typacl) a
    UNION ALL SELECT a.grantee, false FROM pg_namespace n JOIN spaces s ON s.oid = n.oid, aclexplode(nspacl) a
    UNION ALL SELECT a.grantee, false FROM pg_default_acl, aclexplode(defaclacl) a
    UNION ALL SELECT defaclrole, false FROM pg_default_acl
    UNION ALL SELECT unnest(polroles), false FROM pg_policy
    UNION ALL SELECT a.grantee, false FROM pg_database, aclexplode(datacl) a WHERE datname = current_database()
)
SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY x.name), '[]')
FROM (SELECT r.rolname AS name, r.rolcanlogin AS login, r.rolsuper AS super, bool_or(u.owns) AS owns
      FROM used u JOIN pg_roles r ON r.oid = u.role
      WHERE r.rolname !~ '^pg_' AND r.rolname <> session_user
      GROUP BY 1, 2, 3) x

--: role-missing look=roles
SELECT 'blocks' AS severity, b.name,
       'green does not have these roles, which own things on blue or are granted something there: {}' AS what,
       format('CREATE ROLE %I %s', b.name, CASE WHEN b.login THEN 'LOGIN; -- and its password: \password '
              || quote_ident(b.name) ELSE 'NOLOGIN;' END) AS fix
FROM jsonb_to_recordset($1::jsonb) AS b(name text, login boolean, owns boolean)
WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = b.name) ORDER BY 2

--: role-owner look=roles
SELECT CASE WHEN b.super THEN 'warning' ELSE 'blocks' END AS severity, b.name,
       CASE WHEN b.super THEN format('superusers own things on blue: {}; %I cannot give anything to them on green',
                                     session_user)
            ELSE format('%I is no member of these roles on green, so it cannot make what they are to own: {}',
                        session_user) END AS what,
       CASE WHEN b.super THEN '-- on blue: REASSIGN OWNED BY ... TO a role without superuser rights'
            ELSE format('GRANT %I TO %I;', b.name, session_user) END AS fix
FROM jsonb_to_recordset($1::jsonb) AS b(name text, super boolean, owns boolean)
JOIN pg_roles r ON r.rolname = b.name
WHERE b.owns AND NOT pg_has_role(session_user, r.oid, 'MEMBER') ORDER BY b.super, 2

--: role-set look=roles since=16
SELECT 'blocks' AS severity, b.name,
       format('%I may use these roles on green but not act as them (SET is off), so it cannot hand objects over: {}',
              session_user) AS what,
       format('GRANT %I TO %I WITH INHERIT TRUE, SET TRUE;', b.name, session_user) AS fix
FROM jsonb_to_recordset($1::jsonb) AS b(name text, owns boolean)
JOIN pg_roles r ON r.rolname = b.name
WHERE b.owns AND pg_has_role(session_user, r.oid, 'MEMBER')
  AND NOT (pg_has_role(session_user, r.oid, 'SET') AND pg_has_role(session_user, r.oid, 'USAGE')) ORDER BY 2

--: connect look=roles
SELECT 'warning' AS severity, b.name, 'these roles may log in but not connect to green''s database: {}' AS what,
       format('GRANT CONNECT ON DATABASE %I TO %I;', current_database(), b.name) AS fix
FROM jsonb_to_recordset($1::jsonb) AS b(name text, login boolean)
JOIN pg_roles r ON r.rolname = b.name
WHERE b.login AND NOT has_database_privilege(r.oid, current_database(), 'CONNECT') ORDER BY 2

--: schemas ask
SELECT coalesce(jsonb_agg(to_jsonb(x)), '[]')
FROM (SELECT n.nspname AS space, pg_get_userbyid(c.relowner) AS owner, bool_or(o.rolsuper) AS super
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles o ON o.oid = c.relowner
      WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND n.nspname !~ '^pg_'
        AND n.nspname NOT IN ('information_schema', 'godwit')
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                        AND d.deptype = 'e')
      GROUP BY 1, 2) x

--: schema-create look=schemas
SELECT 'blocks' AS severity, format('%I', who.name) AS name,
       format('in the schema %I on green these roles may not create what is to be made there: {}', who.space) AS what,
       format('GRANT USAGE, CREATE ON SCHEMA %I TO %I;', who.space, who.name) AS fix
FROM (SELECT DISTINCT b.space, x.name FROM jsonb_to_recordset($1::jsonb) AS b(space text, owner text, super boolean),
             LATERAL (VALUES (b.owner), (session_user::text)) x(name) WHERE NOT b.super OR x.name <> b.owner) who
JOIN pg_namespace n ON n.nspname = who.space JOIN pg_roles r ON r.rolname = who.name
WHERE NOT has_schema_privilege(r.oid, n.oid, 'CREATE') ORDER BY who.space, 2

--: collations ask
SELECT coalesce(jsonb_agg(DISTINCT c.collname), '[]')
FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid JOIN pg_namespace n ON n.oid = r.relnamespace
JOIN pg_collation c ON c.oid = a.attcollation
WHERE c.collnamespace = 'pg_catalog'::regnamespace AND c.collname NOT IN ('default', 'C', 'POSIX')
  AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'godwit') AND r.relkind IN ('r', 'p', 'i', 'v', 'm')

--: collation-missing look=collations
SELECT 'blocks' AS severity, b.name,
       'green does not know these collations of the operating system that blue''s columns use: {}' AS what,
       'on green''s server install the locales (locale-gen), then SELECT pg_import_system_collations(''pg_catalog'');' AS fix
FROM jsonb_array_elements_text($1::jsonb) AS b(name)
WHERE NOT EXISTS (SELECT FROM pg_collation c WHERE c.collname = b.name
                  AND c.collnamespace = 'pg_catalog'::regnamespace
                  AND c.collencoding IN (-1, (SELECT encoding FROM pg_database WHERE datname = current_database())))
ORDER BY 2

--: tablespaces ask
SELECT coalesce(jsonb_agg(DISTINCT t.spcname), '[]')
FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace WHERE t.spcname !~ '^pg_'

--: tablespaces look=tablespaces
SELECT 'warning' AS severity, true AS stays, b.name,
       'tablespaces are not moved; what is in them on blue goes to green''s default: {}' AS what,
       '-- afterwards, where it matters: ALTER TABLE ... SET TABLESPACE ...;' AS fix
FROM jsonb_array_elements_text($1::jsonb) AS b(name) ORDER BY 2

--: defaults ask
SELECT coalesce(jsonb_agg(jsonb_build_object('role', coalesce(r.rolname, ''), 'any', s.setdatabase = 0, 'setting', c.line)),
                '[]')
FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole, unnest(s.setconfig) c(line)
WHERE (s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
       OR (s.setdatabase = 0 AND r.rolname IS NOT NULL))
  AND (r.rolname IS NULL OR (r.rolname <> session_user AND NOT r.rolsuper))

--: defaults look=defaults
SELECT 'warning' AS severity, true AS stays,
       format('%s%s', CASE WHEN b.secret THEN b.name || '=...' ELSE b.setting END,
              CASE WHEN b.role <> '' THEN ' for ' || b.role ELSE '' END) AS name,
       'settings made with ALTER DATABASE or ALTER ROLE on blue are not on green: {}' AS what,
       format('ALTER %s SET %s = %s;',
              CASE WHEN b.role = '' THEN format('DATABASE %I', current_database())
                   WHEN b."any" THEN format('ROLE %I', b.role)
                   ELSE format('ROLE %I IN DATABASE %I', b.role, current_database()) END, b.name,
              CASE WHEN b.secret THEN '... -- its value may be a secret and is not shown'
                   WHEN b.name = 'search_path' THEN b.value ELSE quote_literal(b.value) END) AS fix
FROM (SELECT d.role, d."any", d.setting, split_part(d.setting, '=', 1) AS name,
             substr(d.setting, strpos(d.setting, '=') + 1) AS value,
             d.setting ~* '(password|passwd|pwd|secret|token|credential|api_?key|private_key)' AS secret
      FROM jsonb_to_recordset($1::jsonb) AS d(role text, "any" boolean, setting text)) b
WHERE (b.role = '' OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname = b.role))
  AND NOT EXISTS (SELECT FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
                  WHERE b.setting = ANY (s.setconfig) AND coalesce(r.rolname, '') = b.role
                    AND s.setdatabase = CASE WHEN b."any" THEN 0
                                             ELSE (SELECT oid FROM pg_database WHERE datname = current_database()) END)
ORDER BY 2

--: settings ask
SELECT jsonb_object_agg(name, reset_val) FROM pg_settings
WHERE name IN ('TimeZone', 'DateStyle', 'IntervalStyle', 'lc_monetary', 'lc_numeric', 'lc_time', 'bytea_output',
               'default_text_search_config', 'default_transaction_isolation', 'standard_conforming_strings', 'xmlbinary',
               'xmloption', 'array_nulls', 'transform_null_equals', 'search_path', 'default_tablespace',
               'statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout')

--: settings-differ look=settings
SELECT 'warning' AS severity, format('%s (%s on blue, %s on green)', s.name, b.value, s.reset_val) AS name,
       'settings that change what queries answer differ for a new session: {}' AS what,
       format('ALTER DATABASE %I SET %s = %s;', current_database(), s.name,
              CASE WHEN s.name = 'search_path' THEN b.value ELSE quote_literal(b.value) END) AS fix
FROM jsonb_each_text($1::jsonb) b JOIN pg_settings s ON s.name = b.key AND s.reset_val IS DISTINCT FROM b.value
ORDER BY 2

--: capacity ask
SELECT jsonb_build_object('max_connections', current_setting('max_connections')::int,
       'libraries', coalesce((SELECT setting FROM pg_settings WHERE name = 'shared_preload_libraries'), ''))

--: capacity look=capacity
SELECT 'warning' AS severity,
       format('green takes %s connections, blue %s: the application may not fit', current_setting('max_connections'),
              $1::jsonb ->> 'max_connections') AS what,
       format('ALTER SYSTEM SET max_connections = %s; -- then restart the server', $1::jsonb ->> 'max_connections') AS fix
WHERE current_setting('max_connections')::int < ($1::jsonb ->> 'max_connections')::int

--: libraries look=capacity
SELECT 'warning' AS severity, b.name, 'blue preloads libraries that green does not: {}' AS what,
       'add them to shared_preload_libraries on green, then restart the server' AS fix
FROM regexp_split_to_table($1::jsonb ->> 'libraries', '\s*,\s*') AS b(name)
WHERE b.name <> '' AND b.name <> ALL (regexp_split_to_array(
      coalesce((SELECT setting FROM pg_settings WHERE name = 'shared_preload_libraries'), ''), '\s*,\s*')) ORDER BY 2

--: tables ask
SELECT coalesce(jsonb_agg(jsonb_build_object('space', n.nspname, 'name', c.relname)), '[]')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'godwit')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')

--: target-not-empty look=tables
SELECT 'blocks' AS severity, n.nspname AS space, c.relname AS name,
       'green already has tables that are to be moved: {}. What is in them would be mixed with blue''s rows' AS what,
       format('DROP TABLE %I.%I; -- on green, if nothing in it is wanted; or take an empty database', n.nspname, c.relname)
           AS fix
FROM jsonb_to_recordset($1::jsonb) AS b(space text, name text)
JOIN pg_namespace n ON n.nspname = b.space JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = b.name
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND current_setting('godwit.stage_is_new') = 'true' ORDER BY 2, 3

--: size ask
SELECT jsonb_build_object('bytes', pg_database_size(current_database()))

--: green-disk look=size
SELECT 'info' AS severity,
       format('green needs about %s for the data and its indexes, and as much again for WAL while it is loaded with'
              ' archiving or standbys; SQL cannot tell how much disk is free',
              pg_size_pretty(($1::jsonb ->> 'bytes')::bigint)) AS what,
       format('look on green''s server: df -h %s', coalesce((SELECT setting FROM pg_settings WHERE name = 'data_directory'),
              'DATA_DIRECTORY')) AS fix
WHERE current_setting('godwit.stage_is_new') = 'true'
