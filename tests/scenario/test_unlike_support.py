"""The support of the scenarios between unlike engines: a comparison that finds nothing would make every test green."""
import os
import subprocess

import pytest

from godwit_support import library, unlike, writers
from godwit_support.doorway import Doorway
from godwit_support.waiting import wait_until

DAMAGES = ("UPDATE items SET n = n + 1 WHERE id = (SELECT id FROM (SELECT min(id) AS id FROM items) x)",
           "DELETE FROM items WHERE id = (SELECT id FROM (SELECT max(id) AS id FROM items) x)",
           "UPDATE counters SET n = n - 1 WHERE id = 1")


@pytest.fixture
def three(pair, new_mariadb_database, new_sqlite):
    """The library on MariaDB (events off: the heartbeat would write), SQLite and PostgreSQL."""
    sides = new_mariadb_database(settings={"event_scheduler": "OFF"}), new_sqlite(), pair[0]
    for side in sides:
        library.create(side)
        library.fill(side, size=200)
    return sides


def test_the_same_rows_read_equal_on_every_engine(three):
    maria, lite, postgres = three
    for left, right in ((maria, postgres), (lite, postgres), (maria, lite)):
        assert unlike.compare(left, right) == []


def test_the_comparison_finds_what_was_planted(three):
    maria, lite, postgres = three
    for change in ("UPDATE instrument SET length = 16777215 WHERE id = (SELECT max(id) FROM instrument)",
                   "UPDATE instrument SET weight = '-0' WHERE id = (SELECT min(id) FROM instrument WHERE weight = 0)",
                   "UPDATE member SET name = 'm ' WHERE id = 3",
                   "UPDATE maker SET closed = NULL WHERE id = (SELECT min(id) FROM maker WHERE closed IS NOT NULL)",
                   "DELETE FROM loan WHERE instrument_id = 7 AND no = 1",
                   "DELETE FROM setting WHERE name = 'A'",
                   "INSERT INTO event_log (at, kind) VALUES ('2021-03-28 00:30', 'same')"):
        before = unlike.compare(maria, postgres)
        postgres.owner_sql(change)
        assert len(unlike.compare(maria, postgres)) > len(before), change
    assert unlike.compare(maria, lite) == []


@pytest.mark.parametrize("engine", ("mysql", "sqlite"))
def test_writers_of_every_engine_find_what_was_lost(engine, new_mariadb_database, new_sqlite):
    database = new_mariadb_database() if engine == "mysql" else new_sqlite()
    writers.create_tables(database, ("items",), "counters", rows=100)
    with writers.Writers(database, ("items",), "counters", count=3, rows=100) as live:
        wait_until(lambda: live.committed > 150, 30, "the writers at work")
        live.stop()
    assert not live.errors, live.errors[:3]
    live.assert_nothing_lost(database)
    for damage in DAMAGES:
        before = len(live.lost_or_wrong(database))
        database.owner_sql(damage)
        assert len(live.lost_or_wrong(database)) == before + 1, damage



def test_clients_go_through_the_doorway_to_the_side_it_names(new_mariadb_database, new_sqlite, tmp_path):
    sides = {"blue": new_sqlite(), "green": new_mariadb_database()}
    for side in sides.values():
        writers.create_tables(side, ("items",), "counters", rows=60)
    door = Doorway(tmp_path / "door")
    shell = {name: door.gate()[name] for name in ("park", "point", "unpark", "probe")}

    def hook(step, **env):
        done = subprocess.run(["sh", "-c", shell[step]], check=True, env={**os.environ, **env}, stdout=subprocess.PIPE, timeout=20)
        return done.stdout.decode()
    with writers.Writers(sides, ("items",), "counters", count=3, rows=60, doorway=door) as live:
        wait_until(lambda: live.committed > 50, 30, "writes on blue")
        hook("park")
        at = live.committed
        assert hook("probe").split() == ["blue", "parked"]
        counts = [[side.value("SELECT n FROM counters WHERE id = 1") for side in sides.values()] for _ in range(20)]
        assert all(one == counts[0] for one in counts) and live.committed == at
        for name in ("items", "counters"):  # the move itself, by hand
            rows = sides["blue"].sql(f"SELECT * FROM {name}")
            sides["green"].sql(f"DELETE FROM {name}")
            for row in rows:
                sides["green"].sql(f"INSERT INTO {name} VALUES ({', '.join(['%s'] * len(row))})", row)
        hook("point", GODWIT_TARGET="green")
        hook("unpark")
        wait_until(lambda: live.committed > at + 50, 30, "writes on green")
        live.stop()
    assert not live.errors, live.errors[:3]
    live.assert_nothing_lost(sides["green"])
    assert live.lost_or_wrong(sides["blue"])
