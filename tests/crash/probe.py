"""What the application and the catalogs say of a side, whatever its engine: does it take writes, what is there of godwit's."""
import sqlite3

import psycopg2

from godwit_support import drivers, library

NO_ANSWER = "no answer: "
# On PostgreSQL the fence refuses the statement; elsewhere only a row that is really written meets it.
PROBES_SQL = "CREATE TABLE probes (id int PRIMARY KEY, n bigint NOT NULL);\nINSERT INTO probes VALUES (1, 0);\n"
WRITE_SQL = "UPDATE probes SET n = n + 1 WHERE id = 1"


class PostgresProbe:
    """A session of the application's that tries to write and takes it back."""

    every_s = 0.01
    errors = (psycopg2.Error,)
    statement = "UPDATE public.counters SET n = n WHERE false"

    def __init__(self, database):
        self.database, self.connection, self.refusal = database, None, None

    def connect(self):
        return self.database.connect("app", autocommit=False, application_name="two-sides", connect_timeout=2)

    def gone(self):
        return bool(self.connection.closed)

    def limit(self, cursor):
        cursor.execute("SET LOCAL statement_timeout = '300ms'")

    def write(self):
        """True: a write went through, and its transaction is still open. Otherwise `refusal` says why not."""
        try:
            if self.connection is None or self.gone():
                self.connection = None
                self.connection = self.connect()
            cursor = self.connection.cursor()
            self.limit(cursor)
            cursor.execute(self.statement)
            return True
        except self.errors as refused:
            away = self.connection is None or self.gone()
            self.refusal = (NO_ANSWER if away else "") + str(refused).strip()
            return False

    def undo(self):
        if self.connection is not None and not self.gone():
            try:
                self.connection.rollback()
            except self.errors:
                pass

    def close(self):
        if self.connection is not None and not self.gone():
            self.connection.close()


class MysqlProbe(PostgresProbe):
    statement = WRITE_SQL

    def __init__(self, database):
        super().__init__(database)
        self.errors = (drivers.pymysql.err.Error,)

    def connect(self):
        connection = self.database.connect("app", autocommit=False)
        connection.cursor().execute("SET innodb_lock_wait_timeout = 1")
        return connection

    def gone(self):
        return not self.connection.open

    def limit(self, cursor):
        """The session has it."""


class SqliteProbe(PostgresProbe):
    """Whoever writes has the whole file: asked less often."""

    every_s = 0.05
    errors = (sqlite3.Error,)
    statement = WRITE_SQL

    def connect(self):
        return self.database.connect("app", autocommit=False, timeout=0.3)

    def gone(self):
        return False

    def limit(self, cursor):
        """The connection has it."""


KINDS = {"postgres": PostgresProbe, "mysql": MysqlProbe, "sqlite": SqliteProbe}


def of(database):
    return KINDS[library.engine_of(database)](database)


# --- leftovers ---

LEFT_SQL = {
    "postgres": """
        SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()
        UNION ALL SELECT 'publication ' || pubname FROM pg_publication
        UNION ALL SELECT 'trigger ' || tgname || ' on ' || tgrelid::regclass FROM pg_trigger WHERE tgname ~ 'godwit'
        UNION ALL SELECT 'function ' || oid::regprocedure FROM pg_proc WHERE proname ~ 'godwit'
        UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname ~ 'godwit'
        UNION ALL SELECT 'replica identity of ' || oid::regclass FROM pg_class
            WHERE relkind = 'r' AND relreplident <> 'd' AND relnamespace = 'public'::regnamespace""",
    "mysql": """
        SELECT concat('table ', table_schema, '.', table_name) FROM information_schema.tables
            WHERE table_schema = 'godwit' OR table_name LIKE '%godwit%'
        UNION ALL SELECT concat('trigger ', trigger_name) FROM information_schema.triggers
            WHERE trigger_name LIKE '%godwit%' AND trigger_schema = database()
        UNION ALL SELECT concat('routine ', routine_name) FROM information_schema.routines
            WHERE routine_name LIKE '%godwit%' OR routine_schema = 'godwit'""",
    "sqlite": "SELECT type || ' ' || name FROM sqlite_schema WHERE name LIKE '%godwit%'",
}


def leftovers(side):
    return [line for (line,) in side.sql(LEFT_SQL[library.engine_of(side)])]
