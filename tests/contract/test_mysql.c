/*
 * The MariaDB engine alone, on the servers of tests/support/with_servers.py: every type at its limits through copy,
 * codec and scan; definitions with all they can have; cascades; the fence against old snapshots.
 */
#include "contract/suite.h"

static struct pair world;

static int world_setup(void **state)
{
    if (!mariadb_kit_available())
        return 0;
    world = (struct pair){0};
    snprintf(world.work_dir, sizeof world.work_dir, "/tmp/godwit-mysql-XXXXXX");
    assert_non_null(mkdtemp(world.work_dir));
    mariadb_kit_open(&world);
    *state = &world;
    return 0;
}

static int world_teardown(void **state)
{
    if (!*state)
        return 0;
    gw_schema_release(&world.schema);
    mysql_kit_close(&world);
    gw_autofree char *file = gw_asprintf("%s/mysql-schema.json", world.work_dir);
    unlink(file);
    rmdir(world.work_dir);
    return 0;
}

#define MYSQL_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
#define NEEDS_MYSQL(state)                                                                                             \
    if (!*(state))                                                                                                     \
    skip()

static MYSQL *admin_of(int side)
{
    return ((struct mysql_own *)world.own)->admin[side];
}

/* The first field of the first row, "" for none; borrowed until the next call. */
static const char *ask(int side, const char *sql)
{
    static char text[4096];
    text[0] = 0;
    if (mysql_query(admin_of(side), sql) != 0)
        fail_msg("%s\n%s", sql, mysql_error(admin_of(side)));
    MYSQL_RES *r = mysql_store_result(admin_of(side));
    MYSQL_ROW row = mysql_fetch_row(r);
    snprintf(text, sizeof text, "%s", row && row[0] ? row[0] : "");
    mysql_free_result(r);
    return text;
}

