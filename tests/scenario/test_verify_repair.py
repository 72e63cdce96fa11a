"""verify --repair: SQL that makes the side that follows what it is to be, and the file that undoes it exactly."""
import os
import stat
import subprocess

import pytest
from godwit_support import runner, traps, unlike
from godwit_support.roles import PASSWORDS
from test_verify import plant, verify

TABLES = """
CREATE TABLE thing (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(40), price numeric, weight float8, small float4,
  made timestamptz, day date, doc json, docb jsonb, raw bytea, flags bit(5), tags text[], addr inet, span interval, ok boolean,
  code char(6), twice numeric GENERATED ALWAYS AS (price * 2) STORED);
INSERT INTO thing (name, price, weight, small, made, day, doc, docb, raw, flags, tags, addr, span, ok, code)
SELECT 'it''s \\ ' || i, i * 1.50, i / 3.0, i / 7.0, timestamptz '2024-01-01 00:00:00.123456+00' + i * interval '1 h', date '2024-02-29' + i,
  ('{"a": ' || i || ',  "b":1}')::json, '{"x": [1, null]}', decode('00ff0a5c', 'hex'), B'10101', ARRAY['a,b', NULL, '"q"'], '10.0.0.1/8',
  interval '1 mon 2 d 3 h', i % 2 = 0, 'ab'
FROM generate_series(1, 60) i;
INSERT INTO thing (name) VALUES (NULL);
CREATE TABLE pairs (a int, b text COLLATE "C", note text, PRIMARY KEY (a, b));
INSERT INTO pairs SELECT i, 'k''' || i, 'n' FROM generate_series(1, 40) i
"""
CORRUPTIONS = """
UPDATE thing SET name = 'other' WHERE id = 1; UPDATE thing SET name = name || ' ' WHERE id = 2; UPDATE thing SET price = price + 0 * 1.000 WHERE id = 3;
UPDATE thing SET weight = '-0', small = 'NaN' WHERE id = 4; UPDATE thing SET made = made + interval '1 us', day = 'infinity' WHERE id = 5;
UPDATE thing SET doc = '{"a":6,"b":1}', docb = 'null' WHERE id = 6; UPDATE thing SET raw = '\\x00', flags = B'00000' WHERE id = 7;
UPDATE thing SET tags = ARRAY[[1,2],[3,4]]::text[], addr = '::1', span = '25 h' WHERE id = 8; UPDATE thing SET ok = NULL, code = '' WHERE id = 9;
UPDATE thing SET name = NULL, price = NULL, weight = NULL, made = NULL, doc = NULL, tags = NULL WHERE id = 60;
UPDATE thing SET name = 'was null', price = 'NaN', doc = '[]' WHERE id = 61;
DELETE FROM thing WHERE id IN (10, 11, 61 - 30); DELETE FROM pairs WHERE a IN (1, 40);
INSERT INTO thing (id, name, price, tags) OVERRIDING SYSTEM VALUE VALUES (900, E'new\\n''line', 1.10, '{}');
INSERT INTO pairs VALUES (7, 'more', NULL), (8, '', ''); UPDATE pairs SET note = 'x' WHERE a = 20
"""


