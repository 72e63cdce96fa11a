"""Rows that change on their way: a rule means the same for a row that is copied, followed, verified, and on the way back."""
import signal

import pytest
from godwit_support.waiting import wait_until

PEOPLE = """
CREATE TABLE people (id bigint PRIMARY KEY, first text, last text, email text, country text, phone text, ssn text,
    price numeric(12,4), state text NOT NULL, note text, seen timestamptz);
ALTER TABLE people ALTER note SET STORAGE EXTERNAL;
GRANT SELECT, INSERT, UPDATE, DELETE ON people TO app;
"""

RULES = {
    "public.people": {
        "rename": "members",
        "where": {"column": "state", "not_in": ["deleted"]},
        "columns": {
            "email": {"trim": True, "lower": True, "back": {"as_is": True}},
            "country": {"lookup": {"DE": "Germany", "FR": "France"}, "otherwise": "fail"},
            "phone": {"mask": "last4", "back": {"keep": True}},
            "ssn": {"drop": True, "back": "000"},
            "price": {"type": "numeric(10,2)", "on_loss": "round"},
            "last": {"rename": "family_name"},
        },
        "add": {
            "full_name": {"concat": "{first} {last}"},
            "source": {"constant": "legacy"},
            "initial": {"lua": "return row.first:sub(1, 1)", "type": "text"},
        },
    }
}

VALUES = "('Ann', 'Lee', '  Ann@X.example ', 'DE', '+49 151 234567', '123', 10.1250, '%s', repeat('n', 5000), now())"
SHOWN = "first, family_name, email, country, phone, price, full_name, source, initial, length(note)"


def add_person(blue, key, state="active"):
    blue.sql(f"INSERT INTO people VALUES ({key}, " + (VALUES % state)[1:], user="app")


def shown(green, key):
    connection = green.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {SHOWN} FROM members WHERE id = %s", (key,))
        row = cursor.fetchone()
    connection.close()
    return row


def test_a_rule_means_the_same_copied_and_followed_and_both_ways(pair, migration):
    blue, green = pair
    blue.owner_sql(PEOPLE)
    add_person(blue, 1)
    add_person(blue, 2, "deleted")
    m = migration(blue, green, collections=RULES)
    runner = m.popen("run")
    wait_until(lambda: m.status()["stage"] == "follow", 60, "the runner to follow")

    copied = shown(green, 1)
    assert copied[2] == "ann@x.example" and copied[3] == "Germany" and str(copied[5]) == "10.13"
    assert copied[6] == "Ann Lee" and copied[7] == "legacy" and copied[8] == "A"
    assert shown(green, 2) is None, "a row that the filter leaves out was copied"

    add_person(blue, 3)
    add_person(blue, 4, "deleted")
    wait_until(lambda: shown(green, 3) is not None, 20, "the new row to be followed")
    assert shown(green, 3) == copied
    assert shown(green, 4) is None

    # Into the filter, out of it, a value that stays out of line, a key that moves.
    blue.sql("UPDATE people SET state = 'active' WHERE id = 4", user="app")
    blue.sql("UPDATE people SET state = 'deleted' WHERE id = 1", user="app")
    blue.sql("UPDATE people SET first = 'Bo' WHERE id = 3", user="app")
    blue.sql("UPDATE people SET id = 30 WHERE id = 3", user="app")
    wait_until(lambda: shown(green, 30) is not None, 20, "the changes to be followed")
    assert shown(green, 4) == copied
    assert shown(green, 1) is None
    assert shown(green, 30)[6] == "Bo Lee" and shown(green, 30)[9] == 5000
    m.run("verify")

    m.run("switch", "--yes")
    green.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON members TO app")
    green.sql("UPDATE members SET country = 'France', price = 7.5 WHERE id = 4", user="app")
    # What blue does not hold of green's rows (phone, source) would differ once blue owns again: here it does not.
    green.sql("INSERT INTO members (id, first, family_name, email, country, phone, price, state, full_name, source,"
              " initial) VALUES (5, 'Cy', 'Roe', 'cy@x.example', 'Germany', NULL, 1, 'active', 'Cy Roe', 'legacy', 'C')",
              user="app")
    wait_until(lambda: blue.value("SELECT count(*) FROM people WHERE id = 5") == 1, 20, "green's row to reach blue")
    assert blue.value("SELECT country FROM people WHERE id = 4") == "FR"
    assert str(blue.value("SELECT price FROM people WHERE id = 4")) == "7.5000"
    assert blue.value("SELECT phone FROM people WHERE id = 4") == "+49 151 234567"
    assert blue.value("SELECT ssn FROM people WHERE id = 5") == "000"
    m.run("verify")
    m.run("rollback", "--yes")
    add_person(blue, 6)
    wait_until(lambda: shown(green, 6) is not None, 20, "blue's row to reach green again")
    assert shown(green, 6) == copied
    m.run("verify")
    runner.stop()


