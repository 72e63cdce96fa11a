/*
 * The store contract, one suite over every engine: that what store.h says of each facet is so, and that capability
 * bit and behaviour agree. Ends with the join itself over each engine.
 */
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

static void write_one(struct pair *p, int side, const char *table, const char *const *row)
{
    void *tx = p->kit->begin(p, side);
    assert_int_equal(p->kit->insert(tx, table, row), KIT_DONE);
    p->kit->commit(tx);
}

static const struct gw_collection *collection(struct pair *p, const char *table)
{
    const struct gw_collection *c = gw_schema_find(&p->schema, "public", table);
    assert_non_null(c);
    return c;
}

/* Lists blue, installs both homes, opens blue's log. */
static struct gw_position prepare(struct pair *p)
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

static void create_on_green(struct pair *p)
{
    struct gw_error err = {0};
    MUST(type_of(p, 1)->schema->create(p->store[0], p->store[1], &everything, p->work_dir, &err));
    p->kit->created(p);
}

static void create_keys(struct pair *p)
{
    struct gw_error err = {0};
    for (size_t i = 0; i < p->schema.count; i++)
        if (p->schema.collections[i].key_count > 0)
            MUST(type_of(p, 1)->schema->create_key(p->store[1], &p->schema.collections[i], p->work_dir, &err));
}

/* A green with the tables and their keys, ready for batches. */
static void prepare_green(struct pair *p)
{
    prepare(p);
    create_on_green(p);
    create_keys(p);
}

static struct gw_stream *open_stream(struct pair *p, int side, struct gw_position from)
{
    struct gw_error err = {0};
    struct gw_stream *stream = NULL;
    MUST(type_of(p, side)->changes->open(p->store[side], &p->schema, &from, &stream, &err));
    return stream;
}

/* The next change that is not PROGRESS. */
static struct gw_change next_change(struct pair *p, int side, struct gw_stream *stream)
{
    struct gw_error err = {0};
    struct gw_change change = {0};
    bool got = false;
    int64_t deadline_us = gw_mono_us() + LONG_ENOUGH_MS * 1000;
    do {
        assert_true(gw_mono_us() < deadline_us);
        MUST(type_of(p, side)->changes->next(stream, 100, &change, &got, &err));
    } while (!got || change.kind == GW_CHANGE_PROGRESS);
    return change;
}

static void assert_value(const struct gw_row *row, uint32_t column, const char *text)
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
    assert_true(value->kind == GW_VALUE_TEXT || value->kind == GW_VALUE_BINARY);
    assert_int_equal(value->len, strlen(text));
    assert_memory_equal(value->bytes, text, value->len);
}

static struct gw_value text_value(const char *text)
{
    return text == KEEP ? (struct gw_value){.kind = GW_VALUE_UNCHANGED} : gw_value_text(text);
}

static struct gw_row row_of(struct gw_value *room, const char *const *texts, uint32_t count)
{
    for (uint32_t c = 0; c < count; c++)
        room[c] = text_value(texts[c]);
    return (struct gw_row){.count = count, .values = room};
}

static struct gw_row item_key(struct gw_value *room, const char *id)
{
    room[0] = text_value(id);
    room[1] = room[2] = (struct gw_value){.kind = GW_VALUE_ABSENT};
    return (struct gw_row){.count = 3, .values = room};
}

static struct gw_writer *open_writer(struct pair *p, int side)
{
    struct gw_error err = {0};
    struct gw_writer *writer = NULL;
    MUST(type_of(p, side)->writer->open(p->store[side], side == 1 ? "blue>green" : "green>blue", &writer, &err));
    return writer;
}

/* A real place in blue's log, to be written as the position reached. */
static struct gw_position somewhere(struct pair *p)
{
    struct gw_error err = {0};
    struct gw_position at;
    MUST(type_of(p, 0)->changes->horizon(p->store[0], &at, &err));
    return at;
}

static uint64_t apply_insert(struct pair *p, struct gw_writer *writer, const char *const *row)
{
    struct gw_error err = {0};
    struct gw_value room[3];
    struct gw_row values = row_of(room, row, 3);
    uint64_t touched = 0;
    struct gw_part part = {.kind = GW_CHANGE_INSERT, .collection = collection(p, "item"), .count = 1, .rows = &values};
    MUST(type_of(p, 1)->writer->apply(writer, &part, &touched, &err));
    return touched;
}

