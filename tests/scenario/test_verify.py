"""godwit verify on real servers: equal, different, unresolved, and never one for the other."""
import re
import threading
import time

import pytest
from godwit_support import ROOT, compare, runner, traps, writers
from godwit_support.waiting import wait_until

TABLE = """
CREATE TABLE people (id bigint PRIMARY KEY, name text, note text, made timestamptz);
INSERT INTO people SELECT i, 'name ' || i, NULL, timestamptz '2024-01-01' + i * interval '1 hour'
    FROM generate_series(1, 1000) i
"""


def plant(green, sql):
    """An error on green that came by no path of ours: neither stopped by the fence nor seen by the way back."""
    connection = green.connect("postgres", autocommit=False)
    with connection, connection.cursor() as cursor:
        for (table,) in green.sql("SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE 'godwit%'"):
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        cursor.execute(sql)
    connection.close()


def verify(m, expect=runner.OK, **kwargs):
    return m.run("verify", "--json", expect=expect, timeout=120, **kwargs).json


def verify_sample(m, expect=runner.OK):
    return m.run("verify", "--json", "--sample", "10%", "--seed", "5", expect=expect).json


def only(report, name="public.people"):
    return next(c for c in report["collections"] if c["collection"] == name)


@pytest.fixture
def loaded(pair, migration):
    """(blue, green, migration) with the table copied and green following whenever a command runs."""
    blue, green = pair
    blue.owner_sql(TABLE)
    m = migration(blue, green, verify={"resettle": "20s"})
    traps.load(m)
    return blue, green, m


# --- verdicts ---

def test_equal_sides_exit_0_and_say_what_was_covered(loaded):
    _, _, m = loaded
    report = verify(m)
    people = only(report)
    assert report["verdict"] == "equal" and people["verdict"] == "equal" and people["reason"] == ""
    assert people["source"]["rows"] == people["target"]["rows"] == report["rows"] == 1000
    assert people["columns"] == 4 and people["source"]["bytes"] > 20000
    for side in ("source", "target"):
        assert re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", people[side]["from"])
    assert m.status()["verdict"]["verdict"] == "equal"


def test_a_difference_exits_1_and_names_key_column_and_values(loaded):
    _, green, m = loaded
    plant(green, "UPDATE people SET name = 'NAME 7' WHERE id = 7; DELETE FROM people WHERE id = 8;"
                 "INSERT INTO people VALUES (5000, 'extra'), (-1, 'below the first')")
    report = verify(m, runner.NO)
    people = only(report)
    assert report["verdict"] == people["verdict"] == "different"
    assert (people["changed"], people["missing"], people["extra"], people["unresolved"]) == (1, 1, 2, 0)
    found = {(d["kind"], d["key"]): d["columns"] for d in people["differences"]}
    assert set(found) == {("changed", "id=7"), ("missing", "id=8"), ("extra", "id=5000"), ("extra", "id=-1")}
    assert found[("changed", "id=7")] == [{"column": "name", "source": "name 7", "target": "NAME 7"}]
    assert "1 row differs in name in upper and lower case only" in people["causes"]
    text = m.run("verify", expect=runner.NO)
    assert "id=7" in text.stdout + text.stderr and "different" in text.stdout + text.stderr


def test_a_sample_says_what_it_is_worth_and_lets_no_switch_begin(pair, migration):
    """20 blocks, two of them looked at: an error in each is found twice, one somewhere by some seeds."""
    blue, green = pair
    blue.owner_sql(TABLE.replace("1000)", "20000)"))
    m = migration(blue, green)
    traps.load(m)
    report = verify_sample(m)
    assert report["verdict"] == "equal" and report["rows"] == 2000
    assert report["sample"]["one_of"] == 10 and report["sample"]["seed"] == 5 and report["sample"]["sure"] == 44
    assert m.status()["verdict"]["verdict"] == "none"
    plant(green, "UPDATE people SET name = 'wrong' WHERE id % 1000 = 500")
    report = verify_sample(m, expect=1)
    assert only(report)["changed"] == 2 and m.status()["verdict"]["verdict"] == "different"
    again = verify_sample(m, expect=1)
    assert sorted(d["key"] for d in only(report)["differences"]) == sorted(d["key"] for d in only(again)["differences"])
    assert "0.001% to 100%" in m.run("verify", "--sample", "0", expect=2).stderr


def test_values_swapped_between_two_rows_are_found(loaded):
    _, green, m = loaded
    plant(green, "UPDATE people SET name = CASE id WHEN 10 THEN 'name 11' ELSE 'name 10' END WHERE id IN (10, 11)")
    assert only(verify(m, runner.NO))["changed"] == 2


@pytest.mark.parametrize("source,target", [("NULL", "''"), ("''", "NULL"), ("NULL", "'NULL'"), ("'null'", "NULL"),
                                           ("'a'", "'a '"), ("'é'", "'e\u0301'")])