static const char types_sql[] =
    "SET NAMES utf8mb4; SET SESSION sql_mode = 'NO_BACKSLASH_ESCAPES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO',"
    " time_zone = '+00:00';"
    "DROP TABLE item, loose;"
    "CREATE TABLE types (id bigint unsigned PRIMARY KEY, ti tinyint, su smallint unsigned, mi mediumint, i int(7) zerofill,"
    " d decimal(65,30), f float, db double, f2 float(7,2), d2 double(10,2), b1 bit(1), b64 bit(64), y year, dt date,"
    " tm time(6), dtm datetime(3), ts timestamp(6) NULL, c char(10) CHARACTER SET latin1,"
    " vc varchar(20) CHARACTER SET utf8mb3, tx text, bn binary(4), vb varbinary(20), bl longblob,"
    " e enum('a','b''c','d,e') CHARACTER SET latin1, s set('x','y','z'), j json, g geometry, u uuid, ip inet6,"
    " gs int AS (ti + 1) STORED, gv int AS (ti + 2) VIRTUAL, hidden int INVISIBLE DEFAULT 3);"
    "INSERT INTO types (id,ti,su,mi,i,d,f,db,f2,d2,b1,b64,y,dt,tm,dtm,ts,c,vc,tx,bn,vb,bl,e,s,j,g,u,ip,hidden) VALUES"
    " (0,-128,0,-8388608,0,-99999999999999999999999999999999999.999999999999999999999999999999,"
    "  -3.4028234663852886e38,-1.7976931348623157e308,-99999.99,-99999999.99,b'0',0,0,'0000-00-00','-838:59:59.999999',"
    "  '0000-00-00','1970-01-01 00:00:01','','','','','','','a','','null',ST_GeomFromText('POINT(0 0)',4326),"
    "  '00000000-0000-0000-0000-000000000000','::',NULL),"
    " (18446744073709551615,126,65535,8388607,4294967295,"
    "  99999999999999999999999999999999999.999999999999999999999999999999,3.4028234663852886e38,"
    "  1.7976931348623157e308,99999.99,99999999.99,b'1',18446744073709551615,2155,'9999-12-31','838:59:59.999999',"
    "  '9999-12-31 23:59:59.999','2038-01-19 03:14:07.999999',CONVERT(X'C3A9C3BF' USING utf8mb4),'日本',"
    "  CONCAT('😀', CHAR(0), '\\', CHAR(9), CHAR(10), CHAR(13), ''''),X'000102FF',X'005C0A090D1A80E25C',"
    "  REPEAT(X'FF005C0A09', 60000),'b''c','x,y,z','{\"a\":[1,2]}',ST_GeomFromText('LINESTRING(0 0,1 1)'),"
    "  'ffffffff-ffff-ffff-ffff-ffffffffffff','ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',7),"
    " (1,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,"
    "  NULL,NULL,NULL,NULL,NULL,NULL,NULL),"
    " (2,0,0,0,42,0.000000000000000000000000000001,1e-45,5e-324,0.01,0.1,b'1',256,1901,'2024-02-31','00:00:00.000001',"
    "  '2024-02-29 12:30:00.120','2024-03-31 02:30:00.5','a   ','x   ','hex:zz','ab','a ',' ','d,e','x,z','\"x\"',"
    "  ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))'),'12345678-1234-5678-1234-567812345678','::ffff:1.2.3.4',0),"
    " (3,1,1,1,1,1.5,-0e0,-0e0,-0e0,-0e0,b'0',1,2000,'2000-01-01','-00:00:00.5','2000-01-01','2000-01-01','0','NULL','\\N',"
    "  X'5C4E0000',X'5C4E','\\N','a','x','[]',NULL,NULL,NULL,1);"
    "CREATE TABLE bykey (k varchar(40) COLLATE utf8mb4_general_ci, b binary(4), e enum('z','m','a'), bt bit(10), f float,"
    " v int, PRIMARY KEY (k, b, e, bt, f));"
    "INSERT IGNORE INTO bykey SELECT ELT(1 + seq % 9, 'a-b', 'aB', 'ab', 'A1', '_z', 'z ', 'é', '', CONCAT('n', CHAR(0))),"
    " UNHEX(LPAD(HEX(seq * 37 % 251), 8, '0')), 1 + seq % 3, seq % 1024, seq / 7, seq FROM seq_1_to_700;"
    "CREATE TABLE greatest_keys (id bigint unsigned PRIMARY KEY, v varchar(10) CHARACTER SET latin1);"
    "INSERT INTO greatest_keys SELECT 18446744073709551615 - seq, 'é' FROM seq_0_to_300";

static void list_world(void)
{
    struct gw_error err = {0};
    gw_schema_release(&world.schema);
    MUST(world.store[0]->type->catalog->list(world.store[0], NULL, &world.schema, &err));
}

static void make_schema(void)
{
    struct gw_error err = {0};
    const struct gw_store_type *type = world.store[0]->type;
    MUST(type->ownership->install(world.store[0], "0123", &err));
    MUST(type->ownership->install(world.store[1], "0123", &err));
    MUST(type->schema->create(world.store[0], world.store[1], NULL, world.work_dir, &err));
    list_world();
}

static void copy_all(int64_t rows)
{
    struct gw_error err = {0};
    const struct gw_store_type *type = world.store[0]->type;
    struct gw_reader *reader;
    struct gw_writer *writer;
    uint64_t number = 1;
    MUST(type->reader->open(world.store[0], &reader, &err));
    MUST(type->writer->open(world.store[1], "blue>green", &writer, &err));
    for (size_t i = 0; i < world.schema.count; i++) {
        const struct gw_collection *c = &world.schema.collections[i];
        struct gw_bound low = {0};
        for (bool last = false; !last;) {
            struct gw_checkpoint checkpoint = {.chunk = number++, .collection = c->id, .range.low = low};
            struct gw_block block = {0};
            uint64_t sent = 0, loaded = 0;
            bool already;
            MUST(type->reader->split(reader, c, &low, rows, &checkpoint.range.high, &last, &err));
            low = gw_bound_copy(&checkpoint.range.high);
            MUST(type->reader->begin(reader, c, &checkpoint.range, &checkpoint.mark, &err));
            MUST(type->writer->begin_chunk(writer, c, &checkpoint, &already, &err));
            assert_false(already);
            for (;;) {
                MUST(type->reader->next(reader, &block, &err));
                if (block.len == 0)
                    break;
                sent += block.rows;
                MUST(type->writer->put(writer, &block, &err));
            }
            MUST(type->reader->end(reader, &err));
            MUST(type->writer->commit_chunk(writer, &loaded, &err));
            assert_int_equal(sent, loaded);
            gw_checkpoint_release(&checkpoint);
        }
        gw_bound_release(&low);
    }
    type->reader->close(reader);
    type->writer->close(writer);
}

