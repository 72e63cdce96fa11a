/* The decoder of pgoutput messages, on bytes recorded from PostgreSQL 15 and on bytes bent out of shape. */
#include "gw_test.h"

#include "base/mem.h"
#include "store/postgres/pgoutput.h"

/* CREATE TABLE t (id int PRIMARY KEY, name text, big text, g int GENERATED ALWAYS AS (id * 2) STORED);
 * CREATE TABLE k (a int, b text); ALTER TABLE k REPLICA IDENTITY FULL; */
static const char begin[] = "4200000000019372d8000303d80057ff12000002e1";
static const char commit[] = "430000000000019372d80000000001937308000303d80057ff12";
static const char relation_t[] =
    "52000040167075626c69630074006400030169640000000017ffffffff006e616d650000000019ffffffff006269670000000019ffffffff";
static const char relation_k[] = "520000401e7075626c6963006b0066000201610000000017ffffffff01620000000019ffffffff";
static const char insert_text[] = "49000040164e00037400000001317400000001616e"; /* (1, 'a', NULL) */
static const char insert_binary[] = "49000040164e00036200000004000000016200000001616e";
static const char update_toast[] = "55000040164e000374000000013274000000016375"; /* (2, 'c', unchanged) */
static const char update_key[] = "55000040164b00037400000001326e6e4e000374000000013374000000016375";
static const char delete_key[] = "44000040164b00037400000001316e6e";
static const char insert_k[] = "490000401e4e00027400000001316e";
static const char update_full[] = "550000401e4f00027400000001316e4e0002740000000131740000000178";
static const char delete_full[] = "440000401e4f0002740000000131740000000178";
static const char truncate_both[] = "540000000200000040160000401e";
static const char relation_position[] =
    "5200004008676f6477697400706f736974696f6e006400020173747265616d0000000019ffffffff006e0000000017ffffffff";
static const char insert_position[] = "49000040084e0002740000000a626c75653e677265656e740000000131";
static const char relation_signal[] =
    "520000400f676f64776974007369676e616c00640002016b696e640000000019ffffffff00746f6b656e0000000019ffffffff";
static const char insert_signal[] = "490000400f4e000274000000066d61726b657274000000086d61726b65723a31";
static const char relation_altered[] =
    "52000040167075626c69630074006400030169640000000017ffffffff006e616d65000000041300000018006269670000000019ffffffff";
static const char *const all[] = {begin,           commit,        relation_t,      relation_k,        insert_text,
                                  insert_binary,   update_key,    update_toast,    delete_key,        insert_k,
                                  update_full,     delete_full,   truncate_both,   relation_position, insert_position,
                                  relation_signal, insert_signal, relation_altered};

struct fixture {
    struct gw_column columns_t[4], columns_k[2];
    uint32_t key[1];
    struct gw_collection collections[2];
    struct gw_schema schema;
    struct gw_pgoutput *decoder;
    struct gw_buf bytes;
};

static void fill(struct fixture *f)
{
    *f = (struct fixture){
        .columns_t = {{.name = "id", .type = "integer", .key_position = 1},
                      {.name = "name", .type = "text"},
                      {.name = "g", .type = "integer", .generated = true},
                      {.name = "big", .type = "text"}},
        .columns_k = {{.name = "a", .type = "integer"}, {.name = "b", .type = "text"}},
    };
    f->collections[0] = (struct gw_collection){
        .id = 0, .space = "public", .name = "k", .column_count = 2, .columns = f->columns_k, .key_kind = GW_KEY_NONE};
    f->collections[1] = (struct gw_collection){.id = 1,
                                               .space = "public",
                                               .name = "t",
                                               .column_count = 4,
                                               .columns = f->columns_t,
                                               .key_kind = GW_KEY_PRIMARY,
                                               .key_count = 1,
                                               .key = f->key};
    f->schema = (struct gw_schema){.count = 2, .collections = f->collections};
    f->decoder = gw_pgoutput_new(&f->schema);
}

