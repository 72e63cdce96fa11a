/* The change log of MariaDB, against a server: what the stream tells of each kind of transaction, value and definition. */
#include "contract/maria_world.h"

#include "store/mysql/mysql.h"
#include "store/mysql/row.h"

#include <pthread.h>
#include <stdatomic.h>

#define LONG_ENOUGH_MS 20000

/* ---- the stream as text ---- */

static const struct gw_changes_facet *changes_of(const struct maria_world *w)
{
    return w->store->type->changes;
}

static struct gw_position prepare(struct maria_world *w)
{
    struct gw_error err = {0};
    struct gw_position start;
    char barrier[240];
    maria_world_list(w);
    MUST(changes_of(w)->prepare(w->store, &w->schema, &start, barrier, &err));
    return start;
}

static struct gw_stream *open_at(struct maria_world *w, struct gw_position from)
{
    struct gw_error err = {0};
    struct gw_stream *stream = NULL;
    MUST(changes_of(w)->open(w->store, &w->schema, &from, &stream, &err));
    return stream;
}

static void print_row(struct gw_buf *out, const struct gw_row *row)
{
    for (uint32_t i = 0; i < row->count; i++) {
        const struct gw_value *v = &row->values[i];
        gw_buf_addc(out, i ? '|' : ' ');
        if (v->kind == GW_VALUE_TEXT)
            gw_buf_add(out, v->bytes, v->len > 60 ? 60 : v->len);
        for (uint32_t b = 0; v->kind == GW_VALUE_BINARY && b < v->len && b < 30; b++)
            gw_buf_addf(out, "%s%02x", b ? "" : "x", v->bytes[b]);
        if (v->kind != GW_VALUE_TEXT && v->kind != GW_VALUE_BINARY)
            gw_buf_addc(out, v->kind == GW_VALUE_NULL ? '~' : v->kind == GW_VALUE_UNCHANGED ? '=' : '-');
    }
}

static void print_change(struct maria_world *w, struct gw_buf *out, const struct gw_change *change)
{
    static const char *const names[] = {"", "BEGIN", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "COMMIT"};
    if (change->kind == GW_CHANGE_PROGRESS)
        return;
    if (change->kind == GW_CHANGE_SIGNAL) {
        gw_buf_addf(out, "SIGNAL %s\n", change->text);
        return;
    }
    if (change->kind == GW_CHANGE_SCHEMA) {
        gw_buf_addf(out, "SCHEMA%s %s\n", change->carries_plan ? " (carries)" : "", change->text);
        return;
    }
    gw_buf_addf(out, "%s%s", names[change->kind], change->ours ? " ours" : "");
    if (change->kind != GW_CHANGE_BEGIN && change->kind != GW_CHANGE_COMMIT)
        gw_buf_addf(out, " %s", w->schema.collections[change->collection].name);
    if (change->old.count)
        gw_buf_adds(out, " old");
    print_row(out, &change->old);
    if (change->old.count && change->row.count)
        gw_buf_adds(out, " new");
    print_row(out, &change->row);
    gw_buf_addc(out, '\n');
}

struct reading {
    struct gw_buf text;
    struct gw_position commit; /* behind the last transaction that was read */
    bool failed;
    struct gw_error err;
};

/* All that is told up to a marker written now, without the marker. */
static void read_all(struct maria_world *w, struct gw_stream *stream, struct reading *r)
{
    static int number;
    char marker[32];
    struct gw_error err = {0};
    size_t begin_at = 0;
    bool signals = false;
    int64_t deadline_us = gw_mono_us() + LONG_ENOUGH_MS * 1000;
    snprintf(marker, sizeof marker, "marker:%d", ++number);
    MUST(changes_of(w)->signal(w->store, marker, &err));
    for (;;) {
        struct gw_change change;
        bool got = false;
        assert_true(gw_mono_us() < deadline_us);
        if (!changes_of(w)->next(stream, 100, &change, &got, &r->err)) {
            r->failed = true;
            return;
        }
        if (!got)
            continue;
        if (change.kind == GW_CHANGE_BEGIN)
            begin_at = r->text.len;
        if (change.kind == GW_CHANGE_SIGNAL && strcmp(change.text, marker) == 0)
            break;
        signals = change.kind == GW_CHANGE_SIGNAL || (signals && change.kind != GW_CHANGE_BEGIN);
        if (signals && r->text.data)
            r->text.data[r->text.len = begin_at] = 0; /* an earlier marker */
        else
            print_change(w, &r->text, &change);
        if (change.kind == GW_CHANGE_COMMIT)
            r->commit = change.position;
    }
    r->text.len = begin_at;
    if (r->text.data)
        r->text.data[begin_at] = 0;
}

