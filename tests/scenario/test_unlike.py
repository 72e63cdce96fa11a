"""From one engine to another and back, under live writers that go through a hook gate: the library of instruments with all
that is awkward in it, journals that prove nothing lost or doubled, a comparison of both sides without godwit.
"""
import pytest

from godwit_support import compare, drivers, library, roles, traps, unlike, writers
from godwit_support.doorway import Doorway
from godwit_support.waiting import wait_until

ROWS, SIZE = 600, 400
# The event that writes each second on its own makes no difference between the sides, but between two reads.
QUIET = {name: (key, columns) for name, (key, columns) in {**library.COLUMNS, **writers.KINDS}.items() if name != "setting"}


def prepare(blue, green):
    for side in (blue, green):
        unlike.let_in(side)
    library.create(blue)
    library.fill(blue, size=SIZE)
    writers.create_tables(blue, ("items",), "counters", rows=ROWS)


def caught_up(m):
    status = m.status()
    return status["stage"] == "follow" and status["verdict"]["verdict"] == "equal"


class Move:
    """One migration with its gate and its writers, and what each scenario does with them."""

    def __init__(self, migration, tmp_path, blue, green, **store_keys):
        self.blue, self.green = blue, green
        self.sides = {"blue": blue, "green": green}
        self.door = Doorway(tmp_path / "door")
        self.m = migration(blue, green, gate=self.door.gate(), **unlike.rules(blue, green), **store_keys)
        self.runner = self.live = None
        self.days = iter(range(1, 50))

    def start(self):
        """Copies and follows while clients write."""
        self.live = writers.Writers(self.sides, ("items",), "counters", count=3, rows=ROWS, rate=60, doorway=self.door,
                                    retry=False).start()
        wait_until(lambda: self.live.committed > 10, 30, "the workload to run")
        self.runner = self.m.popen("run")
        wait_until(lambda: caught_up(self.m) or self.over(), 120, "the runner to follow and verify")
        return self

    def over(self):
        if not self.runner.alive():
            raise RuntimeError(str(self.runner.wait(10)))
        return False

    def write(self, side, days=2):
        """The application lives some days on that side, the journalled clients beside it."""
        for _ in range(days):
            library.day(self.sides[side], next(self.days))
        at = self.live.committed
        wait_until(lambda: self.live.committed > at + 30 or self.live.errors, 30, f"writes on {side}")
        assert not self.live.errors, self.live.errors[:3]

    def flip(self, verb, owner):
        self.m.run("verify", timeout=120)
        self.m.run(verb, "--yes", timeout=120)
        assert self.m.status()["owner"] == owner
        self.m.run("verify", timeout=120)

    def end(self, owner):
        """Nothing lost, nothing doubled, on the side that owns; and the other side is the same."""
        self.live.stop()
        self.m.run("verify", timeout=120)
        assert not self.live.errors, self.live.errors[:3]
        self.live.assert_nothing_lost(self.sides[owner])
        unlike.assert_equal(self.blue, self.green, QUIET)

    def close(self):
        if self.live:
            self.live.__exit__()


@pytest.fixture
def move(migration, tmp_path):
    made = []

    def make(blue, green, **store_keys):
        prepare(blue, green)
        made.append(Move(migration, tmp_path, blue, green, **store_keys))
        return made[-1]
    yield make
    for one in made:
        one.close()


def there_and_back(one):
    one.m.run("plan", timeout=120)
    one.start()
    one.write("blue")
    one.m.run("switch", "--rehearse", timeout=120)
    assert one.m.status()["owner"] == "blue"
    one.flip("switch", "green")
    one.write("green")
    one.flip("rollback", "blue")
    one.write("blue")
    one.end("blue")
    one.m.run("abort", "--yes", timeout=120)
    one.runner.wait(30)


