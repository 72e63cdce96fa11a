/* Definitions taken from a real server and made on it again: GODWIT_TEST_BLUE as with_postgres.py sets it; else skipped. */
#include "gw_test.h"

#include "base/mem.h"
#include "sql_embedded.h"
#include "store/postgres/describe.h"

#include <inttypes.h>

#define FROM "build from"
#define TO "build to"

struct world {
    struct gw_store *blue;
    PGconn *owner;
};

static PGconn *connect_as(const char *variable)
{
    PGconn *conn = PQconnectdb(getenv(variable));
    if (PQstatus(conn) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(conn));
    PQclear(PQexec(conn, "SET client_min_messages = error"));
    return conn;
}

static void run(PGconn *conn, const char *sql)
{
    PGresult *r = PQexec(conn, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    PQclear(r);
}

static void is(PGconn *conn, const char *sql, const char *wanted)
{
    PGresult *r = PQexec(conn, sql);
    if (PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) != 1)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    if (strcmp(PQgetvalue(r, 0, 0), wanted) != 0)
        fail_msg("%s gives %s, not %s", sql, PQgetvalue(r, 0, 0), wanted);
    PQclear(r);
}

static void refused(PGconn *conn, const char *sql, const char *state)
{
    PGresult *r = PQexec(conn, sql);
    if (PQresultStatus(r) == PGRES_COMMAND_OK || PQresultStatus(r) == PGRES_TUPLES_OK)
        fail_msg("%s was not refused", sql);
    assert_string_equal(PQresultErrorField(r, PG_DIAG_SQLSTATE), state);
    PQclear(r);
}

static int setup(void **state)
{
    if (!getenv("GODWIT_TEST_BLUE"))
        return 0;
    struct world *w = gw_zalloc(sizeof *w);
    struct gw_error err;
    struct gw_store_options options = {.url = getenv("GODWIT_TEST_BLUE"), .migration = "build test", .side = GW_BLUE};
    MUST(gw_store_open(&options, &w->blue, &err));
    PGconn *admin = connect_as("GODWIT_TEST_BLUE_ADMIN");
    run(admin, "DROP SCHEMA IF EXISTS \"" FROM "\" CASCADE; DROP SCHEMA IF EXISTS \"" TO "\" CASCADE;"
               "CREATE SCHEMA \"" FROM "\" AUTHORIZATION app_owner; CREATE SCHEMA \"" TO "\" AUTHORIZATION app_owner");
    PQfinish(admin);
    w->owner = connect_as("GODWIT_TEST_BLUE_OWNER");
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    if (!w)
        return 0;
    PGconn *admin = connect_as("GODWIT_TEST_BLUE_ADMIN");
    run(admin, "DROP SCHEMA IF EXISTS \"" FROM "\" CASCADE; DROP SCHEMA IF EXISTS \"" TO "\" CASCADE");
    PQfinish(admin);
    gw_store_close(w->blue);
    PQfinish(w->owner);
    free(w);
    return 0;
}

static struct world *world_of(void **state)
{
    if (!*state)
        skip();
    run(((struct world *)*state)->owner, "RESET search_path");
    return *state;
}

static void describe(struct world *w, const char *pattern, struct gw_definition *out)
{
    struct gw_error err;
    char *include[] = {(char *)pattern};
    struct gw_filter filter = {.include_count = 1, .include = include};
    MUST(w->blue->type->catalog->describe(w->blue, &filter, out, &err));
}

/* Every phase twice: as after a kill between effect and note. */
static void build_all(struct world *w, const struct gw_definition *definition, struct gw_buf *left)
{
    struct gw_error err;
    const struct gw_schema_facet *sf = w->blue->type->schema;
    for (int again = 0; again < 2; again++) {
        gw_buf_clear(left);
        MUST(sf->build(w->blue, definition, GW_BUILD_TABLES, NULL, 1, left, &err));
        for (size_t i = 0; i < definition->table_count; i++)
            MUST(sf->build(w->blue, definition, GW_BUILD_KEY, &definition->tables[i], 1, left, &err));
        MUST(sf->build(w->blue, definition, GW_BUILD_INDEXES, NULL, 2, left, &err));
        MUST(sf->build(w->blue, definition, GW_BUILD_CONSTRAINTS, NULL, 1, left, &err));
    }
}

