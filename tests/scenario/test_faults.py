"""Bad servers, bad networks, full disks, lost places: a clear error with its exit code, nothing lost, and it goes on."""
import os
import shutil
import sqlite3
import time

import pytest
from godwit_support import compare, processes, roles, traps, writers
from godwit_support.postgres import Postgres
from godwit_support.runner import NO, OK, UNREACHABLE, USAGE
from godwit_support.waiting import wait_until


def said(result):
    return result.stdout + result.stderr


def fill(blue, rows=300):
    writers.create_tables(blue, rows=rows)


@pytest.fixture(scope="module")
def restartable(_templates):
    """Two servers that the tests of this file may stop, kill and set otherwise; each leaves them running as before."""
    made = [Postgres(name=name) for name in ("blue", "green")]
    try:
        for server in made:
            roles.create_roles(server.start())
        yield made
    finally:
        for server in made:
            server.remove()


@pytest.fixture
def own_pair(restartable):
    """A fresh database on each of them."""
    pair = [roles.Database(server) for server in restartable]
    yield pair
    for database in pair:
        database.drop()


@pytest.fixture
def filled(pair, migration):
    fill(pair[0])
    return migration(*pair), *pair


# --- not reached, refused ---

# abort frees the side that answers, and says no as long as the other may hold something.
@pytest.mark.parametrize("command, code", [("copy", UNREACHABLE), ("verify", UNREACHABLE), ("switch --yes", UNREACHABLE),
                                           ("run", UNREACHABLE), ("abort --yes", NO)])
def test_a_server_that_nobody_listens_at(pair, migration, command, code):
    blue, green = pair
    port = processes.free_port()
    m = migration(blue, f"postgresql://godwit@127.0.0.1:{port}/x")
    refused = m.run(*command.split(), expect=code)
    assert "green" in said(refused) and str(port) in said(refused) and "hint" in said(refused), refused


def test_a_name_that_does_not_resolve_and_a_database_that_is_not_there(pair, migration):
    blue, green = pair
    m = migration(blue, "postgresql://godwit@no-such-host.invalid/x")
    assert "no-such-host.invalid" in said(m.run("copy", expect=UNREACHABLE))
    m = migration(blue, green.server.dsn("godwit", "no_such_database"))
    assert "no_such_database" in said(m.run("copy", expect=UNREACHABLE))


def test_a_server_that_accepts_and_never_answers(pair, migration, new_proxy):
    blue, green = pair
    proxy = new_proxy(green.server)
    proxy.cut()
    m = migration(blue, green.dsn("godwit", port=proxy.port, connect_timeout=2))
    refused = m.run("copy", expect=UNREACHABLE, timeout=40)
    assert "green" in said(refused), refused
    proxy.restore()


def test_a_server_that_refuses_everybody(own_pair, migration):
    blue, green = own_pair
    rules = green.server.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("local all postgres trust\nhost all postgres 127.0.0.1/32 trust\n")
    green.server.reload()
    try:
        wait_until(lambda: "no pg_hba.conf entry" in said(migration(blue, green).run("copy", expect=(OK, UNREACHABLE))),
                   10, "the refusal")
    finally:
        rules.write_text(before)
        green.server.reload()
    green.server.psql(f'ALTER DATABASE "{green.name}" CONNECTION LIMIT 0')
    assert "green" in said(migration(blue, green).run("copy", expect=UNREACHABLE))


def test_a_wrong_password_is_refused_and_not_repeated(pair, migration):
    blue, green = pair
    url = green.dsn("godwit", tcp=True).replace("godwit@", "godwit:open-sesame@")
    m = migration(blue, url)
    for command in ("copy", "status --json", "run", "check"):
        answer = m.run(*command.split(), expect=None)
        assert "open-sesame" not in said(answer), answer
    refused = m.run("copy", expect=UNREACHABLE)
    assert "password" in said(refused) and "green" in said(refused), refused
    for path in (m.directory / ".godwit").rglob("*"):
        if path.is_file():
            assert b"open-sesame" not in path.read_bytes(), path


def test_a_password_command_that_fails(pair, migration):
    blue, green = pair
    fill(blue, 20)
    m = migration(blue, green)
    del m.env["PGPASSFILE"]
    m.store["blue"] = {"url": m.store["blue"], "password_command": "echo godwit-secret"}
    m.store["green"] = {"url": m.store["green"], "password_command": "echo to stderr >&2; exit 3"}
    m.write()
    refused = m.run("copy", expect=UNREACHABLE)
    assert "godwit-secret" not in said(refused) and "3" in said(refused), refused
    m.store["green"]["password_command"] = "printf 'godwit-secret\\n'"
    m.write()
    m.run("copy")