static void assert_green(struct pair *p, const char *table, const char *lines)
{
    gw_autobuf struct gw_buf dump = {0};
    p->kit->dump(p, 1, table, &dump);
    assert_string_equal(gw_buf_text(&dump), lines);
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

/* ---- identity ---- */

static void capability_bits_and_facets_agree(struct pair *p)
{
    for (int side = 0; side < 2; side++) {
        const struct gw_store *store = p->store[side];
        uint64_t can = store->identity.capabilities;
        assert_int_equal(store->type->contract, GW_STORE_CONTRACT);
        assert_int_equal(can & ~store->type->capabilities, 0); /* a side can at most what its type can */
        assert_int_equal(store->side, side);
        assert_true(strlen(store->identity.product) > 0 && strlen(store->identity.address) > 0);
        assert_null(strstr(store->identity.address, "secret"));
        if (can & GW_CAN_FENCE)
            assert_non_null(store->type->fence);
        if (can & GW_CAN_TRANSACT)
            assert_non_null(store->type->writer);
        if (can & GW_CAN_PASS_THROUGH)
            assert_true(store->type->reader && store->type->writer);
        if (can & GW_CAN_TRUNCATE_STREAM)
            assert_non_null(store->type->changes);
    }
    assert_true(strcmp(p->store[0]->identity.server, p->store[1]->identity.server) != 0 ||
                strcmp(p->store[0]->identity.database, p->store[1]->identity.database) != 0);
}

static void catalog_lists_collections_with_their_keys(struct pair *p)
{
    struct gw_error err = {0};
    prepare(p);
    assert_int_equal(p->schema.count, 2); /* and nothing of our home */
    const struct gw_collection *item = collection(p, "item"), *loose = collection(p, "loose");
    assert_true(item < loose);
    assert_int_equal(item->column_count, 3);
    assert_int_equal(item->key_count, 1);
    assert_int_equal(item->key[0], 0);
    assert_int_equal(item->key_kind, GW_KEY_PRIMARY);
    assert_int_equal(loose->key_kind, GW_KEY_NONE);
    gw_autobuf struct gw_buf first = {0}, second = {0};
    MUST(type_of(p, 0)->catalog->fingerprint(p->store[0], &everything, &first, &err));
    MUST(type_of(p, 0)->catalog->fingerprint(p->store[0], &everything, &second, &err));
    assert_string_equal(gw_buf_text(&first), gw_buf_text(&second));
}

/* ---- reader and load ---- */

/* Splits, and moves every chunk; returns how many. */
static size_t move_chunks(struct pair *p, const char *table, int64_t rows, uint64_t *moved)
{
    struct gw_error err = {0};
    const struct gw_reader_facet *reading = type_of(p, 0)->reader;
    const struct gw_writer_facet *writing = type_of(p, 1)->writer;
    struct gw_reader *reader = NULL;
    struct gw_writer *writer = open_writer(p, 1);
    struct gw_bound low = {0};
    static uint64_t id;
    size_t chunks = 0;
    bool last = false;
    MUST(reading->open(p->store[0], &reader, &err));
    for (*moved = 0; !last; chunks++) {
        struct gw_bound next = {0};
        MUST(reading->split(reader, collection(p, table), &low, rows, &next, &last, &err));
        struct gw_checkpoint checkpoint = {
            .chunk = ++id, .collection = collection(p, table)->id, .range = {.low = low, .high = next}};
        uint64_t loaded = 0, read = 0;
        bool already = true;
        MUST(reading->begin(reader, collection(p, table), &checkpoint.range, &checkpoint.mark, &err));
        MUST(writing->begin_chunk(writer, collection(p, table), &checkpoint, &already, &err));
        assert_false(already);
        for (struct gw_block block = {.len = 1}; block.len > 0;) {
            MUST(reading->next(reader, &block, &err));
            read += block.rows;
            if (block.len > 0)
                MUST(writing->put(writer, &block, &err));
        }
        MUST(reading->end(reader, &err));
        MUST(writing->commit_chunk(writer, &loaded, &err));
        assert_int_equal(loaded, read);
        *moved += loaded;
        gw_mark_release(&checkpoint.mark);
        gw_bound_release(&low);
        low = next;
    }
    reading->close(reader);
    writing->close(writer);
    return chunks;
}

static void chunks_carry_every_row_once(struct pair *p)
{
    void *tx = p->kit->begin(p, 0);
    for (int i = 0; i < 100; i++) {
        char id[24];
        snprintf(id, sizeof id, "%lld", i == 0 ? INT64_MIN + 0LL : i == 99 ? INT64_MAX + 0LL : i * 7LL - 300);
        assert_int_equal(p->kit->insert(tx, "item", ROW(id, i % 3 ? "v" : NULL, i % 2 ? "big" : "")), KIT_DONE);
        assert_int_equal(p->kit->insert(tx, "loose", ROW(i % 2 ? "twin" : NULL, "b")), KIT_DONE);
    }
    p->kit->commit(tx);
    prepare(p);
    create_on_green(p);
    uint64_t moved = 0;
    assert_int_equal(move_chunks(p, "item", 30, &moved), 4);
    assert_int_equal(moved, 100);
    assert_int_equal(move_chunks(p, "loose", 30, &moved), 1);
    assert_int_equal(moved, 100);
    create_keys(p);
    for (int t = 0; t < 2; t++) {
        gw_autobuf struct gw_buf blue = {0}, green = {0};
        p->kit->dump(p, 0, t ? "loose" : "item", &blue);
        p->kit->dump(p, 1, t ? "loose" : "item", &green);
        assert_string_equal(gw_buf_text(&blue), gw_buf_text(&green));
    }
}

static void an_empty_collection_is_one_empty_chunk(struct pair *p)
{
    uint64_t moved = 1;
    prepare(p);
    create_on_green(p);
    assert_int_equal(move_chunks(p, "item", 10, &moved), 1);
    assert_int_equal(moved, 0);
}

static void rows_and_checkpoint_live_and_die_together(struct pair *p)
{
    struct gw_error err = {0};
    const struct gw_writer_facet *writing = type_of(p, 1)->writer;
    write_one(p, 0, "item", ROW("1", "a", "b"));
    prepare(p);
    create_on_green(p);
    struct gw_mark mark = {0};
    for (int round = 0; round < 3; round++) {
        struct gw_reader *reader = NULL;
        struct gw_writer *writer = open_writer(p, 1);
        struct gw_checkpoint checkpoint = {.chunk = 77, .collection = collection(p, "item")->id};
        bool already = false;
        uint64_t loaded = 0;
        struct gw_block block;
        MUST(type_of(p, 0)->reader->open(p->store[0], &reader, &err));
        MUST(type_of(p, 0)->reader->begin(reader, collection(p, "item"), &checkpoint.range, &checkpoint.mark, &err));
        MUST(writing->begin_chunk(writer, collection(p, "item"), &checkpoint, &already, &err));
        assert_int_equal(already, round == 2);
        if (!already) {
            MUST(type_of(p, 0)->reader->next(reader, &block, &err));
            MUST(writing->put(writer, &block, &err));
        }
        if (round == 1)
            MUST(writing->commit_chunk(writer, &loaded, &err));
        if (round == 1)
            gw_mark_copy(&mark, &checkpoint.mark);
        type_of(p, 0)->reader->close(reader);
        writing->close(writer);
        gw_mark_release(&checkpoint.mark);
        struct gw_checkpoint *checkpoints = NULL;
        size_t count = 0;
        MUST(writing->checkpoints(p->store[1], &checkpoints, &count, &err));
        assert_int_equal(count, round > 0);
        gw_autobuf struct gw_buf dump = {0}, expected = {0}, got = {0};
        p->kit->dump(p, 1, "item", &dump);
        assert_int_equal(count_lines(gw_buf_text(&dump)), round > 0);
        if (count > 0) { /* the mark comes back as it was given */
            gw_mark_format(&mark, &expected);
            gw_mark_format(&checkpoints[0].mark, &got);
            assert_string_equal(gw_buf_text(&expected), gw_buf_text(&got));
            assert_int_equal(checkpoints[0].chunk, 77);
            gw_checkpoint_release(&checkpoints[0]);
        }
        free(checkpoints);
    }
    gw_mark_release(&mark);
}

/* The number in the stream is the number the mark knows. */
static void a_mark_saw_what_its_read_saw(struct pair *p)
{
    struct gw_error err = {0};
    struct gw_stream *stream = open_stream(p, 0, prepare(p));
    write_one(p, 0, "item", ROW("1", "committed before", NULL));
    void *open = p->kit->begin(p, 0);
    assert_int_equal(p->kit->insert(open, "item", ROW("2", "open", NULL)), KIT_DONE);
    write_one(p, 0, "item", ROW("3", "began later, committed before", NULL));
    struct gw_reader *reader = NULL;
    struct gw_mark mark = {0};
    struct gw_range all = {0};
    struct gw_block block;
    uint64_t rows = 0;
    MUST(type_of(p, 0)->reader->open(p->store[0], &reader, &err));
    MUST(type_of(p, 0)->reader->begin(reader, collection(p, "item"), &all, &mark, &err));
    p->kit->commit(open);
    write_one(p, 0, "item", ROW("4", "after", NULL));
    do {
        MUST(type_of(p, 0)->reader->next(reader, &block, &err));
        rows += block.rows;
    } while (block.len > 0);
    assert_int_equal(rows, 2);
    MUST(type_of(p, 0)->reader->end(reader, &err));
    type_of(p, 0)->reader->close(reader);
    static const bool seen[] = {true, true, false, false}; /* in the order of the commits: 1, 3, 2, 4 */
    static const char *const ids[] = {"1", "3", "2", "4"};
    for (int i = 0; i < 4; i++) {
        struct gw_change begin = next_change(p, 0, stream);
        assert_int_equal(begin.kind, GW_CHANGE_BEGIN);
        uint64_t transaction = begin.transaction;
        struct gw_change insert = next_change(p, 0, stream);
        assert_int_equal(insert.kind, GW_CHANGE_INSERT);
        assert_value(&insert.row, 0, ids[i]);
        assert_int_equal(insert.transaction, transaction);
        assert_int_equal(gw_mark_saw(&mark, transaction), seen[i]);
        assert_int_equal(next_change(p, 0, stream).kind, GW_CHANGE_COMMIT);
    }
    gw_mark_release(&mark);
    type_of(p, 0)->changes->close(stream);
}

static void refetch_reads_one_row_with_a_mark(struct pair *p)
{
    struct gw_error err = {0};
    prepare(p);
    write_one(p, 0, "item", ROW("5", "v", "big"));
    struct gw_reader *reader = NULL;
    struct gw_mark mark = {0};
    struct gw_row row;
    bool found = false;
    struct gw_value key_value = gw_value_text("5");
    struct gw_row key = {.count = 1, .values = &key_value};
    MUST(type_of(p, 0)->reader->open(p->store[0], &reader, &err));
    MUST(type_of(p, 0)->reader->refetch(reader, collection(p, "item"), &key, &mark, &found, &row, &err));
    assert_true(found);
    assert_value(&row, 0, "5");
    assert_value(&row, 2, "big");
    gw_mark_release(&mark);
    key_value = gw_value_text("6");
    MUST(type_of(p, 0)->reader->refetch(reader, collection(p, "item"), &key, &mark, &found, &row, &err));
    assert_false(found);
    assert_true(mark.high > 0); /* not there is an answer with a mark, too */
    gw_mark_release(&mark);
    type_of(p, 0)->reader->close(reader);
}

/* ---- changes ---- */

static void the_stream_tells_every_kind_of_change(struct pair *p)
{
    struct gw_stream *stream = open_stream(p, 0, prepare(p));
    char big[20001];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    void *tx = p->kit->begin(p, 0);
    p->kit->insert(tx, "item", ROW("1", NULL, big));
    p->kit->update(tx, "item", ROW("1"), ROW(KEEP, "changed", KEEP));
    p->kit->update(tx, "item", ROW("1"), ROW("2", KEEP, KEEP));
    p->kit->remove(tx, "item", ROW("2"));
    p->kit->commit(tx);
    struct gw_change change = next_change(p, 0, stream);
    assert_int_equal(change.kind, GW_CHANGE_BEGIN);
    assert_false(change.ours);
    struct gw_position begin = change.position;
    change = next_change(p, 0, stream);
    assert_int_equal(change.kind, GW_CHANGE_INSERT);
    assert_int_equal(change.collection, collection(p, "item")->id);
    assert_value(&change.row, 1, NULL);
    assert_value(&change.row, 2, big);
    change = next_change(p, 0, stream);
    assert_int_equal(change.kind, GW_CHANGE_UPDATE);
    assert_int_equal(change.old.count, 0);
    assert_value(&change.row, 1, "changed");
    assert_int_equal(change.row.values[2].kind, GW_VALUE_UNCHANGED);
    change = next_change(p, 0, stream);
    assert_int_equal(change.kind, GW_CHANGE_UPDATE);
    assert_int_equal(change.old.count, 3);
    assert_value(&change.old, 0, "1");
    assert_value(&change.row, 0, "2");
    change = next_change(p, 0, stream);
    assert_int_equal(change.kind, GW_CHANGE_DELETE);
    assert_value(&change.old, 0, "2");
    change = next_change(p, 0, stream);
    assert_int_equal(change.kind, GW_CHANGE_COMMIT);
    assert_true(gw_position_before(&begin, &change.position));
    type_of(p, 0)->changes->close(stream);
}

static void truncate_is_in_the_stream_where_the_bit_says_so(struct pair *p)
{
    if (!(p->store[0]->identity.capabilities & GW_CAN_TRUNCATE_STREAM))
        return;
    struct gw_stream *stream = open_stream(p, 0, prepare(p));
    void *tx = p->kit->begin(p, 0);
    assert_int_equal(p->kit->truncate(tx, "item"), KIT_DONE);
    p->kit->commit(tx);
    assert_int_equal(next_change(p, 0, stream).kind, GW_CHANGE_BEGIN);
    struct gw_change change = next_change(p, 0, stream);
    assert_int_equal(change.kind, GW_CHANGE_TRUNCATE);
    assert_int_equal(change.collection, collection(p, "item")->id);
    assert_int_equal(next_change(p, 0, stream).kind, GW_CHANGE_COMMIT);
    type_of(p, 0)->changes->close(stream);
}

static void rolled_back_changes_are_not_in_the_stream(struct pair *p)
{
    struct gw_stream *stream = open_stream(p, 0, prepare(p));
    void *tx = p->kit->begin(p, 0);
    p->kit->insert(tx, "item", ROW("1", "never", NULL));
    p->kit->rollback(tx);
    write_one(p, 0, "item", ROW("2", "there", NULL));
    assert_int_equal(next_change(p, 0, stream).kind, GW_CHANGE_BEGIN);
    struct gw_change change = next_change(p, 0, stream);
    assert_value(&change.row, 0, "2");
    type_of(p, 0)->changes->close(stream);
}

static void a_stream_goes_on_behind_the_commit_it_is_given(struct pair *p)
{
    struct gw_error err = {0};
    struct gw_stream *stream = open_stream(p, 0, prepare(p));
    for (int i = 1; i <= 3; i++)
        write_one(p, 0, "item", ROW(i == 1 ? "1" : i == 2 ? "2" : "3", "v", NULL));
    struct gw_position commits[3];
    for (int i = 0; i < 3; i++) {
        next_change(p, 0, stream);
        next_change(p, 0, stream);
        struct gw_change commit = next_change(p, 0, stream);
        assert_int_equal(commit.kind, GW_CHANGE_COMMIT);
        commits[i] = commit.position;
        assert_true(i == 0 || gw_position_before(&commits[i - 1], &commits[i]));
    }
    type_of(p, 0)->changes->close(stream);
    for (int i = 1; i >= 0; i--) { /* nothing was acknowledged: all of it can come again */
        stream = open_stream(p, 0, commits[i]);
        assert_int_equal(next_change(p, 0, stream).kind, GW_CHANGE_BEGIN);
        struct gw_change insert = next_change(p, 0, stream);
        assert_value(&insert.row, 0, i == 1 ? "3" : "2");
        if (i == 0)
            MUST(type_of(p, 0)->changes->acknowledge(stream, &commits[0], &err));
        type_of(p, 0)->changes->close(stream);
    }
}

/* Of one process, the newer session may take the place of a lingering one; never are there two. */
static void only_one_reads_the_log(struct pair *p)
{
    struct gw_error err = {0};
    struct gw_position start = prepare(p);
    struct gw_stream *stream = open_stream(p, 0, start), *other = NULL;
    if (!type_of(p, 0)->changes->open(p->store[0], &p->schema, &start, &other, &err)) {
        assert_int_equal(err.kind, GW_ERR_CONFLICT);
    } else {
        struct gw_change change;
        bool got = false;
        int64_t deadline_us = gw_mono_us() + LONG_ENOUGH_MS * 1000;
        while (type_of(p, 0)->changes->next(stream, 50, &change, &got, &err))
            assert_true(gw_mono_us() < deadline_us);
        assert_int_equal(err.kind, GW_ERR_RETRY);
        write_one(p, 0, "item", ROW("1", "for the newer one", NULL));
        assert_int_equal(next_change(p, 0, other).kind, GW_CHANGE_BEGIN);
        type_of(p, 0)->changes->close(other);
    }
    type_of(p, 0)->changes->close(stream);
}

static void the_horizon_is_behind_every_visible_commit(struct pair *p)
{
    struct gw_stream *stream = open_stream(p, 0, prepare(p));
    struct gw_position before = somewhere(p);
    write_one(p, 0, "item", ROW("1", "v", NULL));
    struct gw_position after = somewhere(p);
    next_change(p, 0, stream);
    next_change(p, 0, stream);
    struct gw_change commit = next_change(p, 0, stream);
    assert_true(before.order < commit.position.order);
    assert_true(after.order >= commit.position.order);
    type_of(p, 0)->changes->close(stream);
}

static void a_signal_travels_through_the_stream_and_is_noted(struct pair *p)
{
    struct gw_error err = {0};
    struct gw_stream *stream = open_stream(p, 0, prepare(p));
    bool seen = true;
    MUST(type_of(p, 0)->changes->signal(p->store[0], "canary:one", &err));
    struct gw_change change = next_change(p, 0, stream);
    assert_int_equal(change.kind, GW_CHANGE_BEGIN);
    assert_false(change.ours);
    change = next_change(p, 0, stream);
    assert_int_equal(change.kind, GW_CHANGE_SIGNAL);
    assert_string_equal(change.text, "canary:one");
    type_of(p, 0)->changes->close(stream);
    MUST(type_of(p, 1)->changes->seen(p->store[1], "canary:one", &seen, &err));
    assert_false(seen);
    struct gw_writer *writer = open_writer(p, 1);
    struct gw_position at = somewhere(p);
    MUST(type_of(p, 1)->writer->begin(writer, &at, &err));
    MUST(type_of(p, 1)->writer->note_signal(writer, "canary:one", &err));
    MUST(type_of(p, 1)->writer->commit(writer, true, &err));
    type_of(p, 1)->writer->close(writer);
    MUST(type_of(p, 1)->changes->seen(p->store[1], "canary:one", &seen, &err));
    assert_true(seen);
}

static void our_own_transactions_are_known_at_their_begin(struct pair *p)
{
    struct gw_error err = {0};
    char barrier[240];
    struct gw_position start;
    prepare_green(p);
    MUST(type_of(p, 1)->changes->prepare(p->store[1], &p->schema, &start, barrier, &err));
    struct gw_stream *stream = open_stream(p, 1, start);
    struct gw_writer *writer = open_writer(p, 1);
    struct gw_position at = somewhere(p);
    MUST(type_of(p, 1)->writer->begin(writer, &at, &err));
    assert_int_equal(apply_insert(p, writer, ROW("1", "ours", NULL)), 1);
    MUST(type_of(p, 1)->writer->commit(writer, true, &err));
    write_one(p, 1, "item", ROW("2", "the application's", NULL));
    struct gw_change change = next_change(p, 1, stream);
    assert_int_equal(change.kind, GW_CHANGE_BEGIN);
    assert_true(change.ours);
    while (change.kind != GW_CHANGE_COMMIT)
        change = next_change(p, 1, stream);
    change = next_change(p, 1, stream);
    assert_int_equal(change.kind, GW_CHANGE_BEGIN);
    assert_false(change.ours);
    type_of(p, 1)->writer->close(writer);
    type_of(p, 1)->changes->close(stream);
}

static void keys_are_located_as_the_source_orders_them(struct pair *p)
{
    struct gw_error err = {0};
    prepare(p);
    static const char *const bounds_text[] = {"-5", "9", "100"};
    static const char *const keys_text[] = {"-6", "-5", "8", "9", "10", "99", "100", "9223372036854775807"};
    static const uint32_t expected[] = {0, 1, 1, 2, 2, 2, 3, 3};
    struct gw_bound bounds[3];
    struct gw_value values[8];
    struct gw_row keys[8];
    uint32_t chunks[8];
    for (size_t i = 0; i < 3; i++)
        bounds[i] = (struct gw_bound){.count = 1, .texts = (char *[]){(char *)bounds_text[i]}};
    char *texts[3][1];
    for (size_t i = 0; i < 3; i++) {
        texts[i][0] = (char *)bounds_text[i];
        bounds[i].texts = texts[i];
    }
    for (size_t i = 0; i < 8; i++) {
        values[i] = gw_value_text(keys_text[i]);
        keys[i] = (struct gw_row){.count = 1, .values = &values[i]};
    }
    MUST(type_of(p, 0)->changes->locate(p->store[0], collection(p, "item"), bounds, 3, keys, 8, chunks, &err));
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(chunks[i], expected[i]);
}

static void a_dropped_log_leaves_nothing(struct pair *p)
{
    struct gw_error err = {0};
    gw_autobuf struct gw_buf lines = {0};
    struct gw_position start = prepare(p);
    struct gw_stream *stream = NULL;
    struct gw_retained retained;
    for (int i = 0; i < 2; i++)
        MUST(type_of(p, 0)->changes->drop(p->store[0], &err));
    assert_false(type_of(p, 0)->changes->open(p->store[0], &p->schema, &start, &stream, &err));
    assert_int_equal(err.kind, GW_ERR_LOST_POSITION);
    MUST(type_of(p, 0)->changes->retained(p->store[0], &retained, &err));
    assert_true(retained.lost);
    for (int i = 0; i < 2; i++)
        MUST(type_of(p, 0)->ownership->uninstall(p->store[0], &err));
    MUST(type_of(p, 0)->ownership->leftovers(p->store[0], &lines, &err));
    assert_string_equal(gw_buf_text(&lines), "");
}

/* ---- apply ---- */

static void batch_and_position_live_and_die_together(struct pair *p)
{
    struct gw_error err = {0};
    const struct gw_writer_facet *writing = type_of(p, 1)->writer;
    prepare_green(p);
    struct gw_position at = somewhere(p), got;
    struct gw_writer *writer = open_writer(p, 1);
    MUST(writing->position(p->store[1], "blue>green", &got, &err));
    assert_int_equal(got.order, 0);
    MUST(writing->begin(writer, &at, &err));
    apply_insert(p, writer, ROW("1", "v", NULL));
    writing->rollback(writer);
    MUST(writing->position(p->store[1], "blue>green", &got, &err));
    assert_int_equal(got.order, 0);
    assert_green(p, "item", "");
    MUST(writing->begin(writer, &at, &err));
    apply_insert(p, writer, ROW("1", "v", NULL));
    MUST(writing->commit(writer, false, &err));
    MUST(writing->position(p->store[1], "blue>green", &got, &err));
    assert_int_equal(got.order, at.order);
    assert_string_equal(got.text, at.text);
    MUST(writing->position(p->store[1], "green>blue", &got, &err));
    assert_int_equal(got.order, 0);
    assert_green(p, "item", "1|v|\\N\n");
    writing->close(writer);
}

static void parts_touch_what_is_there_and_say_how_many(struct pair *p)
{
    struct gw_error err = {0};
    const struct gw_writer_facet *writing = type_of(p, 1)->writer;
    prepare_green(p);
    struct gw_position at = somewhere(p);
    struct gw_writer *writer = open_writer(p, 1);
    MUST(writing->begin(writer, &at, &err));
    struct gw_value rows_room[4][3], keys_room[4][3];
    struct gw_row rows[4], keys[4];
    uint64_t touched = 0;
    static const char *const ids[] = {"1", "2", "3", "4"};
    for (int i = 0; i < 4; i++)
        rows[i] = row_of(rows_room[i], ROW(ids[i], "v", "big"), 3);
    struct gw_part insert = {.kind = GW_CHANGE_INSERT, .collection = collection(p, "item"), .count = 4, .rows = rows};
    MUST(writing->apply(writer, &insert, &touched, &err));
    assert_int_equal(touched, 4);
    static const char *const changed[] = {"1", "2", "9"}; /* 9 is not there */
    for (int i = 0; i < 3; i++) {
        rows[i] = row_of(rows_room[i], ROW(changed[i], i ? NULL : "changed", KEEP), 3);
        keys[i] = item_key(keys_room[i], changed[i]);
    }
    struct gw_part update = {
        .kind = GW_CHANGE_UPDATE, .collection = collection(p, "item"), .count = 3, .keys = keys, .rows = rows};
    MUST(writing->apply(writer, &update, &touched, &err));
    assert_int_equal(touched, 2);
    rows[0] = row_of(rows_room[0], ROW("33", KEEP, KEEP), 3); /* a key that moves, and keeps the rest */
    rows[0].values[1] = gw_value_text("moved");
    keys[0] = item_key(keys_room[0], "3");
    update.count = 1;
    MUST(writing->apply(writer, &update, &touched, &err));
    assert_int_equal(touched, 1);
    keys[0] = item_key(keys_room[0], "4");
    keys[1] = item_key(keys_room[1], "44");
    struct gw_part remove = {.kind = GW_CHANGE_DELETE, .collection = collection(p, "item"), .count = 2, .keys = keys};
    MUST(writing->apply(writer, &remove, &touched, &err));
    assert_int_equal(touched, 1);
    MUST(writing->commit(writer, true, &err));
    writing->close(writer);
    gw_autobuf struct gw_buf green = {0};
    p->kit->dump(p, 1, "item", &green);
    assert_int_equal(count_lines(gw_buf_text(&green)), 3);
    assert_contains(gw_buf_text(&green), "1|changed|");
    assert_contains(gw_buf_text(&green), "2|\\N|");
    assert_contains(gw_buf_text(&green), "33|moved|");
    assert_null(strstr(gw_buf_text(&green), "33|moved|\\N"));
}

static void a_row_without_key_is_one_of_its_twins(struct pair *p)
{
    struct gw_error err = {0};
    const struct gw_writer_facet *writing = type_of(p, 1)->writer;
    prepare_green(p);
    struct gw_position at = somewhere(p);
    struct gw_writer *writer = open_writer(p, 1);
    struct gw_value room[4][2];
    struct gw_row rows[4];
    uint64_t touched = 0;
    for (int i = 0; i < 4; i++)
        rows[i] = row_of(room[i], i < 3 ? ROW("twin", NULL) : ROW("other", "1"), 2);
    MUST(writing->begin(writer, &at, &err));
    struct gw_part part = {.kind = GW_CHANGE_INSERT, .collection = collection(p, "loose"), .count = 4, .rows = rows};
    MUST(writing->apply(writer, &part, &touched, &err));
    assert_int_equal(touched, 4);
    part = (struct gw_part){.kind = GW_CHANGE_DELETE, .collection = collection(p, "loose"), .count = 1, .keys = rows};
    MUST(writing->apply(writer, &part, &touched, &err));
    assert_int_equal(touched, 1);
    struct gw_value changed_room[2];
    struct gw_row changed = row_of(changed_room, ROW("twin", "now told apart"), 2);
    part = (struct gw_part){
        .kind = GW_CHANGE_UPDATE, .collection = collection(p, "loose"), .count = 1, .keys = rows, .rows = &changed};
    MUST(writing->apply(writer, &part, &touched, &err));
    assert_int_equal(touched, 1);
    MUST(writing->commit(writer, true, &err));
    writing->close(writer);
    assert_green(p, "loose", "other|1\ntwin|\\N\ntwin|now told apart\n");
}

static void a_conflict_is_a_conflict_and_a_savepoint_mends_it(struct pair *p)
{
    struct gw_error err = {0};
    const struct gw_writer_facet *writing = type_of(p, 1)->writer;
    prepare_green(p);
    struct gw_position at = somewhere(p);
    struct gw_writer *writer = open_writer(p, 1);
    struct gw_value room[3];
    struct gw_row row = row_of(room, ROW("1", "twice", NULL), 3);
    uint64_t touched = 0;
    struct gw_part part = {.kind = GW_CHANGE_INSERT, .collection = collection(p, "item"), .count = 1, .rows = &row};
    MUST(writing->begin(writer, &at, &err));
    MUST(writing->savepoint(writer, &err));
    apply_insert(p, writer, ROW("1", "once", NULL));
    MUST(writing->savepoint(writer, &err));
    assert_false(writing->apply(writer, &part, &touched, &err));
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    MUST(writing->rollback_to(writer, &err));
    MUST(writing->savepoint(writer, &err));
    apply_insert(p, writer, ROW("2", "after it", NULL));
    MUST(writing->commit(writer, true, &err));
    writing->close(writer);
    assert_green(p, "item", "1|once|\\N\n2|after it|\\N\n");
}

/* Lists all keys, two at a time, deleting each two before the next are asked for; rolled back. */
static size_t deleted_by_listed_keys(struct pair *p, struct gw_writer *writer)
{
    struct gw_error err = {0};
    const struct gw_writer_facet *writing = type_of(p, 1)->writer;
    struct gw_position at = somewhere(p);
    size_t all = 0, count = 0;
    MUST(writing->begin(writer, &at, &err));
    apply_insert(p, writer, ROW("12", "of the open transaction", NULL));
    do {
        const struct gw_row *keys = NULL;
        uint64_t touched = 0;
        struct gw_row rows[2];
        struct gw_value room[2][3] = {{{.kind = GW_VALUE_ABSENT}}};
        MUST(writing->list_keys(writer, collection(p, "item"), all == 0, 2, &keys, &count, &err));
        for (size_t i = 0; i < count; i++) {
            for (size_t c = 0; c < 3; c++)
                room[i][c] = c == 0 ? keys[i].values[0] : (struct gw_value){.kind = GW_VALUE_ABSENT};
            rows[i] = (struct gw_row){.count = 3, .values = room[i]};
        }
        struct gw_part part = {
            .kind = GW_CHANGE_DELETE, .collection = collection(p, "item"), .count = count, .keys = rows};
        if (count > 0)
            MUST(writing->apply(writer, &part, &touched, &err));
        assert_int_equal(touched, count);
        all += count;
    } while (count > 0);
    writing->rollback(writer);
    return all;
}

static void truncate_and_ranges_empty_what_they_name(struct pair *p)
{
    struct gw_error err = {0};
    const struct gw_writer_facet *writing = type_of(p, 1)->writer;
    prepare_green(p);
    struct gw_position at = somewhere(p);
    struct gw_writer *writer = open_writer(p, 1);
    static const char *const ids[] = {"8", "9", "10", "11"};
    MUST(writing->begin(writer, &at, &err));
    for (int i = 0; i < 4; i++)
        apply_insert(p, writer, ROW(ids[i], "v", NULL));
    char *low = (char *)"9", *high = (char *)"11";
    struct gw_range range = {.low = {.count = 1, .texts = &low}, .high = {.count = 1, .texts = &high}};
    MUST(writing->delete_range(writer, collection(p, "item"), &range, &err));
    MUST(writing->commit(writer, true, &err));
    assert_green(p, "item", "11|v|\\N\n8|v|\\N\n");
    assert_int_equal(deleted_by_listed_keys(p, writer), 3);
    const struct gw_collection *both[] = {collection(p, "item"), collection(p, "loose")};
    MUST(writing->begin(writer, &at, &err));
    MUST(writing->truncate(writer, both, 2, &err));
    MUST(writing->commit(writer, true, &err));
    writing->close(writer);
    assert_green(p, "item", "");
}

/* ---- ownership and fence ---- */

static void the_owner_changes_by_compare_and_set(struct pair *p)
{
    struct gw_error err = {0};
    const struct gw_ownership_facet *owning = type_of(p, 0)->ownership;
    struct gw_owner owner;
    bool installed = true, done = true;
    MUST(owning->get(p->store[0], &owner, &installed, &err));
    assert_false(installed);
    for (int i = 0; i < 2; i++)
        MUST(owning->install(p->store[0], "a1b2", &err));
    MUST(owning->get(p->store[0], &owner, &installed, &err));
    assert_true(installed);
    assert_int_equal(owner.owner, GW_BLUE);
    assert_int_equal(owner.epoch, 1);
    assert_string_equal(owner.migration_id, "a1b2");
    struct gw_owner stale = owner;
    MUST(owning->compare_and_set(p->store[0], &owner, GW_GREEN, &done, &err));
    assert_true(done);
    MUST(owning->compare_and_set(p->store[0], &stale, GW_GREEN, &done, &err));
    assert_false(done);
    MUST(owning->get(p->store[0], &owner, &installed, &err));
    assert_int_equal(owner.owner, GW_GREEN);
    assert_int_equal(owner.epoch, 2);
    gw_autobuf struct gw_buf json = {0};
    MUST(owning->noted(p->store[0], "plan", &json, &err));
    assert_string_equal(gw_buf_text(&json), "");
    MUST(owning->note(p->store[0], "plan", "{\"a\": 1}", &err));
    MUST(owning->note(p->store[0], "plan", "{\"a\": 2}", &err));
    MUST(owning->noted(p->store[0], "plan", &json, &err));
    assert_string_equal(gw_buf_text(&json), "{\"a\": 2}");
}

static void own_row(struct pair *p, int side, enum gw_side owner)
{
    struct gw_error err = {0};
    struct gw_owner row;
    bool installed = false, done = false;
    MUST(type_of(p, side)->ownership->get(p->store[side], &row, &installed, &err));
    assert_true(installed);
    MUST(type_of(p, side)->ownership->compare_and_set(p->store[side], &row, owner, &done, &err));
    assert_true(done);
}

static void the_fence_stops_everybody_but_us(struct pair *p)
{
    if (!(p->store[1]->identity.capabilities & GW_CAN_FENCE))
        return;
    struct gw_error err = {0};
    const struct gw_fence_facet *fence = type_of(p, 1)->fence;
    prepare_green(p);
    struct gw_position at;
    bool raised = true, held = true;
    gw_autobuf struct gw_buf how = {0}, holes = {0};
    MUST(fence->install(p->store[1], &p->schema, &err));
    MUST(fence->is_raised(p->store[1], &raised, &err));
    assert_false(raised);
    MUST(fence->prove(p->store[1], &p->schema, &held, &how, &err));
    assert_false(held);
    void *writer_in_progress = p->kit->begin(p, 1);
    assert_int_equal(p->kit->insert(writer_in_progress, "item", ROW("1", "early", NULL)), KIT_DONE);
    assert_false(fence->raise(p->store[1], &p->schema, 50, &at, &err));
    assert_int_equal(err.kind, GW_ERR_RETRY);
    p->kit->commit(writer_in_progress);
    for (int i = 0; i < 2; i++)
        MUST(fence->raise(p->store[1], &p->schema, 5000, &at, &err));
    MUST(fence->prove(p->store[1], &p->schema, &held, &how, &err));
    assert_true(held);
    void *late = p->kit->begin(p, 1);
    assert_int_equal(p->kit->insert(late, "item", ROW("2", "late", NULL)), KIT_FENCED);
    p->kit->rollback(late);
    struct gw_writer *writer = open_writer(p, 1);
    MUST(type_of(p, 1)->writer->begin(writer, &at, &err));
    apply_insert(p, writer, ROW("3", "ours", NULL));
    MUST(type_of(p, 1)->writer->commit(writer, true, &err));
    type_of(p, 1)->writer->close(writer);
    MUST(fence->holes(p->store[1], &p->schema, &holes, &err));
    assert_string_equal(gw_buf_text(&holes), "");
    own_row(p, 1, GW_BLUE);
    assert_false(fence->lower(p->store[1], &err)); /* its row names the other side */
    assert_int_equal(err.kind, GW_ERR_CONFLICT);
    MUST(fence->is_raised(p->store[1], &raised, &err));
    assert_true(raised);
    own_row(p, 1, GW_GREEN);
    for (int i = 0; i < 2; i++)
        MUST(fence->lower(p->store[1], &err));
    write_one(p, 1, "item", ROW("4", "again", NULL));
    assert_green(p, "item", "1|early|\\N\n3|ours|\\N\n4|again|\\N\n");
}

/* ---- the join ---- */

struct workload {
    struct pair *pair;
    atomic_bool stop;
    pthread_t thread;
    unsigned transactions;
};

static void workload_change(struct pair *p, void *tx, unsigned r, unsigned n)
{
    char id[24], other[24], v[24], big[9000];
    snprintf(id, sizeof id, "%u", r % 40);
    snprintf(other, sizeof other, "%u", 100 + n);
    snprintf(v, sizeof v, "v%u", n);
    memset(big, 'a' + (int)(n % 26), sizeof big - 1);
    big[sizeof big - 1] = 0;
    switch (r / 64 % 5) {
    case 0:
        p->kit->update(tx, "item", ROW(id), ROW(KEEP, v, KEEP));
        break;
    case 1:
        p->kit->update(tx, "item", ROW(id), ROW(other, KEEP, KEEP));
        p->kit->insert(tx, "item", ROW(id, v, big));
        break;
    case 2:
        p->kit->remove(tx, "item", ROW(id));
        p->kit->insert(tx, "item", ROW(id, v, NULL));
        break;
    case 3:
        p->kit->insert(tx, "loose", ROW(v, NULL));
        break;
    default:
        p->kit->update(tx, "item", ROW(id), ROW(KEEP, KEEP, big));
    }
}

static void *workload_main(void *arg)
{
    struct workload *work = arg;
    unsigned long long random = 42;
    while (!atomic_load(&work->stop)) {
        void *tx = work->pair->kit->begin(work->pair, 0);
        for (int i = 0; i < 3; i++) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            workload_change(work->pair, tx, (unsigned)(random >> 33), work->transactions * 3 + (unsigned)i);
        }
        work->pair->kit->commit(tx);
        work->transactions++;
        gw_sleep_us(500);
    }
    return NULL;
}