/* ---- its own -------------------------------------------------------------------------------------------------------- */

static const char own_tables[] =
    "SET search_path = \"" FROM "\";"
    "CREATE TABLE customer (id bigserial PRIMARY KEY, email text NOT NULL UNIQUE, note varchar(20) DEFAULT 'it''s \\ok',"
    " balance numeric(10,2) NOT NULL DEFAULT 0, rate float8 DEFAULT -1.5, small smallint DEFAULT (-7), active boolean DEFAULT true,"
    " born date DEFAULT '2000-02-29', made timestamptz NOT NULL DEFAULT now(), token uuid DEFAULT gen_random_uuid(),"
    " tags text[] DEFAULT '{a,\"b c\"}', doc jsonb DEFAULT '{}', bits bit(3) DEFAULT '101', bytes bytea DEFAULT '\\x00ff',"
    " computed int DEFAULT 1 + 1, doubled numeric GENERATED ALWAYS AS (balance * 2) STORED, ip inet DEFAULT '10.0.0.1',"
    " CHECK (balance >= 0));"
    "COMMENT ON TABLE customer IS 'who pays'; COMMENT ON COLUMN customer.email IS 'it''s theirs';"
    "CREATE TABLE \"Order\" (a int, b int GENERATED ALWAYS AS IDENTITY, customer_id bigint NOT NULL"
    " REFERENCES customer ON DELETE CASCADE ON UPDATE RESTRICT, state text, PRIMARY KEY (b, a));"
    "CREATE INDEX by_lower ON customer (lower(email), id DESC) WHERE balance > 0;"
    "CREATE INDEX by_doc ON customer USING gin (doc);"
    "CREATE UNIQUE INDEX one_open ON \"Order\" (customer_id) WHERE state = 'open';"
    "CREATE VIEW debtors AS SELECT * FROM customer WHERE balance < 0;"
    "CREATE SEQUENCE free_numbers;"
    "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'";

static const struct gw_column_definition *column(const struct gw_definition *d, const char *space, const char *name)
{
    struct gw_table_definition *table = gw_definition_find(d, space, "customer");
    assert_non_null(table);
    int place = gw_table_column(table, name);
    assert_true(place >= 0);
    return &table->columns[place];
}

static void has_default(const struct gw_definition *d, const char *name, const char *wanted)
{
    gw_autobuf struct gw_buf text = {0};
    const struct gw_column_definition *c = column(d, FROM, name);
    if (c->default_kind != GW_DEFAULT_VALUE)
        fail_msg("the default of %s is no constant: %s", name, c->default_sql ? c->default_sql : "");
    assert_int_equal(c->default_value.kind, c->type.kind);
    gw_datum_print(&c->default_value, &text);
    assert_string_equal(gw_buf_text(&text), wanted);
}

static bool has_object(const struct gw_definition *d, const char *kind, const char *name)
{
    for (size_t i = 0; i < d->object_count; i++)
        if (strcmp(d->objects[i].kind, kind) == 0 && strcmp(d->objects[i].name, name) == 0)
            return d->objects[i].sql && *d->objects[i].sql;
    return false;
}

