"""The traps of switch and gate on real servers: one owner at a time, never parked, nothing lost, both ways."""
import signal
import time

import psycopg2
import pytest
from godwit_support import compare, roles, traps, writers
from godwit_support.pgbouncer import ADMIN, ADMIN_PASSWORD
from godwit_support.waiting import wait_until


def gate_of(bouncer, **more):
    return {"type": "pgbouncer", "database": "app", "ini": str(bouncer.ini()),
            "admin": f"postgresql://{ADMIN}:{ADMIN_PASSWORD}@127.0.0.1:{bouncer.port}/pgbouncer", **more}


def app_dsn(bouncer):
    return f"host=127.0.0.1 port={bouncer.port} dbname=app user=app password={roles.PASSWORDS['app']}"


@pytest.fixture
def loaded(pair, migration, new_pgbouncer):
    """(m, blue, green, bouncer), loaded and verified, with a gate whose lease is short."""
    blue, green = pair
    writers.create_tables(blue, rows=300)
    bouncer = new_pgbouncer(blue)
    m = migration(blue, green, gate=gate_of(bouncer, lease="1s"), switch={"pause_budget": "3s", "lock_timeout": "1s"})
    traps.load(m)
    m.run("verify")
    return m, blue, green, bouncer


def said(result):
    return result.stdout + result.stderr


# --- the controller dies while traffic is parked ---

@pytest.mark.alone
@pytest.mark.parametrize("point", ["gate.park.parked", "postgres.fence.before_commit", "switch.before_flip",
                                   "switch.between_flips", "gate.point.before_ini", "gate.unpark.before_resume"])
def test_the_controller_killed_while_parked_clients_go_on_within_two_seconds(loaded, new_writers, point):
    m, blue, green, bouncer = loaded
    live = new_writers(app_dsn(bouncer), rows=300, count=3, rate=100, retry=False)
    wait_until(lambda: live.committed > 20, 20, "the workload")
    held = traps.Held(m, point, "switch", *traps.FLIP).wait()
    held.process.popen.kill()
    died = time.monotonic()
    held.go()
    before = live.committed
    wait_until(lambda: live.committed > before + 6, 10, "traffic to go on")
    took = time.monotonic() - died
    # The last command: whatever is left of the switch is resolved by it.
    traps.catch_up(m)
    owner = m.status()["owner"]
    before = live.committed
    wait_until(lambda: live.committed > before + 10, 10, "traffic to go on")
    live.stop()
    assert not live.errors, live.errors[:5]
    assert took < 2.5, f"{took:.1f} s until traffic went on"
    traps.catch_up(m)
    compare.assert_equal(blue, green)
    for side in (blue, green):
        live.assert_nothing_lost(side)
    other = blue if owner == "green" else green
    with pytest.raises(psycopg2.Error) as refused:
        other.sql("UPDATE items SET n = n WHERE false", user="app")
    assert "godwit" in str(refused.value)


# --- the fence ---

def test_an_older_snapshot_and_every_way_around_meet_the_fence(loaded):
    m, blue, green, bouncer = loaded
    old = blue.connect("app", autocommit=False)
    old.set_session(isolation_level="REPEATABLE READ")
    with old.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM items")
    prepared = blue.connect("app")
    with prepared.cursor() as cursor:
        cursor.execute("PREPARE w AS UPDATE items SET n = n + 1 WHERE id = $1")
    traps.to_green(m)
    with pytest.raises(psycopg2.Error), old.cursor() as cursor:
        cursor.execute("UPDATE items SET n = n + 1 WHERE id = 1")
    with pytest.raises(psycopg2.Error), prepared.cursor() as cursor:
        cursor.execute("EXECUTE w(1)")
    for user in ("app", "app_owner", "postgres"):
        for statement in ("INSERT INTO items (id, n) VALUES (-5, 0)", "DELETE FROM items WHERE id = 1", "TRUNCATE items",
                          "SET session_replication_role = replica; UPDATE items SET n = 1",
                          "SET default_transaction_read_only = off; UPDATE items SET n = 1",
                          "MERGE INTO items t USING (VALUES (1)) v(i) ON t.id = v.i WHEN MATCHED THEN DELETE",
                          "WITH w AS (UPDATE items SET n = 1 RETURNING 1) SELECT * FROM w",
                          "COPY items (id, n) FROM PROGRAM 'echo 77777,1' (FORMAT csv)",
                          "INSERT INTO items (id, n) VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET n = 1"):
            with pytest.raises(psycopg2.Error):
                blue.sql(statement, user=user)
    old.close()
    prepared.close()
    traps.catch_up(m)
    compare.assert_equal(blue, green)