static void assert_sides_equal(struct pair *p)
{
    for (int t = 0; t < 2; t++) {
        gw_autobuf struct gw_buf blue = {0}, green = {0};
        p->kit->dump(p, 0, t ? "loose" : "item", &blue);
        p->kit->dump(p, 1, t ? "loose" : "item", &green);
        assert_string_equal(gw_buf_text(&blue), gw_buf_text(&green));
    }
}

static void copy_and_follow_end_in_equal_sides(struct pair *p)
{
    struct gw_error err = {0};
    void *tx = p->kit->begin(p, 0);
    for (int i = 0; i < 40; i++) {
        char id[24];
        snprintf(id, sizeof id, "%d", i);
        p->kit->insert(tx, "item", ROW(id, "first", "big"));
        p->kit->insert(tx, "loose", ROW("first", id));
    }
    p->kit->commit(tx);
    struct workload work = {.pair = p};
    assert_int_equal(pthread_create(&work.thread, NULL, workload_main, &work), 0);
    prepare(p);
    create_on_green(p);
    char folder[160], spool[200];
    snprintf(folder, sizeof folder, "%s/state", p->work_dir);
    snprintf(spool, sizeof spool, "%s/spool", p->work_dir);
    struct gw_state *state = NULL;
    MUST(gw_state_open(&(struct gw_state_options){.folder = folder, .migration = "contract", .create = true}, &state,
                       &err));
    MUST(gw_state_put_schema(state, &p->schema, &err));
    struct gw_follow *follow = NULL;
    MUST(gw_follow_start(&(struct gw_follow_options){.source = p->store[0],
                                                     .target = p->store[1],
                                                     .state = state,
                                                     .schema = &p->schema,
                                                     .spool_dir = spool,
                                                     .source_owns = true},
                         &follow, &err));
    struct gw_copy_report report;
    MUST(gw_copy_rows(&(struct gw_copy_options){.source = p->store[0],
                                                .target = p->store[1],
                                                .state = state,
                                                .schema = &p->schema,
                                                .work_dir = p->work_dir,
                                                .chunk_rows = 7},
                      &report, &err));
    assert_true(report.rows >= 80);
    MUST(gw_follow_allow_apply(follow, state, &err));
    bool reached = false;
    MUST(gw_follow_wait_past_marks(follow, 30000, &reached, &err));
    assert_true(reached);
    MUST(type_of(p, 1)->schema->create_indexes(p->store[1], p->work_dir, 1, &err));
    gw_sleep_us(100000); /* a while of following */
    atomic_store(&work.stop, true);
    pthread_join(work.thread, NULL);
    MUST(gw_follow_wait_caught_up(follow, 30000, &reached, &err));
    assert_true(reached);
    struct gw_follow_status status;
    gw_follow_status(follow, &status);
    if (status.block != GW_FOLLOW_FREE)
        print_error("%s\n", status.blocked);
    assert_int_equal(status.block, GW_FOLLOW_FREE);
    assert_sides_equal(p);
    print_message("%s: %u transactions, %llu chunks, %llu changes seen by a chunk, %llu careful\n", p->kit->name,
                  work.transactions, (unsigned long long)report.chunks_done, (unsigned long long)status.skipped_seen,
                  (unsigned long long)status.careful);
    gw_follow_stop(follow);
    gw_state_close(state);
}

