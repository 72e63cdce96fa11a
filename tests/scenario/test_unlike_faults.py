"""Servers, logs, definitions and files that change under a move between engines: clear words, nothing lost, and it goes on
or says the way on.
"""
import os

import pytest
from godwit_support import roles, traps, writers
from godwit_support.runner import NO, UNREACHABLE
from godwit_support.waiting import wait_until

ROWS = 60


def said(result):
    return result.stdout + result.stderr


def fill(blue, rows=ROWS):
    writers.create_tables(blue, ("items",), "counters", rows=rows)


def rows_of(side):
    return [tuple(str(value) for value in row) for row in side.sql("SELECT id, n FROM items ORDER BY id")]


def assert_same(blue, green):
    assert rows_of(blue) == rows_of(green)


def loaded(blue, green, migration):
    """All is copied, and nobody follows at the moment."""
    fill(blue)
    m = migration(blue, green, switch={"pause_budget": "20s"})
    traps.load(m)
    return blue, green, m


@pytest.fixture
def maria(new_mariadb_database, new_database, migration):
    return loaded(new_mariadb_database(), new_database(), migration)


@pytest.fixture
def lite(new_sqlite, new_database, migration):
    return loaded(new_sqlite(), new_database(), migration)


def running(m):
    runner = m.popen("run")
    wait_until(lambda: m.status()["stage"] == "follow" and m.status()["verdict"]["verdict"] == "equal", 60, "the runner to follow")
    return runner


# --- servers that are killed ---

@pytest.mark.parametrize("which", ["blue", "green"])
def test_a_server_killed_in_mid_copy(new_mariadb_database, new_server, migration, which):
    server = new_server(name="green")
    blue, green = new_mariadb_database(), roles.Database(server)
    fill(blue, 2000)
    m = migration(blue, green, copy={"jobs": 2, "chunk_rows": 100})
    held = traps.Held(m, "copy.chunk.before_commit", "copy").wait()
    victim = {"blue": blue, "green": green}[which].server
    victim.kill()
    held.go()
    victim.start()
    held.end(timeout=90)
    assert_same(blue, green)


def test_servers_killed_in_mid_follow_go_on_by_themselves(new_mariadb_database, new_server, migration):
    server = new_server(name="green")
    blue, green = new_mariadb_database(), roles.Database(server)
    fill(blue)
    m = migration(blue, green)
    runner = running(m)
    for turn, victim in enumerate((blue, green, blue, green)):
        blue.sql(f"UPDATE items SET n = n + 1;\nINSERT INTO items (id, n) VALUES ({9000 + turn}, 1)")
        victim.server.kill()
        victim.server.start()
    blue.sql("INSERT INTO items (id, n) VALUES (9999, 1)")
    wait_until(lambda: green.value("SELECT count(*) FROM items WHERE id = 9999") == 1, 60, "the last row on green")
    assert runner.alive(), runner.wait()
    runner.stop()
    m.run("verify")
    assert_same(blue, green)


# --- a log that goes away ---

def test_a_binlog_purged_while_nobody_followed(maria):
    blue, green, m = maria
    blue.sql("INSERT INTO items (id, n) VALUES (9000, 1);\nFLUSH BINARY LOGS;\nFLUSH BINARY LOGS")
    last = blue.sql("SHOW BINARY LOGS")[-1][0]

    def purged():
        blue.sql(f"PURGE BINARY LOGS TO '{last}'")  # kept while a session that nobody holds any more seems to read it
        return blue.sql("SHOW BINARY LOGS")[0][0] == last
    wait_until(purged, 30, "the server to purge")
    refused = m.run("follow", "--until", "caught-up", expect=NO)
    assert "no longer" in said(refused) and "abort" in said(refused), refused
    assert "lost" in traps.blocks(m), traps.blocks(m)
    m.run("switch", *traps.FLIP, expect=NO)
    m.run("abort", "--yes")


def test_a_binlog_begun_anew(maria):
    """RESET MASTER leaves a reader at the end of the old log, with heartbeats and no changes for ever."""
    blue, green, m = maria
    runner = running(m)
    blue.sql("INSERT INTO items (id, n) VALUES (9000, 1)")
    blue.sql("RESET MASTER")
    for i in range(20):
        blue.sql(f"INSERT INTO items (id, n) VALUES ({9001 + i}, 1)")
    wait_until(lambda: "blue>green stands still" in runner.stderr, 40, "the runner to say it")
    assert "no longer holds" in traps.blocks(m)
    runner.stop(expect=None)
    refused = m.run("follow", "--until", "caught-up", expect=NO)
    assert "lost" in traps.blocks(m) and "abort" in said(refused), refused
    m.run("switch", *traps.FLIP, expect=NO)
    m.run("abort", "--yes")