/* What is told from `from` on; a stream that has to be opened anew is. */
static void assert_told(struct maria_world *w, struct gw_position from, const char *expected)
{
    struct reading r = {0};
    for (int attempt = 0; attempt < 6; attempt++) {
        struct gw_stream *stream = open_at(w, from);
        gw_buf_clear(&r.text);
        r.failed = false;
        read_all(w, stream, &r);
        changes_of(w)->close(stream);
        if (!r.failed)
            break;
        if (r.err.kind != GW_ERR_RETRY)
            print_error("%s\n", r.err.message);
        assert_int_equal(r.err.kind, GW_ERR_RETRY);
    }
    assert_string_equal(gw_buf_text(&r.text), expected);
    gw_buf_release(&r.text);
}

static struct gw_error fails_from(struct maria_world *w, struct gw_position from)
{
    struct reading r = {0};
    struct gw_stream *stream = NULL;
    if (changes_of(w)->open(w->store, &w->schema, &from, &stream, &r.err)) {
        read_all(w, stream, &r);
        assert_true(r.failed);
        changes_of(w)->close(stream);
    }
    gw_buf_release(&r.text);
    return r.err;
}

static struct gw_position end_of(struct maria_world *w)
{
    struct gw_error err = {0};
    struct gw_position at;
    MUST(changes_of(w)->horizon(w->store, &at, &err));
    return at;
}

/* ---- values ---- */

static const char every_type[] =
    "CREATE TABLE t1 (id int PRIMARY KEY, a tinyint, b tinyint unsigned, c smallint, d smallint unsigned, e mediumint,"
    " f mediumint unsigned, g int unsigned, h bigint, i bigint unsigned, j float, k double, l decimal(65,30),"
    " m decimal(10,2), n decimal(5,5), o year, p bit(1), q bit(64), r bit(10), s int(8) zerofill);"
    "INSERT INTO t1 VALUES (1,-128,255,-32768,65535,-8388608,16777215,4294967295,-9223372036854775808,"
    " 18446744073709551615,1.5,0.1,-12345678901234567890123456789012345.123456789012345678901234567890,-12.50,0.00001,"
    " 2024,1,x'ffeeddccbbaa9988',513,42);"
    "INSERT INTO t1 VALUES (2,127,0,32767,0,8388607,0,0,9223372036854775807,0,3.40282e38,1.7976931348623157e308,0,0,"
    " -0.99999,0,0,0,0,0);"
    "INSERT INTO t1 VALUES (3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,1e-45,5e-324,"
    " 99999999999999999999999999999999999.999999999999999999999999999999,99999999.99,0,1901,NULL,NULL,NULL,NULL);"
    "INSERT INTO t1 (id, j, k) VALUES (4, 0.1, 123456.789), (5, 16777216, 1e15), (6, 1234567, 1e-5), (7, -0.0, -2.5),"
    " (8, 1e6, 0.00012345), (9, 33.333333, 1/3), (10, 0.36640625, 9007199254740993), (11, -1e-10, 1e22);"
    "CREATE TABLE t2 (id int PRIMARY KEY, a date, b time, c time(6), d time(3), e datetime, f datetime(6),"
    " g datetime(1), h timestamp NULL, i timestamp(6) NULL, j timestamp(5) NULL);"
    "SET time_zone = '+00:00', sql_mode = 'ALLOW_INVALID_DATES';"
    "INSERT INTO t2 VALUES (1,'9999-12-31','838:59:59','838:59:59.999999','-838:59:59.999','9999-12-31 23:59:59',"
    " '9999-12-31 23:59:59.999999','1000-01-01 00:00:00.9','2038-01-19 03:14:07','2038-01-19 03:14:07.999999',"
    " '1970-01-01 00:00:01.12345');"
    "INSERT INTO t2 VALUES (2,'0000-00-00','-00:00:01','-00:00:00.000001','00:00:00.001','0000-00-00 00:00:00',"
    " '2024-02-31 12:30:00.000001','2024-02-29 23:59:59.1','0000-00-00 00:00:00','1970-01-01 00:00:01',"
    " '2024-02-29 12:00:00');"
    "INSERT INTO t2 VALUES (3,'2024-00-00','-838:59:59','-838:59:59.999999','-00:00:01.100','2024-00-00 01:02:03',"
    " '0000-00-00 00:00:00.5','0000-00-00 00:00:00','2000-01-01','2000-12-31 23:59:59.1','2024-03-01 00:00:00');"
    "INSERT INTO t2 (id) VALUES (4);"
    "CREATE TABLE t3 (id int PRIMARY KEY, a char(10), b varchar(300), c text CHARACTER SET latin1, d binary(8),"
    " e varbinary(20), f tinyblob, g blob, h longblob, i enum('x','yé','z,'), j set('a','b','c'), k uuid, l inet6,"
    " m inet4, n json, o geometry, p varchar(100) COMPRESSED, q blob COMPRESSED, r varchar(10) CHARACTER SET ucs2,"
    " s char(5) CHARACTER SET utf16, t varchar(20) CHARACTER SET sjis, u varchar(20) CHARACTER SET cp1251,"
    " v longtext COMPRESSED, w varchar(30) CHARACTER SET ujis, x char(5) CHARACTER SET latin1,"
    " y tinytext CHARACTER SET gbk, z mediumtext CHARACTER SET utf32);"
    "INSERT INTO t3 VALUES (1,'abc  ','dé😀','é€',x'0102000000000000',x'010200','tiny','blob',REPEAT('x',20),'yé',"
    " 'a,c','123e4567-e89b-12d3-a456-426655440000','::1','1.2.3.4','{\"a\":1}',ST_GeomFromText('POINT(1 2)',4326),"
    " REPEAT('z',100),REPEAT('q',300),'ü€','a','日本ｱ\\\\','Привет',REPEAT('w',70000),'日本ｱ丂','é ','中文,a','x😀');"
    "INSERT INTO t3 VALUES (2,'','','','','','','','',1,0,'01890a5d-ac96-774b-bcce-b302099a8057','fe80::1:0:0:12',"
    " '0.0.0.0','[]',NULL,'','','','','','','','','','','');"
    "INSERT INTO t3 (id,k,l,m) VALUES (3,'00000000-0000-0000-0000-000000000000','::','255.255.255.255');"
    "INSERT INTO t3 (id,k,l,m) VALUES (4,'ffffffff-ffff-ffff-ffff-ffffffffffff','::ffff:1.2.3.4',NULL);"
    "INSERT INTO t3 (id,k,l) VALUES (5,'1ea3d4f0-1111-6222-8333-444455556666','2001:db8::ff00:42:8329');"
    "SET sql_mode = ''; INSERT INTO t3 (id, i) VALUES (6, 'no label'); SET sql_mode = DEFAULT;";

