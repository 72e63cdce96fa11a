"""What cannot be applied is shown with its row and reason, blocks the switch, and goes once its row was mended."""
import pytest
from godwit_support import compare, traps, writers
from godwit_support.waiting import wait_until

OURS = ("INSERT INTO godwit.position (stream, \"order\", text) VALUES ('operator', 0, '')"
        " ON CONFLICT (stream) DO UPDATE SET applied_at = clock_timestamp()")


@pytest.fixture
def moved(pair, migration):
    blue, green = pair
    writers.create_tables(blue, rows=50)
    m = migration(blue, green)
    traps.load(m)
    m.run("verify")
    return blue, green, m


def behind_the_fence(side, statement):
    side.sql("BEGIN; SET LOCAL session_replication_role = replica; ALTER TABLE items DISABLE TRIGGER godwit_fence;"
             f" {statement}; ALTER TABLE items ENABLE ALWAYS TRIGGER godwit_fence; COMMIT")


def mend(side, statement):
    """As godwit quarantine says: godwit's role, and the first row tells that the transaction is godwit's own."""
    side.sql(f"BEGIN; {OURS}; {statement}; COMMIT", user="godwit")


def items(m, expect=1):
    return m.run("quarantine", "--json", expect=expect).json["items"]


def test_nothing_in_quarantine(pair, migration):
    m = migration(*pair)
    assert items(m, expect=0) == []
    assert "nothing" in m.run("quarantine").stdout


def test_a_change_that_cannot_be_applied(moved):
    blue, green, m = moved
    mend(green, "DELETE FROM items WHERE id IN (3, 4)")
    blue.sql("UPDATE items SET n = 9 WHERE id IN (3, 4, 5)", user="app")
    m.run("follow", "--until", "caught-up", expect=1)
    found = items(m)
    assert sorted(i["key"] for i in found) == ["id=3", "id=4"], found
    for item in found:
        assert item["stream"] == "blue>green" and item["table"] == "public.items" and item["operation"] == "update"
        assert "not on the target" in item["reason"] and "/" in item["position"], item
    shown = m.run("quarantine", expect=1).stdout
    assert "id=3" in shown and "public.items" in shown and "not on the target" in shown and "--clear" in shown, shown
    status = m.status()
    assert status["quarantine"] == 2
    assert any("id=3" in b and "public.items" in b and "not on the target" in b for b in status["blocks"]), status["blocks"]
    assert status["verdict"]["verdict"] == "unresolved", status["verdict"]
    assert m.run("status", "--check", expect=None).rc == 1
    refused = m.run("switch", "--yes", "--ignore-sessions", expect=1)
    assert "quarantine" in refused.stdout + refused.stderr

    mend(green, rows_of(blue, "3, 4"))
    first, second = (i["id"] for i in found)
    assert m.run("quarantine", "--clear", str(first), expect=None).rc == 2, "nobody confirmed"
    m.run("quarantine", "--clear", str(first), "--yes")
    assert [i["id"] for i in items(m)] == [second]
    gone = m.run("quarantine", "--clear", str(first), "--yes", expect=1)
    assert f"no item {first}" in gone.stderr, gone
    m.run("quarantine", "--clear", "all", "--yes")
    assert m.status()["verdict"]["verdict"] == "unresolved"
    traps.catch_up(m)
    assert items(m, expect=0) == [], "neither met again, nor the mended rows taken for foreign writes"
    m.run("verify")
    m.run("switch", "--yes", "--ignore-sessions")
    compare.assert_equal(blue, green)


def rows_of(side, ids):
    """The statement that makes these rows again."""
    found = side.value(f"SELECT json_agg(i)::text FROM items i WHERE id IN ({ids})")
    return f"INSERT INTO items SELECT * FROM json_populate_recordset(NULL::items, $rows${found}$rows$)"