SHORT = {"public.tag": {"columns": {"name": {"type": "varchar(5)", "on_loss": "quarantine"}}}}


@pytest.fixture
def tagged(pair, migration):
    """Row 2 does not fit, and is set aside."""
    blue, green = pair
    blue.owner_sql("CREATE TABLE tag (id bigint PRIMARY KEY, name text);"
                   " GRANT SELECT, INSERT, UPDATE, DELETE ON tag TO app;"
                   " INSERT INTO tag VALUES (1, 'one'), (2, 'number two'), (3, 'three')")
    return blue, green, migration(blue, green, collections=SHORT)


def aside(m):
    return [item["key"] for item in m.run("quarantine", "--json", expect=None).json["items"]]


def kill_at(m, point):
    died = m.run("copy", expect=None, env={"GODWIT_CRASH_AT": point})
    assert died.rc == -signal.SIGKILL, died


@pytest.mark.parametrize("point", ["aside.after_note:1", "copy.chunk.before_commit:1"])
def test_a_row_that_was_put_right_before_its_chunk_is_read_again_is_not_in_quarantine(tagged, point):
    blue, green, m = tagged
    kill_at(m, point)
    assert aside(m) == ["id=2"]
    blue.sql("UPDATE tag SET name = 'two' WHERE id = 2", user="app")
    m.run("copy")
    assert aside(m) == []
    assert green.sql("SELECT id, name FROM tag ORDER BY id") == [(1, "one"), (2, "two"), (3, "three")]
    m.run("verify")
    m.run("switch", "--yes", "--ignore-sessions")


@pytest.mark.parametrize("points", [("aside.after_note:1", "aside.after_forget:1"), ("copy.chunk.before_commit:1",),
                                    ("copy.chunk.after_commit:1",)])
def test_a_row_set_aside_is_noted_once_however_often_its_chunk_is_read(tagged, points):
    blue, green, m = tagged
    for point in points:
        kill_at(m, point)
    m.run("copy")
    assert aside(m) == ["id=2"]
    assert green.sql("SELECT id FROM tag ORDER BY id") == [(1,), (3,)]
    refused = m.run("switch", "--yes", "--ignore-sessions", expect=1)
    assert "quarantine" in refused.stdout + refused.stderr


@pytest.mark.parametrize("point", ["follow.left_out.after_heal:1", "follow.apply.before_commit:1", "follow.apply.after_commit:1"])
def test_a_row_that_comes_over_is_killed_in_between(tagged, point):
    blue, green, m = tagged
    blue.owner_sql("ALTER TABLE tag ADD COLUMN long text")
    blue.owner_sql("UPDATE tag SET long = (SELECT string_agg(md5(i::text), '') FROM generate_series(1, 500) i)")
    m.run("copy")
    assert aside(m) == ["id=2"]
    blue.sql("UPDATE tag SET name = 'two' WHERE id = 2", user="app")  # which leaves the long value out of the log
    died = m.run("follow", "--until", "caught-up", expect=None, env={"GODWIT_CRASH_AT": point})
    assert died.rc == -signal.SIGKILL, died
    m.run("follow", "--until", "caught-up")
    assert aside(m) == []
    m.run("verify")
    m.run("switch", "--yes", "--ignore-sessions")
    assert green.sql("SELECT id, name, length(long) FROM tag ORDER BY id") == blue.sql("SELECT id, name, length(long) FROM tag ORDER BY id")


# ---- a filter after the switch ----

NOTES = ("CREATE TABLE note (id bigint PRIMARY KEY, name varchar(40) NOT NULL, state varchar(20) NOT NULL, draft {boolean})",
         "INSERT INTO note VALUES (1, 'one', 'active', NULL), (2, 'left behind', 'deleted', NULL), (3, 'three', 'active', NULL),"
         " (4, 'four', 'active', NULL)")
FILTERS = {"column": {"where": {"column": "state", "not_in": ["deleted"]}},
           "lua": {"where": {"lua": "return row.state ~= 'deleted'"}},
           "dropped": {"where": {"column": "state", "not_in": ["deleted"]},
                       "columns": {"state": {"drop": True, "back": "active"}}}}


def noted(side, columns="id, name, state"):
    return sorted(side.sql(f"SELECT {columns} FROM note"))


@pytest.fixture(params=["postgresql", "mariadb"])
def noting(request, migration):
    """What a blue of either engine makes of a filter; green is PostgreSQL."""
    if request.param == "mariadb":
        blue, green = request.getfixturevalue("new_mariadb_database")(), request.getfixturevalue("new_database")()
    else:
        blue, green = request.getfixturevalue("pair")
    for statement in NOTES:
        blue.owner_sql(statement.format(boolean="smallint"))
    return lambda rules: (blue, green, migration(blue, green, collections={"note": FILTERS[rules]}))


