"""Values at their limits between engines: large ones in bounded memory, long ones whole, floats to the last bit."""
import pathlib
import re
import struct

import pytest

from godwit_support import binary, runner
from godwit_support.waiting import pace

MIB = 1 << 20
FILL = {"mysql": "repeat('Z', {0})", "sqlite": "replace(hex(zeroblob({0} / 2)), '0', 'Z')", "postgres": "repeat('Z', {0})"}
TEXT = {"mysql": "longtext", "sqlite": "TEXT", "postgres": "text"}


@pytest.fixture
def sides(new_database, new_mariadb_database, new_sqlite):
    makers = {"postgres": new_database, "mysql": new_mariadb_database, "sqlite": new_sqlite}
    return lambda blue, green: (makers[blue](), makers[green]())


def plant(green, table, sql):
    """A difference on green that came by no path of ours."""
    connection = green.connect("postgres", autocommit=False)
    with connection, connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        cursor.execute(sql)
    connection.close()


def watched(m, *args, expect=runner.OK):
    """(the result, the most memory it had in MiB)"""
    process, most_kb = m.popen(*args), 0
    while process.alive():
        found = re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{process.pid}/status").read_text())
        most_kb = max(most_kb, int(found.group(1)) if found else 0)
        pace(0.005)
    result = process.wait(10)
    assert result.rc == expect, str(result)
    return result, most_kb / 1024


def under_a_sanitizer():
    return b"__asan_init" in pathlib.Path(binary()).read_bytes()


# --- large values ---

@pytest.mark.parametrize("blue, green", [("mysql", "postgres"), ("sqlite", "postgres"), ("postgres", "mysql"), ("mysql", "mysql")])
def test_values_of_8_mib_are_compared_in_64_mib(blue, green, sides, migration):
    old, new = sides(blue, green)
    tables = ("one", "two", "three") if blue != green else ("one",)  # of alike sides each of two workers holds a row
    for table in tables:
        old.owner_sql(f"CREATE TABLE {table} (id int NOT NULL PRIMARY KEY, body {TEXT[blue]} NOT NULL)")
        for number in range(4):
            old.owner_sql(f"INSERT INTO {table} VALUES ({number}, {FILL[blue].format(8 * MIB)})")
    m = migration(old, new)
    m.run("copy", timeout=120)
    result, mib = watched(m, "verify", "--json")
    assert result.json["verdict"] == "equal" and result.json["rows"] == 4 * len(tables)
    assert mib <= 64 or under_a_sanitizer(), f"{mib:.0f} MiB"
    m.run("abort", "--yes", timeout=60)


def test_a_difference_in_large_values_is_found_and_shown_short(sides, migration):
    """One byte in the middle, one at the end, one value cut off: neither side's bytes stand in the report."""
    old, new = sides("mysql", "postgres")
    old.owner_sql(f"CREATE TABLE page (id int NOT NULL PRIMARY KEY, body {TEXT['mysql']} NOT NULL)")
    for number in range(5):
        old.owner_sql(f"INSERT INTO page VALUES ({number}, {FILL['mysql'].format(2 * MIB + number)})")
    m = migration(old, new)
    m.run("copy", timeout=120)
    plant(new, "page", "UPDATE page SET body = overlay(body PLACING 'z' FROM 1000000) WHERE id = 1;"
                       "UPDATE page SET body = left(body, -1) || 'z' WHERE id = 2; UPDATE page SET body = left(body, 70000) WHERE id = 3")
    result, mib = watched(m, "verify", "--json", expect=runner.NO)
    (page,) = result.json["collections"]
    assert page["changed"] == 3 and len(result.stdout) < 400_000
    shown = {one["key"]: one["columns"][0] for one in page["differences"]}
    assert set(shown) == {"id=1", "id=2", "id=3"}
    for number in (1, 2):
        one = shown[f"id={number}"]
        assert one["source"] != one["target"] and len(one["source"]) < 300
        assert all(text.startswith(f"({2 * MIB + number} bytes, ZZZZ") for text in one.values() if text != "body")
    assert mib <= 64 or under_a_sanitizer(), f"{mib:.0f} MiB"
    m.run("abort", "--yes", timeout=60)