static void assert_same_row(const struct gw_collection *c, const struct gw_row *told, const struct gw_row *read)
{
    assert_int_equal(told->count, read->count);
    for (uint32_t i = 0; i < told->count; i++) {
        const struct gw_value *a = &told->values[i], *b = &read->values[i];
        /* the server's own notation of a double is what the reader has: 1e20 for 1e+20 */
        if (strcmp(c->columns[i].type, "double") == 0 && a->kind == GW_VALUE_TEXT && b->kind == GW_VALUE_TEXT) {
            gw_autofree char *left = gw_strndup((const char *)a->bytes, a->len);
            gw_autofree char *right = gw_strndup((const char *)b->bytes, b->len);
            double x = strtod(left, NULL), y = strtod(right, NULL);
            assert_memory_equal(&x, &y, sizeof x);
            continue;
        }
        if (!gw_value_equal(a, b))
            print_error("%s.%s: told \"%.*s\" (%d), read \"%.*s\" (%d)\n", c->name, c->columns[i].name, (int)a->len,
                        a->bytes ? (const char *)a->bytes : "", a->kind, (int)b->len,
                        b->bytes ? (const char *)b->bytes : "", b->kind);
        assert_true(gw_value_equal(a, b));
    }
}

/* Reads each inserted row again, through the reader, and compares; returns how many. */
static unsigned compare_with_reader(struct maria_world *w, struct gw_position from)
{
    struct gw_error err = {0};
    struct gw_reader *reader = NULL;
    struct gw_stream *stream = open_at(w, from);
    unsigned rows = 0;
    MUST(changes_of(w)->signal(w->store, "marker:end", &err));
    MUST(w->store->type->reader->open(w->store, &reader, &err));
    for (;;) {
        struct gw_change change;
        bool got = false, found = false;
        MUST(changes_of(w)->next(stream, LONG_ENOUGH_MS, &change, &got, &err));
        assert_true(got);
        if (change.kind == GW_CHANGE_SIGNAL)
            break;
        if (change.kind != GW_CHANGE_INSERT)
            continue;
        const struct gw_collection *c = &w->schema.collections[change.collection];
        struct gw_row read, key = {.count = 1, .values = change.row.values};
        struct gw_mark mark;
        MUST(w->store->type->reader->refetch(reader, c, &key, &mark, &found, &read, &err));
        assert_true(found);
        assert_same_row(c, &change.row, &read);
        gw_mark_release(&mark);
        rows++;
    }
    w->store->type->reader->close(reader);
    changes_of(w)->close(stream);
    return rows;
}

