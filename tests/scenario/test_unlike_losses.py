"""What another engine cannot hold: named by plan, counted in the rows, refused until a rule says what becomes of it; and what
only looks alike is not changed in silence.
"""
import json
import re

import pytest

from godwit_support import mariadb, runner

ZERO_SQL = """
SET sql_mode = '';
CREATE TABLE visit (id int NOT NULL PRIMARY KEY, day date NOT NULL, seen datetime DEFAULT NULL, note varchar(20));
INSERT INTO visit VALUES (1, '2024-02-29', '2024-02-29 10:00:00', 'real'), (2, '0000-00-00', '0000-00-00 00:00:00', 'zero'),
    (3, '2024-00-00', NULL, 'no month')
"""


def findings_of(result):
    return json.dumps(result.json, ensure_ascii=False)


def test_zero_dates_are_counted_refused_and_moved_by_policy(new_mariadb_database, new_database, migration):
    blue, green = new_mariadb_database(), new_database()
    blue.owner_sql(ZERO_SQL.replace("day date NOT NULL", "day date"))
    refused = migration(blue, green)
    plan = refused.run("plan", "--json", expect=runner.NO, timeout=120)
    assert "zero-date" in findings_of(plan) and "visit" in findings_of(plan)
    rules = {"visit": {"columns": {"day": {"on_loss": "null"}, "seen": {"on_loss": "null"}}}}
    m = migration(blue, green, name="policy", collections=rules)
    m.run("plan", timeout=120)
    m.run("copy", timeout=120)
    assert green.sql("SELECT id, day::text, seen::text FROM visit ORDER BY id") == [
        (1, "2024-02-29", "2024-02-29 10:00:00"), (2, None, None), (3, None, None)]
    blue.owner_sql("SET sql_mode = '';\nINSERT INTO visit VALUES (4, '0000-00-00', NULL, 'followed')")
    m.run("follow", "--until", "caught-up", timeout=120)
    assert green.value("SELECT day IS NULL FROM visit WHERE id = 4")
    m.run("verify", timeout=120)
    m.run("abort", "--yes")


def test_a_switch_and_a_rollback_leave_untouched_zero_dates_alone(new_mariadb_database, new_database, migration):
    blue, green = new_mariadb_database(), new_database()
    blue.owner_sql(ZERO_SQL.replace("day date NOT NULL", "day date"))
    rules = {"visit": {"columns": {"day": {"on_loss": "null"}, "seen": {"on_loss": "null"}}}}
    m = migration(blue, green, collections=rules)
    m.run("copy", timeout=120)
    m.run("verify", timeout=120)
    m.run("switch", "--yes", timeout=120)
    green.sql("UPDATE visit SET note = 'on green' WHERE id = 1")
    m.run("rollback", "--yes", "--unverified", timeout=120)
    assert blue.value("SELECT note FROM visit WHERE id = 1") == "on green"
    assert blue.sql("SELECT CAST(day AS char) FROM visit WHERE id IN (2, 3) ORDER BY id") == [("0000-00-00",), ("2024-00-00",)]
    m.run("abort", "--yes")


def hits(m):
    """(column, loss) -> rows hit, as check counts them in the data."""
    found = {}
    for finding in m.run("check", "--json", expect=None, timeout=120).json["findings"]:
        said = re.match(r"\S+\.(\w+): .*; (\d+) rows? (?:is|are) hit", finding["what"], re.DOTALL)
        if said and finding["id"].startswith("map-"):
            found[said[1], finding["id"].removeprefix("map-")] = int(said[2])
    return found


NUMBERS = ("CREATE TABLE t (id int PRIMARY KEY, f float8, r real, a int[], d date, z timestamptz)",
           "INSERT INTO t VALUES (1, 1, 1, '{1}', '2024-01-01', '2024-01-01'), (2, 'NaN', 1, '{1}', NULL, NULL),"
           " (3, '-Infinity', 'Infinity', '[0:1]={1,2}', NULL, NULL), (4, '-0', '-0', '{}', 'infinity', NULL),"
           " (5, 1.5, 'NaN', NULL, '0044-03-15 BC', '12024-01-01')")