static void a_side_is_described(void **state)
{
    struct world *w = world_of(state);
    struct gw_definition d = {0};
    run(w->owner, own_tables);
    describe(w, FROM ".*", &d);
    assert_int_equal(d.table_count, 2);
    has_default(&d, "note", "it's \\ok");
    has_default(&d, "balance", "0");
    has_default(&d, "rate", "-1.5");
    has_default(&d, "small", "-7");
    has_default(&d, "active", "true");
    has_default(&d, "born", "2000-02-29");
    has_default(&d, "tags", "{a,\"b c\"}");
    has_default(&d, "doc", "{}");
    has_default(&d, "bits", "101");
    has_default(&d, "bytes", "\\x00ff");
    has_default(&d, "ip", "10.0.0.1");
    assert_int_equal(column(&d, FROM, "made")->default_kind, GW_DEFAULT_NOW);
    assert_int_equal(column(&d, FROM, "token")->default_kind, GW_DEFAULT_UUID);
    assert_int_equal(column(&d, FROM, "computed")->default_kind, GW_DEFAULT_SQL);
    assert_string_equal(column(&d, FROM, "computed")->default_sql, "(1 + 1)");
    assert_int_equal(column(&d, FROM, "id")->default_kind, GW_DEFAULT_NONE);
    assert_true(column(&d, FROM, "id")->counts);
    assert_true(column(&d, FROM, "doubled")->generated);
    assert_string_equal(column(&d, FROM, "email")->comment, "it's theirs");
    assert_string_equal(column(&d, FROM, "ip")->type.foreign, "inet");
    const struct gw_table_definition *order = gw_definition_find(&d, FROM, "Order");
    assert_true(order->columns[1].counts && order->columns[1].always_counts);
    assert_int_equal(order->foreign_key_count, 1);
    assert_string_equal(order->foreign_keys[0].table, "customer");
    assert_string_equal(order->foreign_keys[0].references[0], "id");
    assert_int_equal(order->foreign_keys[0].on_delete, GW_REFERENCE_CASCADE);
    assert_int_equal(order->foreign_keys[0].on_update, GW_REFERENCE_RESTRICT);
    assert_int_equal(order->indexes[0].kind, GW_INDEX_PRIMARY);
    assert_string_equal(order->indexes[0].parts[0].column, "b");
    assert_string_equal(order->indexes[1].where, "(state = 'open'::text)");
    const struct gw_table_definition *customer = gw_definition_find(&d, FROM, "customer");
    assert_int_equal(customer->check_count, 1);
    assert_string_equal(customer->comment, "who pays");
    for (size_t i = 0; i < customer->index_count; i++)
        if (strcmp(customer->indexes[i].name, "by_lower") == 0) {
            assert_null(customer->indexes[i].parts[0].column);
            assert_string_equal(customer->indexes[i].parts[0].expression, "lower(email)");
            assert_true(customer->indexes[i].parts[1].descending);
        }
    assert_true(has_object(&d, "view", "\"" FROM "\".debtors"));
    assert_true(has_object(&d, "sequence", "\"" FROM "\".free_numbers"));
    assert_true(has_object(&d, "function", "\"" FROM "\".one()"));
    assert_false(has_object(&d, "sequence", "\"" FROM "\".customer_id_seq"));
    gw_definition_release(&d);
}

static void what_was_described_is_built_again(void **state)
{
    struct world *w = world_of(state);
    struct gw_definition d = {0}, again = {0};
    gw_autobuf struct gw_buf left = {0};
    describe(w, FROM ".*", &d);
    for (size_t i = 0; i < d.table_count; i++) {
        free(d.tables[i].space);
        d.tables[i].space = gw_strdup(TO);
        for (size_t k = 0; k < d.tables[i].foreign_key_count; k++) {
            free(d.tables[i].foreign_keys[k].space);
            d.tables[i].foreign_keys[k].space = gw_strdup(TO);
        }
    }
    build_all(w, &d, &left);
    assert_string_equal(gw_buf_text(&left), "");
    describe(w, TO ".*", &again);
    assert_int_equal(again.table_count, d.table_count);
    for (size_t i = 0; i < d.table_count; i++) {
        const struct gw_table_definition *a = &d.tables[i], *b = &again.tables[i];
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->index_count, b->index_count);
        assert_int_equal(a->check_count, b->check_count);
        for (size_t k = 0; k < a->column_count; k++) {
            const struct gw_column_definition *x = &a->columns[k], *y = &b->columns[k];
            assert_string_equal(x->sql_type, y->sql_type);
            assert_int_equal(x->counts, y->counts);
            assert_int_equal(x->not_null, y->not_null);
            assert_int_equal(x->default_kind, y->default_kind);
            if (x->default_kind == GW_DEFAULT_VALUE && !gw_datum_equal(&x->default_value, &y->default_value))
                fail_msg("the default of %s differs", x->name);
        }
    }
    bool replica = (w->blue->identity.capabilities & GW_CAN_REPLICA_ROLE) != 0;
    assert_int_equal(gw_definition_find(&again, TO, "Order")->foreign_key_count, replica);
    /* Handed over to the schema's owner, who is the application. */
    run(w->owner, "SET search_path = \"" TO "\"; INSERT INTO customer (email) VALUES ('a'), ('b')");
    is(w->owner, "SELECT string_agg(id::text, ',' ORDER BY id) FROM customer", "1,2");
    is(w->owner, "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'customer'::regclass", "app_owner");
    gw_definition_release(&d);
    gw_definition_release(&again);
}

