"""Capture by triggers: servers whose log nobody lets us read, and a role that owns the tables and nothing more."""
import pytest
from godwit_support import compare, roles, runner
from godwit_support.waiting import wait_until
from test_journey import app_dsn, fill, gate_of
from test_plan import psql

OWNER_ONLY = f"""
CREATE ROLE app_owner LOGIN PASSWORD '{roles.PASSWORDS["app_owner"]}';
CREATE ROLE app LOGIN PASSWORD '{roles.PASSWORDS["app"]}';
CREATE ROLE godwit;
"""


@pytest.fixture
def managed_pair(new_server):
    """As providers give it that have no superuser for their users (Heroku Postgres, for one)."""
    made = []
    for name in ("blue", "green"):
        server = new_server(None, name, with_roles=False)
        server.set(wal_level="replica", max_wal_senders="0")
        server.restart()
        server.psql(OWNER_ONLY)
        made.append(roles.Database(server))
        made[-1].sql("ALTER SCHEMA public OWNER TO app_owner")
    return made


def findings(m, **kwargs):
    return {(f["side"], f["id"]): f for f in m.run("check", "--json", **kwargs).json["findings"]}


def test_a_role_that_owns_the_tables_moves_them_and_back(managed_pair, migration, new_pgbouncer, new_writers):
    blue, green = managed_pair
    fill(blue, rows=500)
    bouncer = new_pgbouncer(blue)
    m = migration(blue.dsn("app_owner"), green.dsn("app_owner"), gate=gate_of(bouncer))
    found = findings(m)
    assert "wal_level is replica" in found["blue", "capture"]["what"]
    assert not [f for f in found.values() if f["severity"] == "blocks"]
    plan = m.run("plan").stdout
    assert "A captured write costs" in plan and "!godwit_capture" in plan and "in a transaction that was undone" in plan
    process = m.popen("run")
    live = new_writers(app_dsn(bouncer), count=4, rate=150, retry=False, rows=500)
    wait_until(lambda: m.status()["stage"] == "follow" and m.status()["verdict"]["verdict"] == "equal", 60,
               "the runner to follow and verify")
    m.run("switch", "--rehearse")
    m.run("switch", "--yes")
    assert m.status()["owner"] == "green"
    switched_at = live.committed
    wait_until(lambda: live.committed > switched_at + 50, 20, "writes on green")
    m.run("rollback", "--yes", "--unverified")
    back_at = live.committed
    wait_until(lambda: live.committed > back_at + 50, 20, "writes on blue again")
    m.run("switch", "--yes", "--unverified")
    live.stop()
    assert not live.errors, live.errors[:5]
    live.assert_nothing_lost(green)
    m.run("verify")
    compare.assert_equal(blue, green)
    m.run("finish", "--yes", "--now", "--no-archive")
    assert process.wait(30).rc == 0
    for side in (blue, green):
        assert not side.value("SELECT count(*) FROM pg_trigger WHERE tgname ~ 'godwit'")
        assert not side.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'godwit'")


def test_break_glass_removes_the_triggers_too(managed_pair, migration):
    blue, green = managed_pair
    fill(blue, rows=50)
    m = migration(blue.dsn("app_owner"), green.dsn("app_owner"))
    m.run("copy")
    named = {o["what"] for o in m.run("plan", "--json", expect=None).json["makes"] if o["side"] == "blue"}
    assert {"trigger !godwit_capture on public.items", "trigger !godwit_truncate on public.items"} <= {
        name.replace('"', "") for name in named}
    for side, name in ((blue, "blue"), (green, "green")):
        assert side.value("SELECT count(*) FROM pg_trigger WHERE tgname = '!godwit_capture'") > 0
        psql(side, m.run("plan", "--break-glass", name).stdout, "app_owner")
        assert not side.value("SELECT count(*) FROM pg_trigger WHERE tgname ~ 'godwit'")
        assert not side.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'godwit'")
    blue.sql("UPDATE items SET n = n + 1", user="app")


def test_a_trigger_that_was_off_for_a_moment_is_a_lost_position(managed_pair, migration):
    blue, green = managed_pair
    fill(blue, rows=50)
    m = migration(blue.dsn("app_owner"), green.dsn("app_owner"))
    m.run("copy")
    blue.owner_sql('ALTER TABLE items DISABLE TRIGGER USER; UPDATE items SET n = 4711 WHERE id = 3;'
                   ' ALTER TABLE items ENABLE ALWAYS TRIGGER "!godwit_capture";'
                   ' ALTER TABLE items ENABLE ALWAYS TRIGGER "!godwit_truncate";'
                   ' ALTER TABLE items ENABLE ALWAYS TRIGGER godwit_fence')
    refused = m.run("follow", "--until", "caught-up", expect=(runner.NO, 4))
    assert "items" in refused.stderr and "not captured" in refused.stderr
    m.run("abort", "--yes")


def test_killed_anywhere_nothing_is_lost_or_doubled(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY, v int); CREATE TABLE loose (a text, n int);"
                   "INSERT INTO t SELECT i, 0 FROM generate_series(1, 300) i")
    m = migration(blue, green, capture="trigger")
    assert m.run("copy", env={"GODWIT_CRASH_AT": "postgres.capture.table:2"}, expect=-9)
    blue.sql("UPDATE t SET v = 1 WHERE id % 3 = 0", user="app")
    m.run("copy")
    for number, point in enumerate(("capture.batch", "capture.row:40", "follow.receive.before_append",
                                    "follow.receive.before_acknowledge", "follow.apply.after_commit")):
        blue.sql("INSERT INTO t SELECT i, 0 FROM generate_series(%s, %s) i; INSERT INTO loose VALUES ('twin', 1), ('twin', 1);"
                 " UPDATE t SET id = id + 5000 WHERE id %% 50 = %s; DELETE FROM loose WHERE ctid IN (SELECT min(ctid) FROM loose)",
                 (1000 + number * 100, 1050 + number * 100, number), user="app")
        died = m.popen("follow", "--until", "caught-up", env={"GODWIT_CRASH_AT": point}).wait(60)
        assert died.rc == -9, f"{point}: {died}"
    m.run("follow", "--until", "caught-up")
    compare.assert_equal(blue, green)
    m.run("verify")
    m.run("abort", "--yes", env={"GODWIT_CRASH_AT": "postgres.capture.drop"}, expect=-9)
    m.run("abort", "--yes")
    assert not blue.value("SELECT count(*) FROM pg_trigger WHERE tgname ~ 'godwit'")