def test_what_no_column_of_mariadb_holds_is_counted_and_moved_by_policy(new_database, new_mariadb_database, migration):
    blue, green = new_database(), new_mariadb_database()
    for statement in NUMBERS:
        blue.owner_sql(statement)
    found = hits(migration(blue, green, name="ask"))
    assert found == {("f", "infinity"): 2, ("r", "infinity"): 2, ("f", "float"): 1, ("r", "float"): 1, ("a", "array"): 1, ("d", "infinity"): 1, ("d", "date-range"): 1,
                     ("z", "date-range"): 1}, found
    m = migration(blue, green, collections={"public.t": {"columns": {
        "f": {"on_loss": "null"}, "r": {"on_loss": "quarantine"}, "a": {"on_loss": "null"}, "d": {"on_loss": "null"},
        "z": {"on_loss": "null"}}}})
    m.run("copy", timeout=120)
    blue.owner_sql("INSERT INTO t VALUES (6, 'NaN', 1, '[2:2]={1}', '-infinity', 'infinity'), (7, 1, 'NaN', '{2}', NULL, NULL)")
    m.run("follow", "--until", "caught-up", expect=runner.NO, timeout=120)
    assert green.sql("SELECT id, f, r, a, d, z FROM t WHERE id <> 1 ORDER BY id") == [
        (2, None, 1.0, "[1]", None, None), (6, None, 1.0, None, None, None)]
    blue.owner_sql("UPDATE t SET r = 1 WHERE id IN (3, 4, 5, 7)")
    m.run("follow", "--until", "caught-up", timeout=120)
    m.run("verify", timeout=120)
    m.run("abort", "--yes")


def test_floats_that_sqlite_changes_are_counted_and_moved_by_policy(new_database, new_sqlite, migration):
    blue, green = new_database(), new_sqlite()
    for statement in NUMBERS:
        blue.owner_sql(statement)
    found = hits(migration(blue, green, name="ask"))
    assert found == {("f", "infinity"): 1, ("r", "infinity"): 1, ("f", "float"): 1, ("r", "float"): 1, ("a", "array"): 1}, found
    m = migration(blue, green, collections={"public.t": {"columns": {"f": {"on_loss": "null"}, "r": {"on_loss": "round"}, "a": {"on_loss": "null"}}}})
    refused = m.run("copy", expect=None, timeout=120)
    assert refused.rc == runner.NO and "NaN" in refused.stderr, "no number is near it"
    m.run("abort", "--yes")
    m = migration(blue, green, name="both", collections={"public.t": {"columns": {c: {"on_loss": "null"} for c in "fra"}}})
    green.sql("DROP TABLE IF EXISTS t")
    m.run("copy", timeout=120)
    assert green.sql("SELECT id, f, r FROM t ORDER BY id") == [
        (1, 1.0, 1.0), (2, None, 1.0), (3, float("-inf"), float("inf")), (4, None, None), (5, 1.5, None)]
    assert green.sql("SELECT a FROM t ORDER BY id") == [("[1]",), ("[1]",), (None,), ("[]",), (None,)]
    m.run("verify", timeout=120)
    m.run("abort", "--yes")


ERROR_VALUES = """
SET sql_mode = '';
CREATE TABLE en (id int PRIMARY KEY, e enum('a', 'b'), f enum('x', '') NOT NULL);
INSERT INTO en VALUES (1, 'a', 'x'), (2, 'none', ''), (3, NULL, ''), (4, '', 'x'), (5, 'b', 'x')
"""


