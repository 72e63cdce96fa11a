"""The roles of a self-hosted SaaS, and databases made for one test.

app_owner owns the tables, app is what the application logs in as, godwit is our own role: no superuser. What godwit is
given here is what `godwit check --grants` prints; a scenario test holds the two together.
"""
import itertools
import os

PASSWORDS = {"app_owner": "owner-secret", "app": "app-secret", "godwit": "godwit-secret"}

_numbers = itertools.count(1)

ROLES_SQL = """
CREATE ROLE app_owner LOGIN PASSWORD 'owner-secret';
CREATE ROLE app LOGIN PASSWORD 'app-secret';
CREATE ROLE godwit LOGIN REPLICATION PASSWORD 'godwit-secret';
GRANT app_owner TO godwit;
GRANT pg_monitor, pg_signal_backend TO godwit;
"""
# From 15 on the right to be a replica can be granted; before, the applier has to do without.
ROLES_15_SQL = "GRANT SET ON PARAMETER session_replication_role TO godwit"


def create_roles(server):
    server.psql(ROLES_SQL)
    if server.major >= 15:
        server.psql(ROLES_15_SQL)


def passfile(directory):
    """A .pgpass with every role's password, for PGPASSFILE."""
    path = os.path.join(str(directory), "pgpass")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        for user, password in PASSWORDS.items():
            out.write(f"*:*:*:{user}:{password}\n")
    return path


class Database:
    """A database of one test on a server, owned by app_owner."""

    def __init__(self, server, name=None, options=""):
        self.server = server
        self.name = name or f"t{os.getpid()}_{next(_numbers)}"
        # Half the work of logging each page, on servers that do not sync.
        copied = "STRATEGY file_copy" if server.major >= 15 else ""
        server.psql(f'CREATE DATABASE "{self.name}" OWNER app_owner TEMPLATE template0 {copied} {options}')
        server.psql(f'GRANT CREATE ON DATABASE "{self.name}" TO godwit')
        self.sql("""
            GRANT ALL ON SCHEMA public TO app_owner;
            GRANT USAGE ON SCHEMA public TO app;
            ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON TABLES TO app;
            ALTER DEFAULT PRIVILEGES FOR ROLE app_owner GRANT ALL ON SEQUENCES TO app;
        """)

    def dsn(self, user="godwit", with_password=False, **kwargs):
        return self.server.dsn(user, self.name, PASSWORDS.get(user) if with_password else None, **kwargs)

    def connect(self, user="postgres", autocommit=True, **kwargs):
        return self.server.connect(self.name, user, PASSWORDS.get(user), autocommit, **kwargs)

    def sql(self, text, params=None, user="postgres"):
        """As the superuser unless told otherwise."""
        return self.server.psql(text, params, self.name, user, PASSWORDS.get(user))

    def owner_sql(self, text, params=None):
        """As the application's table owner: what the schema of a test is made by."""
        return self.sql(text, params, user="app_owner")

    def value(self, text, params=None, user="postgres"):
        rows = self.sql(text, params, user)
        return rows[0][0] if rows else None

    def drop(self):
        """With its sessions, prepared transactions and slots. A server that is down keeps it (and is thrown away)."""
        if not self.server.running():
            return
        connection = self.server.connect()  # one for all: a session costs more than what is asked here
        try:
            self._drop(connection.cursor())
        finally:
            connection.close()

    def _drop(self, cursor):
        def rows(text, *params):
            cursor.execute(text, params)
            return cursor.fetchall()
        rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()", self.name)
        for (gid,) in rows("SELECT gid FROM pg_prepared_xacts WHERE database = %s", self.name):
            self.sql("ROLLBACK PREPARED %s", (gid,))
        for _ in range(100):
            rows("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
                 " WHERE database = %s AND active_pid IS NOT NULL", self.name)
            left = rows("SELECT slot_name, active FROM pg_replication_slots WHERE database = %s", self.name)
            for slot, active in left:
                if not active:
                    rows("SELECT pg_drop_replication_slot(%s)", slot)
            if not left:
                break
            rows("SELECT pg_sleep(0.02)")
        cursor.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')