static void every_type_at_its_limits_is_told_as_it_is_read(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    struct gw_position from = end_of(w);
    maria_do(w->admin, every_type);
    prepare(w);
    assert_int_equal(compare_with_reader(w, from), 11 + 4 + 6);
    /* the same, compressed, and with all that the log can say of a table */
    from = end_of(w);
    maria_do(w->admin, "SET GLOBAL log_bin_compress = 1, GLOBAL log_bin_compress_min_len = 10,"
                       " GLOBAL binlog_row_metadata = FULL");
    maria_do(w->admin, "CREATE TABLE old AS SELECT * FROM t3; DELETE FROM t3; INSERT INTO t3 SELECT * FROM old;"
                       "DROP TABLE old; CREATE TABLE old AS SELECT * FROM t1; DELETE FROM t1;"
                       "INSERT INTO t1 SELECT * FROM old; DROP TABLE old");
    unsigned rows = compare_with_reader(w, from);
    maria_do(w->admin, "SET GLOBAL log_bin_compress = 0, GLOBAL binlog_row_metadata = NO_LOG");
    assert_int_equal(rows, 11 + 6);
}

static void updates_tell_the_key_when_it_changed(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    maria_do(w->admin, "CREATE TABLE k (id int PRIMARY KEY, a int, b text); CREATE TABLE n (a int, b varchar(5))");
    struct gw_position start = prepare(w);
    maria_do(w->admin, "INSERT INTO k VALUES (1, 2, 'x'), (2, NULL, NULL); UPDATE k SET a = 5 WHERE id = 1;"
                       "UPDATE k SET id = 3 WHERE id = 2; DELETE FROM k WHERE id = 3;"
                       "INSERT INTO n VALUES (1, 'a'); UPDATE n SET b = 'b'; DELETE FROM n");
    assert_told(w, start,
                "BEGIN\nINSERT k 1|2|x\nINSERT k 2|~|~\nCOMMIT\nBEGIN\nUPDATE k 1|5|x\nCOMMIT\n"
                "BEGIN\nUPDATE k old 2|-|- new 3|~|~\nCOMMIT\nBEGIN\nDELETE k old 3|-|-\nCOMMIT\n"
                "BEGIN\nINSERT n 1|a\nCOMMIT\nBEGIN\nUPDATE n old 1|a new 1|b\nCOMMIT\n"
                "BEGIN\nDELETE n old 1|b\nCOMMIT\n");
}

static void smaller_row_images_leave_out_what_did_not_change(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    maria_do(w->admin, "CREATE TABLE k (id int PRIMARY KEY, a int DEFAULT 7, b text DEFAULT 'def', c decimal(8,3)"
                       " DEFAULT 1.5, g int AS (a * 2) VIRTUAL)");
    struct gw_position start = prepare(w);
    maria_do(w->admin, "SET binlog_row_image = MINIMAL; INSERT INTO k (id) VALUES (1); INSERT INTO k (id, a) VALUES"
                       " (2, NULL); UPDATE k SET a = 5 WHERE id = 1; UPDATE k SET id = 3, b = 'new' WHERE id = 2;"
                       " DELETE FROM k WHERE id = 3");
    maria_do(w->admin, "SET binlog_row_image = NOBLOB; UPDATE k SET a = 6; UPDATE k SET b = 'other', id = 9");
    assert_told(w, start,
                "BEGIN\nINSERT k 1|7|def|1.500|~\nCOMMIT\nBEGIN\nINSERT k 2|~|def|1.500|~\nCOMMIT\n"
                "BEGIN\nUPDATE k 1|5|=|=|~\nCOMMIT\nBEGIN\nUPDATE k old 2|-|-|-|- new 3|=|new|=|~\nCOMMIT\n"
                "BEGIN\nDELETE k old 3|-|-|-|-\nCOMMIT\n"
                "BEGIN\nUPDATE k 1|6|=|1.500|~\nCOMMIT\nBEGIN\nUPDATE k old 1|-|-|-|- new 9|6|other|1.500|~\nCOMMIT\n");
}

/* ---- transactions ---- */

static void rolled_back_rows_are_not_told(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    maria_do(w->admin, "CREATE TABLE i (id int PRIMARY KEY); CREATE TABLE m (id int PRIMARY KEY) ENGINE = MyISAM");
    struct gw_position start = prepare(w);
    maria_do(w->admin,
             "BEGIN; INSERT INTO i VALUES (1); ROLLBACK;"
             "BEGIN; INSERT INTO i VALUES (2); SAVEPOINT s; INSERT INTO i VALUES (3); ROLLBACK TO s; COMMIT;"
             "BEGIN; INSERT INTO i VALUES (4); SAVEPOINT `S 1`; INSERT INTO i VALUES (5); INSERT INTO m VALUES (5);"
             " ROLLBACK TO `s 1`; INSERT INTO i VALUES (6); COMMIT;"
             "BEGIN; INSERT INTO i VALUES (7); INSERT INTO m VALUES (7); ROLLBACK;"
             "BEGIN; INSERT INTO i VALUES (8); CREATE TEMPORARY TABLE x (a int); INSERT INTO x VALUES (1); ROLLBACK;"
             "BEGIN; SAVEPOINT a; INSERT INTO i VALUES (9); INSERT INTO m VALUES (9); SAVEPOINT b; INSERT INTO i VALUES"
             " (10); ROLLBACK TO b; ROLLBACK TO a; INSERT INTO i VALUES (11); COMMIT");
    assert_told(w, start,
                "BEGIN\nINSERT i 2\nCOMMIT\n"
                "BEGIN\nINSERT m 5\nCOMMIT\nBEGIN\nINSERT i 4\nINSERT i 6\nCOMMIT\n"
                "BEGIN\nINSERT m 7\nCOMMIT\n"
                "BEGIN\nINSERT m 9\nCOMMIT\nBEGIN\nINSERT i 11\nCOMMIT\n");
}

