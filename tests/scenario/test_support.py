"""The test support itself: a comparison that finds nothing, or a proxy that never cuts, would make every test green."""
import threading
import time

import psycopg2
import psycopg2.errors
import pytest

from godwit_support import compare, mariadb
from godwit_support.waiting import wait_until
from godwit_support.writers import Writers, create_tables


def fill(database):
    create_tables(database, rows=50)
    database.owner_sql("UPDATE public.items SET at = '2024-01-01Z'")
    database.owner_sql("CREATE TABLE public.bag (a text, b text)")
    database.owner_sql("INSERT INTO public.bag VALUES ('x', NULL), ('x', NULL), ('', 'NULL')")


def test_compare_says_equal_for_equal_and_nothing_else(pair):
    blue, green = pair
    for side in pair:
        fill(side)
    assert compare.compare(blue, green) == []
    for change in ("UPDATE public.items SET payload = payload || ' ' WHERE id = 7",
                   "DELETE FROM public.items WHERE id = 50",
                   "INSERT INTO public.items (id, n) VALUES (51, 0)",
                   "INSERT INTO public.bag VALUES ('x', NULL)",
                   "UPDATE public.bag SET b = NULL WHERE a = ''",
                   "UPDATE public.bag SET b = '' WHERE a = ''",
                   "CREATE TABLE public.more (id int)"):
        connection = green.connect("app_owner", autocommit=False)
        connection.cursor().execute(change)
        before = blue.connect("app_owner")
        assert compare.compare(before, connection), change
        connection.rollback()
        connection.close()
        before.close()
    assert compare.compare(blue, green) == []


def test_writers_journal_finds_a_lost_and_a_changed_row(new_database):
    database = new_database()
    create_tables(database, rows=100)
    with Writers(database.dsn("app", with_password=True), rows=100, count=3) as writers:
        wait_until(lambda: writers.committed > 150, 30, "the writers at work")
        writers.stop()
    assert not writers.errors
    writers.assert_nothing_lost(database)
    for damage in ("DELETE FROM public.items WHERE id = (SELECT max(id) FROM public.items)",
                   "UPDATE public.items SET n = n + 1 WHERE id = (SELECT min(id) FROM public.items)",
                   "INSERT INTO public.items (id, n) VALUES (123456789, 0)",
                   "UPDATE public.counters SET n = n - 1 WHERE id = 1"):
        connection = database.connect("app_owner", autocommit=False)
        connection.cursor().execute(damage)
        assert len(writers.lost_or_wrong(connection)) == 1, damage
        connection.rollback()
        connection.close()


def test_writers_survive_a_killed_server_and_keep_an_honest_journal(own_pair):
    blue, _ = own_pair
    blue.server.set(fsync="on", full_page_writes="on")
    blue.server.restart()
    create_tables(blue, rows=100)
    with Writers(blue.dsn("app", with_password=True), rows=100, count=3) as writers:
        wait_until(lambda: writers.committed > 100, 30, "the writers at work")
        blue.server.kill()
        blue.server.start()
        before = writers.committed
        wait_until(lambda: writers.committed > before + 100, 30, "the writers to go on")
        writers.stop()
    assert writers.errors
    writers.assert_nothing_lost(blue)


def test_the_proxy_is_silent_when_cut_and_refuses_when_reset(servers, new_proxy):
    server = servers[0]
    proxy = new_proxy(server)
    connection = psycopg2.connect(server.dsn(port=proxy.port))
    connection.autocommit = True
    answers = []

    def ask():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 42")
            answers.append(cursor.fetchone()[0])
    ask()
    proxy.cut()
    asking = threading.Thread(target=ask)
    asking.start()
    asking.join(0.3)
    assert asking.is_alive() and answers == [42]
    proxy.restore()
    asking.join(10)
    assert answers == [42, 42]

    proxy.reset()
    with pytest.raises(psycopg2.OperationalError):
        ask()
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(server.dsn(port=proxy.port))
    proxy.restore()
    psycopg2.connect(server.dsn(port=proxy.port)).close()

    slow = new_proxy(server, delay_s=0.05)
    began = time.monotonic()
    psycopg2.connect(server.dsn(port=slow.port)).close()
    assert time.monotonic() - began > 0.1


def test_pgbouncer_peers_share_a_port_and_answer_one_by_one(pair, new_pgbouncer):
    blue, green = pair
    bouncer = new_pgbouncer(blue, count=2)
    with psycopg2.connect(bouncer.dsn("app")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_database()")
        assert cursor.fetchone()[0] == blue.name
    assert [bouncer.admin("SHOW CONFIG", index) != [] for index in range(2)] == [True, True]
    bouncer.admin("PAUSE app", 0)
    assert any(row["paused"] for row in bouncer.admin("SHOW DATABASES", 0))
    assert not any(row["paused"] for row in bouncer.admin("SHOW DATABASES", 1))
    bouncer.admin("RESUME app", 0)
    bouncer.point(green)
    for index in range(2):
        bouncer.admin("RELOAD", index)

    def on_green():
        connection = psycopg2.connect(bouncer.dsn("app"))
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT current_database()")
                return cursor.fetchone()[0] == green.name
        finally:
            connection.close()
    wait_until(on_green, 10, "new transactions on green")


@pytest.mark.parametrize("major", [13, 14, 16, 17, 18])
def test_other_versions_start_and_take_the_roles(major, new_server):
    server = new_server(major)
    assert server.version().startswith(f"{major}.")
    from godwit_support.roles import Database
    database = Database(server)
    database.owner_sql("CREATE TABLE t (id int PRIMARY KEY)")
    database.sql("CREATE PUBLICATION p FOR TABLE t", user="godwit")
    if major >= 15:
        database.sql("SET session_replication_role = replica", user="godwit")
    else:
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            database.sql("SET session_replication_role = replica", user="godwit")


def test_a_mariadb_server_starts_restarts_and_survives_a_kill(new_mariadb):
    server = new_mariadb()
    database = mariadb.Database(server, name="app")
    database.owner_sql("CREATE TABLE t (id int PRIMARY KEY, name varchar(20));\nINSERT INTO t VALUES (1, '\U0001f426')")
    server.kill()
    server.start()
    assert database.sql("SELECT * FROM t", user="app") == [(1, "\U0001f426")]
    server.restart()
    assert database.value("SELECT count(*) FROM t", user="godwit") == 1


def test_a_mariadb_role_without_binlog_access_cannot_read_it(new_mariadb):
    server = new_mariadb(rights="no_log")
    with pytest.raises(Exception) as refused:
        server.sql("SHOW BINARY LOGS", user="godwit")
    assert "BINLOG MONITOR" in str(refused.value)
    assert new_mariadb(rights="rds").sql("SHOW BINARY LOGS", user="godwit")