static void assert_same_tables(void)
{
    for (size_t i = 0; i < world.schema.count; i++) {
        char sums[2][64];
        gw_autofree char *sql = gw_asprintf("SELECT COUNT(*) FROM `%s`", world.schema.collections[i].name);
        gw_autofree char *sum = gw_asprintf("CHECKSUM TABLE `%s` EXTENDED", world.schema.collections[i].name);
        for (int side = 0; side < 2; side++) {
            gw_autofree char *rows = gw_strdup(ask(side, sql));
            if (mysql_query(admin_of(side), sum) != 0)
                fail_msg("%s", mysql_error(admin_of(side)));
            MYSQL_RES *r = mysql_store_result(admin_of(side));
            snprintf(sums[side], sizeof sums[side], "%s rows, sum %s", rows, mysql_fetch_row(r)[1]);
            mysql_free_result(r);
        }
        assert_string_equal(sums[0], sums[1]);
    }
}

/* ---- values ---- */

static void every_type_at_its_limits_is_copied(void **state)
{
    NEEDS_MYSQL(state);
    mysql_kit_do(admin_of(0), types_sql);
    make_schema();
    copy_all(50);
    assert_same_tables();
}

/* Packets too small for a bulk: by LOAD DATA, or by statements of many rows. */
static void copy_without_bulk(bool local_infile)
{
    struct gw_error err = {0};
    struct mysql_own *own = world.own;
    mysql_kit_do(admin_of(0), types_sql);
    gw_autofree char *undo = gw_asprintf("SET GLOBAL max_allowed_packet = %s, GLOBAL local_infile = 1",
                                         ask(1, "SELECT @@global.max_allowed_packet"));
    mysql_kit_do(admin_of(1), local_infile ? "SET GLOBAL max_allowed_packet = 2097152"
                                           : "SET GLOBAL max_allowed_packet = 2097152, GLOBAL local_infile = 0");
    gw_store_close(world.store[1]);
    gw_autofree char *url = mysql_kit_url(1, "", own->database);
    bool opened = gw_store_open(&(struct gw_store_options){.url = url, .migration = own->database, .side = GW_GREEN},
                                &world.store[1], &err);
    if (opened) {
        make_schema();
        copy_all(33);
    }
    mysql_kit_do(admin_of(1), undo);
    MUST(opened);
    assert_same_tables();
}

static void every_type_is_copied_by_load_data(void **state)
{
    NEEDS_MYSQL(state);
    copy_without_bulk(true);
}

static void every_type_is_copied_where_no_file_may_be_loaded(void **state)
{
    NEEDS_MYSQL(state);
    copy_without_bulk(false);
}