static void empty(struct fixture *f)
{
    gw_pgoutput_free(f->decoder);
    gw_buf_release(&f->bytes);
}

static void from_hex(const char *hex, struct gw_buf *out)
{
    gw_buf_clear(out);
    for (; *hex; hex += 2) {
        unsigned byte;
        assert_int_equal(sscanf(hex, "%2x", &byte), 1);
        gw_buf_addc(out, (char)byte);
    }
}

static struct gw_pgoutput_message decode(struct fixture *f, const char *hex)
{
    struct gw_error err = {0};
    struct gw_pgoutput_message m;
    from_hex(hex, &f->bytes);
    MUST(gw_pgoutput_decode(f->decoder, f->bytes.data, f->bytes.len, &m, &err));
    return m;
}

static void assert_value(const struct gw_row *row, uint32_t at, enum gw_value_kind kind, const char *bytes, size_t len)
{
    assert_true(at < row->count);
    assert_int_equal(row->values[at].kind, kind);
    assert_int_equal(row->values[at].len, len);
    if (len)
        assert_memory_equal(row->values[at].bytes, bytes, len);
}

static void transactions_have_places_times_and_numbers(void **state)
{
    (void)state;
    struct fixture f;
    fill(&f);
    struct gw_pgoutput_message m = decode(&f, begin);
    assert_int_equal(m.kind, GW_PGOUTPUT_BEGIN);
    assert_int_equal(m.lsn, 0x19372d8);
    assert_int_equal(m.xid, 0x2e1);
    assert_int_equal(m.commit_wall_us, INT64_C(0x000303d80057ff12) + INT64_C(946684800000000));
    m = decode(&f, commit);
    assert_int_equal(m.kind, GW_PGOUTPUT_COMMIT);
    assert_int_equal(m.lsn, 0x19372d8);
    assert_int_equal(m.end_lsn, 0x1937308);
    /* 'infinity' does not overflow. */
    m = decode(&f, "4200000000019372d87fffffffffffffff000002e1");
    assert_int_equal(m.commit_wall_us, INT64_MAX);
    empty(&f);
}

static void rows_stand_in_the_planned_columns(void **state)
{
    (void)state;
    struct fixture f;
    fill(&f);
    decode(&f, relation_t);
    struct gw_pgoutput_message m = decode(&f, insert_text);
    assert_int_equal(m.kind, GW_PGOUTPUT_INSERT);
    assert_ptr_equal(m.relation->collection, &f.collections[1]);
    assert_int_equal(m.row.count, 4);
    assert_int_equal(m.old.count, 0);
    assert_value(&m.row, 0, GW_VALUE_TEXT, "1", 1);
    assert_value(&m.row, 1, GW_VALUE_TEXT, "a", 1);
    assert_value(&m.row, 2, GW_VALUE_ABSENT, NULL, 0);
    assert_value(&m.row, 3, GW_VALUE_NULL, NULL, 0);
    m = decode(&f, insert_binary);
    assert_value(&m.row, 0, GW_VALUE_BINARY, "\0\0\0\1", 4);
    assert_value(&m.row, 1, GW_VALUE_BINARY, "a", 1);
    m = decode(&f, update_toast);
    assert_int_equal(m.kind, GW_PGOUTPUT_UPDATE);
    assert_int_equal(m.old.count, 0);
    assert_value(&m.row, 3, GW_VALUE_UNCHANGED, NULL, 0);
    empty(&f);
}

