"""The whole journey on real servers, under a live workload: no failed query, no lost row, and back again."""
import pytest
from godwit_support import compare, roles, writers
from godwit_support.pgbouncer import ADMIN, ADMIN_PASSWORD
from godwit_support.waiting import wait_until

import psycopg2

MORE_SQL = """
CREATE TYPE mood AS ENUM ('calm', 'brisk');
CREATE TABLE customers (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, mood mood, tags text[]);
CREATE TABLE orders (id serial PRIMARY KEY, customer bigint NOT NULL REFERENCES customers ON DELETE CASCADE,
    total numeric(12,2), vat numeric GENERATED ALWAYS AS (total * 0.2) STORED, doc jsonb);
CREATE INDEX ON orders (customer);
CREATE TABLE log (at timestamptz DEFAULT now(), line text);
CREATE TABLE parts (id int, day date NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE MATERIALIZED VIEW totals AS SELECT customer, sum(total) FROM orders GROUP BY 1;
INSERT INTO customers (name, mood, tags) SELECT 'n' || i, 'brisk', ARRAY['a', 'b"c'] FROM generate_series(1, 500) i;
INSERT INTO orders (customer, total, doc) SELECT 1 + i % 500, i / 3.0, '{"a": 1}' FROM generate_series(1, 3000) i;
INSERT INTO log (line) SELECT 'l' || i % 7 FROM generate_series(1, 100) i;
INSERT INTO parts SELECT i, date '2020-01-01' + i FROM generate_series(0, 600) i;
REFRESH MATERIALIZED VIEW totals;
"""


def fill(blue, rows=2000):
    writers.create_tables(blue, rows=rows)
    blue.owner_sql(MORE_SQL)
    blue.owner_sql("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO app")


def gate_of(bouncer):
    return {"type": "pgbouncer", "database": "app", "ini": str(bouncer.ini()),
            "admin": f"postgresql://{ADMIN}:{ADMIN_PASSWORD}@127.0.0.1:{bouncer.port}/pgbouncer"}


def app_dsn(bouncer):
    return f"host=127.0.0.1 port={bouncer.port} dbname=app user=app password={roles.PASSWORDS['app']}"


def test_copy_brings_rows_schema_and_sequences_across(pair, migration):
    blue, green = pair
    fill(blue)
    m = migration(blue, green)
    m.run("copy")
    compare.assert_equal(blue, green)
    assert green.value("SELECT count(*) FROM totals") == 500
    assert green.value("INSERT INTO orders (customer, total) VALUES (1, 1) RETURNING id", user="godwit") == 3001
    again = m.run("copy")
    assert "skipped" in again.stderr or "follow" in m.status()["stage"]
    m.run("abort", "--yes")
    assert m.status()["stage"] == "aborted"
    assert not blue.value("SELECT count(*) FROM pg_replication_slots WHERE database = %s", (blue.name,))
    assert not blue.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'godwit'")


def test_follow_until_caught_up_applies_every_kind_of_change(pair, migration, new_writers):
    blue, green = pair
    fill(blue)
    m = migration(blue, green)
    live = new_writers(blue.dsn("app_owner", with_password=True))
    m.run("copy")
    live.stop()
    m.run("follow", "--until", "caught-up")
    assert live.committed > 0 and not live.errors
    compare.assert_equal(blue, green)
    m.run("verify")
    m.run("abort", "--yes")


def test_switch_and_rollback_under_load_lose_nothing(pair, migration, new_pgbouncer, new_writers):
    blue, green = pair
    fill(blue)
    bouncer = new_pgbouncer(blue)
    m = migration(blue, green, gate=gate_of(bouncer))
    runner = m.popen("run")
    wait_until(lambda: m.status()["stage"] == "follow" and m.status()["verdict"]["verdict"] == "equal", 60,
               "the runner to follow and verify")
    live = new_writers(app_dsn(bouncer), count=4, rate=200, retry=False)
    wait_until(lambda: live.committed > 50, 20, "the workload to run")
    m.run("switch", "--rehearse")
    assert m.status()["owner"] == "blue"
    m.run("switch", "--yes")
    assert m.status()["owner"] == "green"
    switched_at = live.committed
    wait_until(lambda: live.committed > switched_at + 50, 20, "writes on green")
    m.run("rollback", "--yes", "--unverified")
    assert m.status()["owner"] == "blue"
    back_at = live.committed
    wait_until(lambda: live.committed > back_at + 50, 20, "writes on blue again")
    m.run("switch", "--yes", "--unverified")
    live.stop()
    assert not live.errors, live.errors[:5]
    live.assert_nothing_lost(green)
    m.run("verify")
    compare.assert_equal(blue, green)
    m.run("finish", "--yes", expect=1)
    m.run("finish", "--yes", "--now", expect=1)
    m.run("finish", "--yes", "--now", "--no-archive")
    assert runner.wait(30).rc == 0
    for side in (blue, green):
        assert not side.value("SELECT count(*) FROM pg_replication_slots WHERE database = %s", (side.name,))
        assert not side.value("SELECT count(*) FROM pg_publication")
        assert not side.value("SELECT count(*) FROM pg_trigger WHERE tgname ~ 'godwit'")
        assert not side.value("SELECT count(*) FROM pg_namespace WHERE nspname = 'godwit'")


def test_the_side_that_does_not_own_refuses_writes(pair, migration):
    blue, green = pair
    fill(blue, rows=100)
    m = migration(blue, green)
    m.run("copy")
    for user in ("app", "app_owner", "postgres"):
        with pytest.raises(psycopg2.Error) as refused:
            green.sql("UPDATE items SET n = 1 WHERE id = 1", user=user)
        assert "godwit" in str(refused.value)
    m.run("abort", "--yes")
    green.sql("UPDATE items SET n = 1 WHERE id = 1", user="app")


def test_switch_without_a_gate_says_outage_and_never_zero_downtime(pair, migration):
    blue, green = pair
    fill(blue, rows=100)
    m = migration(blue, green)
    m.run("copy")
    m.run("verify")
    result = m.run("switch", "--yes")
    assert "outage" in result.stderr and "zero" not in (result.stdout + result.stderr).lower()
    with pytest.raises(psycopg2.Error):
        blue.sql("UPDATE items SET n = 1 WHERE id = 1", user="app")
    green.sql("UPDATE items SET n = 77 WHERE id = 1", user="app")
    m.run("rollback", "--yes", "--unverified")
    assert blue.value("SELECT n FROM items WHERE id = 1") == 77
    m.run("abort", "--yes")


def test_adopt_rebuilds_a_lost_journal(pair, migration):
    blue, green = pair
    fill(blue, rows=100)
    m = migration(blue, green)
    m.run("copy")
    import shutil
    shutil.rmtree(m.directory / ".godwit")
    blue.sql("UPDATE items SET n = 5 WHERE id = 5", user="app")
    m.run("run", expect=1)
    m.run("adopt")
    m.run("follow", "--until", "caught-up")
    compare.assert_equal(blue, green)
    m.run("abort", "--yes")