# --- the two sides ---

def test_a_target_that_holds_the_tables_already(filled):
    m, blue, green = filled
    green.owner_sql("CREATE TABLE items (id int)")
    refused = m.run("copy", expect=NO)
    assert "public.items" in said(refused) and "green" in said(refused), refused
    assert green.sql("SELECT count(*) FROM items") == [(0,)]
    green.owner_sql("DROP TABLE items")
    m.run("copy")


def test_the_same_database_on_both_sides(pair, migration):
    blue, green = pair
    m = migration(blue, blue.dsn("godwit", tcp=True))
    refused = m.run("copy", expect=USAGE)
    assert "same" in said(refused), refused
    assert blue.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'godwit'") == 0


def test_two_migrations_of_one_pair(filled, migration):
    m, blue, green = filled
    traps.load(m)
    other = migration(blue, green, name="other")
    refused = other.run("copy", expect=NO)
    assert "acme" in said(refused), refused
    again = migration(blue, green)
    refused = again.run("copy", expect=NO)
    assert "adopt" in said(refused), refused
    traps.catch_up(m)
    compare.assert_equal(blue, green)


def test_missing_rights(own_pair, migration):
    blue, green = own_pair
    fill(blue, 20)
    m = migration(blue, green, capture="log")  # without the right to the log, auto would take triggers
    for database, side, word, revoke, grant in (
            (blue, "blue", "replication", "ALTER ROLE godwit NOREPLICATION", "ALTER ROLE godwit REPLICATION"),
            (blue, "blue", "", "REVOKE app_owner FROM godwit", "GRANT app_owner TO godwit"),
            (green, "green", "", "REVOKE app_owner FROM godwit", "GRANT app_owner TO godwit")):
        database.server.psql(revoke)
        try:
            refused = m.run("copy", expect=UNREACHABLE)
            assert side in said(refused) and word in said(refused).lower() and "hint" in said(refused), refused
        finally:
            database.server.psql(grant)
    m.run("copy")
    compare.assert_equal(blue, green)


def test_row_level_security_that_would_hide_rows(pair, migration):
    """Forced row security holds for the table owner, too: what it hides must not be missing without a word."""
    blue, green = pair
    blue.owner_sql("CREATE TABLE secrets (id int PRIMARY KEY, who text); INSERT INTO secrets VALUES (1, 'a'), (2, 'b');"
                   "ALTER TABLE secrets ENABLE ROW LEVEL SECURITY; ALTER TABLE secrets FORCE ROW LEVEL SECURITY;"
                   "CREATE POLICY mine ON secrets USING (who = 'a')")
    m = migration(blue, green)
    found = said(m.run("check", expect=NO))
    assert "public.secrets" in found and "row level security is forced" in found and "BYPASSRLS" in found, found
    refused = m.run("copy", expect=UNREACHABLE)
    assert "row-level security" in said(refused) and "secrets" in said(refused), refused
    for database in pair:
        database.server.psql("ALTER ROLE godwit BYPASSRLS")
    try:
        m.run("copy")
        assert green.sql("SELECT id, who FROM secrets ORDER BY id") == [(1, "a"), (2, "b")]
        blue.owner_sql("ALTER TABLE secrets NO FORCE ROW LEVEL SECURITY; UPDATE secrets SET who = 'c' WHERE id = 2;"
                       "ALTER TABLE secrets FORCE ROW LEVEL SECURITY")
        traps.catch_up(m)
        assert green.sql("SELECT id, who FROM secrets ORDER BY id") == [(1, "a"), (2, "c")]
    finally:
        for database in pair:
            database.server.psql("ALTER ROLE godwit NOBYPASSRLS")


def test_a_wal_level_that_cannot_be_followed(new_server, migration):
    blue = roles.Database(new_server(name="blue", wal_level="replica"))
    green = roles.Database(new_server(name="green"))
    fill(blue, 20)
    refused = migration(blue, green, capture="log").run("copy", expect=NO)
    assert "wal_level" in said(refused), refused


# --- servers and networks that go away ---