static void xa_transactions_are_told_when_they_are_committed(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    maria_do(w->admin, "CREATE TABLE i (id int PRIMARY KEY, v text)");
    struct gw_position start = prepare(w);
    MYSQL *other = maria_connect(w->database);
    maria_dof(other,
              "XA START '%s a', 'b', 7; INSERT INTO i VALUES (1, 'xa'); UPDATE i SET v = 'xa2';"
              " XA END '%s a', 'b', 7; XA PREPARE '%s a', 'b', 7",
              w->database, w->database, w->database);
    mysql_close(other);
    maria_do(w->admin, "INSERT INTO i VALUES (2, 'between')");
    maria_dof(w->admin,
              "XA START '%s c'; INSERT INTO i VALUES (3, 'gone'); XA END '%s c'; XA PREPARE '%s c';"
              " XA ROLLBACK '%s c'",
              w->database, w->database, w->database, w->database);
    struct reading r = {0};
    struct gw_stream *stream = open_at(w, start);
    read_all(w, stream, &r);
    changes_of(w)->close(stream);
    assert_string_equal(gw_buf_text(&r.text), "BEGIN\nINSERT i 2|between\nCOMMIT\n");
    maria_do(w->admin, "FLUSH BINARY LOGS");
    maria_dof(w->admin, "XA COMMIT '%s a', 'b', 7", w->database);
    maria_dof(w->admin,
              "XA START '%s d'; INSERT INTO i VALUES (4, 'one phase'); XA END '%s d'; XA COMMIT '%s d' ONE PHASE",
              w->database, w->database, w->database);
    /* From behind what was read: its place remembers where the prepared one begins. */
    assert_told(w, r.commit, "BEGIN\nINSERT i 1|xa\nUPDATE i 1|xa2\nCOMMIT\nBEGIN\nINSERT i 4|one phase\nCOMMIT\n");
    assert_told(w, start,
                "BEGIN\nINSERT i 2|between\nCOMMIT\nBEGIN\nINSERT i 1|xa\nUPDATE i 1|xa2\nCOMMIT\n"
                "BEGIN\nINSERT i 4|one phase\nCOMMIT\n");
    gw_buf_release(&r.text);
}

static void a_transaction_prepared_before_the_start_is_waited_for(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    struct gw_error err = {0};
    gw_autobuf struct gw_buf who = {0};
    bool settled = true;
    maria_do(w->admin, "CREATE TABLE i (id int PRIMARY KEY)");
    maria_dof(w->admin, "XA START '%s'; INSERT INTO i VALUES (1); XA END '%s'; XA PREPARE '%s'", w->database,
              w->database, w->database);
    struct gw_position start = prepare(w);
    MUST(changes_of(w)->settled(w->store, "binlog", &settled, &who, &err));
    assert_false(settled);
    assert_contains(gw_buf_text(&who), "prepared XA transaction");
    maria_dof(w->admin, "XA COMMIT '%s'", w->database);
    for (int64_t deadline_us = gw_mono_us() + LONG_ENOUGH_MS * 1000; !settled; gw_sleep_us(5000)) { /* others', too */
        assert_true(gw_mono_us() < deadline_us);
        MUST(changes_of(w)->settled(w->store, "binlog", &settled, &who, &err));
    }
    assert_told(w, start, "");
}

static void a_truncate_is_told_however_it_is_written(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    maria_do(w->admin, "CREATE TABLE `tr u` (id int PRIMARY KEY)");
    struct gw_position start = prepare(w);
    maria_do(w->admin, "TRUNCATE `tr u`; TRUNCATE /* no */ /*!50000 TABLE */ `tr u` -- it\n");
    MYSQL *elsewhere = maria_connect("mysql");
    maria_dof(elsewhere, "truncate table `%s` . `tr u`", w->database);
    mysql_close(elsewhere);
    assert_told(w, start,
                "BEGIN\nTRUNCATE tr u\nCOMMIT\nBEGIN\nTRUNCATE tr u\nCOMMIT\n"
                "BEGIN\nTRUNCATE tr u\nCOMMIT\n");
}

