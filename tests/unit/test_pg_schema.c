/* Definitions from one real server to another, in databases of its own. Environment: see with_servers.py. */
#include "gw_test.h"

#include "base/mem.h"
#include "io/process.h"
#include "store/postgres/conn.h"
#include "store/store.h"

#define DATABASE "godwit_schema_test"

struct pair {
    struct gw_store *blue, *green;
    PGconn *owner[2];
    char *work_dir;
};

static void run(PGconn *conn, const char *sql)
{
    PGresult *r = PQexec(conn, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    PQclear(r);
}

static char *value_of(PGconn *conn, const char *sql)
{
    PGresult *r = PQexec(conn, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) != 1)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    char *text = gw_strdup(PQgetvalue(r, 0, 0));
    PQclear(r);
    return text;
}

#define assert_value(conn, sql, expected)                                                                              \
    do {                                                                                                               \
        gw_autofree char *value = value_of(conn, sql);                                                                 \
        assert_string_equal(value, expected);                                                                          \
    } while (0)

/* The same URL with the database of this test. */
static char *url_of(const char *variable)
{
    const char *url = getenv(variable), *slash = strrchr(url, '/'), *query = strchr(slash, '?');
    return gw_asprintf("%.*s/%s%s", (int)(slash - url), url, DATABASE, query ? query : "");
}

static PGconn *connect_to(const char *url)
{
    PGconn *conn = PQconnectdb(url);
    if (PQstatus(conn) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(conn));
    run(conn, "SET client_min_messages = error");
    return conn;
}

static void make_database(const char *prefix)
{
    gw_autofree char *variable = gw_asprintf("%s_ADMIN", prefix);
    gw_autofree char *inside = url_of(variable);
    PGconn *admin = connect_to(getenv(variable));
    run(admin, "DROP DATABASE IF EXISTS " DATABASE " WITH (FORCE)");
    run(admin, "CREATE DATABASE " DATABASE " OWNER app_owner TEMPLATE template0");
    run(admin, "GRANT CREATE ON DATABASE " DATABASE " TO godwit");
    PQfinish(admin);
    admin = connect_to(inside);
    run(admin, "GRANT ALL ON SCHEMA public TO app_owner; GRANT USAGE ON SCHEMA public TO app");
    PQfinish(admin);
}

static struct gw_store *open_side(const char *variable, enum gw_side side)
{
    struct gw_error err;
    struct gw_store *store;
    gw_autofree char *url = url_of(variable);
    struct gw_store_options options = {.url = url, .migration = "schema-test", .side = side};
    MUST(gw_store_open(&options, &store, &err));
    return store;
}

static int setup(void **state)
{
    if (!getenv("GODWIT_TEST_BLUE") || !getenv("GODWIT_TEST_GREEN"))
        return 0;
    struct pair *p = gw_zalloc(sizeof *p);
    make_database("GODWIT_TEST_BLUE");
    make_database("GODWIT_TEST_GREEN");
    p->blue = open_side("GODWIT_TEST_BLUE", GW_BLUE);
    p->green = open_side("GODWIT_TEST_GREEN", GW_GREEN);
    gw_autofree char *blue = url_of("GODWIT_TEST_BLUE_OWNER");
    gw_autofree char *green = url_of("GODWIT_TEST_GREEN_OWNER");
    p->owner[0] = connect_to(blue);
    p->owner[1] = connect_to(green);
    p->work_dir = gw_test_mkdir();
    *state = p;
    return 0;
}

static void drop_database(const char *variable)
{
    PGconn *admin = connect_to(getenv(variable));
    run(admin, "DROP DATABASE IF EXISTS " DATABASE " WITH (FORCE)");
    PQfinish(admin);
}

static int teardown(void **state)
{
    struct pair *p = *state;
    if (!p)
        return 0;
    PQfinish(p->owner[0]);
    PQfinish(p->owner[1]);
    gw_store_close(p->blue);
    gw_store_close(p->green);
    drop_database("GODWIT_TEST_BLUE_ADMIN");
    drop_database("GODWIT_TEST_GREEN_ADMIN");
    gw_test_rmdir(p->work_dir);
    free(p);
    return 0;
}