def test_the_error_value_of_an_enum_is_named_by_check_with_its_rows(new_mariadb_database, new_database, migration):
    """No strict session writes it; PostgreSQL's check of the labels refuses it, while copying as while following."""
    blue, green, other = new_mariadb_database(), new_mariadb_database(), new_database()
    blue.owner_sql(ERROR_VALUES)
    check = migration(blue, green, name="alike").run("check", expect=runner.NO, timeout=120).stdout
    assert "en.e: 2 rows hold the error value" in check and "WHERE `e` = 0" in check and "en.f" not in check, check
    assert hits(migration(blue, other, name="ask")) == {("e", "enum"): 2}
    assert hits(migration(blue, green, name="rules", collections={"en": {"columns": {"f": {"rename": "g"}}}})) == {("e", "enum"): 2}
    m = migration(blue, other, collections={"en": {"columns": {"e": {"on_loss": "quarantine"}}}})
    m.run("copy", timeout=120)
    blue.owner_sql("SET sql_mode = '';\nUPDATE en SET e = 'b' WHERE id = 4;\nUPDATE en SET e = 'none' WHERE id = 5")
    m.run("follow", "--until", "caught-up", expect=runner.NO, timeout=120)
    assert [i["key"] for i in m.run("quarantine", "--json", expect=None).json["items"]] == ["id=2", "id=5"]
    blue.owner_sql("UPDATE en SET e = 'a' WHERE id IN (2, 5)")
    m.run("follow", "--until", "caught-up", timeout=120)
    assert other.sql("SELECT id, e, f FROM en ORDER BY id") == [
        (1, "a", "x"), (2, "a", ""), (3, None, ""), (4, "b", "x"), (5, "a", "x")]
    m.run("verify", timeout=120)
    m.run("abort", "--yes")


def test_texts_longer_than_mariadb_takes_them_are_counted(new_sqlite, new_mariadb_database, migration):
    """What SQLite declares binds nobody there, and a key of MariaDB has an end."""
    blue, green = new_sqlite(), new_mariadb_database()
    blue.sql("CREATE TABLE t (id integer PRIMARY KEY, v varchar(5), w text, b blob, two text, free text);"
             "CREATE INDEX t_w ON t (w); CREATE UNIQUE INDEX t_b ON t (b); CREATE INDEX t_two ON t (two, v)")
    blue.sql("INSERT INTO t VALUES (1, 'ok', 'ok', x'00', 'ok', ?), (2, 'longer', ?, ?, ?, NULL), (3, 'longer', ?, NULL, NULL, NULL)",
             ("f" * 70000, "w" * 769, b"b" * 3073, "2" * 385, "w" * 768))
    found = hits(migration(blue, green, name="ask"))
    assert found == {("v", "length"): 2, ("w", "length"): 1, ("b", "length"): 1, ("two", "length"): 1}, found
    m = migration(blue, green, collections={"t": {"columns": {c: {"on_loss": "truncate"} for c in ("v", "w", "b", "two")}}})
    m.run("copy", timeout=120)
    assert green.sql("SELECT id, v, length(w), length(b), length(two), length(free) FROM t ORDER BY id") == [
        (1, "ok", 2, 1, 2, 70000), (2, "longe", 768, 3072, 384, None), (3, "longe", 768, None, None, None)]
    m.run("verify", timeout=120)
    m.run("abort", "--yes")


def test_a_nul_byte_in_a_text_is_refused_by_plan(new_mariadb_database, new_database, migration):
    blue, green = new_mariadb_database(), new_database()
    blue.owner_sql("CREATE TABLE raw (id int PRIMARY KEY, body varchar(20));\nINSERT INTO raw VALUES (1, concat('a', char(0), 'b'))")
    plan = migration(blue, green).run("plan", "--json", expect=runner.NO, timeout=120)
    assert '"nul"' in findings_of(plan) or "NUL" in findings_of(plan)


