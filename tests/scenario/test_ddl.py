"""DDL beside a move: following stops before it, says the way on, and each way that is said works where it is said."""
import pytest
from godwit_support import compare, traps, writers
from godwit_support.waiting import wait_until

WAY_ON = {"blue": "godwit abort, then godwit copy", "green": "godwit finish --now --no-archive"}


@pytest.fixture
def moved(pair, migration):
    blue, green = pair
    writers.create_tables(blue, rows=50)
    m = migration(blue, green, switch={"pause_budget": "20s"})
    traps.load(m)
    m.run("verify")
    return blue, green, m


def stopped(m):
    return m.run("follow", "--until", "caught-up", expect=1).stderr


def test_an_added_column_that_is_dropped_again(moved):
    """The log keeps both shapes for ever; rows of the wide one come without what the plan does not know."""
    blue, green, m = moved
    blue.owner_sql("ALTER TABLE items ADD COLUMN extra int DEFAULT 5")
    blue.sql("UPDATE items SET n = 7, extra = 6 WHERE id = 1; INSERT INTO items (id, n, extra) VALUES (900, 1, 2);"
             " DELETE FROM items WHERE id = 2", user="app")
    said = stopped(m)
    assert "extra" in said and "Undo it" in said and WAY_ON["blue"] in said, said
    blue.owner_sql("ALTER TABLE items DROP COLUMN extra")
    blue.sql("UPDATE items SET n = 8 WHERE id = 1", user="app")
    traps.catch_up(m)
    compare.assert_equal(blue, green)
    traps.catch_up(m)
    m.run("verify")
    m.run("switch", "--yes", "--ignore-sessions")


def test_a_live_runner_goes_on_once_it_is_undone(moved):
    blue, green, m = moved
    runner = m.popen("run")
    wait_until(lambda: m.status()["runner_pid"] and len(m.status()["streams"]) == 2, 30, "the runner to follow")
    blue.owner_sql("ALTER TABLE items ADD COLUMN extra int")
    blue.sql("UPDATE items SET n = 7, extra = 6 WHERE id = 1", user="app")
    wait_until(lambda: "Undo it there" in traps.blocks(m), 30, "the block")
    blue.owner_sql("ALTER TABLE items DROP COLUMN extra")
    wait_until(lambda: green.value("SELECT n FROM items WHERE id = 1") == 7, 30, "the change on green")
    wait_until(lambda: "extra" not in traps.blocks(m), 10, "no block any more")
    runner.stop()
    compare.assert_equal(blue, green)


def test_status_knows_of_ddl_that_no_row_followed(moved):
    blue, _, m = moved
    assert "definitions" not in traps.blocks(m)
    blue.owner_sql("ALTER TABLE items ADD COLUMN extra int")
    assert m.run("status", "--check", expect=None).rc == 1
    assert "definitions on blue" in traps.blocks(m) and "Undo" in traps.blocks(m)
    assert WAY_ON["blue"] in m.run("switch", *traps.FLIP, "--dry-run", expect=1).stdout + traps.blocks(m)
    blue.owner_sql("ALTER TABLE items DROP COLUMN extra")
    assert "definitions" not in traps.blocks(m)
    m.run("switch", "--yes", "--ignore-sessions")


@pytest.mark.parametrize("ddl", ["ALTER TABLE items ALTER COLUMN n TYPE numeric USING n + 1",
                                 "ALTER TABLE items DROP COLUMN n; ALTER TABLE items ADD COLUMN m int",
                                 "ALTER TABLE items RENAME COLUMN n TO m"])
def test_other_ddl_before_the_switch_means_a_new_copy(moved, ddl):
    blue, green, m = moved
    blue.owner_sql(ddl)
    blue.sql("UPDATE items SET id = id WHERE id = 1", user="app")
    said = stopped(m)
    assert WAY_ON["blue"] in said and "Undo" not in said, said
    m.run("abort", "--yes")
    green.owner_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    m.run("copy")
    compare.assert_equal(blue, green)


def test_values_lost_between_a_drop_and_an_add_are_not_passed_over(moved):
    """The definition is the planned one again, to the letter; what stood in the column is not."""
    blue, _, m = moved
    blue.owner_sql("ALTER TABLE items DROP COLUMN n")
    blue.sql("INSERT INTO items (id) VALUES (900)", user="app")
    blue.owner_sql("ALTER TABLE items ADD COLUMN n int")
    assert "n is gone" in stopped(m)


def test_ddl_on_green_after_the_switch(moved):
    blue, green, m = moved
    m.run("switch", "--yes", "--ignore-sessions")
    green.owner_sql("ALTER TABLE items ADD COLUMN extra int")
    assert "definitions on green" in traps.blocks(m) and WAY_ON["green"] in traps.blocks(m)
    green.sql("UPDATE items SET n = 7, extra = 3 WHERE id = 1", user="app")
    said = stopped(m)
    assert "Undo it there" in said and WAY_ON["green"] in said and "abort" not in said, said
    green.owner_sql("ALTER TABLE items DROP COLUMN extra")
    m.run("rollback", *traps.FLIP)
    traps.catch_up(m)
    compare.assert_equal(blue, green)


def test_other_ddl_on_green_ends_the_way_back_and_finish_is_open(moved):
    _, green, m = moved
    m.run("switch", "--yes", "--ignore-sessions")
    green.owner_sql("ALTER TABLE items ALTER COLUMN n TYPE numeric")
    green.sql("UPDATE items SET n = 7 WHERE id = 1", user="app")
    said = stopped(m)
    assert WAY_ON["green"] in said and "Undo" not in said and "abort" not in said, said
    m.run("finish", "--now", "--no-archive", "--yes")
