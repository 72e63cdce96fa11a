"""A server of MySQL's own: its words of SQL, its binlog with GTIDs, its way to a mark and to a fence. The server that is to
be had is 5.6, older than what is promised; a test build lets it in. Live writers, switch and rollback, no difference after it.
"""
import pytest

from godwit_support import unlike, writers
from godwit_support.doorway import Doorway
from godwit_support.waiting import wait_until

ROWS = 600
KINDS_SQL = """
CREATE TABLE kinds (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, ti tinyint, su smallint unsigned, mi mediumint,
    i int, big bigint, d decimal(30,10), f float, db double, b bit(10), y year, day date, at datetime(6), moment timestamp(3) NULL,
    t time(3), c char(5), v varchar(50) CHARACTER SET utf8mb4, l text CHARACTER SET latin1, fixed binary(4), vb varbinary(20),
    bl blob, e enum('a', 'b', 'it''s'), s set('x', 'y', 'z'), n int DEFAULT 7, KEY (v), KEY (day)) DEFAULT CHARSET = utf8mb4;
"""
ROW = ("INSERT INTO kinds (ti, su, mi, i, big, d, f, db, b, y, day, at, moment, t, c, v, l, fixed, vb, bl, e, s) VALUES"
       " (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)")
EXTREMES = [
    (-128, 0, -8388608, -2147483648, -9223372036854775808, "-99999999999999999999.9999999999", -1.5, -2.2250738585072014e-308, 0, 1901,
     "1000-01-01", "1000-01-01 00:00:00.000001", "1970-01-02 00:00:01.001", "-838:59:58.999", "vwxyz", "", "", b"\0", b"", b"", "a", ""),
    (127, 65535, 8388607, 2147483647, 9223372036854775807, "99999999999999999999.9999999999", 16777215, 1.7976931348623157e308, 1023, 2155,
     "9999-12-31", "9999-12-31 23:59:59.999999", "2038-01-19 03:14:07.999", "838:59:58.999", "abcde", "\U0001f426 it's", "caf\xe9", b"\0\1\2\3",
     b"\xff\0", b"\0" * 3000, "it's", "x,z"),
    (None,) * 22,
]
KINDS = {"kinds": (["id"], {"id": "int", "ti": "int", "su": "int", "mi": "int", "i": "int", "big": "int", "d": "decimal", "f": "float4",
                            "db": "float", "b": "bits", "y": "int", "day": "date", "at": "datetime", "moment": "datetime", "t": "time",
                            "c": "text", "v": "text", "l": "text", "fixed": "bytes", "vb": "bytes", "bl": "bytes", "e": "text",
                            "s": "set", "n": "int"}),
         **{name: (key, dict(columns, **({"doc": "text"} if "doc" in columns else {}))) for name, (key, columns) in writers.KINDS.items()}}


def insert_kinds(side):
    with side.connect("app", init_command="SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES'") as connection:
        with connection.cursor() as cursor:
            for row in EXTREMES:
                cursor.execute(ROW, row)


def caught_up(m):
    status = m.status()
    return status["stage"] == "follow" and status["verdict"]["verdict"] == "equal"


def live_under(m, live, runner):
    def ready():
        if not runner.alive():
            raise RuntimeError(str(runner.wait(10)))
        return caught_up(m)
    wait_until(lambda: live.committed > 10 or live.errors, 30, "the workload to run")
    wait_until(ready, 120, "the runner to follow and verify")


def flip(m, live, side, verb):
    m.run("verify", timeout=120)
    m.run(verb, "--yes", timeout=120)
    at = live.committed
    wait_until(lambda: live.committed > at + 30 or live.errors, 30, f"writes on {side}")
    assert not live.errors, live.errors[:3]


def there_and_back(migration, tmp_path, blue, green, **store_keys):
    for side in (blue, green):
        unlike.let_in(side)
    blue.owner_sql(KINDS_SQL)
    insert_kinds(blue)
    writers.create_tables(blue, ("items",), "counters", rows=ROWS)
    door = Doorway(tmp_path / "door")
    m = migration(blue, green, gate=door.gate(), **store_keys)
    with writers.Writers({"blue": blue, "green": green}, ("items",), "counters", count=3, rows=ROWS, rate=60, doorway=door,
                         retry=False, touch="concat(doc, ' ')") as live:
        runner = m.popen("run")
        live_under(m, live, runner)
        insert_kinds(blue)  # the same values by the log
        flip(m, live, "green", "switch")
        flip(m, live, "blue", "rollback")
        live.stop()
        m.run("verify", timeout=120)
        live.assert_nothing_lost(blue)
    unlike.assert_equal(blue, green, KINDS)
    m.run("abort", "--yes", timeout=120)
    runner.wait(30)
    assert not blue.sql("SELECT table_name FROM information_schema.tables WHERE table_name LIKE '%%godwit%%'", ())
    assert not blue.sql("SELECT trigger_name FROM information_schema.triggers WHERE trigger_name LIKE '%%godwit%%'", ())


SPANS = {"collections": {"kinds": {"columns": {"t": {"type": "interval"}}}}}


def test_mysql_to_postgresql_and_back_under_load(migration, tmp_path, new_mysql_database, new_database):
    there_and_back(migration, tmp_path, new_mysql_database(), new_database(), **SPANS)


def test_mysql_to_mysql_and_back_under_load(migration, tmp_path, new_mysql_database):
    there_and_back(migration, tmp_path, new_mysql_database(name="blue"), new_mysql_database(name="green"))


def test_mysql_to_mariadb_and_back_under_load(migration, tmp_path, new_mysql_database, new_mariadb_database):
    there_and_back(migration, tmp_path, new_mysql_database(), new_mariadb_database())


@pytest.mark.parametrize("image", ("minimal", "noblob"))
def test_smaller_row_images_and_no_checksums_are_followed(image, migration, new_mysql_database, new_database):
    blue = new_mysql_database(settings={"binlog_row_image": image, "binlog_checksum": "NONE"})
    green = new_database()
    blue.owner_sql(KINDS_SQL)
    insert_kinds(blue)
    m = migration(blue, green, **SPANS)
    m.run("copy", timeout=120)
    insert_kinds(blue)
    blue.owner_sql("UPDATE kinds SET n = n + 1, e = 'b' WHERE id % 2 = 0;\nUPDATE kinds SET bl = 'other', v = NULL WHERE id = 2;\n"
                   "DELETE FROM kinds WHERE id = 3;\nUPDATE kinds SET id = 100 WHERE id = 4")
    m.run("follow", "--until", "caught-up", timeout=120)
    unlike.assert_equal(blue, green, {"kinds": KINDS["kinds"]})
    m.run("verify", timeout=120)
    m.run("abort", "--yes")
