"""The kinds of pairs that the crash loop moves: what a round of each is, and the servers it needs.

Between engines a round moves the library of instruments (tests/support/schemas) beside the writers' tables, so that every
type, foreign keys that cascade and tables without a key are in it; clients go through a hook gate.
"""
import contextlib
import sqlite3

from godwit_support import library, mariadb, postgres, roles, sqlite, unlike, writers
from godwit_support.doorway import Doorway
from godwit_support.runner import Migration

import loop
import probe

ROWS, SIZE = 300, 120
TABLES = {**library.COLUMNS, **writers.KINDS, "probes": (["id"], {"id": "int", "n": "int"})}
PGBOUNCER_ONLY = ("gate.park.holding", "gate.park.pausing", "gate.point.before_ini", "gate.point.before_reload",
                  "gate.point.done")
# A dump and its entries are of PostgreSQL to PostgreSQL alone; where a follower has no foreign keys, none is made in a load.
# A row set aside would block each switch until somebody clears it: tests/scenario/test_rules.py goes to those places.
SAME_ENGINE_ONLY = ("schema.", "reader.before_lock", "build.after_constraint", "aside.")


class ByTriggers(loop.Round):
    """PostgreSQL to PostgreSQL, changes captured by triggers on both sides."""

    def prepare(self, servers):
        self.store["capture"] = "trigger"
        super().prepare(servers)


class Unlike(loop.Round):
    """Two engines."""

    moments_s = (0.05, 0.1, 0.2, 0.4)  # a load is that short

    def database(self, server):
        if server is None:
            return sqlite.Database()
        return mariadb.Database(server) if isinstance(server, mariadb.MariaDB) else roles.Database(server)

    def prepare(self, servers):
        self.blue, self.green = (self.database(server) for server in servers)
        self.databases = {"blue": self.blue, "green": self.green}
        for side in self.databases.values():
            unlike.let_in(side)
        library.create(self.blue)
        library.fill(self.blue, size=SIZE)
        self.blue.owner_sql(probe.PROBES_SQL)
        writers.create_tables(self.blue, ("items",), "counters", rows=ROWS)
        self.door = Doorway(self.directory / "door")
        self.m = Migration(self.directory, self.blue, self.green, gate={**self.door.gate(), "lease": "2s"},
                           **unlike.rules(self.blue, self.green), **self.store)
        self.live = writers.Writers(self.databases, ("items",), "counters", count=3, rows=ROWS, rate=60, seed=self.seed,
                                    doorway=self.door)
        self.days = iter(range(1, 20))

    def day(self):
        library.day(self.databases[self.owner], next(self.days))

    def compare(self):
        found = unlike.compare(self.blue, self.green, TABLES)
        rows = sum(self.blue.value(f"SELECT count(*) FROM {library.quoted(self.blue, table)}") for table in TABLES)
        return found, rows

    def remove_gate(self):
        """Files in the round's directory."""


class UnlikeByTriggers(Unlike):
    """Two engines, changes captured by triggers on both sides."""

    def prepare(self, servers):
        self.store["capture"] = "trigger"
        super().prepare(servers)


class Pair:
    """`never`: beginnings of crash points that its rounds do not come to."""

    def __init__(self, name, title, engines, round_of, never):
        self.name, self.title, self.engines, self.round_of, self.never = name, title, engines, round_of, never
        # Clients through PgBouncer, and networks and servers that fail, are there for PostgreSQL's two sides alone.
        self.by_pgbouncer = self.may_fault = not issubclass(round_of, Unlike)

    @contextlib.contextmanager
    def servers(self):
        """One a side, started; None for an engine without a server."""
        made = []
        try:
            yield self.start(made)
        finally:
            for server in made:
                server.remove()

    def start(self, made):
        sides = []
        for name, engine in zip(("blue", "green"), self.engines):
            sides.append(start_server(engine, name, made))
        return tuple(sides)


def start_server(engine, name, made):
    if engine == "sqlite":
        return None
    if engine == "mysql":
        # The event of the library writes each second, between two reads, too.
        made.append(mariadb.MariaDB(name=name, settings={"event_scheduler": "OFF"}))
        return made[-1].start()
    made.append(postgres.Postgres(name=name))
    roles.create_roles(made[-1].start())
    return made[-1]


def versions(servers):
    """As a person names them, each once."""
    named = []
    for server in servers:
        named.append(f"SQLite {sqlite3.sqlite_version} (the clients')" if server is None else
                     f"PostgreSQL {server.version()}" if isinstance(server, postgres.Postgres) else
                     f"MariaDB {server.version().partition('-')[0]}")
    return list(dict.fromkeys(named))


PAIRS = {pair.name: pair for pair in (
    Pair("postgres", "PostgreSQL to PostgreSQL", ("postgres", "postgres"), loop.Round, loop.NEVER),
    Pair("trigger", "PostgreSQL to PostgreSQL by triggers", ("postgres", "postgres"), ByTriggers,
         (*(one for one in loop.NEVER if "capture" not in one), "postgres.prepare.", "postgres.drop.")),
    Pair("mariadb", "MariaDB to PostgreSQL", ("mysql", "postgres"), Unlike,
         ("lite.", "capture.", "postgres.capture.", "mysql.capture.", "mysql.build.", *PGBOUNCER_ONLY, *SAME_ENGINE_ONLY)),
    Pair("mariadb-trigger", "MariaDB to PostgreSQL by triggers", ("mysql", "postgres"), UnlikeByTriggers,
         ("lite.", "mysql.build.", "mysql.prepare.", "postgres.prepare.", "postgres.drop.", *PGBOUNCER_ONLY, *SAME_ENGINE_ONLY)),
    Pair("sqlite", "SQLite to PostgreSQL", ("sqlite", "postgres"), Unlike,
         ("mysql.", "apply.", "capture.", "postgres.capture.", "lite.build.", "lite.schema.", "follow.cascade.",
          "reader.after_mark", *PGBOUNCER_ONLY, *SAME_ENGINE_ONLY)),
    Pair("to-mariadb", "PostgreSQL to MariaDB", ("postgres", "mysql"), Unlike,
         ("lite.", "capture.", "postgres.capture.", "mysql.capture.", "build.", *PGBOUNCER_ONLY, *SAME_ENGINE_ONLY)),
    Pair("to-sqlite", "PostgreSQL to SQLite", ("postgres", "sqlite"), Unlike,
         ("mysql.", "apply.", "capture.", "postgres.capture.", "build.", "follow.cascade.", *PGBOUNCER_ONLY,
          *SAME_ENGINE_ONLY)),
)}
FIRST = PAIRS["postgres"]