static struct pair *pair_of(void **state)
{
    if (!*state)
        skip();
    return *state;
}

static void renew_green(struct pair *p)
{
    gw_autofree char *owner = url_of("GODWIT_TEST_GREEN_OWNER");
    gw_store_close(p->green);
    PQfinish(p->owner[1]);
    make_database("GODWIT_TEST_GREEN");
    p->owner[1] = connect_to(owner);
    p->green = open_side("GODWIT_TEST_GREEN", GW_GREEN);
}

/* ---- what is moved ----------------------------------------------------------------------------------------------- */

static const char *const definitions[] = {
    "CREATE SCHEMA \"Sh.op\"; CREATE SCHEMA hidden; GRANT USAGE ON SCHEMA \"Sh.op\" TO app",
    "CREATE TYPE \"Sh.op\".mood AS ENUM ('good', 'b\"ad'); CREATE DOMAIN \"Sh.op\".positive AS int CHECK (VALUE > 0)",
    "CREATE TABLE \"Sh.op\".\"Customer\" (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL,"
    " mood \"Sh.op\".mood DEFAULT 'good', n \"Sh.op\".positive, lower_name text GENERATED ALWAYS AS (lower(name)) STORED,"
    " UNIQUE (name), CHECK (length(name) < 100))",
    "CREATE TABLE orders (id serial PRIMARY KEY, customer bigint NOT NULL REFERENCES \"Sh.op\".\"Customer\" (id)"
    " ON DELETE CASCADE DEFERRABLE, at timestamptz NOT NULL DEFAULT now(), doc jsonb, during tstzrange,"
    " EXCLUDE USING gist (during WITH &&))",
    "CREATE INDEX orders_doc ON orders USING gin (doc); CREATE INDEX orders_at ON orders (at DESC) WHERE customer > 5;"
    "CREATE INDEX \"odd ; name\" ON orders ((doc ->> 'a;b'))",
    "CREATE STATISTICS orders_stats ON customer, at FROM orders",
    "CREATE TABLE events (id int NOT NULL, at date NOT NULL, customer bigint REFERENCES \"Sh.op\".\"Customer\" (id))"
    " PARTITION BY RANGE (at);"
    "CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');"
    "CREATE TABLE events_rest PARTITION OF events DEFAULT; ALTER TABLE events ADD PRIMARY KEY (id, at);"
    "CREATE INDEX events_at ON events (at)",
    "CREATE TABLE keyless (a int, b text); CREATE UNIQUE INDEX keyless_a ON keyless (a);"
    "CREATE TABLE by_index (a int NOT NULL); CREATE UNIQUE INDEX by_index_a ON by_index (a);"
    "ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_a",
    "ALTER TABLE orders ADD CONSTRAINT late CHECK (id > 0) NOT VALID",
    "ALTER TABLE keyless ADD CONSTRAINT keyless_fk FOREIGN KEY (a) REFERENCES by_index (a) NOT VALID",
    "CREATE VIEW by_key AS SELECT o.id, o.at, count(*) FROM orders o GROUP BY o.id",
    "CREATE MATERIALIZED VIEW totals AS SELECT customer, count(*) AS n FROM orders GROUP BY customer;"
    "CREATE MATERIALIZED VIEW totals_of_totals AS SELECT sum(n) AS n FROM totals;"
    "CREATE MATERIALIZED VIEW not_filled AS SELECT 1 AS a WITH NO DATA; CREATE UNIQUE INDEX totals_c ON totals (customer)",
    "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$\n--\n-- Name: x; Type: TABLE; Schema: a; Owner: b\n--\n"
    "BEGIN\n  NEW.at := now(); RETURN NEW;\nEND $$",
    "CREATE TRIGGER touch_it BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION touch();"
    "CREATE TRIGGER touch_always BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();"
    "ALTER TABLE orders ENABLE ALWAYS TRIGGER touch_always; COMMENT ON TRIGGER touch_it ON orders IS 'touches'",
    "CREATE RULE no_delete AS ON DELETE TO keyless DO INSTEAD NOTHING",
    "ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON orders FOR SELECT TO app USING (customer = 1)",
    "COMMENT ON TABLE orders IS E'it''s \\\\ commented'; COMMENT ON COLUMN orders.at IS 'when'",
    "GRANT SELECT, INSERT ON orders TO app; GRANT SELECT (name) ON \"Sh.op\".\"Customer\" TO app WITH GRANT OPTION;"
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO app; REVOKE EXECUTE ON FUNCTION touch() FROM PUBLIC",
    "CREATE UNLOGGED TABLE scratch (a int); CREATE SEQUENCE down INCREMENT -1; CREATE SEQUENCE cached CACHE 20",
    "CREATE TABLE left_out (id int PRIMARY KEY, s serial);"
    "CREATE VIEW on_left_out AS SELECT id FROM left_out; CREATE VIEW on_that AS SELECT id FROM on_left_out;"
    "CREATE TABLE points_at_it (id int REFERENCES left_out (id))",
};