def test_values_that_look_alike_are_found(pair, migration, source, target):
    blue, green = pair
    blue.owner_sql(f"CREATE TABLE people (id int PRIMARY KEY, v text); INSERT INTO people VALUES (1, {source})")
    m = migration(blue, green)
    traps.load(m)
    plant(green, f"UPDATE people SET v = {target}")
    assert only(verify(m, runner.NO))["changed"] == 1


def test_a_time_zone_shift_is_named(loaded):
    _, green, m = loaded
    plant(green, "UPDATE people SET made = made + interval '9 hours'")
    assert only(verify(m, runner.NO))["causes"] == ["all 1,000 rows differ in made by +9 h: time zone"]


def test_duplicates_in_a_table_without_key_are_counted(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE people (a int, b text); INSERT INTO people SELECT i % 5, NULL FROM generate_series(1, 50) i")
    m = migration(blue, green)
    traps.load(m)
    assert verify(m)["verdict"] == "equal"
    plant(green, "INSERT INTO people VALUES (1, NULL), (1, NULL)")
    people = only(verify(m, runner.NO))
    assert people["extra"] == 2 and people["differences"][0]["key"] == "a=1, b=NULL"


def test_other_settings_on_the_two_sides_change_nothing(loaded):
    blue, green, m = loaded
    for name, value in (("timezone", "Asia/Kathmandu"), ("datestyle", "German, DMY"), ("intervalstyle", "iso_8601"),
                        ("bytea_output", "escape"), ("extra_float_digits", "-10"), ("client_encoding", "LATIN1")):
        green.sql(f'ALTER DATABASE "{green.name}" SET {name} = \'{value}\'')
    blue.sql(f'ALTER DATABASE "{blue.name}" SET timezone = \'America/Caracas\'')
    report = verify(m)
    assert report["verdict"] == "equal" and only(report)["suspects"] == 0


def test_keys_under_another_collation_make_no_phantoms(servers, new_database, migration):
    blue = new_database(servers[0], "LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'")
    green = new_database(servers[1], "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'")
    blue.owner_sql("CREATE TABLE people (k text PRIMARY KEY, v text)")
    blue.owner_sql("INSERT INTO people SELECT w || i, w FROM unnest(ARRAY['a-b', 'aB', 'ab', 'A1', '_z']) w,"
                   " generate_series(1, 500) i")
    m = migration(blue, green)
    traps.load(m)
    people = only(verify(m))
    assert people["suspects"] == 0 and people["target"]["rows"] == 2500
    plant(green, "UPDATE people SET k = 'Ab3' WHERE k = 'ab3'; UPDATE people SET v = 'AB' WHERE k = 'ab4'")
    people = only(verify(m, runner.NO))
    assert (people["missing"], people["extra"], people["changed"]) == (1, 1, 1)


# --- never equal without having looked ---

def test_nothing_compared_is_unresolved(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE people (id int PRIMARY KEY)")
    m = migration(blue, green)
    traps.load(m)
    report = verify(m, runner.UNRESOLVED)
    assert report["verdict"] == "unresolved" and "no row was compared" in report["reason"]


def test_a_table_missing_on_green_is_different(loaded):
    _, green, m = loaded
    plant(green, "DROP TABLE people")
    assert "missing on the target" in only(verify(m, runner.NO))["reason"]


def test_rows_that_row_security_hides_are_not_equal(loaded):
    blue, _, m = loaded
    blue.owner_sql("ALTER TABLE people ENABLE ROW LEVEL SECURITY; ALTER TABLE people FORCE ROW LEVEL SECURITY;"
                   " CREATE POLICY few ON people USING (id < 10)")
    result = m.run("verify", "--json", expect=None, timeout=120)
    assert result.rc not in (runner.OK, runner.BUG), str(result)


def test_a_server_that_is_gone_exits_4(own_pair, migration):
    blue, green = own_pair
    blue.owner_sql(TABLE)
    m = migration(blue, green)
    traps.load(m)
    green.server.stop()
    m.run("verify", expect=runner.UNREACHABLE, timeout=120)


# --- a live pair ---

def test_a_busy_pair_is_equal_time_and_again(pair, migration, new_writers):
    blue, green = pair
    writers.create_tables(blue)
    m = migration(blue, green, verify={"resettle": "30s"})
    traps.load(m)
    live = new_writers(blue.dsn("app_owner", with_password=True), rate=400)
    reports, until = [], time.monotonic() + 60
    while len(reports) < 3 or not sum(c["settled"] for r in reports for c in r["collections"]):
        assert time.monotonic() < until, "nothing moved: it was not a live pair"
        reports.append(verify(m))
    live.stop()
    assert live.committed > 100 and not live.errors
    assert all(c["unresolved"] == 0 for r in reports for c in r["collections"])
    traps.catch_up(m)
    compare.assert_equal(blue, green)


class Hot:
    """One row that is updated as fast as it goes."""

    def __init__(self, database, sql):
        self.connection = database.connect("app_owner")
        self.sql, self.count, self._stop = sql, 0, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        with self.connection.cursor() as cursor:
            while not self._stop.is_set():
                cursor.execute(self.sql)
                self.count += 1

    def __enter__(self):
        self._thread.start()
        wait_until(lambda: self.count > 50, 20, "the hot row to be hot")
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self.connection.close()


HOT = "UPDATE people SET note = coalesce(note::bigint, 0) + 1 WHERE id = 1"


def test_a_hot_row_is_no_false_alarm(loaded):
    blue, _, m = loaded
    with Hot(blue, HOT) as hot:
        for _ in range(3):
            assert verify(m)["verdict"] == "equal"
        assert hot.count > 200


def test_an_error_planted_in_a_hot_row_is_found(pair, migration):
    """In a large value, which the stream leaves out when another column changes: nothing heals it."""
    blue, green = pair
    blue.owner_sql(TABLE)
    blue.owner_sql("ALTER TABLE people ALTER name SET STORAGE EXTERNAL; UPDATE people SET name = repeat('x', 9000) WHERE id = 1")
    m = migration(blue, green, verify={"resettle": "20s"})
    traps.load(m)
    plant(green, "UPDATE people SET name = repeat('y', 9000) WHERE id = 1")
    with Hot(blue, HOT):
        people = only(verify(m, runner.NO))
    assert people["changed"] == 1 and people["differences"][0]["key"] == "id=1"
    assert green.value("SELECT left(name, 1) FROM people WHERE id = 1") == "y"


def test_a_stalled_applier_is_unresolved_and_then_equal(pair, migration):
    blue, green = pair
    blue.owner_sql(TABLE)
    m = migration(blue, green, verify={"resettle": "2s"})
    traps.load(m)
    lock = green.connect("postgres", autocommit=False)
    with lock.cursor() as cursor:
        cursor.execute("LOCK TABLE people IN SHARE ROW EXCLUSIVE MODE")  # rows can be read, not written
    blue.sql("UPDATE people SET note = 'new' WHERE id <= 20; INSERT INTO people VALUES (2000, 'new')")
    process = m.popen("verify", "--json")
    process.wait_output("verdict: unresolved", 60)
    lock.rollback()
    lock.close()
    result = process.wait()
    assert result.rc == runner.UNRESOLVED, str(result)
    people = only(result.json)
    assert people["unresolved"] == 21 and people["changed"] + people["missing"] == 0
    assert "had not applied" in people["reason"]
    assert verify(m)["verdict"] == "equal"


def test_it_goes_on_when_a_server_restarts(own_pair, migration):
    blue, green = own_pair
    blue.owner_sql("CREATE TABLE people (id int PRIMARY KEY, v text);"
                   "INSERT INTO people SELECT i, repeat(md5(i::text), 4) FROM generate_series(1, 400000) i")
    m = migration(blue, green)
    traps.load(m)
    process = m.popen("verify", "--json")
    wait_until(lambda: green.server.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'godwit verify'"
                                         " AND state = 'active'")[0][0] > 0, 60, "verify to read green", interval=0.01)
    green.server.restart("immediate")
    result = process.wait(180)
    assert result.rc == runner.OK, str(result)
    assert only(result.json)["target"]["rows"] == 400000


def test_after_a_switch_green_is_the_source(loaded):
    blue, green, m = loaded
    traps.to_green(m)
    green.sql("UPDATE people SET note = 'written on green' WHERE id < 50", user="app")
    assert verify(m)["verdict"] == "equal"
    assert blue.value("SELECT count(*) FROM people WHERE note = 'written on green'") == 49


# --- how it is made ---

def test_verify_shares_no_decoder_with_the_copy():
    """A fault in the copy's or the stream's decoder must not be able to hide itself."""
    folder = ROOT / "src/store/postgres"
    allowed = {"conn.h", "postgres.h", "scan_copy.h", "scan_datum.h", "scan_form.h", "scan_print.h"}
    # Where the log ends under capture by triggers; which type is of which kind.
    also = {"scan.c": {"capture.h"}, "scan_datum.h": {"codec.h"}}
    decoders = set(re.findall(r"\bgw_pg_\w*read\w*", (folder / "codec.h").read_text(encoding="utf-8")))
    assert decoders
    seen = 0
    for path in sorted(folder.glob("scan*.[ch]")):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r'#include "store/postgres/([^"]+)"', text):
            assert name in allowed | also.get(path.name, set()), f"{path.name} includes {name}"
            seen += 1
        assert not decoders & set(re.findall(r"\bgw_pg_\w+", text)), path.name
    assert seen > 5
