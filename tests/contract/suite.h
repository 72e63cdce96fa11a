/* What the programs of the contract suite share: helpers over a pair of sides, and the run over every engine. */
#ifndef CONTRACT_SUITE_H
#define CONTRACT_SUITE_H

#include "contract/engines.h"

#include "copy/copy.h"
#include "follow/follow.h"
#include "state/state.h"

#include <pthread.h>
#include <stdatomic.h>

#define ROW(...) ((const char *[]){__VA_ARGS__})
#define KEEP kit_keep
#define LONG_ENOUGH_MS 10000

/* ---- helpers ---- */

static struct gw_filter everything;

static const struct gw_store_type *type_of(const struct pair *p, int side)
{
    return p->store[side]->type;
}

static inline void write_one(struct pair *p, int side, const char *table, const char *const *row)
{
    void *tx = p->kit->begin(p, side);
    assert_int_equal(p->kit->insert(tx, table, row), KIT_DONE);
    p->kit->commit(tx);
}

static const struct gw_collection *collection(struct pair *p, const char *table)
{
    const struct gw_collection *c = gw_schema_find(&p->schema, p->kit->space ? p->kit->space : "public", table);
    assert_non_null(c);
    return c;
}

/* Lists blue, installs both homes, opens blue's log. */
static inline struct gw_position prepare(struct pair *p)
{
    struct gw_error err = {0};
    struct gw_position start;
    char barrier[240];
    for (int side = 0; side < 2; side++)
        MUST(type_of(p, side)->ownership->install(p->store[side], "a1b2", &err));
    MUST(type_of(p, 0)->catalog->list(p->store[0], &everything, &p->schema, &err));
    for (size_t i = 0; i < p->schema.count; i++)
        p->schema.collections[i].id = (uint32_t)i;
    MUST(type_of(p, 0)->changes->prepare(p->store[0], &p->schema, &start, barrier, &err));
    int64_t deadline_us = gw_mono_us() + LONG_ENOUGH_MS * 1000;
    for (bool settled = false; !settled;) {
        gw_autobuf struct gw_buf who = {0};
        assert_true(gw_mono_us() < deadline_us);
        MUST(type_of(p, 0)->changes->settled(p->store[0], barrier, &settled, &who, &err));
        if (!settled)
            gw_sleep_us(2000);
    }
    return start;
}

static inline void create_on_green(struct pair *p)
{
    struct gw_error err = {0};
    MUST(type_of(p, 1)->schema->create(p->store[0], p->store[1], &everything, p->work_dir, &err));
    p->kit->created(p);
}

static inline void create_keys(struct pair *p)
{
    struct gw_error err = {0};
    for (size_t i = 0; i < p->schema.count; i++)
        if (p->schema.collections[i].key_count > 0)
            MUST(type_of(p, 1)->schema->create_key(p->store[1], &p->schema.collections[i], p->work_dir, &err));
}

/* A green with the tables and their keys, ready for batches. */
static inline void prepare_green(struct pair *p)
{
    prepare(p);
    create_on_green(p);
    create_keys(p);
}

static inline struct gw_stream *open_stream(struct pair *p, int side, struct gw_position from)
{
    struct gw_error err = {0};
    struct gw_stream *stream = NULL;
    MUST(type_of(p, side)->changes->open(p->store[side], &p->schema, &from, &stream, &err));
    return stream;
}

/* Where writers come one after the other, a transaction's end is seen only by looking before the next one begins. */
static inline void gather(struct pair *p, int side, struct gw_stream *stream)
{
    struct gw_error err = {0};
    struct gw_change change = {0};
    bool got = p->kit->one_writer || p->kit->by_looks;
    while (got) {
        MUST(type_of(p, side)->changes->next(stream, 0, &change, &got, &err));
        if (got && change.kind != GW_CHANGE_PROGRESS)
            gw_change_encode(&p->gathered, &change);
    }
}

/* The next change that is not PROGRESS. */
static inline struct gw_change next_change(struct pair *p, int side, struct gw_stream *stream)
{
    struct gw_error err = {0};
    struct gw_change change = {0};
    bool got = false;
    if (p->gathered_at < p->gathered.len) {
        struct gw_cursor in = gw_cursor_of(p->gathered.data + p->gathered_at, p->gathered.len - p->gathered_at);
        gw_arena_reset(&p->gathered_arena);
        MUST(gw_change_decode(&in, &p->gathered_arena, &change, &err));
        p->gathered_at = (size_t)((const char *)in.at - p->gathered.data);
        return change;
    }
    int64_t deadline_us = gw_mono_us() + LONG_ENOUGH_MS * 1000;
    do {
        assert_true(gw_mono_us() < deadline_us);
        MUST(type_of(p, side)->changes->next(stream, 100, &change, &got, &err));
    } while (!got || change.kind == GW_CHANGE_PROGRESS);
    return change;
}