static const char *const rows[] = {
    "INSERT INTO \"Sh.op\".\"Customer\" (name) SELECT 'c' || i FROM generate_series(1, 100) i",
    "INSERT INTO orders (customer) SELECT i FROM generate_series(1, 100) i",
    "INSERT INTO events SELECT i, '2026-01-15'::date + i, i FROM generate_series(1, 50) i",
    "REFRESH MATERIALIZED VIEW totals; REFRESH MATERIALIZED VIEW totals_of_totals",
};

/* What pg_dump says of a side, without what differs by nature. */
static char *dump_of(const char *variable)
{
    gw_autofree char *url = url_of(variable);
    gw_autofree char *program = gw_process_find("pg_dump", NULL);
    const char *argv[] = {program, "--schema-only", "--exclude-schema=godwit", "--dbname", url, NULL};
    struct gw_process_run process = {.spec = {.argv = argv}, .max_out_bytes = 10000000};
    struct gw_process_result result = {0};
    struct gw_error err;
    gw_autobuf struct gw_buf out = {0};
    MUST(gw_process_run(&process, NULL, &result, &err));
    MUST(gw_process_check(&result, "pg_dump", &err));
    for (const char *line = gw_buf_text(&result.out); *line;) {
        size_t len = strcspn(line, "\n") + 1;
        if (*line != '\\' && strncmp(line, "-- Dumped from", 14) != 0)
            gw_buf_add(&out, line, len);
        line += len;
    }
    gw_process_result_release(&result);
    return gw_buf_detach(&out);
}

static void assert_same_dump(void)
{
    gw_autofree char *blue = dump_of("GODWIT_TEST_BLUE_ADMIN");
    gw_autofree char *green = dump_of("GODWIT_TEST_GREEN_ADMIN");
    size_t same = 0, line = 0;
    while (blue[same] && blue[same] == green[same])
        line = blue[same++] == '\n' ? same : line;
    if (blue[same] != green[same])
        fail_msg("blue: %.300s\n\ngreen: %.300s", blue + line, green + line);
}

static void list(struct gw_store *store, const struct gw_filter *filter, struct gw_schema *schema)
{
    struct gw_error err;
    MUST(store->type->catalog->list(store, filter, schema, &err));
}

static bool may_be_replica(struct pair *p)
{
    return (p->green->identity.capabilities & GW_CAN_REPLICA_ROLE) != 0;
}