/* ---- definitions ---- */

static void a_column_that_is_added_carries_the_plan(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    maria_do(w->admin, "CREATE TABLE k (id int PRIMARY KEY, a int, b int)");
    struct gw_position start = prepare(w);
    maria_do(w->admin, "INSERT INTO k VALUES (1, 2, 3); ALTER TABLE k ADD COLUMN c int AFTER id;"
                       " INSERT INTO k VALUES (2, 9, 4, 5); ALTER TABLE k COMMENT 'x'");
    struct reading r = {0};
    struct gw_stream *stream = open_at(w, start);
    read_all(w, stream, &r);
    changes_of(w)->close(stream);
    assert_contains(gw_buf_text(&r.text), "BEGIN\nINSERT k 1|2|3\nCOMMIT\nSCHEMA (carries) k: ");
    assert_contains(gw_buf_text(&r.text), "BEGIN\nINSERT k 2|4|5\nCOMMIT\n");
    gw_buf_release(&r.text);
    maria_do(w->admin, "ALTER TABLE k DROP COLUMN c");
    start = end_of(w);
    maria_do(w->admin, "INSERT INTO k VALUES (3, 4, 5)");
    assert_told(w, start, "BEGIN\nINSERT k 3|4|5\nCOMMIT\n");
}

static void what_does_not_carry_the_plan_is_told(void **state)
{
    NEEDS_MARIADB(state);
    static const char *const statements[] = {"ALTER TABLE k MODIFY a bigint",
                                             "ALTER TABLE k DROP COLUMN a",
                                             "ALTER TABLE k RENAME COLUMN a TO z",
                                             "RENAME TABLE k TO k2",
                                             "DROP TABLE k",
                                             "CREATE OR REPLACE TABLE k LIKE k",
                                             "ALTER TABLE k RENAME k3",
                                             "ALTER TABLE p TRUNCATE PARTITION p0",
                                             "ALTER TABLE k MODIFY a int unsigned"};
    struct maria_world *w = *state;
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        maria_do(w->admin, "DROP TABLE IF EXISTS k, k2, k3, p; CREATE TABLE k (id int PRIMARY KEY, a int);"
                           "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN"
                           " (10), PARTITION p1 VALUES LESS THAN MAXVALUE)");
        maria_world_list(w);
        struct gw_error err = {0};
        MUST(changes_of(w)->drop(w->store, &err));
        struct gw_position start = prepare(w);
        if (mysql_query(w->admin, statements[i]) != 0)
            maria_do(w->admin, "CREATE OR REPLACE TABLE k (id int PRIMARY KEY, a int)");
        struct reading r = {0};
        struct gw_stream *stream = open_at(w, start);
        read_all(w, stream, &r);
        changes_of(w)->close(stream);
        if (strncmp(gw_buf_text(&r.text), "SCHEMA ", 7) != 0 || strstr(gw_buf_text(&r.text), "(carries)"))
            print_error("%s: %s\n", statements[i], gw_buf_text(&r.text));
        assert_int_equal(strncmp(gw_buf_text(&r.text), "SCHEMA ", 7), 0);
        assert_null(strstr(gw_buf_text(&r.text), "(carries)"));
        gw_buf_release(&r.text);
    }
}

static void columns_the_server_adds_by_itself_do_not_matter(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    maria_do(w->admin, "CREATE TABLE l (id int PRIMARY KEY, b text, UNIQUE (b));"
                       "CREATE TABLE v (id int PRIMARY KEY, a int) WITH SYSTEM VERSIONING");
    struct gw_position start = prepare(w);
    maria_do(w->admin, "INSERT INTO l VALUES (1, 'x'); UPDATE l SET b = 'y'; INSERT INTO v VALUES (1, 2)");
    assert_told(w, start, "BEGIN\nINSERT l 1|x\nCOMMIT\nBEGIN\nUPDATE l 1|y\nCOMMIT\nBEGIN\nINSERT v 1|2\nCOMMIT\n");
}

static void a_statement_instead_of_rows_is_refused(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    maria_do(w->admin, "CREATE TABLE k (id int PRIMARY KEY)");
    struct gw_position start = prepare(w);
    maria_do(w->admin, "SET binlog_format = STATEMENT; INSERT INTO k VALUES (1); SET binlog_format = ROW");
    struct gw_error err = fails_from(w, start);
    assert_int_equal(err.kind, GW_ERR_UNSUPPORTED);
    assert_contains(err.hint, "binlog_format");
    assert_contains(err.message, "INSERT INTO k");
}

/* ---- keys ---- */