@pytest.mark.alone
def test_a_writer_that_does_not_end_undoes_the_switch_within_the_budget(loaded, new_writers):
    m, blue, green, bouncer = loaded
    around = blue.connect("app", autocommit=False, application_name="long-report")
    around.cursor().execute("UPDATE items SET n = 5 WHERE id = 299")
    live = new_writers(app_dsn(bouncer), rows=298, count=3, rate=100, retry=False)
    wait_until(lambda: live.committed > 20, 20, "the workload")
    refused = m.run("switch", *traps.FLIP, expect=1)
    assert "long-report" in said(refused), refused
    assert m.status()["owner"] == "blue" and m.status()["stage"] == "follow"
    before = live.committed
    wait_until(lambda: live.committed > before + 10, 10, "traffic to go on")
    live.stop()
    assert not live.errors, live.errors[:5]
    assert live.worst_latency_s < 4, f"the budget was 3 s, a client waited {live.worst_latency_s:.1f} s"
    around.rollback()
    around.close()


def test_readers_with_long_transactions_do_not_hold_up_the_pause(loaded):
    m, blue, green, bouncer = loaded
    readers = []
    for side in (blue, green):
        readers.append(side.connect("app", autocommit=False, application_name="reader"))
        with readers[-1].cursor() as cursor:
            cursor.execute("SELECT sum(n) FROM items")
    result = m.run("switch", *traps.FLIP, "--json")
    assert result.json["pause_ms"] < 1500, result
    for reader in readers:
        reader.rollback()
        reader.close()


def test_sessions_around_the_gate_are_named_and_block(loaded):
    m, blue, green, bouncer = loaded
    around = blue.connect("app", application_name="cron-at-night")
    refused = m.run("switch", "--yes", expect=1)
    assert "cron-at-night" in said(refused), str(refused)
    assert m.status()["owner"] == "blue"
    around.close()
    m.run("switch", "--yes")


def test_a_hole_in_the_fence_is_found_before_traffic_is_parked(loaded):
    m, blue, green, bouncer = loaded
    blue.sql("ALTER TABLE items DISABLE TRIGGER USER")
    refused = m.run("switch", *traps.FLIP, expect=1)
    assert "items" in said(refused), refused
    assert bouncer.admin("SHOW DATABASES")[0]["paused"] in (0, "0")


# --- foreign writes ---

def test_a_foreign_write_on_green_is_reported_blocks_and_is_not_sent_back(loaded):
    m, blue, green, bouncer = loaded
    green.sql("ALTER TABLE items DISABLE TRIGGER godwit_fence; UPDATE items SET n = 4711 WHERE id = 3;"
              " INSERT INTO items (id, n) VALUES (-77, 1); ALTER TABLE items ENABLE ALWAYS TRIGGER godwit_fence")
    runner = m.popen("run")
    wait_until(lambda: m.status().get("quarantine"), 30, "the foreign write to be seen")
    refused = m.run("switch", *traps.FLIP, expect=1)
    assert "green" in said(refused) and "not the owner" in said(refused), refused
    assert blue.value("SELECT n FROM items WHERE id = 3") == 0
    assert blue.value("SELECT count(*) FROM items WHERE id = -77") == 0
    verdict = m.run("verify", expect=1)
    assert "different" in said(verdict), verdict
    assert m.run("status", "--check", expect=1)
    runner.stop()


