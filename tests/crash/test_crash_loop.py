"""kill -9 at the named crash points, one after the other, under a live workload: see loop.py. So many migrations, however
fast the machine is; ./dev soak goes on for as long as one likes."""
import os
import signal
import time

import pytest
from godwit_support import binary, compare, roles, traps, writers
from godwit_support.pgbouncer import ADMIN, ADMIN_PASSWORD
from godwit_support.runner import require_binary
from godwit_support.waiting import wait_until

import loop
import pairs

ROUNDS = int(os.environ.get("GODWIT_CRASH_ROUNDS", "8"))
PAIR_ROUNDS = int(os.environ.get("GODWIT_CRASH_PAIR_ROUNDS", "2"))
SEED = int(os.environ.get("GODWIT_CRASH_SEED", "20240229"))


def enough(rounds):
    return lambda done, chooser: done.rounds >= rounds or (done.rounds > 0 and not chooser.to_visit)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_killed_at_every_point_and_resumed_nothing_is_lost(servers, capsys):
    points = loop.crash_points(require_binary())
    assert len(points) > 40, "this binary was built without crash points"
    crash = loop.Loop(servers, points, SEED)
    report = crash.run(enough(ROUNDS))
    with capsys.disabled():
        print(f"\ncrash loop, seed {SEED}: {report.summary()}")
        if crash.chooser.to_visit:
            print(f"  not come to: {', '.join(sorted(crash.chooser.to_visit))}")
    assert report.killed >= 40, report.summary()
    assert report.differences == report.lost == report.both_writable == 0
    assert report.probes > 100, "nobody looked whether two sides were writable"


# What the loop above does not come to, and places that every migration has.
PAIR_POINTS = ("lite.", "mysql.", "apply.", "build.", "mapping.", "follow.cascade.", "capture.", "postgres.capture.",
               "copy.chunk.after_commit", "load.after_commit", "follow.apply.after_commit", "switch.between_flips",
               "postgres.owner.", "gate.point.before_hook", "end.after_drop")


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["mariadb", "mariadb-trigger", "sqlite", "trigger"])
def test_killed_between_unlike_sides_and_resumed_nothing_is_lost(kind, capsys):
    """A migration at the least, killed at each place that this kind of pair alone has; ./dev soak --pair has the rest."""
    pair = pairs.PAIRS[kind]
    points = [point for point in loop.crash_points(require_binary()) if point.startswith(PAIR_POINTS)]
    with pair.servers() as servers:
        crash = loop.Loop(servers, points, SEED, random_moments=0, round_of=pair.round_of, never=pair.never)
        report = crash.run(enough(PAIR_ROUNDS))
    with capsys.disabled():
        print(f"\ncrash loop, {pair.title}, seed {SEED}: {report.summary()}")
        if crash.chooser.to_visit:
            print(f"  not come to: {', '.join(sorted(crash.chooser.to_visit))}")
    assert report.killed >= 8, report.summary()
    assert report.differences == report.lost == report.both_writable == 0
    assert report.probes > 10, "nobody looked whether two sides were writable"


def test_a_flip_that_the_watchdog_completes_under_a_frozen_switch_loses_nothing(pair, migration, new_pgbouncer):
    """Frozen between the two flips past its lease: the watchdog carries forward and traffic writes on green, while the
    frozen process still follows both sides. It wakes up, and the way back must hold every write."""
    frozen_switch(pair, migration, new_pgbouncer, "switch.between_flips", "green")


@pytest.mark.parametrize("point", ["switch.before_flip", "postgres.fence.before_commit"])
def test_a_switch_frozen_past_its_lease_can_not_flip_any_more(pair, migration, new_pgbouncer, point):
    frozen_switch(pair, migration, new_pgbouncer, point, "blue")


def frozen_switch(pair, migration, new_pgbouncer, point, owner):
    blue, green = pair
    writers.create_tables(blue, rows=300)
    bouncer = new_pgbouncer(blue)
    gate = {"type": "pgbouncer", "database": "app", "ini": str(bouncer.ini()), "lease": "1s",
            "admin": f"postgresql://{ADMIN}:{ADMIN_PASSWORD}@127.0.0.1:{bouncer.port}/pgbouncer"}
    m = migration(blue, green, gate=gate)
    traps.load(m)
    dsn = f"host=127.0.0.1 port={bouncer.port} dbname=app user=app password={roles.PASSWORDS['app']}"
    with writers.Writers(dsn, rows=300, count=3, rate=150) as live:
        wait_until(lambda: live.committed > 20, 20, "the workload")
        held = traps.Held(m, point, "switch", *traps.FLIP).wait()
        sides = loop.TwoSides(blue, green)
        sides.start()
        began, before = time.monotonic(), live.committed
        wait_until(lambda: live.committed > before + 10, 15, "traffic to go on without the frozen process")
        # The lease covers the whole pause budget (5 s) and a second, however short it is in the file.
        assert time.monotonic() - began < 6 + 2 + 2, "the lease of 6 s and 2 s of the watchdog were over long ago"
        held.end(expect=None)
        # Whatever it said, the sides agree on one owner, and traffic flows there.
        wait_until(lambda: m.status()["stage"] in ("follow", "retain") or m.run(
            "follow", "--until", "caught-up", expect=None) is None, 30, "the switch to be resolved")
        assert m.status()["owner"] == owner
        before = live.committed
        wait_until(lambda: live.committed > before + 10, 15, "traffic to go on")
        sides.stop()
        assert not sides.both
        live.stop()
    assert not live.errors, live.errors[:5]
    traps.catch_up(m)
    for side in (blue, green):
        live.assert_nothing_lost(side)
    compare.assert_equal(blue, green)
    m.run("verify")
    back = "rollback" if owner == "green" else "switch"
    m.run(back, "--yes", "--ignore-sessions")