def test_a_text_in_an_integer_column_is_found_by_check_and_moved_by_policy(new_sqlite, new_database, migration):
    blue, green = new_sqlite(), new_database()
    blue.owner_sql("CREATE TABLE loose (id INTEGER PRIMARY KEY, n INT, r REAL);"
                   " INSERT INTO loose VALUES (1, 7, 1.5), (2, 'seven', 'x'), (3, NULL, NULL), (4, 2.5, 3)")
    m = migration(blue, green)
    found = findings_of(m.run("check", "--json", expect=None, timeout=120))
    assert "loose" in found
    m.run("plan", expect=runner.NO, timeout=120)
    rules = {"loose": {"columns": {"n": {"on_loss": "null"}, "r": {"on_loss": "null"}}}}
    m = migration(blue, green, name="policy", collections=rules)
    m.run("copy", timeout=120)
    rows = green.sql("SELECT id, n, r FROM loose ORDER BY id")
    assert rows[0] == (1, 7, 1.5) and rows[1] == (2, None, None) and rows[2] == (3, None, None) and rows[3][2] == 3.0
    m.run("verify", timeout=120)
    m.run("abort", "--yes")
    assert blue.sql("SELECT id, n FROM loose WHERE id IN (2, 4)") == [(2, "seven"), (4, 2.5)]


@pytest.mark.parametrize("value", (-1, 2**63, 2**64 - 1))
def test_an_unsigned_number_crosses_whole(value, new_mariadb_database, new_database, migration):
    blue, green = new_mariadb_database(), new_database()
    blue.owner_sql("CREATE TABLE big (id bigint unsigned PRIMARY KEY, n bigint)")
    blue.sql("INSERT INTO big VALUES (%s, %s)", (value % 2**64, min(value, 2**63 - 1)))
    m = migration(blue, green)
    m.run("copy", timeout=120)
    assert [tuple(map(int, row)) for row in green.sql("SELECT * FROM big")] == [(value % 2**64, min(value, 2**63 - 1))]
    m.run("verify", timeout=120)
    m.run("abort", "--yes")


def test_the_printed_grants_are_enough_for_mariadb(new_mariadb, new_database, migration):
    """The script is all that a role without any right gets; then nothing is missing, and it moves."""
    server = new_mariadb()
    blue, green = mariadb.Database(server, name="app"), new_database()
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY, name varchar(20));\nINSERT INTO t VALUES (1, 'one')")
    server.sql("REVOKE ALL PRIVILEGES, GRANT OPTION FROM 'godwit'@'%'")
    m = migration(blue, green)
    script = m.run("check", "--grants").stdout
    mine = script[:script.index("-- What godwit's role")]  # green's, PostgreSQL's, comes after it
    lines = [line.split("; --")[0] for line in mine.splitlines() if not line.startswith("--")]
    granted = [one.strip() for one in "\n".join(lines).replace("'%'\nGRANT", "'%';\nGRANT").split(";") if one.strip()]
    assert any(one.startswith("GRANT") for one in granted), script
    for one in granted:
        server.sql(one)
    checked = m.run("check", expect=None)
    assert "denied" not in checked.stdout + checked.stderr, checked
    m.run("copy", timeout=120)
    m.run("abort", "--yes")


COMPUTED_SQL = """
CREATE TABLE item (id int PRIMARY KEY, name varchar(20), n int NOT NULL, price int NOT NULL,
    total int AS (n * price) STORED, label varchar(60) AS (concat(name, ': ', n)) VIRTUAL, many tinyint AS (n > 5) STORED);
INSERT INTO item (id, name, n, price) VALUES (1, 'nut', 3, 7), (2, NULL, 6, 2)
"""


