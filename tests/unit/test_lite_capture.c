/* SQLite's traps of capture: what the triggers must write down, and what the stream makes of it. */
#include "lite_world.h"

#include <sys/wait.h>

/* Rows that REPLACE removes fire no DELETE trigger: every way in which a row can be in another's way. */
static const char many_keys[] =
    "CREATE TABLE plain (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b INT, c TEXT COLLATE NOCASE, UNIQUE (b, c));"
    "CREATE TABLE named (k TEXT PRIMARY KEY COLLATE NOCASE NOT NULL, v);"
    "CREATE TABLE pair (x INT, y TEXT, v BLOB, u UNIQUE, PRIMARY KEY (x, y)) WITHOUT ROWID;"
    "CREATE TABLE clever (id INTEGER PRIMARY KEY, email TEXT, state INT, g INT AS (state * 2) STORED UNIQUE);"
    "CREATE UNIQUE INDEX clever_email ON clever (lower(email), state % 3 DESC);"
    "CREATE UNIQUE INDEX clever_state ON clever (state) WHERE state > 10;"
    "CREATE TABLE bare (v, w UNIQUE);"
    "CREATE TABLE parent (id INTEGER PRIMARY KEY, n TEXT UNIQUE);"
    "CREATE TABLE child (id INTEGER PRIMARY KEY, p INT REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE,"
    " q INT REFERENCES parent ON DELETE SET NULL ON UPDATE CASCADE);";

static void a_replaced_row_is_a_deleted_row(void **state)
{
    struct lite_world *w = *state;
    lite_follow(w, many_keys);
    static const char *const statements[] = {
        "INSERT INTO plain VALUES (1, 'a', 1, 'x'), (2, 'b', 2, 'x'), (3, 'c', 3, 'x')",
        "INSERT OR REPLACE INTO plain VALUES (1, 'new', 1, 'y')",      /* the same key */
        "INSERT OR REPLACE INTO plain VALUES (9, 'b', 9, 'z')",        /* a unique column of another row */
        "INSERT OR REPLACE INTO plain VALUES (10, 'b', 3, 'X')",       /* two others, one by case alone */
        "INSERT OR REPLACE INTO plain (a, b, c) VALUES ('b', 5, 'q')", /* a key that is not known before */
        "UPDATE OR REPLACE plain SET a = 'new' WHERE id <> 1",
        "INSERT INTO plain VALUES (20, 'p', 20, 'p'), (21, 'q', 21, 'q')",
        "UPDATE OR REPLACE plain SET id = 21 WHERE id = 20", /* takes another row's key */
        "INSERT OR IGNORE INTO plain VALUES (21, 'ignored', 0, '0')",
        "INSERT INTO plain VALUES (21, 'x', 0, '0') ON CONFLICT (id) DO UPDATE SET a = 'upserted'",
        "DELETE FROM plain WHERE id = 21",
        "INSERT INTO named VALUES ('Key', 1), ('other', 2)",
        "INSERT OR REPLACE INTO named VALUES ('KEY', 3)",
        "UPDATE OR REPLACE named SET k = 'OTHER' WHERE k = 'key'",
        "UPDATE named SET k = 'Other'",
        "INSERT INTO pair VALUES (1, 'a', x'00', 1), (1, 'b', x'01', 2), (2, 'a', x'02', 3)",
        "INSERT OR REPLACE INTO pair VALUES (1, 'a', x'03', 3)",
        "UPDATE OR REPLACE pair SET u = 3 WHERE y = 'b'",
        "REPLACE INTO pair VALUES (1, 'b', 'text now', 3)",
        "INSERT INTO clever (email, state) VALUES ('A@x', 1), ('b@x', 12)",
        "INSERT OR REPLACE INTO clever (email, state) VALUES ('a@X', 4)",  /* by an expression */
        "INSERT OR REPLACE INTO clever (email, state) VALUES ('c@x', 12)", /* by a partial index */
        "UPDATE OR REPLACE clever SET state = 12",
        "INSERT INTO bare VALUES (1, 1), (1, NULL), (1, NULL), (2.5, 2)",
        "INSERT OR REPLACE INTO bare VALUES ('x', 2)",
        "UPDATE bare SET v = '1' WHERE rowid = 2",
        "DELETE FROM bare WHERE rowid = 3",
        "INSERT INTO parent VALUES (1, 'a'), (2, 'b'), (3, 'c')",
        "INSERT INTO child VALUES (1, 1, 2), (2, 2, 1), (3, 3, 3)",
        "INSERT OR REPLACE INTO parent VALUES (4, 'a')", /* its children go with it */
        "UPDATE parent SET id = 30 WHERE id = 3",
        "DELETE FROM parent WHERE id = 2",
        "DELETE FROM parent",
    };
    for (int recursive = 0; recursive < 2; recursive++) {
        lite_do(w->app[0], recursive ? "PRAGMA recursive_triggers=ON" : "PRAGMA recursive_triggers=OFF");
        for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
            lite_do(w->app[0], statements[i]);
            lite_catch_up(w);
            lite_assert_same(w);
        }
        for (size_t i = 0; i < w->schema.count; i++) {
            char sql[100];
            snprintf(sql, sizeof sql, "DELETE FROM %s", w->schema.collections[i].name);
            lite_do(w->app[0], sql);
        }
        lite_catch_up(w);
    }
}