def test_the_first_write_on_the_new_owner_is_never_taken_for_a_foreign_one(pair, migration):
    """Without a gate the application tries all the time: its first write lands right behind the fence going down."""
    blue, green = pair
    writers.create_tables(blue, rows=50)
    m = migration(blue, green)
    traps.load(m)
    runner = m.popen("run")
    wait_until(lambda: m.status()["verdict"]["verdict"] == "equal", 30, "the runner to follow and verify")
    for command, side in (("switch", green), ("rollback", blue)) * 3:
        process = m.popen(command, *traps.FLIP)
        connection = side.connect("app")

        def written():
            flipping = process.alive()
            try:
                with connection.cursor() as cursor:
                    cursor.execute("UPDATE items SET n = n + 1 WHERE id = 1")
                return True
            except psycopg2.Error:
                if not flipping:
                    raise RuntimeError(str(process.result())) from None
                return False
        wait_until(written, 30, "a first write on the new owner", interval=0)
        connection.close()
        assert process.wait(60).rc == 0, process.result()
        assert m.status()["quarantine"] == 0, m.status()
    # A last write after which the other direction must have been applied.
    m.run("switch", *traps.FLIP)
    wait_until(lambda: green.value("SELECT n FROM items WHERE id = 1") == 6, 10, "all six writes on green")
    assert blue.value("SELECT n FROM items WHERE id = 1") == 6
    assert m.status()["quarantine"] == 0
    runner.stop()


# --- sequences ---