def nothing_left(side):
    """No table, trigger or database of godwit's, whatever the engine."""
    engine = library.engine_of(side)
    if engine == "mysql":
        assert not side.sql("SELECT table_schema, table_name FROM information_schema.tables"
                            " WHERE table_schema = 'godwit' OR table_name LIKE '%%godwit%%'", ())
        assert not side.sql("SELECT trigger_name FROM information_schema.triggers WHERE trigger_name LIKE '%%godwit%%'", ())
    elif engine == "sqlite":
        assert not side.sql("SELECT type, name FROM sqlite_schema WHERE name LIKE '%godwit%'")
    else:
        assert not side.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'godwit'")
        assert not side.value("SELECT count(*) FROM pg_trigger WHERE tgname ~ 'godwit'")
        assert not side.value("SELECT count(*) FROM pg_publication")


def test_mariadb_to_postgresql_and_back_under_load(move, new_mariadb_database, new_database):
    one = move(new_mariadb_database(), new_database())
    there_and_back(one)
    nothing_left(one.blue)
    nothing_left(one.green)


def test_sqlite_to_postgresql_and_back_under_load(move, new_sqlite, new_database):
    one = move(new_sqlite(), new_database())
    there_and_back(one)
    nothing_left(one.blue)
    nothing_left(one.green)


def test_postgresql_to_mariadb_by_triggers_without_log_access(move, new_mariadb_database, new_database, servers):
    """godwit's role on blue owns the tables and has nothing more; the way back is read from MariaDB's binlog."""
    blue, green = new_database(), new_mariadb_database(settings={"event_scheduler": "OFF"})
    one = move(blue, green, capture="trigger")
    servers[0].psql("ALTER ROLE godwit NOREPLICATION")
    try:
        there_and_back(one)
        assert not blue.value("SELECT count(*) FROM pg_replication_slots WHERE database = %s", (blue.name,))
    finally:
        servers[0].psql("ALTER ROLE godwit REPLICATION")
    nothing_left(blue)
    nothing_left(green)


def test_mariadb_to_mariadb_and_back_under_load(move, new_mariadb_database):
    one = move(new_mariadb_database(name="blue"), new_mariadb_database(name="green"))
    there_and_back(one)
    nothing_left(one.blue)
    nothing_left(one.green)


def test_mariadb_to_mariadb_through_haproxy_loses_nothing(migration, new_haproxy, new_mariadb_database):
    """Clients that only know the proxy's port: their connections are closed once each time, and they connect again."""
    blue, green = new_mariadb_database(name="blue"), new_mariadb_database(name="green")
    prepare(blue, green)
    proxy = new_haproxy(blue, green)
    m = migration(blue.dsn(tcp=True), green.dsn(tcp=True), gate={"type": "haproxy", "socket": proxy.sockets()})
    runner = m.popen("run")
    wait_until(lambda: caught_up(m), 120, "the runner to follow and verify")
    client = drivers.MysqlDriver(lambda: blue.server.connect("app", "app", autocommit=False, port=proxy.port))
    with writers.Writers(client, ("items",), "counters", count=3, rows=ROWS, rate=60) as live:
        for verb, side in (("switch", green), ("rollback", blue)):
            at = live.committed
            wait_until(lambda: live.committed > at + 30, 30, "the workload")
            m.run(verb, "--yes", "--unverified", timeout=120)
            before = side.value("SELECT sum(n) FROM counters")
            wait_until(lambda: side.value("SELECT sum(n) FROM counters") > before, 30, f"writes after {verb}")
        live.stop()
    m.run("verify", timeout=120)
    live.assert_nothing_lost(blue)
    unlike.assert_equal(blue, green, QUIET)
    runner.stop(expect=None)
    m.run("abort", "--yes", timeout=120)


def test_sqlite_to_sqlite_and_back_under_load(move, new_sqlite):
    one = move(new_sqlite(), new_sqlite())
    there_and_back(one)
    nothing_left(one.blue)
    nothing_left(one.green)