/* What was noted of an INSERT OR IGNORE must not become a delete later. */
static void random_statements_end_in_equal_files(void **state)
{
    struct lite_world *w = *state;
    static const char *const ways[] = {"INSERT OR REPLACE", "INSERT OR IGNORE", "INSERT OR FAIL", "REPLACE"};
    static const char *const tables[] = {"plain (id, a, b, c)",       "named (k, v)", "pair (x, y, v, u)",
                                         "clever (id, email, state)", "bare (v, w)",  "parent (id, n)",
                                         "child (id, p, q)"};
    static const int columns[] = {4, 2, 4, 3, 2, 2, 3};
    lite_follow(w, many_keys);
    lite_do(w->app[0], "CREATE TRIGGER echo BEFORE INSERT ON plain WHEN NEW.b % 5 = 0 BEGIN"
                       " INSERT OR REPLACE INTO plain (a, b, c) VALUES (NEW.a, NEW.b + 1, 'echo'); END;");
    char barrier[240];
    struct gw_error err = {0};
    struct gw_position ignored;
    MUST(w->store[0]->type->changes->prepare(w->store[0], &w->schema, &ignored, barrier, &err));
    uint64_t random = 7;
    size_t events = 0;
    for (int i = 0; i < 3000; i++) {
        gw_autobuf struct gw_buf sql = {0};
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        unsigned r = (unsigned)(random >> 33), t = r % 7;
        if (r / 64 % 97 == 0)
            lite_do(w->app[0], r / 8192 % 2 ? "PRAGMA recursive_triggers=ON" : "PRAGMA recursive_triggers=OFF");
        if (r / 7 % 4 < 3) {
            gw_buf_addf(&sql, "%s INTO %s VALUES (", ways[r / 32 % 4], tables[t]);
            for (int c = 0; c < columns[t]; c++) {
                unsigned v = (r >> (3 * c + 3)) % 11;
                bool quoted = c == 1 || (c == 3 && t == 0) || (c == 0 && t == 1);
                gw_buf_addf(&sql, quoted ? "%s'%c'" : "%s%d", c > 0 ? ", " : "", (v % 2 ? 'a' : 'A') + (int)(v / 2));
            }
            gw_buf_adds(&sql, ")");
        } else {
            static const char *const changes[] = {
                "UPDATE OR REPLACE plain SET a = 'b', b = b + 1 WHERE id % 7 = %d",
                "UPDATE OR REPLACE named SET k = 'c' WHERE rowid % 5 = %d",
                "UPDATE OR REPLACE pair SET x = x + 1, u = %d",
                "UPDATE OR REPLACE clever SET state = 11, id = id + 1 WHERE state % 5 = %d",
                "UPDATE OR IGNORE bare SET w = v WHERE rowid % 5 = %d",
                "UPDATE OR REPLACE parent SET n = 'a' WHERE id % 6 = %d",
                "DELETE FROM child WHERE id % 5 = %d"};
            char form[200];
            snprintf(form, sizeof form, "%s", changes[t]);
            char *percent = strstr(form, "%d");
            *percent = 0;
            gw_buf_addf(&sql, "%s%u%s", form, r / 128 % 7, percent + 2);
        }
        sqlite3_exec(w->app[0], gw_buf_text(&sql), NULL, NULL, NULL); /* constraints may say no */
        if (i % 37 == 0) {
            events += lite_catch_up(w);
            lite_assert_same(w);
        }
    }
    events += lite_catch_up(w);
    lite_assert_same(w);
    assert_true(events > 2000);
}

/* ---- values ---------------------------------------------------------------------------------------------------- */