static inline void assert_value(const struct gw_row *row, uint32_t column, const char *text)
{
    assert_true(column < row->count);
    const struct gw_value *value = &row->values[column];
    if (!text) {
        assert_int_equal(value->kind, GW_VALUE_NULL);
        return;
    }
    if (value->kind == GW_VALUE_BINARY && value->len == 8) { /* an engine's bigint */
        assert_int_equal(gw_get64(value->bytes), strtoull(text, NULL, 10));
        return;
    }
    if (value->kind == GW_VALUE_BINARY && value->len == 9 && value->bytes[0] == 1) { /* one with its storage class */
        assert_int_equal(gw_get64(value->bytes + 1), strtoull(text, NULL, 10));
        return;
    }
    assert_true(value->kind == GW_VALUE_TEXT || value->kind == GW_VALUE_BINARY);
    assert_int_equal(value->len, strlen(text));
    assert_memory_equal(value->bytes, text, value->len);
}

static inline struct gw_value text_value(const char *text)
{
    return text == KEEP ? (struct gw_value){.kind = GW_VALUE_UNCHANGED} : gw_value_text(text);
}

static inline struct gw_row row_of(struct gw_value *room, const char *const *texts, uint32_t count)
{
    for (uint32_t c = 0; c < count; c++)
        room[c] = text_value(texts[c]);
    return (struct gw_row){.count = count, .values = room};
}

static inline struct gw_row item_key(struct gw_value *room, const char *id)
{
    room[0] = text_value(id);
    room[1] = room[2] = (struct gw_value){.kind = GW_VALUE_ABSENT};
    return (struct gw_row){.count = 3, .values = room};
}

static inline struct gw_writer *open_writer(struct pair *p, int side)
{
    struct gw_error err = {0};
    struct gw_writer *writer = NULL;
    MUST(type_of(p, side)->writer->open(p->store[side], side == 1 ? "blue>green" : "green>blue", &writer, &err));
    return writer;
}

/* A real place in blue's log, to be written as the position reached. */
static inline struct gw_position somewhere(struct pair *p)
{
    struct gw_error err = {0};
    struct gw_position at;
    MUST(type_of(p, 0)->changes->horizon(p->store[0], &at, &err));
    return at;
}

static inline uint64_t apply_insert(struct pair *p, struct gw_writer *writer, const char *const *row)
{
    struct gw_error err = {0};
    struct gw_value room[3];
    struct gw_row values = row_of(room, row, 3);
    uint64_t touched = 0;
    struct gw_part part = {.kind = GW_CHANGE_INSERT, .collection = collection(p, "item"), .count = 1, .rows = &values};
    MUST(type_of(p, 1)->writer->apply(writer, &part, &touched, &err));
    return touched;
}

static inline void assert_green(struct pair *p, const char *table, const char *lines)
{
    gw_autobuf struct gw_buf dump = {0};
    p->kit->dump(p, 1, table, &dump);
    assert_string_equal(gw_buf_text(&dump), lines);
}

static inline size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

/* ---- the suite ---- */

typedef void contract_test(struct pair *);
struct contract_entry {
    const char *name;
    contract_test *run;
};
#define CONTRACT(name)                                                                                                 \
    {                                                                                                                  \
#name, name                                                                                                    \
    }
#define CONTRACT_TESTS_MOST 64
#define CONTRACT_KITS (sizeof kits / sizeof kits[0])

struct contract_case {
    char name[128];
    const struct kit *kit;
    contract_test *run;
    struct pair pair;
};

static inline int case_setup(void **state)
{
    struct gw_error err = {0};
    struct contract_case *c = *state;
    if (!c->kit->available())
        return 0;
    c->pair = (struct pair){.kit = c->kit};
    char *folder = gw_test_mkdir();
    snprintf(c->pair.work_dir, sizeof c->pair.work_dir, "%s", folder);
    free(folder);
    MUST(gw_mkdir_private(c->pair.work_dir, &err));
    c->kit->open(&c->pair);
    return 0;
}

static inline void case_run(void **state)
{
    struct contract_case *c = *state;
    if (!c->kit->available())
        skip();
    c->run(&c->pair);
}

static inline int case_teardown(void **state)
{
    struct contract_case *c = *state;
    if (!c->kit->available())
        return 0;
    c->kit->close(&c->pair);
    gw_schema_release(&c->pair.schema);
    gw_buf_release(&c->pair.gathered);
    gw_arena_release(&c->pair.gathered_arena);
    gw_test_rmdir(gw_strdup(c->pair.work_dir));
    return 0;
}

static inline int contract_main(const struct contract_entry *contract_tests, size_t contract_count)
{
    assert_true(contract_count <= CONTRACT_TESTS_MOST);
    static struct contract_case cases[CONTRACT_KITS * CONTRACT_TESTS_MOST];
    static struct CMUnitTest tests[CONTRACT_KITS * CONTRACT_TESTS_MOST];
    size_t count = 0;
    for (size_t k = 0; k < CONTRACT_KITS; k++) {
        for (size_t t = 0; t < contract_count; t++, count++) {
            cases[count] = (struct contract_case){.kit = &kits[k], .run = contract_tests[t].run};
            snprintf(cases[count].name, sizeof cases[count].name, "%s: %s", kits[k].name, contract_tests[t].name);
            tests[count] = (struct CMUnitTest){.name = cases[count].name,
                                               .test_func = case_run,
                                               .setup_func = case_setup,
                                               .teardown_func = case_teardown,
                                               .initial_state = &cases[count]};
        }
    }
    return _cmocka_run_group_tests("contract", tests, count, NULL, NULL);
}

#endif