/* ---- another's ------------------------------------------------------------------------------------------------------ */

static struct gw_column_definition *add(struct gw_table_definition *table, const char *name,
                                        const struct gw_type *wanted)
{
    struct gw_error err;
    gw_autobuf struct gw_buf sql = {0};
    struct gw_column_definition *c = gw_table_add_column(table, name);
    MUST(gw_pg_codec.type_for(wanted, &sql, &c->type, &err));
    c->sql_type = gw_buf_detach(&sql);
    return c;
}

static void add_index(struct gw_table_definition *table, enum gw_index_kind kind, const char *name, const char *part,
                      uint32_t prefix)
{
    struct gw_index_definition *index = gw_table_add_index(table, kind);
    index->name = gw_strdup(name);
    gw_index_add_part(index, part)->prefix = prefix;
}

static void foreign_definition(struct gw_definition *d)
{
    char *labels[] = {"new", "it's"};
    d->sql_of = gw_strdup("another");
    struct gw_table_definition *t = gw_definition_add_table(d);
    t->space = gw_strdup(TO);
    t->name = gw_strdup("account");
    struct gw_column_definition *id = add(t, "id", &(struct gw_type){.kind = GW_KIND_UINT64, .bits = 64});
    id->counts = id->not_null = true;
    add(t, "parent", &(struct gw_type){.kind = GW_KIND_UINT64, .bits = 64});
    add(t, "name", &(struct gw_type){.kind = GW_KIND_TEXT, .length = 200, .ignores_case = true, .pads = true});
    add(t, "body", &(struct gw_type){.kind = GW_KIND_TEXT, .bytes = 65535});
    struct gw_column_definition *kind =
        add(t, "kind", &(struct gw_type){.kind = GW_KIND_ENUM, .label_count = 2, .labels = labels});
    kind->default_kind = GW_DEFAULT_VALUE;
    kind->default_value = gw_datum_of_bytes(GW_KIND_ENUM, "new", 3);
    add(t, "flags", &(struct gw_type){.kind = GW_KIND_ENUM, .is_set = true, .label_count = 2, .labels = labels});
    struct gw_column_definition *age = add(t, "age", &(struct gw_type){.kind = GW_KIND_UINT64, .bits = 8});
    age->default_kind = GW_DEFAULT_VALUE;
    age->default_value = (struct gw_datum){.kind = GW_KIND_INT64, .i64 = 18};
    struct gw_column_definition *seen = add(t, "seen", &(struct gw_type){.kind = GW_KIND_TIMESTAMP, .scale = 3});
    seen->default_kind = GW_DEFAULT_NOW;
    seen->updates_to_now = true;
    struct gw_column_definition *twice = add(t, "twice", &(struct gw_type){.kind = GW_KIND_INT64, .bits = 32});
    twice->generated = twice->not_null = true;
    twice->generated_sql = gw_strdup("`age` * 2");
    struct gw_column_definition *odd = add(t, "odd", &(struct gw_type){.kind = GW_KIND_TEXT});
    odd->default_kind = GW_DEFAULT_SQL;
    odd->default_sql = gw_strdup("concat('a', rand())");
    add_index(t, GW_INDEX_PRIMARY, "PRIMARY", "id", 0);
    add_index(t, GW_INDEX_UNIQUE, "name", "body", 10);
    add_index(t, GW_INDEX_PLAIN, "idx", "name", 0);
    add_index(t, GW_INDEX_FULLTEXT, "words", "body", 0);
    gw_table_add_check(t, "adult", "(`age` between 0 and 150) and `age` <> 17");
    gw_table_add_check(t, "named", "`name` <> ''");
    struct gw_foreign_key *key = gw_table_add_foreign_key(t);
    key->name = gw_strdup("tree");
    key->space = gw_strdup(TO);
    key->table = gw_strdup("account");
    key->column_count = 1;
    key->columns = gw_calloc(1, sizeof *key->columns);
    key->references = gw_calloc(1, sizeof *key->references);
    key->columns[0] = gw_strdup("parent");
    key->references[0] = gw_strdup("id");
    key->on_delete = GW_REFERENCE_SET_NULL;
    struct gw_table_definition *other = gw_definition_add_table(d);
    other->space = gw_strdup(TO);
    other->name = gw_strdup("other");
    add(other, "id", &(struct gw_type){.kind = GW_KIND_INT64, .bits = 32})->not_null = true;
    add_index(other, GW_INDEX_PRIMARY, "PRIMARY", "id", 0);
    add_index(other, GW_INDEX_PLAIN, "idx", "id", 0);
}