/* ---- the suite ---- */

typedef void contract_test(struct pair *);
#define CONTRACT(name)                                                                                                 \
    {                                                                                                                  \
#name, name                                                                                                    \
    }
static const struct {
    const char *name;
    contract_test *run;
} contract_tests[] = {
    CONTRACT(capability_bits_and_facets_agree),
    CONTRACT(catalog_lists_collections_with_their_keys),
    CONTRACT(chunks_carry_every_row_once),
    CONTRACT(an_empty_collection_is_one_empty_chunk),
    CONTRACT(rows_and_checkpoint_live_and_die_together),
    CONTRACT(a_mark_saw_what_its_read_saw),
    CONTRACT(refetch_reads_one_row_with_a_mark),
    CONTRACT(the_stream_tells_every_kind_of_change),
    CONTRACT(truncate_is_in_the_stream_where_the_bit_says_so),
    CONTRACT(rolled_back_changes_are_not_in_the_stream),
    CONTRACT(a_stream_goes_on_behind_the_commit_it_is_given),
    CONTRACT(only_one_reads_the_log),
    CONTRACT(the_horizon_is_behind_every_visible_commit),
    CONTRACT(a_signal_travels_through_the_stream_and_is_noted),
    CONTRACT(our_own_transactions_are_known_at_their_begin),
    CONTRACT(keys_are_located_as_the_source_orders_them),
    CONTRACT(a_dropped_log_leaves_nothing),
    CONTRACT(batch_and_position_live_and_die_together),
    CONTRACT(parts_touch_what_is_there_and_say_how_many),
    CONTRACT(a_row_without_key_is_one_of_its_twins),
    CONTRACT(a_conflict_is_a_conflict_and_a_savepoint_mends_it),
    CONTRACT(truncate_and_ranges_empty_what_they_name),
    CONTRACT(the_owner_changes_by_compare_and_set),
    CONTRACT(the_fence_stops_everybody_but_us),
    CONTRACT(copy_and_follow_end_in_equal_sides),
};
#define CONTRACT_TESTS (sizeof contract_tests / sizeof contract_tests[0])
#define CONTRACT_KITS (sizeof kits / sizeof kits[0])

struct contract_case {
    char name[128];
    const struct kit *kit;
    contract_test *run;
    struct pair pair;
};

static int case_setup(void **state)
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

static void case_run(void **state)
{
    struct contract_case *c = *state;
    if (!c->kit->available())
        skip();
    c->run(&c->pair);
}

static int case_teardown(void **state)
{
    struct contract_case *c = *state;
    if (!c->kit->available())
        return 0;
    c->kit->close(&c->pair);
    gw_schema_release(&c->pair.schema);
    gw_test_rmdir(gw_strdup(c->pair.work_dir));
    return 0;
}

int main(void)
{
    static struct contract_case cases[CONTRACT_KITS * CONTRACT_TESTS];
    static struct CMUnitTest tests[CONTRACT_KITS * CONTRACT_TESTS];
    size_t count = 0;
    for (size_t k = 0; k < CONTRACT_KITS; k++) {
        for (size_t t = 0; t < CONTRACT_TESTS; t++, count++) {
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