def test_killed_with_its_watchdog_in_a_rehearsal_without_a_gate_blue_stays_writable(pair, migration):
    """A rehearsal that dies between raising the fence and lowering it: the next command must lower it."""
    blue, green = pair
    writers.create_tables(blue, rows=50)
    m = migration(blue, green)
    traps.load(m)
    m.run("verify")
    died = m.popen("switch", "--rehearse", "--ignore-sessions", env={"GODWIT_CRASH_AT": "switch.after_step:3"}).wait(30)
    assert died.rc == -signal.SIGKILL, died
    traps.catch_up(m)
    assert loop.writable(blue) is True
    assert loop.writable(green) is not True


def test_killed_while_the_fence_waits_for_a_writer_no_fence_comes_up_later(pair, migration):
    """The server goes on with what it was sent: a lock that is granted after the kill must not set the flag."""
    blue, green = pair
    writers.create_tables(blue, rows=50)
    m = migration(blue, green)
    traps.load(m)
    m.run("verify")
    writer = blue.connect("app", autocommit=False)
    writer.cursor().execute("UPDATE items SET n = 1 WHERE id = 1")
    switch = m.popen("switch", *traps.FLIP)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND usename = 'godwit' AND wait_event_type = 'Lock'"
    wait_until(lambda: blue.value(waits, (blue.name,)) > 0, 20, "the fence to wait for the writer")
    switch.popen.kill()
    switch.wait()
    writer.commit()
    writer.close()
    wait_until(lambda: blue.value(waits, (blue.name,)) == 0, 20, "the session left behind to end")
    if m.status()["stage"] == "switch":
        traps.catch_up(m)
    wait_until(lambda: loop.writable(blue) is True, 5, "blue to take writes")
    assert loop.writable(green) is not True


@pytest.mark.timeout(300)
def test_servers_killed_and_networks_cut_at_random_lose_nothing(own_pair, new_proxy):
    """Two rounds of the loop through proxies that reset and go silent, on servers that are killed and started again."""
    blue, green = own_pair
    faults = loop.Faults((blue.server, green.server), seed=SEED)
    try:
        points = loop.crash_points(str(binary()))
        crash = loop.Loop((blue.server, green.server), points, SEED, faults=faults)
        report = crash.run(lambda done, chooser: done.rounds >= 1)
    finally:
        faults.close()
    assert report.differences == report.lost == report.both_writable == 0
    assert faults.counts["server killed"] and faults.counts["network cut"], faults.counts


@pytest.mark.parametrize("point", ["verify.keep.before_commit:3", "verify.keep.after_commit:2"])
def test_a_verify_that_was_killed_is_gone_on_with_and_misses_nothing(pair, migration, point):
    """20 tables: some were looked at before the kill, and are not read again. Then errors on green in half of them."""
    blue, green = pair
    for i in range(20):
        blue.owner_sql(f"CREATE TABLE t{i} (id {'text' if i % 2 else 'int'} PRIMARY KEY, v text);"
                       f"INSERT INTO t{i} SELECT n, md5(n::text) FROM generate_series(1, 200) n")
    m = migration(blue, green, verify={"checkpoint": "1ms"})
    traps.load(m)
    died = m.popen("verify", env={"GODWIT_CRASH_AT": point}).wait(30)
    assert died.rc == -signal.SIGKILL, died
    report = m.run("verify", "--json").json
    assert report["verdict"] == "equal" and report["rows"] == 4000
    assert 0 < report["rows_resumed"] < 4000 and report["resumed"]
    fresh = m.run("verify", "--json").json
    assert "resumed" not in fresh, "a verify that ended is not gone on with"

    connection = green.connect("postgres")
    for i in range(0, 20, 2):
        for (trigger,) in green.sql("SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass", (f"public.t{i}",)):
            connection.cursor().execute(f'ALTER TABLE t{i} DISABLE TRIGGER "{trigger}"')
        connection.cursor().execute(f"UPDATE t{i} SET v = 'wrong' WHERE id = '{i + 1}'")
    connection.close()
    died = m.popen("verify", env={"GODWIT_CRASH_AT": point}).wait(30)
    assert died.rc == -signal.SIGKILL, died
    report = m.run("verify", "--json", expect=1).json
    assert {c["collection"]: c["changed"] for c in report["collections"]} == {f"public.t{i}": 1 - i % 2 for i in range(20)}