/* The rows, by the shortest way: what is under test here is everything around them. */
static void move_rows(struct pair *p, const struct gw_schema *schema)
{
    struct gw_error err;
    struct gw_reader *reader;
    MUST(p->blue->type->reader->open(p->blue, &reader, &err));
    for (size_t i = 0; i < schema->count; i++) {
        const struct gw_collection *c = &schema->collections[i];
        gw_autobuf struct gw_buf sql = {0};
        struct gw_range whole = {0};
        struct gw_mark mark;
        struct gw_block block;
        if (c->toast_bytes < 0)
            continue;
        gw_buf_adds(&sql, may_be_replica(p) ? "SET session_replication_role = replica; COPY " : "COPY ");
        gw_pg_add_table(&sql, c);
        gw_buf_adds(&sql, " (");
        for (size_t k = 0; k < c->column_count; k++)
            if (!c->columns[k].generated) {
                gw_buf_adds(&sql, k ? "," : "");
                gw_pg_add_ident(&sql, c->columns[k].name);
            }
        gw_buf_addf(&sql, ") FROM STDIN (FORMAT %s)", c->all_binary_safe ? "binary" : "text");
        PGconn *conn;
        MUST(gw_pg_borrow(gw_pg_store_of(p->green), &conn, &err));
        MUST(gw_pg_exec(gw_pg_store_of(p->green), conn, gw_buf_text(&sql), &err));
        MUST(p->blue->type->reader->begin(reader, c, &whole, &mark, &err));
        do {
            MUST(p->blue->type->reader->next(reader, &block, &err));
            if (block.len > 0)
                assert_int_equal(PQputCopyData(conn, block.bytes, (int)block.len), 1);
        } while (block.len > 0);
        assert_int_equal(PQputCopyEnd(conn, NULL), 1);
        PGresult *r = PQgetResult(conn);
        if (PQresultStatus(r) != PGRES_COMMAND_OK)
            fail_msg("%s", PQerrorMessage(conn));
        PQclear(r);
        MUST(p->blue->type->reader->end(reader, &err));
        gw_mark_release(&mark);
        gw_pg_return(gw_pg_store_of(p->green), conn, true);
    }
    p->blue->type->reader->close(reader);
}

/* How many entries the target says were made on it. */
static char *records(struct pair *p)
{
    struct gw_error err;
    struct gw_pg_store *green = gw_pg_store_of(p->green);
    gw_autobuf struct gw_buf text = {0};
    PGconn *conn;
    MUST(gw_pg_borrow(green, &conn, &err));
    MUST(gw_pg_query_text(green, conn, "SELECT count(*) FROM godwit.restored", 0, NULL, &text, NULL, &err));
    gw_pg_return(green, conn, false);
    assert_true(strtol(gw_buf_text(&text), NULL, 10) > 50);
    return gw_buf_detach(&text);
}