static void old_rows_are_the_key_or_whole(void **state)
{
    (void)state;
    struct fixture f;
    fill(&f);
    decode(&f, relation_t);
    decode(&f, relation_k);
    struct gw_pgoutput_message m = decode(&f, update_key);
    assert_false(m.old_is_whole);
    assert_value(&m.old, 0, GW_VALUE_TEXT, "2", 1);
    assert_value(&m.old, 1, GW_VALUE_ABSENT, NULL, 0);
    assert_value(&m.old, 3, GW_VALUE_ABSENT, NULL, 0);
    assert_value(&m.row, 0, GW_VALUE_TEXT, "3", 1);
    assert_value(&m.row, 3, GW_VALUE_UNCHANGED, NULL, 0);
    m = decode(&f, delete_key);
    assert_int_equal(m.kind, GW_PGOUTPUT_DELETE);
    assert_int_equal(m.row.count, 0);
    assert_value(&m.old, 0, GW_VALUE_TEXT, "1", 1);
    m = decode(&f, update_full);
    assert_true(m.old_is_whole);
    assert_value(&m.old, 1, GW_VALUE_NULL, NULL, 0);
    assert_value(&m.row, 1, GW_VALUE_TEXT, "x", 1);
    m = decode(&f, delete_full);
    assert_true(m.old_is_whole);
    assert_value(&m.old, 1, GW_VALUE_TEXT, "x", 1);
    /* What the new row leaves out is taken from a whole old one. */
    m = decode(&f, "550000401e4f0002740000000131740000000268694e000274000000013275");
    assert_value(&m.row, 0, GW_VALUE_TEXT, "2", 1);
    assert_value(&m.row, 1, GW_VALUE_TEXT, "hi", 2);
    m = decode(&f, truncate_both);
    assert_int_equal(m.kind, GW_PGOUTPUT_TRUNCATE);
    assert_int_equal(m.truncate_count, 2);
    assert_int_equal(m.truncate_ids[0], 0x4016);
    assert_ptr_equal(gw_pgoutput_find(f.decoder, m.truncate_ids[1])->collection, &f.collections[0]);
    empty(&f);
}

static void tables_of_the_home_are_known(void **state)
{
    (void)state;
    struct fixture f;
    fill(&f);
    assert_int_equal(decode(&f, relation_position).relation->home, GW_PGOUTPUT_HOME_OURS);
    struct gw_pgoutput_message m = decode(&f, insert_position);
    assert_int_equal(m.relation->home, GW_PGOUTPUT_HOME_OURS);
    assert_null(m.relation->collection);
    assert_int_equal(decode(&f, relation_signal).relation->home, GW_PGOUTPUT_HOME_SIGNAL);
    m = decode(&f, insert_signal);
    assert_value(&m.row, (uint32_t)m.relation->token, GW_VALUE_TEXT, "marker:1", 8);
    /* A table of that name elsewhere is nothing special. */
    m = decode(&f, "52000040087075626c696300706f736974696f6e006400010173747265616d0000000019ffffffff");
    assert_int_equal(m.relation->home, GW_PGOUTPUT_HOME_NONE);
    empty(&f);
}

static void a_relation_is_compared_with_the_plan(void **state)
{
    (void)state;
    struct fixture f;
    gw_autobuf struct gw_buf words = {0};
    const char *as_planned[] = {"integer", "text", "text"}, *retyped[] = {"bigint", "text", "text"};
    fill(&f);
    struct gw_pgoutput_message m = decode(&f, relation_t);
    assert_true(gw_pgoutput_same(m.relation, as_planned, &words));
    assert_int_equal(words.len, 0);
    assert_false(gw_pgoutput_same(m.relation, retyped, &words));
    assert_string_equal(gw_buf_text(&words), "column id: integer became bigint");

    gw_buf_clear(&words);
    f.columns_t[1].name = "title";
    m = decode(&f, relation_t);
    assert_false(gw_pgoutput_same(m.relation, as_planned, &words));
    assert_string_equal(gw_buf_text(&words), "column title is gone; column name text is new");
    f.columns_t[1].name = "name";

    gw_buf_clear(&words);
    f.columns_t[2].name = "big";
    f.columns_t[3].name = "g";
    m = decode(&f, relation_t);
    assert_false(gw_pgoutput_same(m.relation, as_planned, &words));
    assert_contains(gw_buf_text(&words), "column big is no longer generated");
    assert_contains(gw_buf_text(&words), "column g is gone");
    f.columns_t[2].name = "g";
    f.columns_t[3].name = "big";

    /* The replica identity must name the planned key. */
    gw_buf_clear(&words);
    f.key[0] = 1;
    m = decode(&f, relation_t);
    assert_false(gw_pgoutput_same(m.relation, as_planned, &words));
    assert_string_equal(gw_buf_text(&words), "key column name is no longer in the replica identity");
    f.key[0] = 0;
    gw_buf_clear(&words);
    m = decode(
        &f, "52000040167075626c69630074006e00030069640000000017ffffffff006e616d650000000019ffffffff006269670000000019"
            "ffffffff");
    assert_false(gw_pgoutput_same(m.relation, as_planned, &words));
    assert_contains(gw_buf_text(&words), "NOTHING");
    gw_buf_clear(&words);
    m = decode(&f, "520000401e7075626c6963006b0064000200610000000017ffffffff00620000000019ffffffff");
    assert_false(gw_pgoutput_same(m.relation, as_planned, &words));
    assert_contains(gw_buf_text(&words), "it has to be FULL");
    empty(&f);
}