/* The chunk of each row's key by locate, against the range conditions of the reader: counted per chunk. */
static void assert_located(struct maria_world *w, const char *table, int64_t rows_per_chunk)
{
    struct gw_error err = {0};
    const struct gw_collection *c = gw_schema_find(&w->schema, "", table);
    const struct gw_reader_facet *reading = w->store->type->reader;
    struct gw_reader *reader = NULL;
    struct gw_bound bounds[40], low = {0};
    size_t bound_count = 0;
    unsigned told[41] = {0};
    MUST(reading->open(w->store, &reader, &err));
    for (bool last = false; !last;) {
        assert_true(bound_count < 40);
        MUST(reading->split(reader, c, &low, rows_per_chunk, &bounds[bound_count], &last, &err));
        if (!last)
            low = bounds[bound_count++];
    }
    assert_true(bound_count > 2);
    struct gw_position from = end_of(w);
    maria_dof(w->admin, "DELETE FROM `%s`", table); /* every key comes by the log */
    struct gw_stream *stream = open_at(w, from);
    MUST(changes_of(w)->signal(w->store, "marker:located", &err));
    for (;;) {
        struct gw_change change;
        struct gw_value values[4];
        bool got = false;
        uint32_t chunk = 99;
        MUST(changes_of(w)->next(stream, LONG_ENOUGH_MS, &change, &got, &err));
        assert_true(got);
        if (change.kind == GW_CHANGE_SIGNAL)
            break;
        if (change.kind != GW_CHANGE_DELETE)
            continue;
        for (size_t k = 0; k < c->key_count; k++)
            values[k] = change.old.values[c->key[k]];
        struct gw_row key = {.count = (uint32_t)c->key_count, .values = values};
        MUST(changes_of(w)->locate(w->store, c, bounds, bound_count, &key, 1, &chunk, &err));
        assert_true(chunk <= bound_count);
        told[chunk]++;
    }
    changes_of(w)->close(stream);
    maria_dof(w->admin, "INSERT INTO `%s` SELECT * FROM `keep %s`", table, table);
    for (size_t i = 0; i <= bound_count; i++) {
        struct gw_range range = {.low = i ? bounds[i - 1] : (struct gw_bound){0},
                                 .high = i < bound_count ? bounds[i] : (struct gw_bound){0}};
        struct gw_mark mark;
        struct gw_block block;
        uint64_t rows = 0;
        MUST(reading->begin(reader, c, &range, &mark, &err));
        do {
            MUST(reading->next(reader, &block, &err));
            rows += block.len ? block.rows : 0;
        } while (block.len);
        MUST(reading->end(reader, &err));
        gw_mark_release(&mark);
        assert_int_equal(told[i], rows);
    }
    for (size_t i = 0; i < bound_count; i++)
        gw_bound_release(&bounds[i]);
    reading->close(reader);
}

static void keys_of_any_type_are_located_as_the_reader_splits_them(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    static const struct {
        const char *name, *columns, *values;
    } tables[] = {
        {"numbers", "k decimal(12,3) PRIMARY KEY", "seq * 7.125 - 300"},
        {"words", "k varchar(40) COLLATE utf8mb4_general_ci PRIMARY KEY",
         "CONCAT(ELT(1 + seq % 5, 'a', 'É', 'z', '_', 'Ö'), LPAD(seq, 3, ' '), ELT(1 + seq % 3, '', 'x', '-'))"},
        {"latin", "k varchar(40) CHARACTER SET latin1 COLLATE latin1_swedish_ci PRIMARY KEY",
         "CONCAT(ELT(1 + seq % 4, 'ä', 'B', 'y', 'Å'), seq)"},
        {"bytes", "k varbinary(20) PRIMARY KEY", "UNHEX(LPAD(HEX(seq * 2654435761 % 65521), 2 + seq % 3 * 2, '0'))"},
        {"uuids", "k uuid PRIMARY KEY", "INSERT(MD5(seq), 13, 1, '4')"},
        {"times", "k time(2) PRIMARY KEY", "SEC_TO_TIME(seq * 1000.25 - 90000)"},
        {"reals", "k float PRIMARY KEY", "seq * 0.1 - 7"},
        {"labels", "e enum('b','a','c') NOT NULL, s varchar(10) NOT NULL, k int NOT NULL, PRIMARY KEY (e, s, k)",
         "1 + seq % 3, ELT(1 + seq % 4, 'B', 'a', 'A ', 'ß'), seq"},
    };
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        maria_dof(w->admin,
                  "CREATE TABLE `%s` (%s); INSERT IGNORE INTO `%s` SELECT %s FROM seq_1_to_200;"
                  " CREATE TABLE `keep %s` AS SELECT * FROM `%s`",
                  tables[i].name, tables[i].columns, tables[i].name, tables[i].values, tables[i].name, tables[i].name);
    prepare(w);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        print_message("%s\n", tables[i].name);
        assert_located(w, tables[i].name, 17);
    }
}