def test_a_computed_column_is_computed_by_green_as_a_rule_says(new_mariadb_database, new_database, migration):
    """What is not certain blocks and shows the lines to write; arithmetic on integers is taken over."""
    blue, green = new_mariadb_database(), new_database()
    blue.owner_sql(COMPUTED_SQL)
    refused = migration(blue, green, name="unsaid").run("plan", "--json", expect=runner.NO, timeout=120)
    reasons = [one if isinstance(one, str) else json.dumps(one) for one in refused.json["reasons"]]
    assert any("label: { generated: '...' }" in one and "label: { drop: true }" in one for one in reasons), reasons
    assert any("many: { lua: 'return ...' }" in one for one in reasons) and not any("total" in one for one in reasons), reasons
    rules = {"item": {"columns": {"label": {"generated": "name || ': ' || n"}, "many": {"lua": "return row.n > 5 and 1 or 0"}}}}
    m = migration(blue, green, collections=rules)
    m.run("copy", timeout=120)
    blue.sql("INSERT INTO item (id, name, n, price) VALUES (3, 'bolt', 8, 1)")
    blue.sql("UPDATE item SET n = 9 WHERE id = 1")
    m.run("follow", "--until", "caught-up", timeout=120)
    assert green.sql("SELECT id, total, label, many FROM item ORDER BY id") == [
        (1, 63, "nut: 9", 1), (2, 12, None, 1), (3, 8, "bolt: 8", 1)]
    m.run("verify", timeout=120)
    m.run("switch", "--yes", "--ignore-sessions", timeout=120)
    green.sql("INSERT INTO item (id, name, n, price, many) VALUES (4, 'washer', 1, 1, 0)")
    green.sql("UPDATE item SET name = 'screw' WHERE id = 2")
    m.run("rollback", "--yes", "--ignore-sessions", "--unverified", timeout=120)
    assert blue.sql("SELECT id, total, label, many FROM item ORDER BY id") == [
        (1, 63, "nut: 9", 1), (2, 12, "screw: 6", 1), (3, 8, "bolt: 8", 1), (4, 1, "washer: 1", 0)]
    m.run("verify", timeout=120)
    m.run("abort", "--yes", timeout=120)


def test_zero_dates_of_a_column_that_must_have_a_value_become_null_and_come_back(new_mariadb_database, new_database, migration):
    blue, green = new_mariadb_database(), new_database()
    blue.owner_sql(ZERO_SQL)
    refused = migration(blue, green, collections={"visit": {"columns": {"day": {"on_loss": "null"}}}})
    assert "what does blue get" in refused.run("plan", expect=runner.USAGE, timeout=120).stderr
    back = {"lua": "return value or '0000-00-00'"}
    m = migration(blue, green, name="room", collections={
        "visit": {"columns": {"day": {"on_loss": "null", "back": back}, "seen": {"on_loss": "null"}}}})
    m.run("copy", timeout=120)
    m.run("verify", timeout=120)
    m.run("switch", "--yes", timeout=120)
    green.sql("INSERT INTO visit (id, note) VALUES (5, 'no day')")
    m.run("rollback", "--yes", "--unverified", timeout=120)
    assert blue.value("SELECT CAST(day AS char) FROM visit WHERE id = 5") == "0000-00-00"
    m.run("abort", "--yes")


def test_foreign_keys_are_put_off_to_the_end_of_a_transaction_where_they_were(new_sqlite, new_database, migration):
    blue, green = new_sqlite(), new_database()
    blue.sql("CREATE TABLE a (id integer PRIMARY KEY, b integer REFERENCES b(id) DEFERRABLE INITIALLY DEFERRED,"
             " c integer REFERENCES b(id) NOT DEFERRABLE)")
    blue.sql("CREATE TABLE b (id integer PRIMARY KEY, a integer, FOREIGN KEY (a) REFERENCES a(id) DEFERRABLE INITIALLY DEFERRED)")
    blue.sql("INSERT INTO b VALUES (7, NULL)")
    m = migration(blue, green)
    m.run("copy", timeout=120)
    m.run("verify", timeout=120)
    m.run("switch", "--yes", timeout=120)
    found = green.sql("SELECT conrelid::regclass::text, condeferrable, condeferred FROM pg_constraint WHERE contype = 'f'"
                      " ORDER BY 1, 2")
    assert found == [("a", False, False), ("a", True, True), ("b", True, True)]
    green.sql("BEGIN; INSERT INTO a VALUES (1, 1, NULL); INSERT INTO b VALUES (1, 1); COMMIT")
    m.run("rollback", "--yes", "--unverified", timeout=120)
    assert blue.sql("SELECT b FROM a") == [(1,)]
    m.run("abort", "--yes")