static const char matrix_table[] =
    "CREATE TABLE matrix (id INTEGER PRIMARY KEY, i INTEGER, t VARCHAR(10), n NUMERIC, r REAL, b BLOB, u, d DECIMAL(10,2),"
    " o BOOLEAN, dt DATETIME, da DATE, ti TIME, tz TIMESTAMPTZ, j JSON, uu UUID, dx \"DECIMAL TEXT(30,4)\","
    " jx \"JSON TEXT\", g INT AS (id + 1) VIRTUAL);"
    "CREATE TABLE hard (a INTEGER PRIMARY KEY, b TEXT, c ANY, d BLOB) STRICT;";

static const char *const matrix_values[] = {
    "NULL",
    "0",
    "1",
    "2",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "127",
    "128",
    "2147483648",
    "0.5",
    "1.0",
    "-0.0",
    "1e300",
    "5e-324",
    "9e999",
    "-9e999",
    "0.1",
    "19.99",
    "123456789012345.67",
    "1e15",
    "''",
    "'a'",
    "'1'",
    "' 1'",
    "'1.50'",
    "'1e5'",
    "'NULL'",
    "'x' || char(0) || 'y'",
    "CAST(x'ff' AS TEXT)",
    "'\xf0\x9f\x98\x80'",
    "x''",
    "x'00'",
    "x'ff00'",
    "zeroblob(300)",
    "'2024-02-29'",
    "'2023-02-29'",
    "'2024-02-29 12:30:00'",
    "'2024-02-29T12:30:00'",
    "'2024-02-29 12:30:00.5'",
    "'2024-02-29 12:30:00.500000'",
    "'2024-02-29 12:30:00.000000'",
    "'0000-00-00 00:00:00'",
    "'2024-02-29 12:30:00+00:00'",
    "'2024-02-29 12:30:00Z'",
    "'12:30:00'",
    "'12:30'",
    "'25:00:00'",
    "'9999-12-31 23:59:59'",
    "'0000-01-01'",
    "'-0044-03-15'",
    "'12024-01-01'",
    "'012024-01-01'",
    "'-0000-01-01'",
    "'12024-01-01 00:00:00'",
    "'838:59:59'",
    "'-01:00:00'",
    "'-00:00:00'",
    "'100:00:00.000001'",
    "'0:00:00'",
    "'099:00:00'",
    "'2024-02-29 24:00:00'",
    "'2024-02-29 -1:00:00'",
    "'2024-02-29 23:59:59.999999'",
    "'infinity'",
    "'0001-01-01'",
    "'{\"a\": 1}'",
    "'[1, 2'",
    "'12345678-1234-1234-1234-123456789abc'",
    "'12345678-1234-1234-1234-123456789ABC'",
    "'-123.4500'",
    "'00.1'",
    "'NaN'",
    "'Infinity'",
    "'99999999999999999999999999.0001'",
    "replace(hex(zeroblob(400)), '00', 'ab')",
};

static void fill_matrix(sqlite3 *db)
{
    for (size_t i = 0; i < sizeof matrix_values / sizeof matrix_values[0]; i++) {
        gw_autobuf struct gw_buf sql = {0};
        gw_buf_addf(&sql, "INSERT INTO matrix VALUES (%zu", i + 1);
        for (int c = 0; c < 16; c++)
            gw_buf_addf(&sql, ", %s", matrix_values[i]);
        gw_buf_adds(&sql, ")");
        lite_do(db, gw_buf_text(&sql));
        gw_buf_clear(&sql);
        gw_buf_addf(&sql, "INSERT INTO hard VALUES (%zu, CAST(%s AS TEXT), %s, CAST(%s AS BLOB))", i + 1,
                    matrix_values[i], matrix_values[i], matrix_values[i]);
        lite_do(db, gw_buf_text(&sql));
    }
}

static void every_value_keeps_its_storage_class_in_the_log(void **state)
{
    struct lite_world *w = *state;
    lite_follow(w, matrix_table);
    fill_matrix(w->app[0]);
    lite_catch_up(w);
    lite_assert_same(w);
    /* Every value over every other one: what is left out of an update must be what was there. */
    for (int step = 1; step < 50; step += 12) {
        char sql[400];
        snprintf(sql, sizeof sql,
                 "UPDATE matrix SET (i, t, n, r, b, u, j) = (SELECT m.i, m.t, m.n, m.r, m.b, m.u, m.j FROM matrix AS m"
                 " WHERE m.id = (matrix.id + %d) %% 70 + 1)",
                 step);
        lite_do(w->app[0], sql);
        lite_catch_up(w);
        lite_assert_same(w);
    }
    lite_do(w->app[0], "UPDATE matrix SET id = -id");
    lite_do(w->app[0], "UPDATE hard SET c = b, b = b || ' '");
    lite_catch_up(w);
    lite_assert_same(w);
}