static void a_relation_described_anew_replaces_the_old(void **state)
{
    (void)state;
    struct fixture f;
    fill(&f);
    decode(&f, relation_t);
    decode(&f, relation_k);
    decode(&f, insert_k);
    decode(&f, relation_altered);
    struct gw_pgoutput_message m = decode(&f, insert_text);
    assert_int_equal(m.relation->columns[1].type_id, 1043);
    assert_int_equal(m.relation->columns[1].modifier, 24);
    empty(&f);
}

/* Every message cut at every place, or longer than it says, is refused; so is one with any byte set to anything, or it
 * is decoded: never read past its end (the sanitizers look). */
static void bent_messages_are_refused(void **state)
{
    (void)state;
    struct gw_error err = {0};
    struct gw_pgoutput_message m;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct fixture f;
        fill(&f);
        decode(&f, relation_t);
        decode(&f, relation_k);
        decode(&f, relation_position);
        decode(&f, relation_signal);
        from_hex(all[i], &f.bytes);
        for (size_t len = 0; len < f.bytes.len; len++) {
            void *copy = gw_memdup(f.bytes.data, len);
            if (gw_pgoutput_decode(f.decoder, copy, len, &m, &err)) {
                print_error("message %zu cut to %zu bytes was taken\n", i, len);
                fail();
            }
            assert_int_equal(err.kind, GW_ERR_BUG);
            free(copy);
        }
        gw_buf_addc(&f.bytes, 0);
        assert_false(gw_pgoutput_decode(f.decoder, f.bytes.data, f.bytes.len, &m, &err));
        from_hex(all[i], &f.bytes);
        for (size_t at = 0; at < f.bytes.len; at++)
            for (int bit = 0; bit < 8; bit++) {
                unsigned char *copy = gw_memdup(f.bytes.data, f.bytes.len);
                copy[at] = (unsigned char)(copy[at] ^ (1u << bit));
                bool taken = gw_pgoutput_decode(f.decoder, copy, f.bytes.len, &m, &err);
                assert_true(taken || err.kind == GW_ERR_BUG);
                free(copy);
            }
        empty(&f);
    }
}

static void rows_of_unknown_relations_are_refused(void **state)
{
    (void)state;
    struct fixture f;
    struct gw_error err = {0};
    struct gw_pgoutput_message m;
    fill(&f);
    from_hex(insert_text, &f.bytes);
    assert_false(gw_pgoutput_decode(f.decoder, f.bytes.data, f.bytes.len, &m, &err));
    assert_contains(err.message, "not described");
    empty(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transactions_have_places_times_and_numbers),
        cmocka_unit_test(rows_stand_in_the_planned_columns),
        cmocka_unit_test(old_rows_are_the_key_or_whole),
        cmocka_unit_test(tables_of_the_home_are_known),
        cmocka_unit_test(a_relation_is_compared_with_the_plan),
        cmocka_unit_test(a_relation_described_anew_replaces_the_old),
        cmocka_unit_test(bent_messages_are_refused),
        cmocka_unit_test(rows_of_unknown_relations_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
