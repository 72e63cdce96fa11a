"""What nobody touched on green is on blue, to the byte and the class, as it was before the switch: in whatever form its
application wrote it, and whichever form the other engine makes of it.
"""
import pytest

from godwit_support.sqlite import Database as Sqlite

# Each column as an application of its kind leaves it: (type, values). SQLite takes any value in any column.
SQLITE = {
    "active": ("boolean", ["'f'", "'t'", "0", "1", "'f'", "NULL"]),
    "rails_at": ("datetime", ["'2024-02-29 12:00:05.250000'", "'2024-02-29 12:00:05'", "'2024-02-29 12:00:05.000000'",
                              "'2024-02-29T12:00:05'", "'2024-02-29 12:00:05.1'", "NULL"]),
    "zoned_at": ("timestamp", ["'2024-02-29 12:00:05.000000'", "'2024-02-29T12:00:05Z'", "'2024-02-29 14:00:05+02:00'",
                               "'2024-02-29 12:00:05.5'", "'2024-02-29T12:00:05.000+00:00'", "NULL"]),
    "born": ("date", ["'2024-02-29'", "'2024-03-01'", "'2024-02-29'", "'2024-02-29'", "'2024-03-01'", "NULL"]),
    "anything": ("", ["0", "1.5", "x'7a'", "'0'", "-7", "NULL"]),
    "number": ("INTEGER", ["7", "'seven'", "2.5", "x'37'", "-1", "NULL"]),
    "words": ("TEXT", ["'z'", "x'7a'", "''", "x'6162'", "'7'", "NULL"]),
    "price": ("DECIMAL(10,2)", ["1", "1.5", "1.25", "0", "-3", "NULL"]),
    "document": ("JSON", ["""'{ "b" :1,  "a": [1, 2 ] }'""", "'[]'", "' [1 ,2]'", """'{"a":1}'""", "'null'", "NULL"]),
}
MARIADB = {
    "document": ("json", ["""'{ "b" :1,  "a": 1.0 }'""", "'[]'", """'{"a":1,"b":"ä"}'""", "NULL"]),
    "day": ("date", ["'2024-02-29'", "'0000-00-00'", "'2024-02-00'", "NULL"]),
    "moment": ("datetime", ["'0000-00-00 00:00:00'", "'2024-02-29 12:00:05'", "'2024-02-29 12:00:05'", "NULL"]),
    "stamp": ("timestamp NULL DEFAULT NULL ON UPDATE current_timestamp()", ["'2001-02-03 04:05:06'", "0", "NULL", "NULL"]),
    "kept": ("timestamp NOT NULL DEFAULT current_timestamp() ON UPDATE current_timestamp()", ["'2001-02-03 04:05:06'"] * 4),
    "mood": ("enum('good','so so')", ["'good'", "'so so'", "'good'", "NULL"]),
    "tags": ("set('x','y','z')", ["''", "'x,z'", "'y'", "NULL"]),
    "price": ("decimal(10,2)", ["1.50", "0", "-99999999.99", "NULL"]),
    "flags": ("bit(10)", ["b'1'", "b'1000000000'", "b'0'", "NULL"]),
    "big": ("bigint unsigned", ["0", "18446744073709551615", "9223372036854775808", "NULL"]),
    "yes": ("tinyint(1)", ["0", "1", "2", "NULL"]),
    "fixed": ("char(5)", ["''", "'a'", "'abcde'", "NULL"]),
    "shortened": ("varchar(20)", ["'abc'", "'abcdefgh'", "''", "NULL"]),
    "folded": ("varchar(20)", ["'Abc'", "'abc'", "'ÄB'", "NULL"]),
}
TYPES = {"zoned_at": "timestamptz", "anything": "text", "number": "text"}
ZERO_DATES = {name: {"on_loss": "null"} for name in ("day", "moment", "stamp")}


def rules(table):
    return {table: {"columns": {name: {"type": one} for name, one in TYPES.items()}}}


def fill(blue, table, columns, key="id integer PRIMARY KEY"):
    declared = ", ".join(f"{name} {sql_type}" for name, (sql_type, _) in columns.items())
    blue.owner_sql(f"CREATE TABLE {table} ({key + ', ' if key else ''}note varchar(20), {declared})")
    names = ", ".join(["note", *columns])
    for number in range(len(next(iter(columns.values()))[1])):
        values = ", ".join(values[number] for _, values in columns.values())
        blue.owner_sql(f"INSERT INTO {table} ({names}{', id' if key else ''})"
                       f" VALUES ('{number}', {values}{f', {number}' if key else ''})")


def seen(blue, table, columns):
    """{note's number: each value as its server keeps it}"""
    if isinstance(blue, Sqlite):
        shown = ", ".join(f"typeof({name}) || ' ' || quote({name})" for name in columns)
    else:
        shown = ", ".join(f"hex({name})" for name in columns)
    return {row[0]: dict(zip(columns, row[1:])) for row in blue.sql(f"SELECT substr(note, 1, 1), {shown} FROM {table}")}


def switched(m):
    m.run("copy", timeout=120)
    m.run("verify", timeout=60)
    m.run("switch", "--yes", "--ignore-sessions", timeout=60)
    return m