@pytest.mark.parametrize("which", ["blue", "green"])
@pytest.mark.parametrize("how", ["restart", "kill"])
def test_a_server_restarted_in_mid_copy(own_pair, migration, which, how):
    blue, green = own_pair
    fill(blue, 3000)
    server = {"blue": blue, "green": green}[which].server
    m = migration(blue, green, copy={"jobs": 2, "chunk_rows": 100})
    held = traps.Held(m, "copy.chunk.before_commit", "copy").wait()
    if how == "kill":
        server.kill()
    else:
        server.stop("fast")
    held.go()
    server.start()
    held.end(timeout=90)
    compare.assert_equal(blue, green)


def test_servers_restarted_in_mid_follow_go_on_by_themselves(own_pair, migration, new_writers):
    blue, green = own_pair
    fill(blue)
    m = migration(blue, green)
    traps.load(m)
    runner = m.popen("run")
    wait_until(lambda: m.status()["streams"], 30, "the runner to follow")
    live = new_writers(blue.dsn("app", with_password=True), rows=300, count=3, rate=150)
    for server, how in ((green.server, "fast"), (blue.server, "fast"), (green.server, "immediate"), (blue.server, "immediate")):
        before = live.committed
        wait_until(lambda: live.committed > before + 20, 30, "writes")  # noqa: B023
        server.restart(how)
    before = live.committed
    wait_until(lambda: live.committed > before + 20, 30, "writes")
    live.stop()
    last = blue.value("INSERT INTO items (id, n) VALUES (987654, 1) RETURNING id")
    wait_until(lambda: green.value("SELECT count(*) FROM items WHERE id = %s", (last,)) == 1, 60, "the last write on green")
    assert runner.alive(), runner.wait()
    runner.stop()
    blue.sql("DELETE FROM items WHERE id = 987654")
    traps.catch_up(m)
    compare.assert_equal(blue, green)
    live.assert_nothing_lost(green)


SILENCE_S = float(os.environ.get("GODWIT_TEST_SILENCE_S", 30))


def be_silent(seconds):
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until, seconds + 10, "the silence to pass", interval=0.1)


@pytest.mark.timeout(200)
def test_a_network_that_falls_silent_in_copy_and_follow(pair, migration, new_proxy, new_writers):
    blue, green = pair
    fill(blue, 3000)
    proxies = [new_proxy(side.server) for side in pair]
    m = migration(*(side.dsn("godwit", port=proxy.port, connect_timeout=3) for side, proxy in zip(pair, proxies)),
                  copy={"jobs": 2, "chunk_rows": 200})
    live = new_writers(blue.dsn("app", with_password=True), rows=3000, count=3, rate=100)
    held = traps.Held(m, "copy.chunk.after_begin", "copy").wait()
    for proxy in proxies:
        proxy.cut()
    held.go()
    be_silent(4)
    for proxy in proxies:
        proxy.restore()
    held.end(timeout=90)
    runner = m.popen("run")
    wait_until(lambda: m.status()["streams"], 30, "the runner to follow")
    for proxy in proxies:
        proxy.cut()
    be_silent(SILENCE_S)
    for proxy in proxies:
        proxy.restore()
    wait_until(lambda: m.status()["streams"][0]["caught_up"], 60, "green to catch up")
    for proxy in proxies:
        proxy.reset()
        before = live.committed
        wait_until(lambda: live.committed > before + 50, 60, "writes")  # noqa: B023
        proxy.restore()
    live.stop()
    blue.sql("INSERT INTO items (id, n) VALUES (987654, 1)")
    wait_until(lambda: green.value("SELECT count(*) FROM items WHERE id = 987654") == 1, 90, "the last write on green")
    runner.stop()
    compare.assert_equal(blue, green)


# --- places lost ---

def test_a_slot_dropped_behind_our_back(filled):
    m, blue, green = filled
    traps.load(m)
    for (slot,) in blue.sql("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"):
        blue.sql("SELECT pg_drop_replication_slot(%s)", (slot,))
    blue.owner_sql("UPDATE items SET n = 5")
    refused = m.run("follow", "--until", "caught-up", expect=NO)
    assert "slot" in said(refused) and "abort" in said(refused), refused
    assert "lost" in traps.blocks(m), traps.blocks(m)
    m.run("switch", *traps.FLIP, expect=NO)
    m.run("status", "--check", expect=NO)
    m.run("abort", "--yes")