static void copy_blocks(struct lite_world *w, const struct gw_collection *collection, struct gw_codec *codec)
{
    struct gw_error err = {0};
    const struct gw_store_type *type = w->store[0]->type;
    static uint64_t chunk = 100;
    struct gw_reader *reader = NULL;
    struct gw_block block = {.len = 1};
    struct gw_checkpoint checkpoint = {.chunk = chunk++, .collection = collection->id};
    uint64_t loaded = 0;
    bool already = true;
    struct gw_datum row[32];
    MUST(type->reader->open(w->store[0], &reader, &err));
    MUST(type->reader->begin(reader, collection, &checkpoint.range, &checkpoint.mark, &err));
    MUST(type->writer->begin_chunk(w->writer, collection, &checkpoint, &already, &err));
    while (block.len > 0) {
        gw_autobuf struct gw_buf packed = {0};
        MUST(type->reader->next(reader, &block, &err));
        if (codec && block.len > 0) {
            bool got = true;
            MUST(type->codec->feed(codec, &block, &err));
            for (;;) {
                MUST(type->codec->row(codec, row, &got, &err));
                if (!got)
                    break;
                struct gw_arena arena = {0};
                struct gw_datum copies[32];
                for (size_t c = 0; c < collection->column_count; c++)
                    copies[c] = gw_datum_copy(&arena, &row[c]);
                MUST(type->codec->pack(codec, copies, &packed, &err));
                gw_arena_release(&arena);
            }
            block.bytes = packed.data;
            block.len = packed.len;
        }
        if (block.len > 0)
            MUST(type->writer->put(w->writer, &block, &err));
    }
    MUST(type->writer->commit_chunk(w->writer, &loaded, &err));
    type->reader->close(reader);
    gw_mark_release(&checkpoint.mark);
}

/* What cannot be told exactly in a datum of TEXT or BYTES (bytes that are no UTF-8) is the one thing a codec changes. */
static void every_value_comes_back_from_a_datum(void **state)
{
    struct lite_world *w = *state;
    lite_follow(w, matrix_table);
    fill_matrix(w->app[0]);
    lite_do(w->app[0], "DELETE FROM matrix WHERE hex(t) LIKE 'FF%'; DELETE FROM hard WHERE hex(b) LIKE 'FF%'");
    struct gw_error err = {0};
    for (size_t i = 0; i < w->schema.count; i++) {
        const struct gw_collection *collection = &w->schema.collections[i];
        gw_autobuf struct gw_buf blue = {0}, straight = {0}, decoded = {0};
        struct gw_codec *codec = NULL;
        char sql[100];
        lite_dump(w->app[0], collection->name, &blue);
        copy_blocks(w, collection, NULL);
        lite_dump(w->app[1], collection->name, &straight);
        assert_string_equal(gw_buf_text(&blue), gw_buf_text(&straight));
        snprintf(sql, sizeof sql, "DELETE FROM %s", collection->name);
        lite_do(w->app[1], sql);
        MUST(w->store[0]->type->codec->open(w->store[0], collection, &codec, &err));
        copy_blocks(w, collection, codec);
        w->store[0]->type->codec->close(codec);
        lite_dump(w->app[1], collection->name, &decoded);
        assert_string_equal(gw_buf_text(&blue), gw_buf_text(&decoded));
    }
}