def caught_up(m):
    followed = m.run("follow", "--until", "caught-up", expect=None, timeout=60)
    assert m.run("quarantine", "--json", expect=None).json["items"] == [], str(followed)
    m.run("verify", timeout=60)


def assert_as_it_was(was, now, but=()):
    """`but`: {(row, column)} that were written on green."""
    different = {(row, column): (value, now.get(row, {}).get(column)) for row in was for column, value in was[row].items()
                 if (row, column) not in but and now.get(row, {}).get(column) != value}
    assert not different, different
    assert now.keys() == was.keys()


def given_up(m):
    m.run("rollback", "--yes", "--ignore-sessions", timeout=60)
    m.run("abort", "--yes", timeout=60)


def test_an_untouched_value_keeps_its_form_in_sqlite(new_sqlite, new_database, migration):
    blue, green = new_sqlite(), new_database()
    fill(blue, "item", SQLITE)
    was = seen(blue, "item", SQLITE)
    m = switched(migration(blue, green, collections=rules("item")))
    green.sql("UPDATE item SET note = note || ' touched'")
    caught_up(m)
    assert_as_it_was(was, seen(blue, "item", SQLITE))
    assert blue.value("SELECT count(*) FROM item WHERE note LIKE '% touched'") == len(was)
    # What is written is written, in the form of the map, beside what is not; and a row whose key moves keeps the rest.
    green.sql("UPDATE item SET active = true, born = '2020-01-01' WHERE id IN (0, 4);"
              "UPDATE item SET id = id + 100 WHERE id < 3; UPDATE item SET note = note || '!' WHERE id = 101;"
              "UPDATE item SET active = NOT active WHERE id = 3; UPDATE item SET active = NOT active WHERE id = 3")
    caught_up(m)
    written = {(row, column) for row in ("0", "4") for column in ("active", "born")}
    now = seen(blue, "item", SQLITE)
    assert_as_it_was(was, now, written)
    assert {now[row]["active"] for row in ("0", "4")} == {"integer 1"} and now["0"]["born"] == "text '2020-01-01'"
    assert blue.sql("SELECT id FROM item ORDER BY id") == [(3,), (4,), (5,), (100,), (101,), (102,)]
    given_up(m)


def test_an_untouched_value_keeps_its_form_in_mariadb(new_mariadb_database, new_database, migration):
    """Documents in jsonb, dates that policy made NULL, texts that policy shortened, what a transform folded."""
    blue, green = new_mariadb_database(), new_database()
    blue.sql("SET GLOBAL sql_mode = ''")
    fill(blue, "item", MARIADB, key="id int PRIMARY KEY")
    was = seen(blue, "item", MARIADB)
    columns = {**ZERO_DATES, "shortened": {"type": "varchar(4)", "on_loss": "truncate"},
               "folded": {"lower": True, "back": {"as_is": True}}, "kept": {"back": {"keep": True}}}
    m = switched(migration(blue, green, collections={"item": {"columns": columns}}))
    green.sql("UPDATE item SET note = note || ' touched'")
    caught_up(m)
    assert_as_it_was(was, seen(blue, "item", MARIADB))
    assert blue.value("SELECT count(*) FROM item WHERE note LIKE '%%touched'", ()) == len(was)
    green.sql("UPDATE item SET day = '2020-01-01' WHERE id = 1; UPDATE item SET document = '{\"c\": 3}', id = 10 WHERE id = 0")
    caught_up(m)
    now = seen(blue, "item", MARIADB)
    assert_as_it_was(was, now, {("1", "day"), ("0", "document")})
    assert bytes.fromhex(now["1"]["day"]) == b"2020-01-01" and bytes.fromhex(now["0"]["document"]) == b'{"c": 3}'
    given_up(m)


def test_rows_without_key_are_found_by_what_they_are(new_sqlite, new_database, migration):
    """Twins by their value that differ in form, a number in a column of texts, a row of NULLs: updated and deleted on green."""
    blue, green = new_sqlite(), new_database()
    columns = {name: one for name, one in SQLITE.items() if name != "note"}
    fill(blue, "audit", columns, key="")
    blue.sql("INSERT INTO audit (note, active) VALUES ('6', 0), ('7', 'f'), ('8', 'f')")
    was = seen(blue, "audit", columns)
    m = switched(migration(blue, green, collections=rules("audit")))
    green.sql("UPDATE audit SET note = note || ' touched' WHERE note < '6'; DELETE FROM audit WHERE note = '7';"
              "UPDATE audit SET active = true WHERE note = '6'; UPDATE audit SET note = '5 again' WHERE note = '5 touched'")
    caught_up(m)
    del was["7"]
    now = seen(blue, "audit", columns)
    assert_as_it_was(was, now, {("6", "active")})
    assert now["6"]["active"] == "integer 1"
    assert {row[0] for row in blue.sql("SELECT note FROM audit")} == {*(f"{n} touched" for n in range(5)), "5 again", "6", "8"}
    green.sql("DELETE FROM audit WHERE note <> '8'")
    caught_up(m)
    assert blue.sql("SELECT note, quote(active) FROM audit") == [("8", "'f'")]
    given_up(m)