def test_a_foreign_write_with_a_live_runner_and_both_ways(moved):
    blue, green, m = moved
    runner = m.popen("run")
    wait_until(lambda: m.status()["runner_pid"] and len(m.status()["streams"]) == 2, 30, "the runner to follow")
    behind_the_fence(green, "UPDATE items SET n = 77 WHERE id = 7")
    wait_until(lambda: m.status()["quarantine"] == 1, 30, "the foreign write to be seen")
    [item] = items(m)
    assert (item["stream"], item["table"], item["operation"]) == ("green>blue", "public.items", "foreign write"), item
    assert item["key"] == "id=7" and "green is not the owner" in item["reason"], item
    assert m.run("switch", *traps.FLIP, expect=None).rc == 1
    mend(green, f"UPDATE items SET n = {blue.value('SELECT n FROM items WHERE id = 7')} WHERE id = 7")
    wait_until(lambda: m.run("quarantine", "--clear", "all", "--yes", expect=None).rc == 0, 30, "the runner to have time")
    assert m.status()["quarantine"] == 0 and not any("quarantine" in b for b in m.status()["blocks"])
    m.run("verify")
    m.run("switch", "--yes", "--ignore-sessions")
    compare.assert_equal(blue, green)

    behind_the_fence(blue, "DELETE FROM items WHERE id = 8")
    wait_until(lambda: m.status()["quarantine"] == 1, 30, "the foreign write on blue to be seen")
    assert [i["stream"] for i in items(m)] == ["blue>green"]
    assert m.run("rollback", *traps.FLIP, expect=None).rc == 1
    mend(blue, rows_of(green, "8"))
    m.run("quarantine", "--clear", "all", "--yes")
    m.run("rollback", *traps.FLIP)
    runner.stop()
    traps.catch_up(m)
    assert items(m, expect=0) == []
    m.run("verify")
    compare.assert_equal(blue, green)


def test_batches_already_sent_behind_one_that_fails_are_applied_all_the_same(pair, migration):
    """Small batches, several under way at once: what fails is quarantined once, what was sent behind it is not lost."""
    blue, green = pair
    writers.create_tables(blue, rows=60)
    m = migration(blue, green, follow={"batch_rows": 4})
    traps.load(m)
    m.run("verify")
    mend(green, "DELETE FROM items WHERE id IN (11, 40)")
    with blue.connect(user="app") as connection, connection.cursor() as cursor:
        for number in range(400):
            cursor.execute("UPDATE items SET n = n + 1 WHERE id = %s", (1 + number % 60,))
            if number % 50 == 0:  # two rows take each other's unique value: only the order tells how
                cursor.execute("UPDATE items SET code = 'between' WHERE id = 1 RETURNING (SELECT code FROM items WHERE id = 1)")
                mine = cursor.fetchone()[0]
                cursor.execute("UPDATE items SET code = %s WHERE id = 2 RETURNING (SELECT code FROM items WHERE id = 2)", (mine,))
                cursor.execute("UPDATE items SET code = %s WHERE id = 1", cursor.fetchone())
            connection.commit()
    runner = m.popen("run")  # follow would end as soon as anything is in quarantine
    end = blue.value("SELECT pg_current_wal_lsn()")
    wait_until(lambda: green.value(f"SELECT bool_or(text::pg_lsn >= '{end}'::pg_lsn) FROM godwit.position"
                                   " WHERE stream = 'blue>green'"), 60, "all of it to be applied")
    runner.stop(expect=None)
    found = items(m)
    assert {i["key"] for i in found} == {"id=11", "id=40"}, found
    places = [(i["position"], i["key"]) for i in found]
    assert len(set(places)) == len(places) == 14, "each update of a row that is not there, once"
    mend(green, rows_of(blue, "11, 40"))
    m.run("quarantine", "--clear", "all", "--yes")
    traps.catch_up(m)
    assert items(m, expect=0) == []
    m.run("verify")
    compare.assert_equal(blue, green)