def test_nextval_that_races_the_switch_never_gives_a_value_twice(loaded):
    """Inserts by default through the gate over switch and back; every id that was given out is given once."""
    m, blue, green, bouncer = loaded
    m.run("abort", "--yes")
    green.server.psql(f'DROP DATABASE "{green.name}" WITH (FORCE)')
    fresh = roles.Database(green.server, green.name)
    blue.owner_sql("CREATE TABLE given (id bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp());"
                   "ALTER SEQUENCE given_id_seq CACHE 7")
    traps.load(m)
    import threading
    ids, errors, over = [], [], threading.Event()

    def insert():
        connection = psycopg2.connect(app_dsn(bouncer))
        connection.autocommit = True
        with connection.cursor() as cursor:
            while not over.is_set():
                try:
                    cursor.execute("INSERT INTO given DEFAULT VALUES RETURNING id")
                    ids.append(cursor.fetchone()[0])
                except psycopg2.Error as error:
                    errors.append(str(error))
                over.wait(0.002)
        connection.close()
    threads = [threading.Thread(target=insert, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for flip in (traps.to_green, traps.to_blue, traps.to_green):
        before = len(ids)
        wait_until(lambda: len(ids) > before + 20, 20, "inserts")  # noqa: B023
        flip(m)
    before = len(ids)
    wait_until(lambda: len(ids) > before + 20, 20, "inserts")
    over.set()
    for thread in threads:
        thread.join(20)
    assert not errors, errors[:3]
    assert len(ids) == len(set(ids)) == fresh.value("SELECT count(*) FROM given")
    traps.catch_up(m)
    compare.assert_equal(blue, fresh)


# --- order of commands ---

def test_commands_out_of_their_stage_are_refused_with_what_is_possible(pair, migration):
    blue, green = pair
    writers.create_tables(blue, rows=20)
    m = migration(blue, green)
    for command in (("switch", "--yes"), ("rollback", "--yes"), ("finish", "--yes", "--now", "--no-archive")):
        refused = m.run(*command, expect=(1, 2))
        assert "possible" in said(refused), refused
    traps.load(m)
    for command in (("rollback", "--yes"), ("finish", "--yes", "--now", "--no-archive")):
        m.run(*command, expect=1)
    assert "verify" in said(m.run("switch", "--yes", "--ignore-sessions", expect=1)), "an unverified switch was let through"
    traps.to_green(m)
    assert "rollback" in said(m.run("abort", "--yes", expect=1))
    m.run("switch", *traps.FLIP, expect=1)
    assert m.status()["owner"] == "green"
    m.run("finish", "--yes", expect=1)
    traps.to_blue(m)
    m.run("abort", "--yes")
    m.run("abort", "--yes")
    assert m.status()["stage"] == "aborted"


def test_a_switch_without_confirmation_does_nothing(loaded):
    m, blue, green, bouncer = loaded
    refused = m.run("switch", "--ignore-sessions", stdin="acme\n", expect=2)
    assert "--yes" in said(refused), refused
    assert m.status()["owner"] == "blue"
    dry = m.run("switch", "--dry-run", "--ignore-sessions")
    assert "1." in said(dry) and m.status()["owner"] == "blue"


def test_rehearse_under_load_changes_nothing_and_breaks_nobody(loaded, new_writers):
    m, blue, green, bouncer = loaded
    live = new_writers(app_dsn(bouncer), rows=300, count=4, rate=150, retry=False)
    wait_until(lambda: live.committed > 20, 20, "the workload")
    epoch = blue.value("SELECT epoch FROM godwit.owner")
    for _ in range(3):
        m.run("switch", "--rehearse", "--ignore-sessions", "--unverified")
    assert blue.value("SELECT epoch FROM godwit.owner") == epoch
    before = live.committed
    wait_until(lambda: live.committed > before + 10, 10, "traffic to go on")
    live.stop()
    assert not live.errors, live.errors[:5]
    assert m.status()["owner"] == "blue" and m.status()["stage"] == "follow"


def test_a_switch_interrupted_by_its_operator_is_undone(loaded, new_writers):
    m, blue, green, bouncer = loaded
    live = new_writers(app_dsn(bouncer), rows=300, count=3, rate=100, retry=False)
    wait_until(lambda: live.committed > 20, 20, "the workload")
    held = traps.Held(m, "gate.park.parked", "switch", *traps.FLIP).wait()
    held.process.signal(signal.SIGTERM)
    result = held.end(expect=5)
    assert "undone" in said(result), result
    before = live.committed
    wait_until(lambda: live.committed > before + 10, 10, "traffic to go on")
    live.stop()
    assert not live.errors and m.status()["owner"] == "blue" and m.status()["stage"] == "follow"


def test_an_interrupt_behind_the_flip_is_too_late_and_holds_up_nothing(loaded, new_writers):
    m, blue, green, bouncer = loaded
    live = new_writers(app_dsn(bouncer), rows=300, count=3, rate=100, retry=False)
    wait_until(lambda: live.committed > 20, 20, "the workload")
    held = traps.Held(m, "gate.point.before_ini", "switch", *traps.FLIP).wait()
    held.process.signal(signal.SIGTERM)
    result = held.end(expect=0)
    assert result.seconds < 10, result
    before = live.committed
    wait_until(lambda: live.committed > before + 10, 10, "traffic to go on")
    live.stop()
    assert not live.errors and m.status()["owner"] == "green" and m.status()["stage"] == "retain"
    traps.catch_up(m)
    live.assert_nothing_lost(blue)


def test_an_interrupted_switch_without_a_gate_leaves_blue_writable(pair, migration):
    blue, green = pair
    writers.create_tables(blue, rows=50)
    m = migration(blue, green)
    traps.load(m)
    held = traps.Held(m, "postgres.fence.before_commit", "switch", *traps.FLIP).wait()
    held.process.signal(signal.SIGTERM)
    held.end(expect=5)
    blue.sql("UPDATE items SET n = 1 WHERE id = 1", user="app")
    assert m.status()["owner"] == "blue"