def settled(m):
    m.run("follow", "--until", "caught-up", timeout=120)
    m.run("verify", timeout=120)


@pytest.mark.parametrize("rules", ["column", "lua"])
def test_what_green_writes_outside_of_a_filter_is_on_blue_and_no_difference(noting, rules):
    blue, green, m = noting(rules)
    assert "not compared" in m.run("plan", timeout=120).stdout
    m.run("copy", timeout=120)
    m.run("verify", timeout=120)
    m.run("switch", "--yes", "--ignore-sessions", timeout=120)
    behind = (2, "left behind", "deleted")
    green.sql("INSERT INTO note (id, name, state) VALUES (10, 'new', 'active'), (11, 'born deleted', 'deleted')")
    green.sql("UPDATE note SET state = 'deleted' WHERE id = 1")  # out of the filter
    green.sql("UPDATE note SET state = 'deleted', name = 'come and gone' WHERE id = 3")
    green.sql("UPDATE note SET state = 'deleted' WHERE id = 10")
    green.sql("UPDATE note SET state = 'active' WHERE id = 11")  # into it
    settled(m)
    assert noted(blue) == sorted([behind, *noted(green)])
    green.sql("DELETE FROM note WHERE id = 3")  # one that is outside
    green.sql("UPDATE note SET state = 'active' WHERE id = 1")
    settled(m)
    now = [(1, "one", "active"), (4, "four", "active"), (10, "new", "deleted"), (11, "born deleted", "active")]
    assert noted(green) == now and noted(blue) == sorted([behind, *now])

    # Nothing of it is lost by a rollback; what blue then writes to a row outside takes it from green.
    m.run("rollback", "--yes", "--ignore-sessions", timeout=120)
    m.run("verify", timeout=120)
    blue.sql("UPDATE note SET name = 'named on blue' WHERE id = 10")
    blue.sql("UPDATE note SET state = 'deleted' WHERE id = 4")
    blue.sql("DELETE FROM note WHERE id = 11")
    blue.sql("UPDATE note SET state = 'active' WHERE id = 2")
    settled(m)
    assert noted(green) == [(1, "one", "active"), (2, "left behind", "active")]
    m.run("switch", "--yes", "--ignore-sessions", timeout=120)
    m.run("verify", timeout=120)


def test_a_row_that_differs_within_a_filter_is_still_found_after_the_switch(pair, migration):
    blue, green = pair
    for statement in NOTES:
        blue.owner_sql(statement.format(boolean="smallint"))
    m = migration(blue, green, collections={"note": FILTERS["column"]})
    m.run("copy", timeout=120)
    m.run("verify", timeout=120)
    m.run("switch", "--yes", "--ignore-sessions", timeout=120)
    green.sql("UPDATE note SET state = 'deleted' WHERE id = 1")
    m.run("follow", "--until", "caught-up", timeout=120)
    ours = ("INSERT INTO godwit.position (stream, \"order\", text) VALUES ('operator', 0, '')"
            " ON CONFLICT (stream) DO UPDATE SET applied_at = clock_timestamp()")
    blue.sql(f"BEGIN; {ours}; UPDATE public.note SET name = 'wrong' WHERE id = 4; COMMIT", user="godwit")
    different = m.run("verify", "--json", expect=1, timeout=120)
    assert "id=4" in different.stdout and "id=1" not in different.stdout, different


def test_a_filter_whose_column_is_dropped_takes_green_s_rows_for_its_own(noting):
    blue, green, m = noting("dropped")
    m.run("copy", timeout=120)
    m.run("switch", "--yes", "--ignore-sessions", "--unverified", timeout=120)
    green.sql("INSERT INTO note (id, name) VALUES (10, 'new')")
    green.sql("UPDATE note SET name = 'changed' WHERE id = 1")
    settled(m)
    assert noted(blue) == [(1, "changed", "active"), (2, "left behind", "deleted"), (3, "three", "active"),
                           (4, "four", "active"), (10, "new", "active")]


def test_a_truncate_on_green_does_not_empty_what_a_filter_left_behind(pair, migration):
    blue, green = pair
    for statement in NOTES:
        blue.owner_sql(statement.format(boolean="smallint"))
    m = migration(blue, green, collections={"note": FILTERS["column"]})
    m.run("copy")
    m.run("switch", "--yes", "--ignore-sessions", "--unverified")
    green.owner_sql("TRUNCATE note")
    m.run("follow", "--until", "caught-up", expect=None)
    assert (2, "left behind", "deleted") in noted(blue)
    found = m.run("quarantine", "--json", expect=1).json["items"]
    assert "left behind" in found[0]["reason"], found
