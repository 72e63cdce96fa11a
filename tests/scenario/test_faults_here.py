"""Faults where godwit itself runs, and guards: full disks, clocks, signals, locks: a clear error, nothing lost."""
import os
import pathlib
import re
import signal
import subprocess

import pytest
from godwit_support import binary, compare, processes, roles, traps, writers
from godwit_support.runner import INTERRUPTED, NO, OK
from godwit_support.waiting import wait_until

# Does not shrink on its way through a log or a table.
NOISE = "(SELECT string_agg(md5(g::text), '') FROM generate_series(1, 400) g)"


def said(result):
    return result.stdout + result.stderr


def slots(database):
    return database.value("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()")


@pytest.fixture
def filled(pair, migration):
    writers.create_tables(pair[0], rows=300)
    return migration(*pair), *pair


# --- disk guards and locks ---

def test_the_disk_guard_gives_our_place_up_before_the_source_fills(filled):
    m, blue, green = filled
    m.store["follow"] = {"wal_limit": "1MB"}
    m.write()
    traps.load(m)
    runner = m.popen("run")
    wait_until(lambda: m.status()["streams"] and m.status()["verdict"]["verdict"] == "equal", 30, "the runner to follow")
    # What holds the log back is an applier that cannot go on.
    lock = green.connect("postgres", autocommit=False)
    lock.cursor().execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
    blue.owner_sql(f"UPDATE items SET payload = {NOISE}")
    runner.wait_output("disk guard", 40)
    wait_until(lambda: "given up" in traps.blocks(m), 20, "status to say so")
    assert slots(blue) == 0
    m.run("switch", *traps.FLIP, expect=NO)
    assert runner.stop(expect=OK).seconds < 60, "the lock on green held the runner up"
    lock.rollback()
    lock.close()
    m.run("status", "--check", expect=NO)
    m.run("abort", "--yes")


def test_the_disk_guard_acts_while_rows_are_being_loaded(filled):
    m, blue, green = filled
    m.store.update(follow={"wal_limit": "1MB"}, copy={"jobs": 1, "chunk_rows": 50})
    m.write()
    held = traps.Held(m, "copy.chunk.after_mark", "copy").wait()
    # A transaction of the application that stays open: its server keeps all of the log since.
    pin = blue.connect("app_owner", autocommit=False)
    pin.cursor().execute("UPDATE counters SET n = n")
    blue.owner_sql(f"UPDATE items SET payload = {NOISE}")
    held.process.wait_output("disk guard", 30)
    assert slots(blue) == 0
    refused = held.end(expect=NO)
    assert "given up" in refused.stderr.split("error:")[-1], refused
    pin.rollback()
    pin.close()
    again = m.run("copy", expect=NO)
    assert "abort" in said(again), again
    m.run("abort", "--yes")


def test_abort_does_not_wait_for_a_lock_that_the_applier_waits_for(filled):
    m, blue, green = filled
    traps.load(m)
    runner = m.popen("run")
    runner.wait_output("the runner stays", 30)
    lock = green.connect("postgres", autocommit=False)
    lock.cursor().execute("SELECT FROM items WHERE id = 5 FOR UPDATE")
    blue.owner_sql("UPDATE items SET n = 7 WHERE id = 5")
    waits = ("SELECT count(*) FROM pg_stat_activity WHERE usename = 'godwit' AND wait_event_type = 'Lock'"
             " AND datname = current_database()")
    wait_until(lambda: green.value(waits) > 0, 20, "the applier to wait for the lock")
    stopped = m.popen("abort", "--yes")
    wait_until(lambda: green.value(waits + " AND application_name = 'godwit apply'") == 0, 20, "the applier to be gone")
    lock.rollback()
    lock.close()
    assert stopped.wait(60).rc == OK
    runner.wait(20)


# --- full disks ---

@pytest.fixture
def small_disk(tmp_path):
    """small_disk(mib, owner=None): a folder on a file system of that size."""
    mounted = []

    def make(mib, for_server=False):
        place = processes.make_base_dir("gw-small-")
        if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=0755", "tmpfs", place], check=False,
                          stderr=subprocess.DEVNULL).returncode != 0:
            processes.remove_tree(place)
            pytest.skip("no file system can be mounted here")
        mounted.append(place)
        if for_server:
            processes.give_to_server_user(place)
        return place
    yield make
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=False)
        processes.remove_tree(place)


def use_up(path):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError):
        while True:
            os.write(descriptor, b"x" * 4096)
    os.close(descriptor)


def test_a_full_local_disk_stops_and_goes_on(filled, small_disk):
    m, blue, green = filled
    place = small_disk(4)
    m.config["state"] = f"{place}/state"
    m.write()
    traps.load(m)
    runner = m.popen("run")
    runner.wait_output("the runner stays", 30)
    ballast = os.path.join(place, "ballast")
    use_up(ballast)
    blue.owner_sql("UPDATE items SET payload = repeat('y', 3000)")
    wait_until(lambda: "space" in traps.blocks(m), 30, "status to say so")
    os.unlink(ballast)
    blue.owner_sql("UPDATE items SET n = 77 WHERE id = 7")
    wait_until(lambda: green.value("SELECT n FROM items WHERE id = 7") == 77, 60, "green to follow again")
    runner.stop()
    compare.assert_equal(blue, green)


def test_a_local_disk_that_is_full_from_the_start(filled, small_disk):
    m, blue, green = filled
    place = small_disk(4)
    m.config["state"] = f"{place}/state"
    m.write()
    ballast = os.path.join(place, "ballast")
    use_up(ballast)
    refused = m.run("copy", expect=INTERRUPTED)
    assert "space" in said(refused) or "full" in said(refused), refused
    os.unlink(ballast)
    m.run("copy")
    compare.assert_equal(blue, green)