def test_a_row_in_quarantine_can_be_mended_by_hand_on_each_engine(new_sqlite, new_mariadb_database, migration):
    """godwit quarantine says how to write on the side that follows; what is written so is no foreign write."""
    blue, green = new_sqlite(), new_mariadb_database()
    blue.sql("CREATE TABLE t (id integer PRIMARY KEY, v text)")
    blue.sql("INSERT INTO t VALUES (1, 'one'), (2, x'ff')")
    m = migration(blue, green, collections={"t": {"columns": {"v": {"on_loss": "quarantine"}}}})
    m.run("copy", timeout=120)
    words = m.run("quarantine", expect=runner.NO).stdout
    assert "on green log in as godwit's account" in words
    begin = words[words.index("INSERT INTO godwit_position"):words.index("Then godwit quarantine")].strip().rstrip(";")
    with green.connect("godwit", autocommit=False) as by_hand, by_hand.cursor() as cursor:
        cursor.execute(begin)
        cursor.execute("REPLACE INTO t VALUES (2, 'two')")
        by_hand.commit()
    m.run("quarantine", "--clear", "all", "--yes")
    blue.sql("UPDATE t SET v = 'two' WHERE id = 2")
    m.run("follow", "--until", "caught-up", timeout=120)
    m.run("verify", timeout=120)
    m.run("abort", "--yes")


def test_a_row_that_was_set_aside_comes_over_when_it_is_mended_on_blue(new_sqlite, new_database, migration):
    """The row is read again with the change that mends it, and its note goes; what still does not fit keeps its note."""
    blue, green = new_sqlite(), new_database()
    long_key = "k" * 250
    blue.sql("CREATE TABLE t (id text PRIMARY KEY, v text, n integer)")
    blue.sql("INSERT INTO t VALUES ('fine', 'one', 1), ('mend', x'ff', 1), ('delete', x'ff', 1), ('move', x'ff', 1),"
             f" ('still', x'ff', 1), ('spoil', 'one', 1), ('{long_key}1', x'ff', 1), ('{long_key}2', x'ff', 1)")
    m = migration(blue, green, collections={"t": {"columns": {"v": {"on_loss": "quarantine"}, "id": {"on_loss": "fail"}}}})
    m.run("copy", timeout=120)

    def keys():
        found = m.run("quarantine", "--json", expect=None).json["items"]
        return sorted({i["key"].removeprefix("id=") for i in found})

    assert keys() == sorted(["mend", "delete", "move", "still", long_key + "1", long_key + "2"])
    blue.sql("UPDATE t SET v = 'two' WHERE id = 'mend'")
    blue.sql("DELETE FROM t WHERE id = 'delete'")
    blue.sql("UPDATE t SET id = 'moved', v = 'three' WHERE id = 'move'")
    blue.sql("UPDATE t SET n = 2 WHERE id = 'still'")
    blue.sql("UPDATE t SET v = x'fe' WHERE id = 'spoil'")
    blue.sql("INSERT INTO t VALUES ('new', x'fe', 1)")
    blue.sql(f"UPDATE t SET v = 'long' WHERE id = '{long_key}1'")
    m.run("follow", "--until", "caught-up", expect=runner.NO, timeout=120)
    assert keys() == sorted(["still", "spoil", "new", long_key + "2"])
    assert dict(green.sql("SELECT id, v FROM t")) == {"fine": "one", "mend": "two", "moved": "three", "spoil": "one",
                                                       long_key + "1": "long"}
    blue.sql("UPDATE t SET v = 'four' WHERE id IN ('still', 'spoil', 'new')")
    blue.sql("UPDATE t SET n = n + 1")  # all of them once more, the last note among them
    blue.sql(f"UPDATE t SET v = 'last' WHERE id = '{long_key}2'")
    m.run("follow", "--until", "caught-up", timeout=120)
    assert keys() == []
    m.run("verify", timeout=120)
    assert green.sql("SELECT id, v, n FROM t ORDER BY id") == blue.sql("SELECT id, v, n FROM t ORDER BY id")
    m.run("abort", "--yes")