def test_mariadb_by_triggers_to_postgresql_and_back(move, new_mariadb_database, new_database):
    """godwit's role on blue has all rights on the database and none on the server, whose binlog it cannot read."""
    one = move(new_mariadb_database(rights="database"), new_database())
    found = {(f["side"], f["id"]): f for f in one.m.run("check", "--json").json["findings"]}
    assert "captured by triggers" in found["blue", "capture"]["what"]
    plan = one.m.run("plan", timeout=120).stdout
    assert "A captured write costs" in plan and "godwit_capture" in plan, plan[:2000]
    assert "tables made for it and dropped again" in plan and "(WAL is not in that)" in plan, plan[:4000]
    there_and_back(one)
    nothing_left(one.blue)
    nothing_left(one.green)


def test_postgresql_to_mariadb_whose_way_back_is_by_triggers(move, new_mariadb_database, new_database):
    one = move(new_database(), new_mariadb_database(rights="database", settings={"log_bin": None, "event_scheduler": "OFF"}))
    there_and_back(one)
    nothing_left(one.blue)
    nothing_left(one.green)


def test_postgresql_to_postgresql_by_triggers(move, pair, servers):
    one = move(*pair, capture="trigger")
    there_and_back(one)
    compare.assert_equal(*pair)
    assert roles.PASSWORDS


@pytest.mark.parametrize("engine", ("mysql", "sqlite"))
def test_copy_from_another_engine_brings_every_row_and_type(engine, move, new_mariadb_database, new_sqlite, new_database):
    blue = new_mariadb_database(settings={"event_scheduler": "OFF"}) if engine == "mysql" else new_sqlite()
    one = move(blue, new_database())
    one.m.run("copy", timeout=120)
    unlike.assert_equal(one.blue, one.green, {**library.COLUMNS, **writers.KINDS})
    library.day(one.blue, 1)
    one.m.run("follow", "--until", "caught-up", timeout=120)
    unlike.assert_equal(one.blue, one.green, {**library.COLUMNS, **writers.KINDS})
    one.m.run("verify", timeout=120)
    one.m.run("abort", "--yes")
    nothing_left(one.blue)


def test_copy_from_postgresql_to_mariadb_brings_every_row_and_type(move, new_mariadb_database, new_database):
    one = move(new_database(), new_mariadb_database())
    one.m.run("copy", timeout=120)
    unlike.assert_equal(one.blue, one.green, {**library.COLUMNS, **writers.KINDS})
    library.day(one.blue, 1)
    one.m.run("follow", "--until", "caught-up", timeout=120)
    unlike.assert_equal(one.blue, one.green, {**library.COLUMNS, **writers.KINDS})
    one.m.run("verify", timeout=120)
    one.m.run("abort", "--yes")
    nothing_left(one.green)


def test_a_time_that_the_application_writes_in_its_own_way_is_no_difference(migration, new_sqlite, new_database):
    """A column of times that takes any text: 05.250 and 05.25, and a moment of UTC without a zone, are what the other side
    has as a time; another moment is another one."""
    blue, green = new_database(), new_sqlite()
    blue.owner_sql("CREATE TABLE ring (id int PRIMARY KEY, at timestamp, moment timestamptz, day date)")
    blue.owner_sql("INSERT INTO ring VALUES (1, '2024-02-29 12:00:05.25', '2024-02-29 12:00:05+00', '2024-02-29')")
    m = migration(blue, green)
    m.run("copy", timeout=120)
    m.run("verify", timeout=120)
    m.run("switch", *traps.FLIP, timeout=120)
    green.sql("INSERT INTO ring VALUES (2, '2024-03-01 08:00:05.250', '2024-03-01 08:00:05', '2024-03-01')")
    m.run("follow", "--until", "caught-up", timeout=120)
    m.run("verify", timeout=120)
    with blue.connect("godwit") as connection:  # as nobody but the follower may
        connection.cursor().execute("UPDATE ring SET at = at + interval '1 ms' WHERE id = 2")
    m.run("verify", expect=1, timeout=120)
