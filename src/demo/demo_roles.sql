-- What a small company has: a role that owns the tables, a role the application logs in as, and godwit's own role, which
-- is no superuser. %1$s is the password.
CREATE ROLE app_owner;
CREATE ROLE app LOGIN PASSWORD '%1$s';
CREATE ROLE godwit LOGIN REPLICATION PASSWORD '%1$s';
GRANT app_owner TO godwit;
GRANT pg_monitor, pg_signal_backend TO godwit;