# --- definitions that change ---

def stopped_by_ddl(m):
    said_of_it = said(m.run("follow", "--until", "caught-up", expect=NO)) + traps.blocks(m)
    assert "definition" in said_of_it, said_of_it
    m.run("switch", *traps.FLIP, expect=NO)


@pytest.mark.parametrize("ddl, change", [
    ("ALTER TABLE items ADD COLUMN extra int DEFAULT 5 FIRST", "UPDATE items SET n = 7 WHERE id = 1"),
    ("ALTER TABLE items MODIFY n bigint unsigned", "UPDATE items SET n = 7 WHERE id = 1"),
    ("RENAME TABLE items TO other", "UPDATE other SET n = 7 WHERE id = 1"),
])
def test_ddl_on_mariadb_is_noticed(maria, ddl, change):
    blue, _, m = maria
    blue.sql(ddl)
    blue.sql(change)
    stopped_by_ddl(m)


@pytest.mark.parametrize("ddl, change", [
    ("ALTER TABLE items ADD COLUMN extra int DEFAULT 5", "UPDATE items SET n = 7 WHERE id = 1"),
    ("CREATE TABLE other AS SELECT * FROM items; DROP TABLE items; ALTER TABLE other RENAME TO items",
     "UPDATE items SET n = 7 WHERE id = 1"),
    ("DROP TRIGGER godwit_log_1_au; DROP TRIGGER godwit_log_2_au", "UPDATE items SET n = 7 WHERE id = 1"),
])
def test_ddl_on_sqlite_is_noticed(lite, ddl, change):
    blue, _, m = lite
    blue.sql(ddl)
    blue.sql(change)
    stopped_by_ddl(m)


# --- SQLite: a file that others can take away ---

def side_files(path):
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm")]


def restore(blue, backup, in_place):
    for path in side_files(blue.path):
        path.unlink(missing_ok=True)
    if in_place:
        blue.path.write_bytes(backup.read_bytes())
    else:
        os.replace(backup, blue.path)


@pytest.mark.parametrize("in_place", [False, True])
def test_a_file_restored_from_a_backup_and_written_on(lite, in_place, tmp_path):
    """The numbers of its log come again, with other changes behind them."""
    blue, green, m = lite
    backup = tmp_path / "backup.db"
    blue.sql(f"VACUUM INTO '{backup}'")
    blue.sql("UPDATE items SET n = n + 1")
    traps.catch_up(m)
    restore(blue, backup, in_place)
    for i in range(ROWS * 2):
        blue.sql(f"INSERT INTO items (id, n) VALUES ({9000 + i}, 1)")
    refused = m.run("follow", "--until", "caught-up", expect=NO)
    assert "restored to an earlier state" in said(refused) and "abort" in said(refused), refused
    assert "lost" in traps.blocks(m)
    m.run("switch", *traps.FLIP, expect=NO)
    m.run("abort", "--yes")


def test_a_file_replaced_under_the_runner(lite, tmp_path):
    """What the runner has open nobody else sees any more."""
    blue, green, m = lite
    backup = tmp_path / "backup.db"
    blue.sql(f"VACUUM INTO '{backup}'")
    runner = running(m)
    blue.sql("UPDATE items SET n = n + 1")
    wait_until(lambda: green.value("SELECT min(n) FROM items") == 1, 30, "the change on green")
    restore(blue, backup, in_place=False)
    wait_until(lambda: "blue>green stands still" in runner.stderr, 40, "the runner to say it")
    m.run("switch", "--yes", "--ignore-sessions", expect=NO)
    runner.stop(expect=None)
    assert "lost" in traps.blocks(m)


def test_a_file_taken_away_and_put_back(lite, tmp_path):
    blue, green, m = lite
    runner = running(m)
    paths = [blue.path, *side_files(blue.path)]
    for path in paths:
        if path.exists():
            os.replace(path, tmp_path / path.name)
    wait_until(lambda: "blue" in traps.blocks(m), 30, "status to say that blue cannot be asked")
    m.run("switch", "--yes", "--ignore-sessions", expect=UNREACHABLE)
    for path in paths:
        if (tmp_path / path.name).exists():
            os.replace(tmp_path / path.name, path)
    blue.sql("UPDATE items SET n = 7 WHERE id = 1")
    wait_until(lambda: green.value("SELECT n FROM items WHERE id = 1") == 7, 40, "the change on green")
    runner.stop()
    m.run("verify")
    assert_same(blue, green)