def undo(green, path):
    said = subprocess.run(["psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", green.dsn("godwit", with_password=True), "-f", path], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    return said.stdout


def rows(side, tables=("thing", "pairs")):
    return {t: side.sql(f"SELECT t::text FROM {t} t ORDER BY 1", user="postgres") for t in tables}


@pytest.fixture
def broken(pair, migration):
    blue, green = pair
    blue.owner_sql(TABLES)
    m = migration(blue, green, verify={"resettle": "2s"})
    traps.load(m)
    plant(green, CORRUPTIONS)
    return blue, green, m


def test_what_was_corrupted_is_repaired_and_the_undo_file_puts_it_back_exactly(broken, tmp_path):
    blue, green, m = broken
    corrupted, good = rows(green), rows(blue)
    assert corrupted != good
    repair = tmp_path / "repair.sql"
    said = m.run("verify", "--repair", repair, "--json", expect=runner.NO, timeout=120)
    assert rows(green) == corrupted and said.json["repair"]["applied"] == 0
    assert said.json["repair"]["left_alone"] == [] and said.json["repair"]["statements"] >= 18
    for path in (repair, tmp_path / "repair.sql.undo"):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    text = repair.read_text()
    assert "Only as long as this side is not the owner" in text and text.count("UPDATE") > 9 and text.count("COMMIT;") == 1
    said = m.run("verify", "--repair", repair, "--apply", "--json", timeout=120).json
    assert said["verdict"] == "equal" and said["repair"]["applied"] == said["repair"]["statements"] and rows(green) == good
    assert "UPDATE 0" not in undo(green, tmp_path / "repair.sql.undo")
    assert rows(green) == corrupted and rows(blue) == good
    undo(green, repair)
    assert rows(green) == good
    assert verify(m)["verdict"] == "equal"


def test_a_row_that_somebody_else_changed_meanwhile_is_left_as_it_is(broken, tmp_path):
    _, green, m = broken
    repair = tmp_path / "repair.sql"
    m.run("verify", "--repair", repair, expect=runner.NO, timeout=120)
    plant(green, "UPDATE thing SET name = 'somebody''s' WHERE id = 1")
    assert undo(green, repair).count("UPDATE 0") == 1
    assert green.sql("SELECT name FROM thing WHERE id = 1", user="postgres") == [("somebody's",)]


def test_repaired_rows_are_ours_to_the_way_back_and_what_the_owner_writes_goes_on(pair, migration, tmp_path):
    blue, green = pair
    blue.owner_sql(TABLES)
    m = migration(blue, green, verify={"resettle": "2s"})
    traps.load(m)
    (tmp_path / "by_hand.sql").write_text(
        """BEGIN; SET LOCAL godwit.ours = on; INSERT INTO godwit.position (stream, "order", text) VALUES ('operator', 0, '')
           ON CONFLICT (stream) DO UPDATE SET applied_at = clock_timestamp();""" + CORRUPTIONS + ";COMMIT;")
    undo(green, tmp_path / "by_hand.sql")
    m.run("verify", "--repair", tmp_path / "r.sql", "--apply", timeout=120)
    blue.sql("UPDATE thing SET name = 'after' WHERE id = 1; DELETE FROM thing WHERE id = 10; INSERT INTO pairs VALUES (1000, 'z', 'z')")
    traps.catch_up(m)
    assert verify(m)["verdict"] == "equal" and rows(green) == rows(blue)
    assert m.status()["blocks"] == []


def test_rows_without_a_key_are_not_repaired_and_the_verdict_says_so(pair, migration, tmp_path):
    blue, green = pair
    blue.owner_sql("CREATE TABLE log (line text); INSERT INTO log SELECT 'l' || i FROM generate_series(1, 20) i")
    m = migration(blue, green, verify={"resettle": "2s"})
    traps.load(m)
    plant(green, "DELETE FROM log WHERE line = 'l3'")
    said = m.run("verify", "--repair", tmp_path / "r.sql", "--apply", "--json", expect=runner.NO, timeout=120).json
    assert said["repair"]["statements"] == 0 and said["verdict"] == "different"


@pytest.mark.parametrize("options,words", [(["--apply"], "--apply goes with --repair"), (["--private", "--repair", "x.sql"], "--private holds it back")])
def test_options_that_do_not_go_together_are_refused(pair, migration, options, words):
    assert words in migration(*pair).run("verify", *options, expect=runner.USAGE).stderr


def test_between_engines_rows_are_repaired_in_the_target_s_terms(new_sqlite, pair, migration, tmp_path):
    blue, (_, green) = new_sqlite(), pair
    unlike.let_in(green)
    blue.owner_sql("CREATE TABLE item (id integer PRIMARY KEY, name text, paid boolean, made datetime, raw blob, price decimal(10,2));\n"
                   + "\n".join(f"INSERT INTO item VALUES ({i}, 'n''{i}', {i % 2}, '2024-01-02 03:04:0{i}', x'00ff0{i}', {i}.25);" for i in range(1, 9)))
    m = migration(blue, green, verify={"resettle": "2s"})
    traps.load(m)
    plant(green, "UPDATE item SET name = 'x', paid = NOT paid WHERE id = 2; UPDATE item SET raw = '', made = NULL WHERE id = 3;"
                 "DELETE FROM item WHERE id = 4; INSERT INTO item (id, name) VALUES (77, 'more')")
    corrupted = rows(green, ("item",))
    assert verify(m, runner.NO)["verdict"] == "different"
    said = m.run("verify", "--repair", tmp_path / "r.sql", "--apply", "--json", timeout=120).json
    assert said["verdict"] == "equal" and said["repair"]["applied"] == 4
    undo(green, tmp_path / "r.sql.undo")
    assert rows(green, ("item",)) == corrupted


def test_sqlite_is_repaired_too_with_the_class_of_each_value(new_sqlite, migration, tmp_path):
    blue, green = new_sqlite(), new_sqlite()
    blue.owner_sql("CREATE TABLE item (id integer PRIMARY KEY, v, name text COLLATE NOCASE);\n"
                   "INSERT INTO item VALUES (1, 1, 'a'), (2, '1', 'b'), (3, 0.1, 'it''s'), (4, x'0a00', NULL), (5, NULL, '')")
    m = migration(blue, green, verify={"resettle": "2s"})
    traps.load(m)
    image = "SELECT id, typeof(v), hex(v), v, hex(name), name FROM item ORDER BY id"
    good = blue.sql(image)
    for statement in ("DROP TRIGGER IF EXISTS godwit_fence_update_item", "UPDATE item SET name = 'A' WHERE id = 1"):
        planted(green, statement)
    planted(green, "UPDATE item SET v = 1 WHERE id = 2")
    planted(green, "UPDATE item SET v = 0.1000000001, name = NULL WHERE id = 3")
    planted(green, "DELETE FROM item WHERE id = 4")
    planted(green, "INSERT INTO item VALUES (9, -9e999, 'nine')")
    corrupted = green.sql(image)
    assert corrupted != good
    said = m.run("verify", "--repair", tmp_path / "r.sql", "--apply", "--json", timeout=120).json
    assert said["verdict"] == "equal" and green.sql(image) == good and said["repair"]["applied"] == 5
    run = subprocess.run(["sqlite3", green.path], input=(tmp_path / "r.sql.undo").read_text(), capture_output=True, text=True)
    assert run.returncode == 0 and run.stderr == "" and green.sql(image) == corrupted


def planted(side, statement):
    """As sqlite3 does it with triggers off: neither stopped nor seen."""
    run = subprocess.run(["sqlite3", side.path], input=f".dbconfig enable_trigger off\n{statement};\n", capture_output=True, text=True)
    assert run.returncode == 0 and "rror" not in run.stderr, run.stderr


def test_mariadb_is_repaired_too_bit_by_bit(new_mariadb_database, migration, tmp_path):
    blue, green = new_mariadb_database(), new_mariadb_database()
    blue.owner_sql(
        "CREATE TABLE item (id int auto_increment PRIMARY KEY, name varchar(40), latin varchar(20) CHARACTER SET latin1, price decimal(12,4), small float,"
        " large double, made timestamp(6) NULL, at datetime NULL, t time(3), y year, raw blob, flags bit(9), kind enum('a','b'), some set('x','y'),"
        " doc json, twice decimal(12,4) AS (price * 2) STORED) CHARACTER SET utf8mb4;\n"
        + "\n".join(f"INSERT INTO item (name, latin, price, small, large, made, at, t, y, raw, flags, kind, some, doc) VALUES ('it''s \\\\{i}', 'ü{i}', {i}.5,"
                    f" {i} / 7, {i} / 3, '2024-01-02 03:04:05.00000{i}', '2024-02-29 01:02:0{i}', '-12:00:00.5', 2024, x'00ff0{i}27', b'101010101', 'b',"
                    f" 'x,y', '{{\"a\": {i}}}');" for i in range(1, 9)))
    m = migration(blue, green, verify={"resettle": "2s"})
    traps.load(m)
    image = ("SELECT id, hex(name), hex(latin), price, small + 0e0, large, made, at, t, y, hex(raw), bin(flags), kind, some, hex(doc), twice FROM item "
             "ORDER BY id")
    good = [str(row) for row in blue.sql(image)]
    by_hand(green, tmp_path,
            "UPDATE item SET name = 'IT''S \\1', latin = 'u1' WHERE id = 1;UPDATE item SET price = 0.0001, small = 0.1, large = 1e-300 WHERE id = 2;"
            "UPDATE item SET made = NULL, at = '2024-02-29 00:00:00', t = '838:00:00', y = 1999 WHERE id = 3;"
            "UPDATE item SET raw = '', flags = 0, kind = 'a', some = '', doc = '{\"a\":  4}' WHERE id = 4;DELETE FROM item WHERE id IN (5, 6);"
            "INSERT INTO item (id, name, small) VALUES (77, 'more ', 3.3)")
    corrupted = [str(row) for row in green.sql(image)]
    said = m.run("verify", "--repair", tmp_path / "r.sql", "--apply", "--json", timeout=120).json
    assert said["verdict"] == "equal" and said["repair"]["applied"] == said["repair"]["statements"] == 7
    assert [str(row) for row in green.sql(image)] == good and m.status()["blocks"] == []
    client(green, (tmp_path / "r.sql.undo").read_text())
    assert [str(row) for row in green.sql(image)] == corrupted


def client(side, text):
    run = subprocess.run(["mariadb", "--socket", str(side.server.socket), "--user", "godwit", f"--password={PASSWORDS['godwit']}", side.name],
                         input=text, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def by_hand(side, _, text):
    client(side, "SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES', @godwit_ours = 1; START TRANSACTION; INSERT INTO godwit_position (stream, place, text,"
                 f" applied_at) VALUES ('operator', 0, '', NOW(6)) ON DUPLICATE KEY UPDATE applied_at = NOW(6); {text}; COMMIT;")
