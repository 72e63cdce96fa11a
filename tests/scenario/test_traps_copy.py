"""The traps of copy and follow, each down all the paths it can take: copied, streamed, and streamed on the way back."""
import psycopg2
import pytest
from godwit_support import compare, roles, traps
from godwit_support.waiting import wait_until

MIB = 1 << 20

# --- values ---

# column: (type, values as SQL); every row holds one value of every column, and one row is all NULL.
TYPES = {
    "a_bool": ("bool", ["true", "false"]),
    "a_int2": ("int2", ["-32768", "32767"]),
    "a_int4": ("int4", ["-2147483648", "2147483647"]),
    "a_int8": ("int8", ["-9223372036854775808", "9223372036854775807"]),
    "a_numeric": ("numeric", ["'NaN'", "1e-16000", "123456789012345678901234567890.000", "0.00", "1.0", "-1e300"]),
    "a_numeric_typed": ("numeric(12,3)", ["-999999999.999", "0"]),
    "a_float4": ("float4", ["'NaN'", "'-Infinity'", "'-0'", "1e-45", "0.36640625", "16777217"]),
    "a_float8": ("float8", ["'NaN'", "'Infinity'", "'-0'", "5e-324", "1e16", "0.1", "1.7976931348623157e308"]),
    "a_money": ("money", ["'-92233720368547758.08'", "12.34"]),
    "a_text": ("text", ["''", "'NULL'", r"E'\\N'", r"E'tab\t nl\n cr\r bs\b q''\" \\\\ '", "'é e\u0301 \U0001f9a4 ﷽'", "' x '"]),
    "a_varchar": ("varchar(5)", ["'abc  '", "''"]),
    "a_char": ("char(5)", ["'ab'", "''"]),
    "a_one": ('"char"', ["'x'", "''"]),
    "a_name": ("name", ["'a name'"]),
    "a_bytea": ("bytea", [r"'\x'", r"'\x00ff5c27'", "sha256('x')"]),
    "a_date": ("date", ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'", "'2024-02-29'"]),
    "a_time": ("time", ["'24:00:00'", "'00:00:00.000001'"]),
    "a_timetz": ("timetz", ["'24:00:00+15:59'", "'12:00-08'"]),
    "a_timestamp": ("timestamp", ["'infinity'", "'4713-01-01 00:00:00 BC'", "'294276-12-31 23:59:59.999999'"]),
    "a_timestamptz": ("timestamptz", ["'-infinity'", "'2024-03-31 02:30:00 Europe/Berlin'", "'1900-01-01 00:00:00+00'"]),
    "a_interval": ("interval", ["'-1 mons +2 days -00:00:00.000001'", "'178000000 years'", "'0'"]),
    "a_uuid": ("uuid", ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffff00'"]),
    "a_inet": ("inet", ["'10.1.2.3/8'", "'::ffff:1.2.3.4/128'", "'fe80::1/64'"]),
    "a_cidr": ("cidr", ["'10.0.0.0/8'", "'::/0'"]),
    "a_mac": ("macaddr", ["'08:00:2b:01:02:03'"]),
    "a_mac8": ("macaddr8", ["'08:00:2b:01:02:03:04:05'"]),
    "a_bit": ("bit(9)", ["B'101010101'"]),
    "a_varbit": ("varbit", ["B''", "B'0000000000001'"]),
    "a_json": ("json", ["""'{"b" : 1, "a":1.0,"a": [ ]}'""", """'"\\u00e9"'"""]),
    "a_jsonb": ("jsonb", ["""'{"b": 1.00, "a": [null, {"": ""}]}'""", "'null'"]),
    "a_jsonpath": ("jsonpath", ["'$.a[*] ? (@ > 1)'"]),
    "a_xml": ("xml", ["'<a b=\"c\">&amp;é</a>'"]),
    "a_tsvector": ("tsvector", ["'a:1A fat:2B,4C cat'", "''"]),
    "a_tsquery": ("tsquery", ["'fat & (rat | cat:AB) <-> dog'"]),
    "a_point": ("point", ["'(1e300,-0)'"]),
    "a_line": ("line", ["'{1,-2,3}'"]),
    "a_lseg": ("lseg", ["'[(0,0),(1,1)]'"]),
    "a_box": ("box", ["'(2,2),(0,0)'"]),
    "a_path": ("path", ["'[(0,0),(1,1)]'", "'((0,0),(1,1))'"]),
    "a_polygon": ("polygon", ["'((0,0),(1,1),(2,0))'"]),
    "a_circle": ("circle", ["'<(1,2),3>'"]),
    "a_int4range": ("int4range", ["'empty'", "'(,5]'", "'[1,)'"]),
    "a_numrange": ("numrange", ["'[1.10,2.200)'"]),
    "a_tstzrange": ("tstzrange", ["'[2024-01-01 00:00+00,infinity)'"]),
    "a_own_range": ("own_range", ["'[0.1,0.2]'"]),
    "an_array": ("int[]", ["'{}'", "'[0:1]={1,NULL}'", "'{{1,2},{3,4}}'"]),
    "a_text_array": ("text[]", ["""'{"a\\"b", "", NULL, "NULL", "{}"}'"""]),
    "an_enum": ("mood", ["'calm'", "'it''s, \"odd\"'"]),
    "an_enum_array": ("mood[]", ["""'{calm,"it''s, \\"odd\\"",NULL}'"""]),
    "a_domain": ("positive", ["7"]),
    "a_domain_text": ("short", ["'x'"]),
    "a_composite": ("pair", ["ROW(1,'a b','it''s, \"odd\"')::pair", "'(,,)'", "ROW(NULL,'',NULL)::pair"]),
    "a_composite_array": ("pair[]", ["""ARRAY[ROW(1,'x','calm')::pair, NULL]"""]),
    "a_nested": ("nest", ["ROW(ROW(1,'q','calm')::pair, ARRAY['calm']::mood[], 'target_table')::nest"]),
    "an_oid": ("oid", ["4294967295"]),
    "an_xid": ("xid", ["'4294967295'"]),
    "an_xid8": ("xid8", ["'18446744073709551615'"]),
    "a_tid": ("tid", ["'(4294967295,1)'"]),
    "a_lsn": ("pg_lsn", ["'FFFFFFFF/FFFFFFFF'", "'0/0'"]),
    "a_snapshot": ("pg_snapshot", ["'10:20:10,14,15'"]),
    "a_regclass": ("regclass", ["'target_table'", "'pg_class'"]),
    "a_regclass_array": ("regclass[]", ["ARRAY['target_table', 'pg_class']::regclass[]"]),
    "a_regtype": ("regtype", ["'mood'"]),
    "a_regproc": ("regprocedure", ["'own_function(integer)'"]),
    "a_regrole": ("regrole", ["'app_owner'"]),
    "a_regdomain": ("known_table", ["'target_table'"]),
}
TYPES_SQL = """
CREATE TYPE mood AS ENUM ('calm', 'it''s, "odd"');
CREATE TYPE pair AS (n int, t text, m mood);
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN short AS varchar(3) NOT NULL DEFAULT 'd';
CREATE TYPE own_range AS RANGE (subtype = float8);
CREATE FUNCTION own_function(int) RETURNS int LANGUAGE sql AS 'SELECT $1';
CREATE TABLE target_table (id int PRIMARY KEY);
CREATE TYPE nest AS (p pair, ms mood[], r regclass);
CREATE DOMAIN known_table AS regclass;
"""
MULTIRANGE = {"a_multirange": ("int4multirange", ["'{}'", "'{[1,3),[7,)}'"])}


def types_here(database):
    """The columns of its matrix, or those it can have."""
    have = {name for (name,) in database.sql("SELECT attname FROM pg_attribute WHERE attrelid = to_regclass('matrix')")}
    return {**TYPES, **(MULTIRANGE if "a_multirange" in have or not have and database.server.major >= 14 else {})}


def matrix_ddl(types):
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in types.items() if name != "a_domain_text")
    return f"CREATE TABLE matrix (id int PRIMARY KEY, {columns}, a_domain_text short)"


def matrix_rows(types, first):
    """INSERT statements: enough rows that every value of every type occurs."""
    most = max(len(values) for _, values in types.values())
    for row in range(most + 1):
        values = [values[row % len(values)] if row < most else "NULL" for _, values in types.values()]
        values = ["'d'" if name == "a_domain_text" and value == "NULL" else value
                  for value, name in zip(values, types)]
        yield f"INSERT INTO matrix (id, {', '.join(types)}) VALUES ({first + row}, {', '.join(values)})"


def put_matrix(database, first):
    statements = ";".join(matrix_rows(types_here(database), first))
    database.sql(statements, user="app_owner")


def rewrite_matrix(database, first, source):
    """The values of other rows by UPDATE, so that each travels as the new value of a change, too."""
    names = ", ".join(types_here(database))
    database.sql(f"UPDATE matrix m SET ({names}) = (SELECT {names} FROM matrix s WHERE s.id = m.id - {first} + {source})"
                 f" WHERE m.id BETWEEN {first} AND {first} + 5", user="app_owner")


def type_matrix(m, blue, green):
    # Other OIDs on the two sides: whatever crosses as a number names something else there.
    green.owner_sql("CREATE TABLE dummy_a (id int PRIMARY KEY); CREATE TYPE dummy_mood AS ENUM ('z'); DROP TABLE dummy_a")
    blue.owner_sql(TYPES_SQL)
    blue.owner_sql(matrix_ddl(types_here(blue)))
    put_matrix(blue, 1)
    traps.there_and_back(m, blue, green,
                         on_blue=lambda side: (put_matrix(side, 101), rewrite_matrix(side, 101, 3)),
                         on_green=lambda side: (put_matrix(side, 201), rewrite_matrix(side, 1, 203)),
                         on_blue_again=lambda side: (put_matrix(side, 301), rewrite_matrix(side, 201, 302)))
    count = blue.value("SELECT count(*) FROM matrix")
    assert green.value("SELECT count(*) FROM matrix") == count >= 28
    assert green.value("SELECT a_regclass::oid FROM matrix WHERE id = 1") != blue.value(
        "SELECT a_regclass::oid FROM matrix WHERE id = 1"), "the sides gave target_table the same OID: this shows nothing"


def test_every_type_survives_copy_stream_and_the_way_back(pair, migration):
    blue, green = pair
    type_matrix(migration(blue, green), blue, green)


@pytest.mark.parametrize("old, new", [(13, 18), (14, 16), (15, 17), (15, 18)])
def test_every_type_survives_between_versions_there_and_back(old, new, new_server, migration):
    blue, green = roles.Database(new_server(old, "blue")), roles.Database(new_server(new, "green"))
    type_matrix(migration(blue, green), blue, green)


# --- TOAST ---

BIG = "(SELECT string_agg(sha256(i::text::bytea)::text, '') FROM generate_series({seed}, {seed} + 2000) i)"


def big(seed):
    return BIG.format(seed=seed * 10000)


def test_unchanged_toast_survives_every_kind_of_change(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY, big text NOT NULL, other int)")
    blue.owner_sql("ALTER TABLE t ALTER COLUMN big SET STORAGE EXTERNAL")
    blue.owner_sql(f"INSERT INTO t SELECT i, {big(1)} || i, 0 FROM generate_series(1, 30) i")

    def changes(side):
        base = 100 * (1 + (side.value("SELECT max(id) FROM t") // 100))
        side.owner_sql("UPDATE t SET other = other + 1 WHERE id % 3 = 0")
        side.owner_sql("UPDATE t SET id = id + %s WHERE id %% 7 = 0", (base,))
        side.owner_sql(f"BEGIN; INSERT INTO t VALUES ({base + 1}, {big(2)}, 1);"
                       f" UPDATE t SET other = 2 WHERE id = {base + 1};"
                       f" UPDATE t SET id = {base + 2} WHERE id = {base + 1}; UPDATE t SET id = {base + 3}, other = 9"
                       f" WHERE id = {base + 2}; COMMIT")
        side.owner_sql(f"BEGIN; UPDATE t SET big = {big(3)} WHERE id = 2; UPDATE t SET other = 5 WHERE id = 2;"
                       f" UPDATE t SET other = 6 WHERE id = 2; COMMIT")
        side.owner_sql(f"BEGIN; DELETE FROM t WHERE id = 4; INSERT INTO t VALUES (4, {big(4)}, 1);"
                       f" UPDATE t SET other = 7 WHERE id = 4; COMMIT")
        side.owner_sql("BEGIN; UPDATE t SET id = -1 WHERE id = 5; UPDATE t SET id = 5 WHERE id = 6;"
                       " UPDATE t SET id = 6 WHERE id = -1; COMMIT")
        side.owner_sql("BEGIN; UPDATE t SET other = 1 WHERE id = 8; SAVEPOINT s; UPDATE t SET big = 'small' WHERE id = 8;"
                       " ROLLBACK TO s; UPDATE t SET other = 2 WHERE id = 8; COMMIT")
        side.owner_sql("UPDATE t SET big = 'now small' WHERE id = 10")
        side.owner_sql("UPDATE t SET other = 3 WHERE id = 10")
    traps.there_and_back(migration(blue, green), blue, green, changes, changes, changes)


def test_toast_of_rows_that_move_while_their_chunks_are_read(pair, migration):
    """The key change streams 'u' for the value: to a key whose chunk was read before, and to one read after."""
    blue, green = pair
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY, big text NOT NULL, other int)")
    blue.owner_sql("ALTER TABLE t ALTER COLUMN big SET STORAGE EXTERNAL")
    blue.owner_sql(f"INSERT INTO t SELECT i * 10, {big(1)} || i, 0 FROM generate_series(1, 60) i")
    m = migration(blue, green, copy={"jobs": 1, "chunk_rows": 10})
    held = traps.Held(m, "copy.chunk.after_mark", "copy").wait()
    for statement in ("UPDATE t SET id = 15 WHERE id = 600", "UPDATE t SET id = 595 WHERE id = 20",
                      "UPDATE t SET other = 1 WHERE id = 30", "UPDATE t SET other = 1 WHERE id = 590",
                      "UPDATE t SET id = 35 WHERE id = 300", "UPDATE t SET id = 305 WHERE id = 35",
                      "DELETE FROM t WHERE id = 310", "UPDATE t SET id = 310 WHERE id = 320",
                      f"UPDATE t SET big = {big(5)}, id = 325 WHERE id = 330"):
        blue.owner_sql(statement)
    held.end()
    compare.assert_equal(blue, green)


# --- the join of chunks and stream ---

def test_a_chunk_read_earlier_never_overwrites_newer_rows(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY, v text)")
    blue.owner_sql("INSERT INTO t SELECT i, 'old' FROM generate_series(1, 100) i")
    m = migration(blue, green, copy={"jobs": 1, "chunk_rows": 1000})
    held = traps.Held(m, "copy.chunk.after_mark", "copy").wait()
    blue.owner_sql("UPDATE t SET v = 'new' WHERE id % 2 = 0")
    blue.owner_sql("DELETE FROM t WHERE id % 10 = 1")
    blue.owner_sql("INSERT INTO t VALUES (0, 'new'), (101, 'new')")
    blue.owner_sql("UPDATE t SET id = -id WHERE id % 10 = 3")
    blue.owner_sql("DELETE FROM t WHERE id = 7; INSERT INTO t VALUES (7, 'again')")
    held.end()
    compare.assert_equal(blue, green)
    assert green.value("SELECT v FROM t WHERE id = 7") == "again"


def test_a_unique_value_may_move_between_chunks(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY, code text UNIQUE)")
    blue.owner_sql("INSERT INTO t SELECT i, 'c' || i FROM generate_series(1, 40) i")
    m = migration(blue, green, copy={"jobs": 1, "chunk_rows": 10})
    held = traps.Held(m, "copy.chunk.after_commit", "copy").wait()
    blue.owner_sql("BEGIN; UPDATE t SET code = 'gone' WHERE id = 1; UPDATE t SET code = 'c1' WHERE id = 35; COMMIT")
    blue.owner_sql("DELETE FROM t WHERE id = 2; UPDATE t SET code = 'c2' WHERE id = 36")
    held.end()
    compare.assert_equal(blue, green)
    with pytest.raises(psycopg2.errors.UniqueViolation):
        green.sql("INSERT INTO t VALUES (999, 'c1')", user="godwit")

    # And when they follow: values that change places within one batch.
    blue.owner_sql("BEGIN; UPDATE t SET code = 'x' WHERE id = 10; UPDATE t SET code = 'c10' WHERE id = 11;"
                   " UPDATE t SET code = 'c11' WHERE id = 10; COMMIT")
    blue.owner_sql("BEGIN; DELETE FROM t WHERE id = 12; INSERT INTO t VALUES (500, 'c12'); COMMIT")
    blue.owner_sql("BEGIN; UPDATE t SET code = 'y' WHERE id = 13; INSERT INTO t VALUES (501, 'c13'); COMMIT")
    traps.catch_up(m)
    compare.assert_equal(blue, green)


def test_commit_order_is_not_begin_order_also_across_a_kill(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (0, 'a')")
    m = migration(blue, green)
    traps.load(m)
    first, second = blue.connect("app", autocommit=False), blue.connect("app", autocommit=False)
    first.cursor().execute("INSERT INTO t VALUES (1, 'first')")
    second.cursor().execute("INSERT INTO t VALUES (2, 'second')")
    second.commit()
    m.popen("follow", env={"GODWIT_CRASH_AT": "follow.apply.after_commit"}).wait(30)
    traps.catch_up(m)
    assert green.sql("SELECT id FROM t ORDER BY 1") == [(0,), (2,)]
    first.cursor().execute("UPDATE t SET v = 'b' WHERE id = 0")
    first.commit()
    traps.catch_up(m)
    compare.assert_equal(blue, green)
    for one in (first, second):
        one.close()


def test_truncate_while_copying_and_while_following(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE child (id int REFERENCES t, n serial)")
    blue.owner_sql("INSERT INTO t SELECT i, 'old' FROM generate_series(1, 100) i")
    blue.owner_sql("INSERT INTO child SELECT i FROM generate_series(1, 100) i")
    m = migration(blue, green, copy={"jobs": 1, "chunk_rows": 10})
    held = traps.Held(m, "copy.chunk.after_commit", "copy").wait()
    blue.owner_sql("TRUNCATE t CASCADE; INSERT INTO t SELECT i, 'new' FROM generate_series(50, 150) i")
    held.end()
    compare.assert_equal(blue, green)
    blue.owner_sql("BEGIN; INSERT INTO t VALUES (1000, 'x'); TRUNCATE t, child RESTART IDENTITY; INSERT INTO t VALUES (1, 'y');"
                   " INSERT INTO child VALUES (1); COMMIT")
    blue.sql("TRUNCATE child", user="app")
    blue.owner_sql("INSERT INTO child VALUES (1)")
    traps.catch_up(m)
    compare.assert_equal(blue, green)
    traps.to_green(m)
    green.owner_sql("TRUNCATE t CASCADE; INSERT INTO t VALUES (7, 'z')")
    traps.catch_up(m)
    compare.assert_equal(blue, green)


# --- tables without key ---

def test_tables_without_a_key_keep_their_duplicates(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE bag (a int, b text, c jsonb)")
    blue.owner_sql("INSERT INTO bag SELECT i % 3, CASE WHEN i % 2 = 0 THEN 'x' END, NULL FROM generate_series(1, 60) i")

    def changes(side):
        one_of = "ctid = (SELECT min(ctid) FROM bag WHERE {})"
        side.sql(f"DELETE FROM bag WHERE {one_of.format('a = 1 AND b IS NULL')}", user="app")
        side.sql(f"UPDATE bag SET b = 'y' WHERE {one_of.format('a = 2 AND b IS NULL')}", user="app")
        side.sql("INSERT INTO bag VALUES (NULL, NULL, NULL), (NULL, NULL, NULL), (NULL, NULL, NULL)", user="app")
        side.sql(f"DELETE FROM bag WHERE {one_of.format('a IS NULL')}", user="app")
        side.sql("UPDATE bag SET c = '{\"k\": 1}' WHERE a = 0 AND b = 'x'", user="app")
        side.sql("DELETE FROM bag WHERE a = 0 AND b IS NULL", user="app")
        side.sql("BEGIN; INSERT INTO bag SELECT 9, 'z' FROM generate_series(1, 30); DELETE FROM bag WHERE ctid IN"
                 " (SELECT ctid FROM bag WHERE a = 9 LIMIT 11); COMMIT", user="app")
    traps.there_and_back(migration(blue, green), blue, green, changes, changes, changes)


def test_a_key_made_of_a_unique_index_with_nulls_beside_it(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE t (a int NOT NULL, b text, UNIQUE (b), UNIQUE (a, b))")
    blue.owner_sql("INSERT INTO t SELECT i, CASE WHEN i % 3 > 0 THEN 'b' || i END FROM generate_series(1, 30) i")
    blue.owner_sql("CREATE TABLE u (a int NOT NULL, b text, c int); CREATE UNIQUE INDEX ON u (a) WHERE c > 0")
    blue.owner_sql("INSERT INTO u SELECT i % 4, 'x', 0 FROM generate_series(1, 30) i")

    def changes(side):
        side.sql("UPDATE t SET a = a + 100 WHERE b IS NULL AND a < 10; DELETE FROM t WHERE a = 12", user="app")
        side.sql("DELETE FROM u WHERE ctid = (SELECT min(ctid) FROM u); UPDATE u SET b = 'y' WHERE a = 1", user="app")
    traps.there_and_back(migration(blue, green), blue, green, changes, changes, changes)


# --- definitions ---

def test_generated_and_identity_columns_live_on_after_the_switch(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, other int GENERATED BY DEFAULT AS"
                   " IDENTITY, net numeric, gross numeric GENERATED ALWAYS AS (net * 1.2) STORED, words tsvector"
                   " GENERATED ALWAYS AS (to_tsvector('simple', note)) STORED, note text DEFAULT 'the default')")
    write = "INSERT INTO t (net) SELECT i FROM generate_series(1, 20) i; UPDATE t SET net = net + 1 WHERE id % 5 = 0"
    blue.owner_sql(write)

    def changes(side):
        side.sql(write, user="app")
        side.sql("DELETE FROM t WHERE id % 11 = 0; INSERT INTO t (id, net) OVERRIDING SYSTEM VALUE VALUES"
                 " ((SELECT max(id) + 1 FROM t), 5)", user="app")
        side.value("SELECT setval(pg_get_serial_sequence('t', 'id'), (SELECT max(id) FROM t))")
    traps.there_and_back(migration(blue, green), blue, green, changes, changes, changes)
    assert green.value("SELECT count(*) FROM t WHERE gross IS DISTINCT FROM net * 1.2") == 0


def test_virtual_generated_columns_of_18(new_server, migration):
    """pg_dump of the distribution cannot read 18, so there it is the target's own; what blue sends must still fit."""
    blue, green = roles.Database(new_server(15, "blue")), roles.Database(new_server(18, "green"))
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a + 1) STORED)")
    blue.owner_sql("INSERT INTO t SELECT i, i FROM generate_series(1, 50) i")

    def changes(side):
        first = 1000 + 100 * side.value("SELECT count(*) FROM t")
        side.sql(f"INSERT INTO t (id, a) SELECT i, i FROM generate_series({first}, {first} + 20) i", user="app")
        side.sql("UPDATE t SET a = a * 2 WHERE id % 3 = 0", user="app")
    traps.there_and_back(migration(blue, green), blue, green, changes, changes, changes)


@pytest.mark.parametrize("ddl, word", [
    ("ALTER TABLE t ADD COLUMN more int DEFAULT 7", "more"),
    ("ALTER TABLE t DROP COLUMN b", "b"),
    ("ALTER TABLE t ALTER COLUMN a TYPE bigint", "a"),
    ("ALTER TABLE t RENAME COLUMN b TO c", "t"),
    ("ALTER TABLE t RENAME TO elsewhere", "elsewhere"),
    ("DROP TABLE t", "t"),
])
def test_ddl_in_mid_stream_stops_with_clear_words_and_never_wrong_data(pair, migration, ddl, word):
    blue, green = pair
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY, a int, b text); CREATE TABLE still (id int PRIMARY KEY)")
    blue.owner_sql("INSERT INTO t SELECT i, i, 'b' FROM generate_series(1, 20) i")
    m = migration(blue, green)
    traps.load(m)
    blue.owner_sql("INSERT INTO t VALUES (100, 1, 'before')")
    blue.owner_sql(ddl)
    table = "elsewhere" if "elsewhere" in ddl else "t"
    if not ddl.startswith("DROP TABLE"):
        blue.owner_sql(f"INSERT INTO {table} (id, a) VALUES (200, 5); UPDATE {table} SET a = 6 WHERE id = 3")
        stopped = m.run("follow", "--until", "caught-up", expect=1)
        assert "t" in stopped.stderr and ("definition" in stopped.stderr or "column" in stopped.stderr), stopped
    switch = m.run("switch", *traps.FLIP, expect=1)
    said = switch.stdout + switch.stderr
    assert "DDL" in said or "definition" in said or "column" in said, switch
    assert word in said, switch
    assert m.status()["owner"] == "blue"
    # What came before is there; of what came after nothing, or all of it and right.
    assert green.value("SELECT b FROM t WHERE id = 100") == "before"
    assert green.value("SELECT a FROM t WHERE id = 3") in (3, 6)
    m.run("abort", "--yes")


def test_a_new_table_is_named_and_blocks(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY)")
    m = migration(blue, green)
    traps.load(m)
    blue.owner_sql("CREATE TABLE newcomer (id int PRIMARY KEY); INSERT INTO newcomer VALUES (1)")
    refused = m.run("switch", *traps.FLIP, expect=1)
    assert "newcomer" in refused.stdout + refused.stderr, refused
    assert m.status()["owner"] == "blue"


def test_partitions_move_rows_and_one_attached_in_mid_stream_is_refused(pair, migration):
    blue, green = pair
    blue.owner_sql("""
        CREATE TABLE p (id int, region text, v int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
        CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('eu') PARTITION BY RANGE (id);
        CREATE TABLE p_eu_low PARTITION OF p_eu FOR VALUES FROM (MINVALUE) TO (100);
        CREATE TABLE p_eu_high PARTITION OF p_eu FOR VALUES FROM (100) TO (MAXVALUE);
        CREATE TABLE p_us PARTITION OF p FOR VALUES IN ('us');
        CREATE TABLE p_rest PARTITION OF p DEFAULT;
        INSERT INTO p SELECT i, CASE i % 3 WHEN 0 THEN 'eu' WHEN 1 THEN 'us' ELSE 'zz' END, i FROM generate_series(1, 200) i;
        CREATE TABLE parent (id int PRIMARY KEY, v text);
        CREATE TABLE heir (extra text, PRIMARY KEY (id)) INHERITS (parent);
        INSERT INTO parent SELECT i, 'p' FROM generate_series(1, 10) i;
        INSERT INTO heir SELECT i, 'h', 'x' FROM generate_series(11, 30) i;
    """)

    def changes(side):
        side.sql("UPDATE p SET region = CASE region WHEN 'eu' THEN 'us' ELSE 'eu' END WHERE id % 10 = 0", user="app")
        side.sql("UPDATE p SET id = id + 1000 WHERE region = 'eu' AND id % 7 = 0; DELETE FROM p WHERE id = 5", user="app")
        side.sql("UPDATE parent SET v = v || 'u' WHERE id % 2 = 0; DELETE FROM ONLY parent WHERE id = 3", user="app")
        side.sql("TRUNCATE p_us", user="app")
        side.sql("INSERT INTO p SELECT i, 'us', i FROM generate_series(5000, 5050) i WHERE NOT EXISTS (SELECT FROM p"
                 " WHERE p.id = i)", user="app")
    m = migration(blue, green)
    traps.there_and_back(m, blue, green, changes, changes, changes)
    blue.owner_sql("CREATE TABLE p_asia (id int, region text, v int, PRIMARY KEY (id, region))")
    blue.owner_sql("INSERT INTO p_asia VALUES (1, 'asia', 1); ALTER TABLE p ATTACH PARTITION p_asia FOR VALUES IN ('asia')")
    refused = m.run("switch", *traps.FLIP, expect=1)
    assert "p_asia" in refused.stdout + refused.stderr, refused


def test_foreign_keys_and_triggers_act_once_on_either_side(pair, migration):
    blue, green = pair
    foreign_keys_and_triggers(migration(blue, green), blue, green)


@pytest.mark.parametrize("old, new", [(14, 16)])
def test_foreign_keys_and_triggers_act_once_where_no_replica_role_can_be_granted(old, new, new_server, migration):
    """Before 15 session_replication_role is for superusers: the follower has to be without them until the flip."""
    blue, green = roles.Database(new_server(old, "blue")), roles.Database(new_server(new, "green"))
    foreign_keys_and_triggers(migration(blue, green), blue, green)


def foreign_keys_and_triggers(m, blue, green):
    blue.owner_sql("""
        CREATE TABLE parent (id int PRIMARY KEY, v text);
        CREATE TABLE goes (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
        CREATE TABLE stays (id int PRIMARY KEY, parent int REFERENCES parent ON DELETE SET NULL ON UPDATE CASCADE);
        CREATE TABLE audit (n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO audit (what) VALUES (TG_TABLE_NAME || TG_OP); RETURN coalesce(NEW, OLD); END $$;
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.v := NEW.v || '!'; RETURN NEW; END $$;
        CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON parent FOR EACH ROW EXECUTE FUNCTION note();
        CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON stays FOR EACH ROW EXECUTE FUNCTION note();
        CREATE TRIGGER b BEFORE INSERT OR UPDATE ON parent FOR EACH ROW EXECUTE FUNCTION touch();
        INSERT INTO parent SELECT i, 'v' FROM generate_series(1, 60) i;
        INSERT INTO goes SELECT i, i FROM generate_series(1, 60) i;
        INSERT INTO stays SELECT i, i FROM generate_series(1, 60) i;
    """)

    def changes(side):
        low = side.value("SELECT min(id) FROM parent")
        audited = side.value("SELECT count(*) FROM audit")
        side.sql("DELETE FROM parent WHERE id BETWEEN %s AND %s", (low, low + 3), user="app")
        side.sql("UPDATE parent SET v = 'w' WHERE id = %s", (low + 5,), user="app")
        side.sql("UPDATE parent SET id = -id WHERE id = %s", (low + 6,), user="app")
        # The parent's 4 deletes and 2 updates; 4 set to null, 1 cascaded: each noted once.
        assert side.value("SELECT count(*) FROM audit") == audited + 11
        side.sql("UPDATE parent SET id = -id WHERE id < 0", user="app")
    traps.there_and_back(m, blue, green, changes, changes, changes)
    for side in (blue, green):
        assert side.value("SELECT v FROM parent WHERE id = 60") == "v!"


# --- sequences ---

def test_sequences_go_both_ways_and_never_give_a_value_twice(pair, migration):
    blue, green = pair
    blue.owner_sql("""
        CREATE SEQUENCE loose; CREATE SEQUENCE down INCREMENT -2 START 1000 MAXVALUE 1000 MINVALUE 1;
        CREATE SEQUENCE cached CACHE 20; CREATE SEQUENCE untouched START 5; CREATE SEQUENCE "Odd ""name";
        CREATE SEQUENCE looping MINVALUE 1 MAXVALUE 5 CYCLE;
        CREATE TABLE empty (id serial PRIMARY KEY); CREATE TABLE ids (id bigint PRIMARY KEY DEFAULT nextval('cached'), who text);
    """)
    given = {name: [] for name in ("loose", "down", "cached", "untouched", '"Odd ""name"')}

    def take(side, times):
        for name, values in given.items():
            for _ in range(times):
                values.append(side.value("SELECT nextval(%s)", (name,), user="app"))
        side.sql("INSERT INTO ids (who) SELECT 'w' FROM generate_series(1, 7)", user="app")
        side.value("SELECT nextval('looping')", user="app")
    take(blue, 3)
    m = migration(blue, green)
    # A session that holds cached values over everything that follows.
    keeper = blue.connect("app")
    with keeper.cursor() as cursor:
        cursor.execute("SELECT nextval('cached')")
        given["cached"].append(cursor.fetchone()[0])
    traps.load(m)
    for turn, (flip, side) in enumerate(((traps.to_green, green), (traps.to_blue, blue), (traps.to_green, green),
                                         (traps.to_blue, blue))):
        flip(m)
        take(side, 2 + turn)
        side.sql("INSERT INTO empty DEFAULT VALUES", user="app")
    with keeper.cursor() as cursor:
        cursor.execute("SELECT nextval('cached')")
        given["cached"].append(cursor.fetchone()[0])
        cursor.execute("INSERT INTO ids (who) VALUES ('keeper')")
    keeper.close()
    traps.catch_up(m)
    for name, values in given.items():
        assert len(values) == len(set(values)), f"{name} gave a value twice: {values}"
    assert given["down"] == sorted(given["down"], reverse=True) and given["untouched"][0] == 5
    compare.assert_equal(blue, green)


# --- names ---

def test_every_legal_name_is_taken_as_it_is(pair, migration):
    blue, green = pair
    long = "n" * 55 + "öäü€"[:2] + "x" * 4
    assert len(long.encode()) == 63
    tables = ['"my.schema"."order"', '"my.schema"."Weird ""table"" \\ %s"', f'"my.schema"."{long}"', 'public."SELECT"',
              'public."order"', "public.\"it's\"", 'public."ünï"', 'public." "']
    blue.owner_sql('CREATE SCHEMA "my.schema"; GRANT USAGE ON SCHEMA "my.schema" TO app')
    for number, table in enumerate(tables):
        blue.owner_sql(f'CREATE TABLE {table} ("primary" int, "my ""key""." text, "ünï çol" text, "{long[::-1]}" int,'
                       f' PRIMARY KEY ("my ""key""." , "primary"))')
        blue.owner_sql(f"INSERT INTO {table} SELECT i, 'k' || i, 'é', {number} FROM generate_series(1, 20) i")
    blue.owner_sql("GRANT ALL ON ALL TABLES IN SCHEMA \"my.schema\" TO app")

    def changes(side):
        for table in tables:
            side.sql(f"UPDATE {table} SET \"ünï çol\" = 'neu' WHERE \"primary\" % 3 = 0", user="app")
            side.sql(f"UPDATE {table} SET \"my \"\"key\"\".\" = \"my \"\"key\"\".\" || 'x' WHERE \"primary\" = 4", user="app")
            side.sql(f"DELETE FROM {table} WHERE \"primary\" = (SELECT max(\"primary\") FROM {table})", user="app")
    traps.there_and_back(migration(blue, green), blue, green, changes, changes, changes)


def test_keys_at_the_edges_of_their_type_and_order(pair, migration):
    blue, green = pair
    blue.owner_sql("""
        CREATE TABLE edges (id bigint PRIMARY KEY); INSERT INTO edges VALUES (-9223372036854775808), (9223372036854775807),
            (0), (-1), (1); INSERT INTO edges SELECT i * 1000003 FROM generate_series(-50, -2) i;
        CREATE TABLE words (k text PRIMARY KEY, v int); INSERT INTO words SELECT unnest(ARRAY['a-b', 'aB', 'ab', 'A1', '_z',
            '', ' ', 'é', 'e', 'É', 'z', 'Z', 'ß', 'ss']), 0;
        INSERT INTO words SELECT substr(md5(i::text), 1, 6) || chr(65 + i % 26), i FROM generate_series(1, 200) i;
        CREATE TABLE bytes (k bytea PRIMARY KEY); INSERT INTO bytes VALUES ('\\x00'), ('\\x0000'), ('\\xff00'), ('\\xff'), ('\\x');
        CREATE TABLE pairs (a text, b int, PRIMARY KEY (a, b)); INSERT INTO pairs SELECT 'same', i FROM generate_series(1, 100) i;
        CREATE TABLE icu (k text COLLATE "und-x-icu" PRIMARY KEY); INSERT INTO icu SELECT k FROM words;
        CREATE TABLE nums (k numeric PRIMARY KEY, v int); INSERT INTO nums SELECT i / 7.0, 0 FROM generate_series(-60, 60) i;
        INSERT INTO nums VALUES ('NaN', 1), (1.50, 1); CREATE TABLE lonely (id int PRIMARY KEY); INSERT INTO lonely VALUES (3);
        CREATE TABLE moments (k timestamptz PRIMARY KEY); INSERT INTO moments VALUES ('-infinity'), ('infinity'), ('2020-01-01');
        CREATE TABLE nothing (id int PRIMARY KEY);
    """)

    def changes(side):
        side.sql("UPDATE words SET k = k || 'x' WHERE v % 5 = 1; DELETE FROM words WHERE k = 'É'; UPDATE words SET k = 'É'"
                 " WHERE k = 'é'; INSERT INTO words VALUES ('é', 5) ON CONFLICT DO NOTHING", user="app")
        side.sql("UPDATE nums SET k = k + 1000 WHERE v = 0 AND k < 0; UPDATE nums SET v = v + 1 WHERE k = 'NaN'", user="app")
        side.sql("DELETE FROM edges WHERE id > 1; INSERT INTO edges VALUES (9223372036854775807)", user="app")
        side.sql("DELETE FROM bytes WHERE k = '\\x00'; INSERT INTO bytes VALUES ('\\x00'); DELETE FROM moments WHERE k ="
                 " 'infinity'; INSERT INTO moments VALUES ('infinity'); UPDATE pairs SET b = -b", user="app")
    m = migration(blue, green, copy={"jobs": 2, "chunk_rows": 7})
    traps.there_and_back(m, blue, green, changes, changes, changes)


def test_keys_that_sort_differently_on_the_two_sides(servers, new_database, migration):
    blue = new_database(servers[0], "LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'")
    green = new_database(servers[1], "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'")
    blue.owner_sql("CREATE TABLE words (k text PRIMARY KEY, v int)")
    blue.owner_sql("INSERT INTO words SELECT w || i, i FROM unnest(ARRAY['a-b', 'aB', 'ab', 'A', '_z', 'é', 'E', ' ']) w,"
                   " generate_series(1, 30) i")
    assert blue.sql("SELECT k FROM words ORDER BY k") != blue.sql("SELECT k FROM words ORDER BY k COLLATE \"en-US-x-icu\"")
    m = migration(blue, green, copy={"jobs": 1, "chunk_rows": 11})
    held = traps.Held(m, "copy.chunk.after_commit", "copy").wait()
    blue.sql("UPDATE words SET v = -v; UPDATE words SET k = 'B' || k WHERE v % 7 = 0; DELETE FROM words WHERE v % 13 = 0",
             user="app")
    held.end()
    compare.assert_equal(blue, green)
    m.run("verify")


# --- size ---

@pytest.mark.timeout(240)
def test_a_huge_transaction_keeps_memory_flat(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY, v text, n int)")
    blue.owner_sql("INSERT INTO t SELECT i, md5(i::text), i FROM generate_series(1, 1000) i")
    m = migration(blue, green)
    traps.load(m)
    blue.owner_sql("BEGIN; INSERT INTO t SELECT i, md5(i::text), i FROM generate_series(1001, 300000) i;"
                   " UPDATE t SET n = -n WHERE id % 3 = 0; DELETE FROM t WHERE id % 50 = 1; COMMIT")
    process = m.popen("follow", "--until", "caught-up")
    peak = traps.peak_while(process, 180)
    assert process.wait().rc == 0, str(process.result())
    assert peak <= 64 * MIB, f"{peak / MIB:.1f} MiB"
    compare.assert_equal(blue, green)


@pytest.mark.timeout(240)
def test_a_huge_value_costs_little_memory_copied_and_a_bounded_amount_streamed(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY, v bytea)")
    blue.owner_sql("ALTER TABLE t ALTER COLUMN v SET STORAGE EXTERNAL")
    blue.owner_sql("INSERT INTO t SELECT 1, convert_to(repeat('0123456789abcdef', 200 * 65536), 'UTF8')")
    m = migration(blue, green)
    process = m.popen("copy")
    peak = traps.peak_while(process, 180)
    assert process.wait().rc == 0, str(process.result())
    assert peak <= 64 * MIB, f"copied: {peak / MIB:.1f} MiB"
    print(f"200 MiB copied with {peak / MIB:.1f} MiB")
    size = 32 * MIB
    blue.owner_sql("INSERT INTO t SELECT 2, convert_to(repeat('fedcba9876543210', %s), 'UTF8')", (size // 16,))
    process = m.popen("follow", "--until", "caught-up")
    peak = traps.peak_while(process, 180)
    assert process.wait().rc == 0, str(process.result())
    assert peak <= 64 * MIB + 2.2 * size, f"streamed: {peak / MIB:.1f} MiB for a value of {size / MIB:.0f}"
    print(f"{size / MIB:.0f} MiB streamed with {peak / MIB:.1f} MiB")
    check = "SELECT id, length(v), md5(v) FROM t ORDER BY id"
    assert blue.sql(check) == green.sql(check)


# --- the log ---

def test_a_session_that_holds_up_the_slot_is_named(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY)")
    sleeper = blue.connect("app", autocommit=False, application_name="forgotten-console")
    sleeper.cursor().execute("INSERT INTO t VALUES (1)")
    m = migration(blue, green)
    process = m.popen("copy")
    process.wait_output("forgotten-console", 40)
    sleeper.commit()
    sleeper.close()
    assert process.wait(60).rc == 0, process.result()
    compare.assert_equal(blue, green)


def test_the_slot_moves_on_while_another_table_is_busy(pair, migration):
    blue, green = pair
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE noise (id serial PRIMARY KEY, v text)")
    m = migration(blue, green, exclude=["public.noise"])
    traps.load(m)
    runner = m.popen("run")
    slot = "SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE database = %s"
    wait_until(lambda: m.status()["streams"], 30, "the runner to follow")
    before = blue.value(slot, (blue.name,))
    blue.owner_sql("INSERT INTO noise (v) SELECT repeat('x', 1000) FROM generate_series(1, 5000)")
    target = blue.value("SELECT pg_current_wal_lsn()")
    wait_until(lambda: blue.value("SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE database = %s",
                                  (target, blue.name)), 40, f"the slot to pass {target} (it was at {before})")
    runner.stop()


def test_what_is_not_on_disk_is_never_acknowledged(pair, migration):
    """Killed with changes received but not yet safe, the next start must get them again."""
    blue, green = pair
    blue.owner_sql("CREATE TABLE t (id int PRIMARY KEY, v int)")
    m = migration(blue, green)
    traps.load(m)
    for number, point in enumerate(("follow.receive.before_append", "spool.flush.after_write",
                                    "follow.receive.before_acknowledge", "follow.apply.before_commit")):
        blue.owner_sql("INSERT INTO t SELECT i, 0 FROM generate_series(%s, %s) i", (number * 100, number * 100 + 50))
        died = m.popen("follow", "--until", "caught-up", env={"GODWIT_CRASH_AT": point}).wait(40)
        assert died.rc == -9, f"{point}: {died}"
    traps.catch_up(m)
    compare.assert_equal(blue, green)


def test_truncate_in_mid_copy_where_the_sides_sort_text_differently(servers, new_database, migration):
    """Which rows a chunk held only the source's order tells: under another collation other keys lie in its range."""
    blue = new_database(servers[0], "LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'")
    green = new_database(servers[1], "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8'")
    blue.owner_sql("CREATE TABLE words (k text PRIMARY KEY, v int)")
    fill = ("INSERT INTO words SELECT w || i, i FROM unnest(ARRAY['a-b', 'aB', 'ab', 'A', '_z', 'é', 'E', ' ']) w,"
            " generate_series(1, 30) i")
    blue.owner_sql(fill)
    m = migration(blue, green, copy={"jobs": 1, "chunk_rows": 40})
    held = traps.Held(m, "copy.chunk.after_commit", "copy").wait()
    blue.owner_sql("TRUNCATE words; " + fill + "; DELETE FROM words WHERE v > 20")
    held.end()
    compare.assert_equal(blue, green)