static void become_owner(struct gw_store *store)
{
    const struct gw_schema_facet *f = store->type->schema;
    struct gw_tighten *tighten;
    struct gw_error err;
    gw_autobuf struct gw_buf failed = {0};
    size_t done;
    MUST(f->tighten_open(store, &tighten, &err));
    assert_non_null(tighten);
    MUST(f->tighten(tighten, 5000, &err));
    MUST(f->tighten_commit(tighten, &err));
    f->tighten_close(tighten);
    MUST(f->validate(store, &failed, &done, &err));
    assert_string_equal(gw_buf_text(&failed), "");
    MUST(f->tighten_open(store, &tighten, &err));
    assert_null(tighten);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void definitions_arrive_whole_and_once(void **state)
{
    struct pair *p = pair_of(state);
    const struct gw_schema_facet *f = p->green->type->schema;
    struct gw_error err;
    struct gw_schema schema;
    struct gw_filter all = {0};
    for (size_t i = 0; i < sizeof definitions / sizeof definitions[0]; i++)
        run(p->owner[0], definitions[i]);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        run(p->owner[0], rows[i]);
    MUST(f->create(p->blue, p->green, &all, p->work_dir, &err));
    assert_value(p->owner[1], "SELECT count(*) FROM pg_indexes WHERE schemaname IN ('public', 'Sh.op')", "0");
    MUST(f->create(p->blue, p->green, &all, p->work_dir, &err));
    list(p->blue, &all, &schema);
    move_rows(p, &schema);
    for (size_t i = 0; i < schema.count; i++)
        MUST(f->create_key(p->green, &schema.collections[i], p->work_dir, &err));
    assert_value(p->owner[1],
                 "SELECT count(*) FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype = 'p'", "1");
    assert_value(p->owner[1], "SELECT count(*) FROM pg_indexes WHERE indexname = 'orders_doc'", "0");
    MUST(f->create_indexes(p->green, p->work_dir, 2, &err));
    assert_value(p->owner[1], "SELECT count(*) FROM pg_constraint WHERE contype = 'f'", "0");
    MUST(f->finish(p->green, p->work_dir, &err));
    MUST(f->analyze(p->green, &schema, 2, &err));
    assert_value(p->owner[1], "SELECT bool_and(indisvalid)::text FROM pg_index", "true");
    assert_value(p->owner[1], "SELECT n::text FROM totals_of_totals", "100");
    assert_value(p->owner[1], "SELECT count(*) FROM pg_trigger WHERE tgname = 'touch_always'", "0");
    assert_value(p->owner[1], "SELECT (count(*) > 0)::text FROM pg_constraint WHERE contype = 'f'",
                 may_be_replica(p) ? "true" : "false");
    become_owner(p->green);
    assert_same_dump();
    gw_autofree char *made = records(p);
    MUST(f->create_indexes(p->green, p->work_dir, 2, &err));
    MUST(f->finish(p->green, p->work_dir, &err));
    gw_autofree char *made_again = records(p);
    assert_string_equal(made, made_again);
    gw_schema_release(&schema);
}

/* A lost scratch folder: what was made before is known by the target itself. */
static void a_step_is_resumed_from_another_machine(void **state)
{
    struct pair *p = pair_of(state);
    const struct gw_schema_facet *f = p->green->type->schema;
    struct gw_filter all = {0};
    struct gw_error err;
    char *elsewhere = gw_test_mkdir();
    MUST(f->create(p->blue, p->green, &all, elsewhere, &err));
    MUST(f->create_indexes(p->green, elsewhere, 1, &err));
    MUST(f->finish(p->green, elsewhere, &err));
    assert_same_dump();
    gw_test_rmdir(elsewhere);
}

static void what_was_there_before_is_refused(void **state)
{
    struct pair *p = pair_of(state);
    const struct gw_schema_facet *f = p->green->type->schema;
    struct gw_filter all = {0};
    struct gw_error err;
    char *elsewhere = gw_test_mkdir();
    run(p->owner[0], "CREATE TABLE new_one (a int)");
    run(p->owner[1], "CREATE TABLE new_one (b text)");
    assert_false(f->create(p->blue, p->green, &all, elsewhere, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    assert_contains(err.message, "TABLE public new_one");
    run(p->owner[1], "DROP TABLE new_one");
    MUST(f->create(p->blue, p->green, &all, elsewhere, &err));
    gw_test_rmdir(elsewhere);
}

static void sequences_never_go_back(void **state)
{
    struct pair *p = pair_of(state);
    struct gw_error err;
    size_t count = 0;
    run(p->owner[0], "SELECT nextval('down'), nextval('down'), nextval('cached');"
                     "SELECT setval('orders_id_seq', 500)");
    MUST(p->green->type->schema->sync_sequences(p->blue, p->green, &count, &err));
    assert_int_equal(count, 5);
    assert_value(p->owner[1], "SELECT nextval('down')::text", "-3");
    assert_value(p->owner[1], "SELECT nextval('cached')::text", "21");
    assert_value(p->owner[1], "SELECT nextval('orders_id_seq')::text", "501");
    assert_value(p->owner[1], "SELECT nextval('left_out_s_seq')::text", "1");
    assert_value(p->owner[1], "SELECT nextval(pg_get_serial_sequence('\"Sh.op\".\"Customer\"', 'id'))::text", "101");
    MUST(p->green->type->schema->sync_sequences(p->blue, p->green, &count, &err));
    assert_value(p->owner[1], "SELECT nextval('down')::text", "-4");
    assert_value(p->owner[1], "SELECT nextval('orders_id_seq')::text", "502");
    MUST(p->green->type->schema->sync_sequences(p->green, p->blue, &count, &err));
    assert_value(p->owner[0], "SELECT nextval('orders_id_seq')::text", "503");
    run(p->owner[0], "CREATE SEQUENCE unknown_there");
    assert_false(p->green->type->schema->sync_sequences(p->blue, p->green, &count, &err));
    assert_contains(err.message, "unknown_there");
    run(p->owner[0], "DROP SEQUENCE unknown_there");
}

static void left_out_tables_take_what_needs_them_along(void **state)
{
    struct pair *p = pair_of(state);
    const struct gw_schema_facet *f = p->green->type->schema;
    struct gw_error err;
    struct gw_schema schema;
    char *exclude[] = {"left_out", "events_1"};
    struct gw_filter filter = {.exclude_count = 2, .exclude = exclude};
    char *elsewhere = gw_test_mkdir();
    renew_green(p);
    list(p->blue, &filter, &schema);
    MUST(f->create(p->blue, p->green, &filter, elsewhere, &err));
    for (size_t i = 0; i < schema.count; i++)
        MUST(f->create_key(p->green, &schema.collections[i], elsewhere, &err));
    MUST(f->create_indexes(p->green, elsewhere, 2, &err));
    MUST(f->finish(p->green, elsewhere, &err));
    become_owner(p->green);
    assert_value(p->owner[1],
                 "SELECT count(*) FROM pg_class WHERE relname IN ('left_out', 'on_left_out', 'on_that',"
                 " 'left_out_s_seq', 'events_1')",
                 "0");
    assert_value(p->owner[1],
                 "SELECT count(*) FROM pg_class WHERE relname IN ('points_at_it', 'events', 'events_rest')", "3");
    assert_value(p->owner[1],
                 "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = 'points_at_it'::regclass", "0");
    gw_schema_release(&schema);
    gw_test_rmdir(elsewhere);
}

static void owners_and_grants_of_missing_roles_are_no_obstacle(void **state)
{
    struct pair *p = pair_of(state);
    const struct gw_schema_facet *f = p->green->type->schema;
    struct gw_error err;
    struct gw_filter all = {0};
    PGconn *blue = connect_to(getenv("GODWIT_TEST_BLUE_ADMIN"));
    gw_autofree char *inside = url_of("GODWIT_TEST_BLUE_ADMIN");
    PGconn *admin = connect_to(inside);
    char *elsewhere = gw_test_mkdir();
    renew_green(p);
    run(blue, "DROP ROLE IF EXISTS only_on_blue; CREATE ROLE only_on_blue; GRANT only_on_blue TO godwit");
    run(admin, "CREATE TABLE theirs (a int); GRANT SELECT ON theirs TO only_on_blue, app;"
               "ALTER TABLE theirs OWNER TO only_on_blue");
    MUST(f->create(p->blue, p->green, &all, elsewhere, &err));
    MUST(f->create_indexes(p->green, elsewhere, 2, &err));
    MUST(f->finish(p->green, elsewhere, &err));
    assert_value(p->owner[1], "SELECT relowner::regrole::text FROM pg_class WHERE relname = 'theirs'", "godwit");
    assert_value(p->owner[1], "SELECT has_table_privilege('app', 'theirs', 'SELECT')::text", "true");
    assert_value(p->owner[1], "SELECT relowner::regrole::text FROM pg_class WHERE relname = 'orders'", "app_owner");
    run(admin, "DROP TABLE theirs; DROP ROLE only_on_blue");
    PQfinish(admin);
    PQfinish(blue);
    gw_test_rmdir(elsewhere);
}

static void a_pg_dump_too_old_is_named_with_its_package(void **state)
{
    struct pair *p = pair_of(state);
    struct gw_error err;
    struct gw_filter all = {0};
    struct gw_pg_store *blue = gw_pg_store_of(p->blue);
    char *elsewhere = gw_test_mkdir();
    int version = blue->base.identity.version;
    blue->base.identity.version = 990000;
    assert_false(p->green->type->schema->create(p->blue, p->green, &all, elsewhere, &err));
    blue->base.identity.version = version;
    assert_int_equal(err.kind, GW_ERR_UNSUPPORTED);
    assert_contains(err.hint, "postgresql-client-99");
    gw_test_rmdir(elsewhere);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(definitions_arrive_whole_and_once),
        cmocka_unit_test(a_step_is_resumed_from_another_machine),
        cmocka_unit_test(what_was_there_before_is_refused),
        cmocka_unit_test(sequences_never_go_back),
        cmocka_unit_test(left_out_tables_take_what_needs_them_along),
        cmocka_unit_test(owners_and_grants_of_missing_roles_are_no_obstacle),
        cmocka_unit_test(a_pg_dump_too_old_is_named_with_its_package),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