/* verify's reading of a value and the copy's, written down twice, say the same of every value. */
static void scan_and_codec_agree_on_what_a_value_means(void **state)
{
    struct lite_world *w = *state;
    struct gw_error err = {0};
    lite_follow(w, matrix_table);
    fill_matrix(w->app[0]);
    const struct gw_store_type *type = w->store[0]->type;
    const struct gw_collection *collection = gw_schema_find(&w->schema, "", "matrix");
    struct gw_reader *reader = NULL;
    struct gw_scan *scan = NULL;
    struct gw_codec *codec = NULL;
    struct gw_range all = {0};
    struct gw_mark mark;
    struct gw_position at;
    struct gw_arena arena = {0};
    struct gw_block block;
    struct gw_datum row[32];
    bool got = false, end = false;
    size_t rows = 0, moments = 0;
    MUST(type->reader->open(w->store[0], &reader, &err));
    MUST(type->scan->open(w->store[0], &scan, &err));
    MUST(type->codec->open(w->store[0], collection, &codec, &err));
    MUST(type->reader->begin(reader, collection, &all, &mark, &err));
    MUST(type->scan->begin(scan, collection, &all, true, &at, &err));
    MUST(type->reader->next(reader, &block, &err));
    MUST(type->codec->feed(codec, &block, &err));
    for (;; rows++) {
        struct gw_row canonical;
        MUST(type->codec->row(codec, row, &got, &err));
        MUST(type->scan->next(scan, &canonical, &end, &err));
        assert_int_equal(got, !end);
        if (!got)
            break;
        for (size_t c = 0; c < collection->column_count; c++) {
            struct gw_datum seen;
            struct gw_value back;
            if (collection->columns[c].generated)
                continue;
            MUST(type->scan->to_datum(scan, &collection->columns[c], &canonical.values[c], &arena, &seen, &err));
            if (!gw_datum_equal(&seen, &row[c])) {
                gw_autobuf struct gw_buf a = {0}, b = {0};
                gw_datum_print(&seen, &a);
                gw_datum_print(&row[c], &b);
                print_error("row %zu, %s: scan %s %s, codec %s %s\n", rows + 1, collection->columns[c].name,
                            gw_kind_name(seen.kind), gw_buf_text(&a), gw_kind_name(row[c].kind), gw_buf_text(&b));
                fail();
            }
            moments += seen.kind == GW_KIND_TIMESTAMP || seen.kind == GW_KIND_DATE;
            bool utf8 = !(seen.kind == GW_KIND_BYTES && canonical.values[c].kind == GW_VALUE_TEXT);
            if (utf8) {
                MUST(type->scan->from_datum(scan, &collection->columns[c], &seen, &arena, &back, &err));
                assert_true(gw_value_equal(&back, &canonical.values[c]));
            }
        }
    }
    assert_int_equal(rows, sizeof matrix_values / sizeof matrix_values[0]);
    assert_true(moments > 5);
    type->codec->close(codec);
    type->scan->close(scan);
    type->reader->close(reader);
    gw_arena_release(&arena);
    gw_mark_release(&mark);
}

/* ---- definitions ----------------------------------------------------------------------------------------------- */