/* ---- places ---- */

static void a_place_that_is_gone_is_lost(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    struct gw_error err = {0};
    maria_do(w->admin, "CREATE TABLE k (id int PRIMARY KEY)");
    struct gw_position start = prepare(w), ahead = end_of(w);
    ahead.order += UINT64_C(7) << 40;
    snprintf(ahead.text, sizeof ahead.text, "bin.009999:4");
    assert_int_equal(fails_from(w, ahead).kind, GW_ERR_LOST_POSITION);
    char *other_life = strstr(start.text, " made=");
    if (other_life)
        *other_life = 0;
    struct gw_position another = start;
    snprintf(another.text + strlen(another.text), sizeof another.text - strlen(another.text), " made=1234");
    assert_int_equal(fails_from(w, another).kind, GW_ERR_LOST_POSITION);
    MUST(changes_of(w)->drop(w->store, &err));
    assert_int_equal(fails_from(w, start).kind, GW_ERR_LOST_POSITION);
    struct gw_retained retained;
    MUST(changes_of(w)->retained(w->store, &retained, &err));
    assert_true(retained.lost);
}

struct asker {
    struct gw_cancel *cancel;
    atomic_bool waiting;
};

static void *ask_soon(void *arg)
{
    struct asker *asker = arg;
    while (!atomic_load(&asker->waiting))
        gw_sleep_us(1000);
    gw_cancel_ask(asker->cancel, 1);
    return NULL;
}

static void waiting_ends_in_time_and_when_it_is_asked_to(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    struct gw_error err = {0};
    struct gw_change change;
    bool got = true;
    maria_do(w->admin, "CREATE TABLE k (id int PRIMARY KEY)");
    struct gw_stream *stream = open_at(w, prepare(w));
    int64_t begin_us = gw_mono_us();
    while (got)
        MUST(changes_of(w)->next(stream, 50, &change, &got, &err));
    assert_true(gw_mono_us() - begin_us < 2000000);
    struct asker asker = {.cancel = &w->cancel};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, ask_soon, &asker), 0);
    begin_us = gw_mono_us();
    atomic_store(&asker.waiting, true);
    assert_false(changes_of(w)->next(stream, LONG_ENOUGH_MS, &change, &got, &err));
    assert_int_equal(err.kind, GW_ERR_CANCELLED);
    assert_true(gw_mono_us() - begin_us < 2000000);
    pthread_join(thread, NULL);
    changes_of(w)->close(stream);
}

static void large_values_come_through(void **state)
{
    NEEDS_MARIADB(state);
    struct maria_world *w = *state;
    struct gw_error err = {0};
    maria_do(w->admin, "CREATE TABLE k (id int PRIMARY KEY, b longblob)");
    struct gw_stream *stream = open_at(w, prepare(w));
    for (int i = 0; i < 2; i++) {
        struct gw_change change = {0};
        size_t size = i ? 1000 : (size_t)40 << 20;
        maria_dof(w->admin, "INSERT INTO k VALUES (%d, REPEAT('%c', %zu))", i, 'a' + i, size);
        while (change.kind != GW_CHANGE_INSERT) {
            bool got = false;
            MUST(changes_of(w)->next(stream, LONG_ENOUGH_MS, &change, &got, &err));
            assert_true(got);
        }
        assert_int_equal(change.row.values[1].len, size);
        assert_int_equal(change.row.values[1].bytes[size - 1], 'a' + i);
    }
    changes_of(w)->close(stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MARIA_TEST(every_type_at_its_limits_is_told_as_it_is_read),
        MARIA_TEST(updates_tell_the_key_when_it_changed),
        MARIA_TEST(smaller_row_images_leave_out_what_did_not_change),
        MARIA_TEST(rolled_back_rows_are_not_told),
        MARIA_TEST(xa_transactions_are_told_when_they_are_committed),
        MARIA_TEST(a_transaction_prepared_before_the_start_is_waited_for),
        MARIA_TEST(a_truncate_is_told_however_it_is_written),
        MARIA_TEST(a_column_that_is_added_carries_the_plan),
        MARIA_TEST(what_does_not_carry_the_plan_is_told),
        MARIA_TEST(columns_the_server_adds_by_itself_do_not_matter),
        MARIA_TEST(a_statement_instead_of_rows_is_refused),
        MARIA_TEST(keys_of_any_type_are_located_as_the_reader_splits_them),
        MARIA_TEST(a_place_that_is_gone_is_lost),
        MARIA_TEST(waiting_ends_in_time_and_when_it_is_asked_to),
        MARIA_TEST(large_values_come_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