@pytest.mark.timeout(120)
def test_wal_that_the_source_removed(new_server, migration):
    blue = roles.Database(new_server(name="blue", max_slot_wal_keep_size="16MB", min_wal_size="32MB", max_wal_size="32MB"))
    green = roles.Database(new_server(name="green"))
    fill(blue)
    m = migration(blue, green)
    traps.load(m)

    def lost():
        blue.owner_sql("CREATE TABLE IF NOT EXISTS noise (v text); INSERT INTO noise SELECT repeat(md5(i::text), 100)"
                       " FROM generate_series(1, 5000) i; TRUNCATE noise")
        blue.sql("SELECT pg_switch_wal(); CHECKPOINT")
        return blue.value("SELECT wal_status FROM pg_replication_slots WHERE database = current_database()") == "lost"
    wait_until(lost, 60, "the server to give up our slot")
    refused = m.run("follow", "--until", "caught-up", expect=NO)
    assert "no longer holds" in said(refused) and "abort" in said(refused), refused
    assert "lost" in traps.blocks(m)
    m.run("abort", "--yes")


# --- the journal ---

def journal(m):
    return m.directory / ".godwit" / m.name / "state.db"


def test_a_journal_deleted(filled):
    m, blue, green = filled
    traps.load(m)
    shutil.rmtree(m.directory / ".godwit")
    refused = m.run("run", expect=NO)
    assert "adopt" in said(refused), refused
    blue.owner_sql("UPDATE items SET n = 9 WHERE id < 9")
    m.run("adopt")
    traps.catch_up(m)
    compare.assert_equal(blue, green)


def test_a_journal_of_another_migration(filled, migration):
    m, blue, green = filled
    traps.load(m)
    folder = m.directory / ".godwit"
    shutil.copytree(folder / "acme", folder / "beta")
    m.config["migration"] = "beta"
    m.write()
    refused = m.run("follow", "--until", "caught-up", expect=NO)
    assert "acme" in said(refused) and "beta" in said(refused), refused


def test_a_journal_that_is_garbage_torn_or_newer(filled):
    m, blue, green = filled
    traps.load(m)
    good = journal(m).read_bytes()
    for suffix in ("-wal", "-shm"):
        assert not journal(m).with_name("state.db" + suffix).exists(), "the journal was not closed"
    for damage in (b"not a database at all" * 1000, good[:5000], b"", good[:4096] + os.urandom(len(good) - 4096)):
        journal(m).write_bytes(damage)
        refused = m.run("follow", "--until", "caught-up", expect=NO)
        assert "state.db" in said(refused) or "adopt" in said(refused), refused
        m.run("status", expect=(OK, NO, UNREACHABLE))
    journal(m).write_bytes(good)
    with sqlite3.connect(journal(m)) as database:
        database.execute("UPDATE meta SET value = '999' WHERE name = 'format'")
    database.close()
    refused = m.run("follow", "--until", "caught-up", expect=NO)
    assert "999" in said(refused) and "newer" in said(refused), refused
    journal(m).write_bytes(good)
    traps.catch_up(m)
    compare.assert_equal(blue, green)


def test_two_godwits_on_one_migration(filled):
    m, blue, green = filled
    held = traps.Held(m, "copy.chunk.after_mark", "copy").wait()
    refused = m.run("copy", expect=NO)
    assert str(held.process.pid) in said(refused), refused
    m.run("status")
    held.end()
    runner = m.popen("run")
    wait_until(lambda: m.status()["runner_pid"], 30, "the runner")
    second = m.run("run", expect=NO)
    assert str(runner.pid) in said(second), second
    runner.wait_output("the runner stays", 30)
    m.run("verify")
    runner.stop()


def test_the_same_migration_from_two_machines(filled, migration):
    """Two journals of one migration: the second is adopted while the first still follows."""
    m, blue, green = filled
    traps.load(m)
    runner = m.popen("run")
    wait_until(lambda: m.status()["streams"], 30, "the runner to follow")
    other = migration(blue, green)
    other.run("adopt")
    refused = other.run("follow", "--until", "caught-up", expect=NO, timeout=30)
    assert "another session" in said(refused) and "another godwit" in said(refused), refused
    assert m.status()["streams"][0]["receiving"], "the first was thrown out"
    blue.owner_sql("UPDATE items SET n = n + 1")
    runner.stop()
    traps.catch_up(m)
    compare.assert_equal(blue, green)