def test_verify_names_the_rows_that_are_left_out(new_sqlite, new_database, migration, tmp_path):
    """In quarantine they make the verdict unresolved; taken out of it by the operator it is equal, and says that they lack."""
    blue, green = new_sqlite(), new_database()
    blue.sql("CREATE TABLE t (id integer PRIMARY KEY, v text, state text); CREATE TABLE whole (id integer PRIMARY KEY)")
    blue.sql("INSERT INTO t VALUES (1, 'one', 'a'), (2, x'ff', 'a'), (3, x'ff', 'a'), (4, 'four', 'gone')")
    blue.sql("INSERT INTO whole VALUES (1), (2)")
    m = migration(blue, green, collections={"t": {"columns": {"v": {"on_loss": "quarantine"}},
                                                  "where": {"column": "state", "not_in": ["gone"]}}})
    m.run("copy", timeout=120)
    waiting = m.run("verify", "--json", expect=3, timeout=120)
    verdict = waiting.json
    assert (verdict["verdict"], verdict["left_out"]) == ("unresolved", {"quarantine": 2, "filter": 1}), verdict
    by_name = {c["collection"].rpartition(".")[2]: c for c in verdict["collections"]}
    assert by_name["t"]["left_out"] == {"quarantine": 2, "filter": 1} and by_name["t"]["verdict"] == "unresolved"
    assert by_name["whole"]["left_out"] == {"quarantine": 0, "filter": 0} and by_name["whole"]["verdict"] == "equal"
    m.run("quarantine", "--clear", "all", "--yes")
    pages = {"--markdown": tmp_path / "v.md", "--html": tmp_path / "v.html"}
    done = m.run("verify", *(part for pair in pages.items() for part in pair), timeout=120)
    said = done.stdout + done.stderr
    assert "verdict: equal" in said and said.count("2 rows left out by policy quarantine, 1 by the filter") == 2, said
    for path in pages.values():
        assert "2 rows left out by policy quarantine, 1 by the filter" in path.read_text(), path
    m.run("switch", "--yes", timeout=120)
    m.run("rollback", "--yes", "--unverified", timeout=120)
    m.run("abort", "--yes")


def test_a_cascade_of_mariadb_reaches_sqlite(new_mariadb_database, new_sqlite, migration):
    """The children are read again and noted on green inside of green's only write transaction."""
    blue, green = new_mariadb_database(), new_sqlite()
    blue.owner_sql("CREATE TABLE tree (id int PRIMARY KEY, up int, FOREIGN KEY (up) REFERENCES tree (id) ON DELETE CASCADE);\n"
                   "INSERT INTO tree VALUES (1, NULL);\nINSERT INTO tree SELECT seq, seq DIV 2 FROM seq_2_to_100")
    m = migration(blue, green)
    m.run("copy", timeout=120)
    blue.sql("DELETE FROM tree WHERE id = 3")
    m.run("follow", "--until", "caught-up", timeout=60)
    assert green.value("SELECT count(*) FROM tree") == blue.value("SELECT count(*) FROM tree") < 99
    m.run("verify", timeout=120)
    m.run("abort", "--yes")