@pytest.mark.timeout(180)
def test_a_full_disk_at_green_is_said_and_the_copy_goes_on(new_server, migration, small_disk):
    blue, green = roles.Database(new_server(name="blue")), roles.Database(new_server(name="green"))
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY, v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL;"
                   "INSERT INTO t SELECT i, repeat(md5(i::text), 300) FROM generate_series(1, 5000) i")
    place = small_disk(24, for_server=True)
    folder = os.path.join(place, "space")
    os.mkdir(folder, 0o700)
    processes.give_to_server_user(folder)
    green.server.psql(f"CREATE TABLESPACE small LOCATION '{folder}'")
    green.server.psql("GRANT CREATE ON TABLESPACE small TO godwit, app_owner")
    green.server.psql(f'ALTER DATABASE "{green.name}" SET default_tablespace = small')
    m = migration(blue, green, copy={"jobs": 2, "chunk_rows": 300})
    full = m.run("copy", expect=INTERRUPTED, timeout=120)
    assert "space" in said(full) and "green" in said(full), full
    subprocess.run(["mount", "-o", "remount,size=200m", place], check=True)
    resumed = m.run("copy", timeout=90)
    assert "skipped" in said(resumed), resumed
    compare.assert_equal(blue, green)


@pytest.mark.timeout(180)
def test_a_full_disk_at_blue_harms_nothing_of_ours(new_server, migration, small_disk):
    """Blue cannot write any more: godwit says what it hears, and goes on once there is room."""
    blue, green = roles.Database(new_server(name="blue")), roles.Database(new_server(name="green"))
    writers.create_tables(blue, rows=300)
    place = small_disk(12, for_server=True)
    folder = os.path.join(place, "space")
    os.mkdir(folder, 0o700)
    processes.give_to_server_user(folder)
    blue.server.psql(f"CREATE TABLESPACE small LOCATION '{folder}'")
    blue.sql("CREATE TABLE fills (v text) TABLESPACE small; ALTER TABLE fills OWNER TO app_owner;"
             "ALTER TABLE fills ALTER v SET STORAGE EXTERNAL")
    m = migration(blue, green)
    traps.load(m)
    runner = m.popen("run")
    wait_until(lambda: m.status()["streams"], 30, "the runner to follow")
    with pytest.raises(Exception):  # noqa: B017
        blue.owner_sql("INSERT INTO fills SELECT repeat(md5(i::text), 1000) FROM generate_series(1, 5000) i")
    blue.owner_sql("UPDATE items SET n = 3 WHERE id = 3")
    wait_until(lambda: green.value("SELECT n FROM items WHERE id = 3") == 3, 30, "green to follow")
    runner.stop()
    traps.catch_up(m)
    compare.assert_equal(blue, green)


# --- time and signals ---

def test_a_clock_that_jumps(filled, new_writers):
    m, blue, green = filled
    shim = pathlib.Path(binary()).parent / "tests/scenario/libclock_jump.so"
    clock = m.directory / "clock"
    clock.write_text("0")
    m.env.update(LD_PRELOAD=shim, GODWIT_TEST_CLOCK=clock)
    held = traps.Held(m, "copy.chunk.after_commit", "run").wait()
    live = new_writers(blue.dsn("app", with_password=True), rows=300, count=2, rate=80)
    clock.write_text(str(3 * 365 * 86400))
    held.go().process.wait_output("the runner stays", 30)
    for years in (-3, 0, 20, -20):
        clock.write_text(str(years * 365 * 86400))
        before = live.committed
        wait_until(lambda: live.committed > before + 40, 30, "writes")  # noqa: B023
        m.run("verify")
        assert not re.search(r"-\d+(d|h|m| s| ms)", m.run("status").stdout), m.run("status")
    live.stop()
    for years, words in ((0, "old, and verify.max_age"), (-21, "has yet to reach")):
        clock.write_text(str(years * 365 * 86400))
        assert words in said(m.run("switch", "--yes", "--ignore-sessions", expect=NO))
    clock.write_text("0")
    m.run("verify")
    switched = m.run("switch", "--yes", "--ignore-sessions")
    assert "switched" in said(switched), switched
    clock.write_text(str(-20 * 365 * 86400))
    refused = m.run("finish", "--yes", expect=NO)
    assert "retention" in said(refused), refused
    m.run("rollback", "--yes", "--ignore-sessions")
    held.process.stop()
    live.assert_nothing_lost(green)
    compare.assert_equal(blue, green)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_mid_copy_is_interrupted_and_resumable(filled, number):
    m, blue, green = filled
    m.store["copy"] = {"jobs": 1, "chunk_rows": 50}
    m.write()
    held = traps.Held(m, "copy.chunk.after_commit", "copy").wait()
    held.process.signal(number)
    held.end(expect=INTERRUPTED)
    resumed = m.run("copy")
    assert "skipped" in said(resumed), resumed
    compare.assert_equal(blue, green)


def test_sigterm_stops_follow_and_run_cleanly(filled):
    m, blue, green = filled
    traps.load(m)
    for command in (("follow",), ("run",)):
        process = m.popen(*command)
        blue.owner_sql("UPDATE items SET n = n + 1 WHERE id = 1")
        wait_until(lambda: green.value("SELECT n FROM items WHERE id = 1") == blue.value("SELECT n FROM items WHERE id = 1"),
                   30, "green to follow")
        process.stop(expect=OK)
    assert blue.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'godwit' AND datname = %s", (blue.name,)) == 0


def test_sigkill_leaves_nothing_that_the_next_start_cannot_use(filled):
    m, blue, green = filled
    m.popen("run").wait_output("copied", 40)
    for process in m._running:
        process.kill()
    m.run("verify")
    compare.assert_equal(blue, green)