def test_rows_with_several_long_values_are_read_whole(sides, migration):
    """More than one value of a row is longer than what was set aside for it."""
    old, new = sides("mysql", "postgres")
    old.owner_sql("CREATE TABLE page (id int NOT NULL PRIMARY KEY, a text NOT NULL, b text NOT NULL, c varchar(3000))")
    for number in range(6):
        old.owner_sql(f"INSERT INTO page VALUES ({number}, repeat('a', {300 + number * 400}), repeat('b', {2500 - number * 300}),"
                      f" repeat('c', {280 + number}))")
    m = migration(old, new)
    m.run("copy", timeout=120)
    report = m.run("verify", "--json", timeout=120).json
    assert report["verdict"] == "equal" and report["collections"][0]["suspects"] == 0
    m.run("abort", "--yes")


# --- floats ---

DOUBLES = [0.0, 1.0, -1.5, 0.1, 1 / 3, 1e20, 1e21, -1e22, 1e15, 1e16, 123456789012345680.0, 1e-5, 1e-7, 2.5e-8, 1e300, 5e-324,
           2.2250738585072014e-308, 1.7976931348623157e308, -1.7976931348623157e308, 9007199254740993.0, 0.30000000000000004]
SINGLES = [0.0, 1.0, -1.5, 0.1, 1 / 3, 1e20, 16777215.0, 16777216.0, 1024.125, 1e-7, 1.17549435e-38, 3.4028234663852886e38,
           -3.4028234663852886e38, 123456.789, 8388608.5, 1e10]
REALS = {"mysql": ("double", "float"), "postgres": ("double precision", "real"), "sqlite": ("REAL", "REAL")}


def single(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def stored(side):
    """By key, what a client gets, as bits; a MariaDB float as its double, since its text has six digits."""
    exact = "one + 0e0" if getattr(side, "engine", "") == "mysql" else "one::float8" if not hasattr(side, "engine") else "one"
    rows = side.sql(f"SELECT id, two, {exact} FROM reading ORDER BY id")
    return {int(number): (struct.pack("d", float(two)), struct.pack("d", float(one))) for number, two, one in rows}


@pytest.mark.parametrize("blue, green", [("mysql", "postgres"), ("postgres", "mysql"), ("sqlite", "postgres"), ("mysql", "mysql"),
                                         ("mysql", "sqlite"), ("postgres", "sqlite")])
def test_floats_at_their_limits_are_one_value_down_copy_log_and_verify(blue, green, sides, migration):
    old, new = sides(blue, green)
    double, real = REALS[blue]
    old.owner_sql(f"CREATE TABLE reading (id int NOT NULL PRIMARY KEY, two {double} NOT NULL, one {real} NOT NULL)")
    values = [(DOUBLES[i % len(DOUBLES)], single(SINGLES[i % len(SINGLES)])) for i in range(len(DOUBLES) + len(SINGLES))]

    def insert(first):
        for number, (two, one) in enumerate(values, first):
            old.owner_sql(f"INSERT INTO reading VALUES ({number}, {two!r}, {one!r})")

    insert(0)
    m = migration(old, new)
    m.run("copy", timeout=120)
    insert(1000)
    old.owner_sql("UPDATE reading SET two = -two, one = -one WHERE id < 20 AND two <> 0 AND one <> 0")  # -0: not every engine has one
    m.run("follow", "--until", "caught-up", timeout=120)
    assert stored(new) == stored(old) and len(stored(new)) >= 2 * len(values)
    assert m.run("verify", "--json", timeout=120).json["verdict"] == "equal"
    m.run("abort", "--yes")


def test_a_float_that_differs_is_shown_in_one_notation(sides, migration):
    """1e20 beside 1e+20 would look like a difference where there is none."""
    old, new = sides("mysql", "postgres")
    old.owner_sql("CREATE TABLE reading (id int NOT NULL PRIMARY KEY, a double NOT NULL, b double NOT NULL, c double NOT NULL)")
    old.owner_sql("INSERT INTO reading VALUES (1, 1e20, 1e-7, 1e300)")
    m = migration(old, new)
    m.run("copy", timeout=120)
    plant(new, "reading", "UPDATE reading SET a = 1.5e20, c = 2e300")
    report = m.run("verify", "--json", expect=runner.NO, timeout=120).json
    columns = report["collections"][0]["differences"][0]["columns"]
    assert [one["column"] for one in columns] == ["a", "c"]
    assert [(one["source"], one["target"]) for one in columns] == [("1e+20", "1.5e+20"), ("1e+300", "2e+300")]
    m.run("abort", "--yes")