static void a_row_that_does_not_fit_fails_its_chunk(void **state)
{
    NEEDS_MYSQL(state);
    struct gw_error err = {0};
    const struct gw_store_type *type = world.store[1]->type;
    struct gw_writer *writer;
    uint64_t loaded;
    bool already;
    mysql_kit_do(admin_of(0), "CREATE TABLE narrow (id int PRIMARY KEY, v tinyint)");
    make_schema();
    MUST(type->writer->open(world.store[1], "blue>green", &writer, &err));
    const struct gw_collection *narrow = gw_schema_find(&world.schema, "", "narrow");
    assert_non_null(narrow);
    struct gw_checkpoint checkpoint = {.chunk = 1, .collection = narrow->id};
    MUST(type->writer->begin_chunk(writer, narrow, &checkpoint, &already, &err));
    /* A good row, one out of range, one whose key is there. */
    struct gw_block block = {.bytes = "\x01"
                                      "1"
                                      "\x01"
                                      "7"
                                      "\x01"
                                      "2"
                                      "\x03"
                                      "300"
                                      "\x01"
                                      "1"
                                      "\x01"
                                      "8",
                             .len = 14,
                             .rows = 3};
    assert_false(type->writer->put(writer, &block, &err) && type->writer->commit_chunk(writer, &loaded, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_non_null(strstr(err.message, "'v'"));
    type->writer->close(writer);
    assert_string_equal(ask(1, "SELECT COUNT(*) FROM narrow"), "0");
}

static void compare_row(const struct gw_collection *c, struct gw_codec *codec, struct gw_scan *scan,
                        const struct gw_datum *data, const struct gw_row *row)
{
    const struct gw_store_type *type = world.store[0]->type;
    struct gw_arena arena = {0};
    struct gw_error err = {0};
    struct gw_row encoded;
    struct gw_datum *again = gw_arena_zalloc(&arena, (c->column_count + 1) * sizeof *again);
    MUST(type->codec->encode(codec, data, &arena, &encoded, &err));
    MUST(type->codec->decode(codec, &encoded, &arena, again, &err));
    for (size_t i = 0; i < c->column_count; i++) {
        struct gw_datum seen;
        struct gw_value back;
        if (c->columns[i].generated)
            continue;
        MUST(type->scan->to_datum(scan, &c->columns[i], &row->values[i], &arena, &seen, &err));
        if (!gw_datum_equal(&data[i], &seen))
            fail_msg("%s.%s: codec and scan differ", c->name, c->columns[i].name);
        if (!gw_datum_equal(&data[i], &again[i]))
            fail_msg("%s.%s is another value after encode and decode", c->name, c->columns[i].name);
        MUST(type->scan->from_datum(scan, &c->columns[i], &seen, &arena, &back, &err));
        if (!gw_value_equal(&back, &row->values[i]))
            fail_msg("%s.%s: canonical bytes differ on the way back", c->name, c->columns[i].name);
    }
    gw_arena_release(&arena);
}

/* The copy's decoder and verify's share nothing: where both give the same data, both are right or both are wrong alike. */
static void codec_and_scan_agree_on_every_value(void **state)
{
    NEEDS_MYSQL(state);
    const struct gw_store_type *type = world.store[0]->type;
    struct gw_error err = {0};
    mysql_kit_do(admin_of(0), types_sql);
    list_world();
    for (size_t i = 0; i < world.schema.count; i++) {
        const struct gw_collection *c = &world.schema.collections[i];
        const struct gw_range all = {0};
        struct gw_reader *reader;
        struct gw_scan *scan;
        struct gw_codec *codec;
        struct gw_mark mark = {0};
        struct gw_position at;
        struct gw_block block;
        struct gw_row row;
        bool got, end;
        MUST(type->reader->open(world.store[0], &reader, &err));
        MUST(type->scan->open(world.store[0], &scan, &err));
        MUST(type->codec->open(world.store[0], c, &codec, &err));
        MUST(type->reader->begin(reader, c, &all, &mark, &err));
        MUST(type->scan->begin(scan, c, &all, false, &at, &err));
        struct gw_datum *data = gw_calloc(c->column_count + 1, sizeof *data);
        for (;;) {
            MUST(type->reader->next(reader, &block, &err));
            if (block.len == 0)
                break;
            for (size_t from = 0; from < block.len; from += 777) { /* rows reach over pieces */
                struct gw_block piece = {.bytes = (const char *)block.bytes + from,
                                         .len = block.len - from < 777 ? block.len - from : 777};
                MUST(type->codec->feed(codec, &piece, &err));
                for (;;) {
                    MUST(type->codec->row(codec, data, &got, &err));
                    if (!got)
                        break;
                    MUST(type->scan->next(scan, &row, &end, &err));
                    assert_false(end);
                    compare_row(c, codec, scan, data, &row);
                }
            }
        }
        MUST(type->scan->next(scan, &row, &end, &err));
        assert_true(end);
        free(data);
        type->codec->close(codec);
        type->scan->close(scan);
        type->reader->close(reader);
    }
}

/* ---- definitions ---- */

static const char sakila_sql[] =
    "SET NAMES utf8mb4; SET SESSION sql_mode = ''; DROP TABLE item, loose;"
    "CREATE TABLE actor (id smallint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, name varchar(45) NOT NULL DEFAULT 'it''s',"
    " at timestamp(3) NOT NULL DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3), KEY n (name))"
    " COMMENT 'has ''quotes'', (parens) and `ticks`';"
    "CREATE TABLE film (id int NOT NULL AUTO_INCREMENT, title varchar(128) NOT NULL, body text, g geometry NOT NULL,"
    " price decimal(6,2) NOT NULL DEFAULT 4.99, len int AS (char_length(title)) VIRTUAL, meta json, PRIMARY KEY (id),"
    " FULLTEXT KEY ft (title, body), SPATIAL KEY sp (g), KEY t10 (title(10)), CHECK (price > 0),"
    " CONSTRAINT c2 CHECK (title <> 'x,y)('));"
    "CREATE TABLE plays (actor smallint unsigned NOT NULL, film int, k int NOT NULL AUTO_INCREMENT, UNIQUE KEY uk (k),"
    " PRIMARY KEY (actor, k), KEY ff (film), CONSTRAINT fa FOREIGN KEY (actor) REFERENCES actor (id) ON DELETE CASCADE,"
    " CONSTRAINT ff FOREIGN KEY (film) REFERENCES film (id) ON DELETE SET NULL);"
    "CREATE TABLE log (id bigint AUTO_INCREMENT PRIMARY KEY, what text, at datetime DEFAULT now());"
    "CREATE TABLE `order` (`select` int PRIMARY KEY, d date DEFAULT '0000-00-00') PARTITION BY HASH (`select`) PARTITIONS 3;"
    "CREATE TABLE `Käse \"x\" ``y` (`a``b` int PRIMARY KEY, `ü` varchar(5) DEFAULT 'ä');"
    "CREATE SEQUENCE numbers START WITH 5 INCREMENT BY 2; DO NEXTVAL(numbers);"
    "CREATE VIEW played AS SELECT a.name, p.film FROM actor a JOIN plays p ON p.actor = a.id;"
    "CREATE TRIGGER told AFTER INSERT ON film FOR EACH ROW INSERT INTO log (what) VALUES (CONCAT('film ', NEW.title));"
    "CREATE EVENT sweeps ON SCHEDULE EVERY 1 DAY DO DELETE FROM log WHERE at < now() - INTERVAL 30 DAY;"
    "CREATE FUNCTION next_of(x int) RETURNS int DETERMINISTIC RETURN x + 1;"
    "INSERT INTO actor (name) VALUES ('a'), ('b'), ('c'); INSERT INTO film (title, g) VALUES ('t', POINT(1, 2));"
    "INSERT INTO plays (actor, film) VALUES (1, 1), (2, 1), (3, 1)";

static void finish_schema(void)
{
    struct gw_error err = {0};
    const struct gw_store_type *type = world.store[1]->type;
    for (size_t i = 0; i < world.schema.count; i++)
        MUST(type->schema->create_key(world.store[1], &world.schema.collections[i], world.work_dir, &err));
    MUST(type->schema->create_indexes(world.store[1], world.work_dir, 2, &err));
    MUST(type->schema->finish(world.store[1], world.work_dir, &err));
}

static void definitions_move_and_what_acts_waits_for_the_owner(void **state)
{
    NEEDS_MYSQL(state);
    static const char triggers[] = "SELECT COUNT(*) FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()"
                                   " AND TRIGGER_NAME NOT LIKE 'godwit%'";
    static const char tables[] =
        "SELECT MD5(GROUP_CONCAT(l ORDER BY l)) FROM (SELECT CONCAT_WS('|', TABLE_NAME, COLUMN_NAME, COLUMN_TYPE,"
        " COLUMN_DEFAULT, EXTRA, COLLATION_NAME) AS l FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()"
        " AND TABLE_NAME NOT LIKE 'godwit%' UNION ALL SELECT CONCAT_WS('|', TABLE_NAME, INDEX_NAME, COLUMN_NAME,"
        " SUB_PART, INDEX_TYPE) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME NOT"
        " LIKE 'godwit%' UNION ALL SELECT CONCAT_WS('|', CONSTRAINT_NAME, DELETE_RULE) FROM"
        " information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = DATABASE()) x";
    struct gw_error err = {0};
    const struct gw_store_type *type = world.store[0]->type;
    struct gw_tighten *tighten = NULL;
    size_t count = 0;
    mysql_kit_do(admin_of(0), sakila_sql);
    make_schema();
    copy_all(10);
    for (int again = 0; again < 2; again++) /* a killed step is run again */
        finish_schema();
    gw_autofree char *wanted = gw_strdup(ask(0, tables));
    assert_string_equal(ask(1, tables), wanted);
    assert_string_equal(ask(1, "SELECT COUNT(*) FROM played"), "3");
    assert_string_equal(ask(1, "SELECT next_of(1)"), "2");
    assert_string_equal(ask(1, triggers), "0");

    MUST(type->schema->tighten_open(world.store[1], &tighten, &err));
    assert_non_null(tighten);
    MUST(type->schema->tighten(tighten, 2000, &err));
    assert_string_equal(ask(1, triggers), "1");
    type->schema->tighten_close(tighten); /* given up */
    assert_string_equal(ask(1, triggers), "0");
    MUST(type->schema->tighten_open(world.store[1], &tighten, &err));
    MUST(type->schema->tighten(tighten, 2000, &err));
    MUST(type->schema->tighten_commit(tighten, &err));
    type->schema->tighten_close(tighten);
    assert_string_equal(ask(1, triggers), "1");
    MUST(type->schema->tighten_open(world.store[1], &tighten, &err));
    assert_null(tighten);

    MUST(type->fence->install(world.store[0], &world.schema, &err));
    MUST(type->fence->install(world.store[1], &world.schema, &err));
    struct gw_position at;
    bool raised;
    MUST(type->fence->raise(world.store[0], &world.schema, 2000, &at, &err));
    MUST(type->schema->sync_sequences(world.store[0], world.store[1], &count, &err));
    MUST(type->fence->is_raised(world.store[1], &raised, &err));
    assert_false(raised); /* our own sequence is none of them */
    MUST(type->fence->lower(world.store[0], &err));
    mysql_kit_do(admin_of(0), "ALTER TABLE film AUTO_INCREMENT = 500; DO NEXTVAL(numbers)");
    MUST(type->schema->sync_sequences(world.store[0], world.store[1], &count, &err));
    assert_int_equal(count, 5);
    mysql_kit_do(admin_of(1), "INSERT INTO film (title, g) VALUES ('new', POINT(1, 2))");
    assert_string_equal(ask(1, "SELECT MAX(id) FROM film"), "500");
    assert_string_equal(ask(1, "SELECT COUNT(*) FROM log"), "2"); /* one row is a copy; the trigger acted, once */

    MUST(type->schema->loosen(world.store[1], &world.schema, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(ask(1, triggers), "0");
    MUST(type->ownership->uninstall(world.store[1], &err));
    assert_string_equal(ask(1, triggers), "1");
    gw_autobuf struct gw_buf left = {0};
    MUST(type->ownership->leftovers(world.store[1], &left, &err));
    assert_string_equal(gw_buf_text(&left), "");
}

static void a_followers_foreign_keys_do_nothing_of_themselves(void **state)
{
    NEEDS_MYSQL(state);
    struct gw_error err = {0};
    const struct gw_store_type *type = world.store[1]->type;
    struct gw_writer *writer;
    mysql_kit_do(admin_of(0), sakila_sql);
    make_schema();
    copy_all(10);
    finish_schema();
    const struct gw_collection *actor = gw_schema_find(&world.schema, "", "actor");
    struct gw_value values[3] = {gw_value_text("1"), {.kind = GW_VALUE_ABSENT}, {.kind = GW_VALUE_ABSENT}};
    struct gw_row key = {.count = 3, .values = values};
    struct gw_part part = {.kind = GW_CHANGE_DELETE, .collection = actor, .count = 1, .keys = &key};
    struct gw_position reached = {.order = 7, .text = "seven"};
    MUST(type->writer->open(world.store[1], "blue>green", &writer, &err));
    MUST(type->writer->begin(writer, &reached, &err));
    MUST(type->writer->send(writer, &part, &err));
    MUST(type->writer->commit_ahead(writer, true, &err));
    MUST(type->writer->await(writer, &err));
    assert_string_equal(ask(1, "SELECT GROUP_CONCAT(actor ORDER BY actor) FROM plays"), "1,2,3");
    type->writer->close(writer);
}

/* ---- the fence ---- */

static void no_snapshot_hides_the_fence(void **state)
{
    NEEDS_MYSQL(state);
    struct gw_error err = {0};
    struct gw_position at;
    const struct gw_store_type *type = world.store[0]->type;
    bool held = false;
    gw_autobuf struct gw_buf how = {0};
    mysql_kit_do(admin_of(0), "INSERT INTO item VALUES (1, 'a', NULL)");
    MUST(type->ownership->install(world.store[0], "0123", &err));
    list_world();
    MUST(type->fence->install(world.store[0], &world.schema, &err));
    MYSQL *old = mysql_kit_begin(&world, 0);
    mysql_kit_do(old, "ROLLBACK; SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;"
                      "START TRANSACTION WITH CONSISTENT SNAPSHOT; SELECT * FROM item");
    MYSQL *writing = mysql_kit_begin(&world, 0);
    mysql_kit_do(writing, "INSERT INTO item VALUES (2, 'b', NULL)");
    /* A writer is waited for, and nothing has changed when it does not end in time. */
    assert_false(type->fence->raise(world.store[0], &world.schema, 1000, &at, &err));
    assert_int_equal(err.kind, GW_ERR_RETRY);
    MUST(type->fence->prove(world.store[0], &world.schema, &held, &how, &err));
    assert_false(held);
    mysql_kit_commit(writing);
    /* One that only reads is not waited for, and writes no more. */
    MUST(type->fence->raise(world.store[0], &world.schema, 5000, &at, &err));
    assert_int_not_equal(mysql_query(old, "UPDATE item SET v = 'late' WHERE id = 1"), 0);
    assert_int_equal(mysql_errno(old), 1644);
    mysql_kit_commit(old);
    MUST(type->fence->prove(world.store[0], &world.schema, &held, &how, &err));
    assert_true(held);
    assert_string_equal(ask(0, "SELECT GROUP_CONCAT(v ORDER BY id) FROM item"), "a,b");
    MUST(type->fence->lower(world.store[0], &err));
    mysql_kit_do(admin_of(0), "UPDATE item SET v = 'again' WHERE id = 1");
}

static MYSQL *connect_as(const char *user, const char *database)
{
    gw_autofree char *url = mysql_kit_url(0, "_ADMIN", "");
    char host[64];
    unsigned port;
    const char *at = strrchr(url, '@');
    assert_int_equal(sscanf(at ? at : "", "@%63[^:]:%u", host, &port), 2);
    MYSQL *my = mysql_init(NULL);
    (void)mysql_real_connect(my, host, user, "word", database, port, NULL, 0);
    return my;
}

static bool is_locked(const char *user)
{
    gw_autofree char *sql = gw_asprintf(
        "SELECT COALESCE(JSON_VALUE(priv, '$.account_locked'), 0) + 0 FROM mysql.global_priv WHERE user = '%s'", user);
    return strcmp(ask(0, sql), "1") == 0;
}

static struct gw_store *open_with_accounts(const char *database)
{
    struct gw_error err = {0};
    struct gw_store *store;
    gw_autofree char *url = mysql_kit_url(0, "", database);
    MUST(gw_store_open(
        &(struct gw_store_options){
            .url = url, .migration = database, .side = GW_BLUE, .capture = GW_CAPTURE_AUTO, .fence = GW_FENCE_ACCOUNTS},
        &store, &err));
    return store;
}

/* Up to the locks a fence that cannot be raised has changed nothing; up, whoever writes here alone is out. */
static void accounts_are_locked_with_the_fence_and_let_in_again(void **state)
{
    NEEDS_MYSQL(state);
    struct gw_error err = {0};
    struct gw_position at;
    const char *database = ((struct mysql_own *)world.own)->database;
    gw_autofree char *users = gw_asprintf(
        "CREATE USER gw_writes@'%%' IDENTIFIED BY 'word'; CREATE USER gw_reads@'%%' IDENTIFIED BY 'word';"
        "CREATE USER gw_frozen@'%%' IDENTIFIED BY 'word' ACCOUNT LOCK;"
        "GRANT SELECT, INSERT ON %s.* TO gw_writes@'%%', gw_frozen@'%%'; GRANT SELECT ON %s.* TO gw_reads@'%%'",
        database, database);
    mysql_kit_do(admin_of(0), users);
    struct gw_store *store = open_with_accounts(database);
    const struct gw_fence_facet *fence = store->type->fence;
    assert_true(store->identity.capabilities & GW_CAN_LOCK_ACCOUNTS);
    MUST(store->type->ownership->install(store, "0123", &err));
    list_world();
    MUST(fence->install(store, &world.schema, &err));
    MYSQL *idle = connect_as("gw_writes", database), *reads = connect_as("gw_reads", database);
    assert_int_equal(mysql_errno(idle), 0);
    assert_int_equal(mysql_errno(reads), 0);
    MYSQL *writing = mysql_kit_begin(&world, 0); /* of another account, which is waited for */
    mysql_kit_do(writing, "INSERT INTO item VALUES (1, 'a', NULL)");
    assert_false(fence->raise(store, &world.schema, 300, &at, &err));
    assert_int_equal(err.kind, GW_ERR_RETRY);
    assert_false(is_locked("gw_writes"));
    assert_int_equal(mysql_query(reads, "DO 1"), 0);
    mysql_kit_commit(writing);
    for (int again = 0; again < 2; again++)
        MUST(fence->raise(store, &world.schema, 5000, &at, &err));
    assert_true(is_locked("gw_writes"));
    assert_false(is_locked("gw_reads"));
    assert_int_not_equal(mysql_query(idle, "TRUNCATE item"), 0); /* its session is ended */
    assert_int_equal(mysql_query(reads, "DO 1"), 0);
    MYSQL *late = connect_as("gw_writes", database);
    assert_int_equal(mysql_errno(late), 4151);
    mysql_close(late);
    for (int again = 0; again < 2; again++)
        MUST(fence->lower(store, &err));
    assert_false(is_locked("gw_writes"));
    assert_true(is_locked("gw_frozen")); /* as it was before */
    late = connect_as("gw_writes", database);
    assert_int_equal(mysql_query(late, "INSERT INTO item VALUES (2, 'b', NULL)"), 0);
    mysql_close(late);
    mysql_close(idle);
    mysql_close(reads);
    gw_store_close(store);
    mysql_kit_do(admin_of(0), "DROP USER gw_writes@'%', gw_frozen@'%', gw_reads@'%'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        MYSQL_TEST(every_type_at_its_limits_is_copied),
        MYSQL_TEST(every_type_is_copied_where_no_file_may_be_loaded),
        MYSQL_TEST(every_type_is_copied_by_load_data),
        MYSQL_TEST(a_row_that_does_not_fit_fails_its_chunk),
        MYSQL_TEST(codec_and_scan_agree_on_every_value),
        MYSQL_TEST(definitions_move_and_what_acts_waits_for_the_owner),
        MYSQL_TEST(a_followers_foreign_keys_do_nothing_of_themselves),
        MYSQL_TEST(no_snapshot_hides_the_fence),
        MYSQL_TEST(accounts_are_locked_with_the_fence_and_let_in_again),
    };
    return cmocka_run_group_tests_name("mysql", tests, NULL, NULL);
}