static void a_table_made_anew_is_told_because_its_triggers_are_gone(void **state)
{
    struct lite_world *w = *state;
    struct gw_error err = {0};
    struct gw_change change;
    bool got = false;
    lite_follow(w, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
    lite_do(w->app[0], "INSERT INTO t VALUES (1, 'seen')");
    lite_do(w->app[0], "ALTER TABLE t ADD COLUMN more"); /* keeps them */
    lite_do(w->app[0], "INSERT INTO t VALUES (2, 'seen', 'not planned')");
    assert_int_equal(lite_catch_up(w), 2);
    lite_do(w->app[0],
            "BEGIN; CREATE TABLE made (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO made SELECT id, v FROM t;"
            "DROP TABLE t; ALTER TABLE made RENAME TO t; COMMIT");
    MUST(w->store[0]->type->changes->next(w->stream, 1000, &change, &got, &err));
    assert_true(got);
    while (change.kind != GW_CHANGE_SCHEMA) { /* the rows of the drop may be told before */
        MUST(w->store[0]->type->changes->next(w->stream, 1000, &change, &got, &err));
        assert_true(got);
    }
    assert_false(change.carries_plan);
    assert_contains(change.text, "made anew");
}

static void rows_taken_out_of_the_log_are_missed(void **state)
{
    struct lite_world *w = *state;
    struct gw_error err = {0};
    struct gw_change change;
    bool got = false;
    lite_follow(w, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
    lite_do(w->app[0], "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3); DELETE FROM godwit_log WHERE seq = 3");
    while (w->store[0]->type->changes->next(w->stream, 0, &change, &got, &err))
        assert_true(got);
    assert_int_equal(err.kind, GW_ERR_LOST_POSITION);
}

static void what_is_acknowledged_is_trimmed_and_the_newest_row_stays(void **state)
{
    struct lite_world *w = *state;
    struct gw_error err = {0};
    struct gw_change change;
    bool got = false;
    lite_follow(w, "CREATE TABLE t (id INTEGER PRIMARY KEY, v)");
    for (int i = 0; i < 100; i++)
        lite_do(w->app[0], "INSERT INTO t (v) VALUES ('x')");
    assert_int_equal(lite_catch_up(w), 100);
    sqlite3_stmt *count = NULL;
    assert_int_equal(sqlite3_prepare_v2(w->app[0], "SELECT count(*), max(seq) FROM godwit_log", -1, &count, NULL),
                     SQLITE_OK);
    int rows = 100;
    for (int i = 0; i < 100 && rows > 1; i++) {
        MUST(w->store[0]->type->changes->next(w->stream, 50, &change, &got, &err));
        sqlite3_step(count);
        rows = sqlite3_column_int(count, 0);
        assert_int_equal(sqlite3_column_int(count, 1), 101);
        sqlite3_reset(count);
    }
    sqlite3_finalize(count);
    assert_int_equal(rows, 1);
    lite_do(w->app[0], "INSERT INTO t (v) VALUES ('y')");
    assert_int_equal(lite_catch_up(w), 1);
    w->store[0]->type->changes->close(w->stream);
    w->stream = NULL;
    struct gw_stream *stream = NULL;
    assert_false(w->store[0]->type->changes->open(w->store[0], &w->schema, &w->at, &stream, &err));
    assert_int_equal(err.kind, GW_ERR_LOST_POSITION);
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

/* POSIX drops all locks of a process on a file with the first descriptor of it that is closed. */
static void asking_what_a_file_is_keeps_the_locks_of_this_process(void **state)
{
    struct lite_world *w = *state;
    struct gw_error err = {0};
    char bare[220], url[240], command[600];
    const struct gw_store_type *type = NULL;
    lite_do(w->app[0], "CREATE TABLE t (id INTEGER PRIMARY KEY)");
    snprintf(bare, sizeof bare, "%s/no-extension", w->folder);
    assert_int_equal(link(w->path[0], bare), 0);
    lite_do(w->app[0], "BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
    for (int i = 0; i < 3; i++) {
        MUST(gw_store_type_for(bare, &type, &err)); /* by its first bytes */
        assert_string_equal(type->name, "sqlite");
    }
    snprintf(url, sizeof url, "sqlite://%s", w->path[0]);
    MUST(gw_store_type_for(url, &type, &err));
    assert_false(gw_store_type_for("/etc/hostname", &type, &err)); /* a file, and none of ours */
    assert_int_equal(err.kind, GW_ERR_USER);
    snprintf(
        command, sizeof command,
        "import sqlite3\nc = sqlite3.connect('%s', timeout=0.05)\n"
        "try:\n    c.execute('INSERT INTO t VALUES (2)')\nexcept sqlite3.OperationalError:\n    raise SystemExit(7)",
        w->path[0]);
    pid_t child = fork();
    if (child == 0) {
        execl("/usr/bin/python3", "python3", "-c", command, (char *)NULL);
        _exit(99);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WEXITSTATUS(status) == 99)
        skip();
    assert_int_equal(WEXITSTATUS(status), 7); /* locked still */
    lite_do(w->app[0], "COMMIT");
}

static void a_path_that_is_not_there_is_not_made(void **state)
{
    struct lite_world *w = *state;
    struct gw_error err = {0};
    struct gw_store *store = NULL;
    char path[220];
    snprintf(path, sizeof path, "%s/mistyped.db", w->folder);
    assert_false(gw_store_open(&(struct gw_store_options){.url = path, .migration = "unit"}, &store, &err));
    assert_int_equal(err.kind, GW_ERR_REFUSED);
    assert_contains(err.hint, "journal_mode=WAL");
    assert_false(gw_file_exists(path));
}

int main(void)
{
#define LITE_TEST(name) cmocka_unit_test_setup_teardown(name, lite_setup, lite_teardown)
    const struct CMUnitTest tests[] = {
        LITE_TEST(a_replaced_row_is_a_deleted_row),
        LITE_TEST(random_statements_end_in_equal_files),
        LITE_TEST(every_value_keeps_its_storage_class_in_the_log),
        LITE_TEST(every_value_comes_back_from_a_datum),
        LITE_TEST(scan_and_codec_agree_on_what_a_value_means),
        LITE_TEST(a_table_made_anew_is_told_because_its_triggers_are_gone),
        LITE_TEST(rows_taken_out_of_the_log_are_missed),
        LITE_TEST(what_is_acknowledged_is_trimmed_and_the_newest_row_stays),
        LITE_TEST(asking_what_a_file_is_keeps_the_locks_of_this_process),
        LITE_TEST(a_path_that_is_not_there_is_not_made),
    };
    return cmocka_run_group_tests_name("lite_capture", tests, NULL, NULL);
}
