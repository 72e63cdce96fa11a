-- Accounts (and roles) with rights to write: who, may write here, elsewhere, on the whole server. A database's name in a
-- grant is a pattern: "\_" and "\%" are the signs themselves.
SELECT g.who, MAX(g.here), MAX(g.elsewhere), MAX(g.wide)
  FROM (SELECT GRANTEE AS who, 0 AS here, 0 AS elsewhere, PRIVILEGE_TYPE NOT IN
               ('USAGE', 'SELECT', 'PROCESS', 'SHOW DATABASES', 'SHOW VIEW', 'LOCK TABLES', 'CREATE TEMPORARY TABLES',
                'REPLICATION CLIENT', 'BINLOG MONITOR', 'REPLICATION SLAVE', 'SLAVE MONITOR') AS wide
          FROM information_schema.USER_PRIVILEGES
         UNION ALL
        SELECT GRANTEE, REPLACE(REPLACE(TABLE_SCHEMA, '\\_', '_'), '\\%', '%') = DATABASE(),
               REPLACE(REPLACE(TABLE_SCHEMA, '\\_', '_'), '\\%', '%') <> DATABASE(), 0
          FROM information_schema.SCHEMA_PRIVILEGES
         WHERE PRIVILEGE_TYPE NOT IN ('USAGE', 'SELECT', 'SHOW VIEW', 'LOCK TABLES', 'CREATE TEMPORARY TABLES')
         UNION ALL
        SELECT GRANTEE, TABLE_SCHEMA = DATABASE(), TABLE_SCHEMA <> DATABASE(), 0
          FROM information_schema.TABLE_PRIVILEGES
         WHERE PRIVILEGE_TYPE NOT IN ('USAGE', 'SELECT', 'SHOW VIEW', 'REFERENCES')
         UNION ALL
        SELECT GRANTEE, TABLE_SCHEMA = DATABASE(), TABLE_SCHEMA <> DATABASE(), 0
          FROM information_schema.COLUMN_PRIVILEGES
         WHERE PRIVILEGE_TYPE IN ('INSERT', 'UPDATE')) g
 GROUP BY g.who HAVING MAX(g.here) + MAX(g.wide) > 0
 ORDER BY g.who