static void anothers_definition_is_built_as_far_as_it_is_certain(void **state)
{
    struct world *w = world_of(state);
    struct gw_definition d = {0};
    gw_autobuf struct gw_buf left = {0};
    foreign_definition(&d);
    build_all(w, &d, &left);
    const char *lines = gw_buf_text(&left);
    assert_contains(lines, "column seen is not set to the current time by updates");
    assert_contains(lines, "column twice is plain and empty here: it was computed as `age` * 2");
    assert_contains(lines, "column odd has no default here: concat('a', rand())");
    assert_contains(lines, "index words is not made");
    assert_contains(lines, "check named is not made");
    assert_null(strstr(lines, "adult"));
    run(w->owner, "SET search_path = \"" TO "\"; INSERT INTO account (name, body) VALUES ('a', 'long body 1')");
    is(w->owner, "SELECT concat_ws(',', id, kind, age) FROM account", "1,new,18");
    run(w->owner, "UPDATE account SET kind = 'it''s', flags = 'new,it''s', parent = 1");
    run(w->owner, "UPDATE account SET flags = ''");
    refused(w->owner, "UPDATE account SET kind = 'old'", "23514");
    refused(w->owner, "UPDATE account SET flags = 'new,old'", "23514");
    refused(w->owner, "UPDATE account SET age = 17", "23514");
    refused(w->owner, "INSERT INTO account (body) VALUES ('long body 2')", "23505"); /* the first ten characters */
    bool replica = (w->blue->identity.capabilities & GW_CAN_REPLICA_ROLE) != 0;
    if (replica)
        refused(w->owner, "INSERT INTO account (parent) VALUES (99)", "23503");
    is(w->owner,
       "SELECT count(*) FROM pg_indexes WHERE schemaname = '" TO "' AND indexname IN ('account_idx', 'other_idx',"
       " 'account_pkey', 'other_pkey')",
       "4");
    is(w->owner,
       "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'account'::regclass"
       " AND attname = 'id'",
       "numeric(20,0)");
    gw_definition_release(&d);
}

static void rows_that_contradict_a_check_are_kept_and_said(void **state)
{
    struct world *w = world_of(state);
    struct gw_definition d = {0};
    struct gw_error err;
    gw_autobuf struct gw_buf left = {0};
    foreign_definition(&d);
    run(w->owner, "SET search_path = \"" TO "\"; DROP TABLE account");
    MUST(gw_pg_build(w->blue, &d, GW_BUILD_TABLES, NULL, 1, &left, &err));
    run(w->owner, "INSERT INTO account (id, kind, parent) VALUES (7, '', 99)");
    MUST(gw_pg_build(w->blue, &d, GW_BUILD_KEY, NULL, 1, &left, &err));
    gw_buf_clear(&left);
    MUST(gw_pg_build(w->blue, &d, GW_BUILD_CONSTRAINTS, NULL, 1, &left, &err));
    assert_contains(gw_buf_text(&left), "check \"account_kind_check\" is not made");
    run(w->owner, "UPDATE account SET kind = ''");
    if (w->blue->identity.capabilities & GW_CAN_REPLICA_ROLE) {
        assert_contains(gw_buf_text(&left), "foreign key \"tree\" counts for new rows only");
        refused(w->owner, "INSERT INTO account (parent) VALUES (98)", "23503");
    }
    gw_definition_release(&d);
}

/* ---- counters ------------------------------------------------------------------------------------------------------- */

static int64_t next_of(struct world *w, const struct gw_schema *schema, const char *table)
{
    struct gw_error err;
    struct gw_counter *counters;
    size_t count;
    int64_t next = INT64_MIN;
    MUST(w->blue->type->schema->counters(w->blue, schema, &counters, &count, &err));
    for (size_t i = 0; i < count; i++)
        if (strcmp(schema->collections[counters[i].collection].name, table) == 0)
            next = counters[i].next;
    free(counters);
    return next;
}

static void set(struct world *w, const struct gw_schema *schema, const char *table, int64_t next)
{
    struct gw_error err;
    const struct gw_collection *c = gw_schema_find(schema, FROM, table);
    struct gw_counter counter = {.collection = c->id, .next = next};
    MUST(w->blue->type->schema->set_counters(w->blue, schema, &counter, 1, &err));
}

static void counters_are_read_and_never_set_back(void **state)
{
    struct world *w = world_of(state);
    struct gw_error err;
    struct gw_schema schema = {0};
    char *include[] = {(char *)FROM ".*"};
    struct gw_filter filter = {.include_count = 1, .include = include};
    run(w->owner, "SET search_path = \"" FROM "\";"
                  "CREATE TABLE up (id serial, v int); CREATE TABLE down (id int GENERATED BY DEFAULT AS IDENTITY"
                  " (INCREMENT -2 START -1), v int); CREATE TABLE full_up (id smallserial)");
    MUST(w->blue->type->catalog->list(w->blue, &filter, &schema, &err));
    assert_int_equal(next_of(w, &schema, "up"), 1);
    assert_int_equal(next_of(w, &schema, "down"), -1);
    run(w->owner, "INSERT INTO up (v) VALUES (1), (2); INSERT INTO down (v) VALUES (1), (2)");
    assert_int_equal(next_of(w, &schema, "up"), 3);
    assert_int_equal(next_of(w, &schema, "down"), -5);
    set(w, &schema, "up", 2);
    set(w, &schema, "down", -3);
    assert_int_equal(next_of(w, &schema, "up"), 3);
    assert_int_equal(next_of(w, &schema, "down"), -5);
    set(w, &schema, "up", 100);
    set(w, &schema, "down", -101);
    is(w->owner, "INSERT INTO up (v) VALUES (3) RETURNING id", "100");
    is(w->owner, "INSERT INTO down (v) VALUES (3) RETURNING id", "-101");
    set(w, &schema, "full_up", 32768);
    refused(w->owner, "INSERT INTO full_up DEFAULT VALUES", "2200H");
    gw_schema_release(&schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_side_is_described),
        cmocka_unit_test(what_was_described_is_built_again),
        cmocka_unit_test(anothers_definition_is_built_as_far_as_it_is_certain),
        cmocka_unit_test(rows_that_contradict_a_check_are_kept_and_said),
        cmocka_unit_test(counters_are_read_and_never_set_back),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
