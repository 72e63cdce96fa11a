/*
 * Two memory servers, blue and green, wrapped so that calls can fail, with a journal and a spool in a folder of the
 * test's own, and a writer that behaves as an application does: several transactions at once, savepoints, keys that
 * move, large values, commits that are in the log before anybody sees them.
 *
 * Each test program that includes this builds its own world; nothing is shared between tests but helpers.
 */
#ifndef JOIN_WORLD_H
#define JOIN_WORLD_H

#include "base/clock.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "copy/copy.h"
#include "follow/follow.h"
#include "state/state.h"
#include "store/fault/fault.h"
#include "store/memory/memory.h"

#include "gw_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wunused-function" /* no test needs all of it */

#define WORLD_TABLES 5
static const char *const world_tables[WORLD_TABLES] = {"account", "ledger", "line", "setting", "word"};

struct world {
    char name[64], folder[200], spool_dir[240], back_spool_dir[240];
    struct gw_memory *blue_server, *green_server;
    struct gw_store *blue, *green;
    struct gw_state *state;
    struct gw_schema schema;
    struct gw_follow *follow, *back;
    struct gw_cancel cancel;
    /* of the next start */
    int64_t batch_rows;
    int64_t chunk_rows;
    int64_t spool_limit_bytes;
    int durable_ms;
    const struct gw_cascade *cascades;
    size_t cascade_count;
};

/* The calls name `err`: the macro's own, whatever is around it. */
#pragma GCC diagnostic ignored "-Wshadow"
#define WORLD_OK(call)                                                                                                 \
    do {                                                                                                               \
        struct gw_error err = {0};                                                                                     \
        if (!(call)) {                                                                                                 \
            print_error("%s:%d: %s: %s %s %s\n", __FILE__, __LINE__, #call, err.message, err.detail, err.place);       \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static void world_create_tables(struct gw_memory *server)
{
    gw_memory_create_table(server, "account",
                           (struct gw_memory_column[]){{.name = "id", .type = "bigint", .key = true},
                                                       {.name = "balance", .type = "text"},
                                                       {.name = "note", .type = "text", .large = true}},
                           3);
    gw_memory_create_table(server, "line",
                           (struct gw_memory_column[]){{.name = "part", .type = "bigint", .key = true},
                                                       {.name = "code", .type = "text", .key = true},
                                                       {.name = "amount", .type = "text"},
                                                       {.name = "document", .type = "text", .large = true},
                                                       {.name = "picture", .type = "text", .large = true}},
                           5);
    gw_memory_create_table(
        server, "ledger",
        (struct gw_memory_column[]){{.name = "what", .type = "text"}, {.name = "amount", .type = "text"}}, 2);
    gw_memory_create_table(server, "setting",
                           (struct gw_memory_column[]){{.name = "name", .type = "text", .key = true},
                                                       {.name = "place", .type = "text", .unique = true},
                                                       {.name = "value", .type = "text", .large = true}},
                           3);
    gw_memory_create_table(
        server, "word",
        (struct gw_memory_column[]){{.name = "id", .type = "bigint", .key = true}, {.name = "text", .type = "text"}},
        2);
}

static struct gw_store *world_open_store(struct world *w, const char *suffix, enum gw_side side)
{
    char url[160];
    struct gw_store *inner = NULL;
    snprintf(url, sizeof url, "memory://%s-%s", w->name, suffix);
    struct gw_store_options options = {.url = url, .migration = "acme", .side = side};
    WORLD_OK(gw_store_memory.open(&options, &inner, &err));
    return gw_fault_wrap(inner);
}

static void world_open_state(struct world *w)
{
    struct gw_state_options options = {.folder = w->folder, .migration = "acme", .create = true, .exclusive = true};
    WORLD_OK(gw_state_open(&options, &w->state, &err));
}

static void world_open_stores(struct world *w)
{
    w->blue = world_open_store(w, "blue", GW_BLUE);
    w->green = world_open_store(w, "green", GW_GREEN);
}

/* An empty world: tables on blue, nothing on green, homes on both sides, the log of blue open. */
static struct world *world_new(const char *what)
{
    static atomic_int serial;
    struct world *w = gw_zalloc(sizeof *w);
    const char *tmp = getenv("TMPDIR");
    snprintf(w->name, sizeof w->name, "%s-%d-%d", what, (int)getpid(), atomic_fetch_add(&serial, 1));
    snprintf(w->folder, sizeof w->folder, "%s/godwit-%s", tmp ? tmp : "/tmp", w->name);
    snprintf(w->spool_dir, sizeof w->spool_dir, "%s/spool", w->folder);
    snprintf(w->back_spool_dir, sizeof w->back_spool_dir, "%s/spool-back", w->folder);
    char name[96];
    snprintf(name, sizeof name, "%s-blue", w->name);
    w->blue_server = gw_memory_server(name);
    snprintf(name, sizeof name, "%s-green", w->name);
    w->green_server = gw_memory_server(name);
    world_create_tables(w->blue_server);
    w->batch_rows = 0;
    w->chunk_rows = 10;
    WORLD_OK(gw_cancel_init(&w->cancel, &err));
    world_open_stores(w);
    WORLD_OK(gw_mkdir_private(w->folder, &err));
    world_open_state(w);
    return w;
}

/* Opens the log, makes the tables on green, plans. */
static void world_prepare(struct world *w)
{
    struct gw_position start;
    char barrier[240];
    struct gw_filter all = {0};
    WORLD_OK(w->blue->type->ownership->install(w->blue, "m1", &err));
    WORLD_OK(w->green->type->ownership->install(w->green, "m1", &err));
    WORLD_OK(w->blue->type->catalog->list(w->blue, &all, &w->schema, &err));
    WORLD_OK(gw_state_put_schema(w->state, &w->schema, &err));
    WORLD_OK(w->blue->type->changes->prepare(w->blue, &w->schema, &start, barrier, &err));
    WORLD_OK(w->blue->type->schema->create(w->blue, w->green, &all, w->folder, &err));
    for (bool settled = false; !settled; gw_sleep_us(500)) {
        gw_autobuf struct gw_buf who = {0};
        WORLD_OK(w->blue->type->changes->settled(w->blue, barrier, &settled, &who, &err));
    }
}

static struct gw_follow_options world_follow_options(struct world *w, bool forward)
{
    return (struct gw_follow_options){
        .source = forward ? w->blue : w->green,
        .target = forward ? w->green : w->blue,
        .state = w->state,
        .schema = &w->schema,
        .spool_dir = forward ? w->spool_dir : w->back_spool_dir,
        .spool_segment_bytes = 16384,
        .spool_limit_bytes = w->spool_limit_bytes,
        .source_owns = forward,
        .batch_rows = w->batch_rows,
        .cascades = forward ? w->cascades : NULL,
        .cascade_count = forward ? w->cascade_count : 0,
        .durable_ms = w->durable_ms ? w->durable_ms : 20,
        .retry_max_ms = 20,
        .cancel = &w->cancel,
    };
}

static void world_follow(struct world *w)
{
    struct gw_follow_options options = world_follow_options(w, true);
    WORLD_OK(gw_follow_start(&options, &w->follow, &err));
}

static struct gw_copy_options world_copy_options(struct world *w)
{
    return (struct gw_copy_options){.source = w->blue,
                                    .target = w->green,
                                    .state = w->state,
                                    .schema = &w->schema,
                                    .work_dir = w->folder,
                                    .jobs = 2,
                                    .index_jobs = 1,
                                    .chunk_rows = w->chunk_rows,
                                    .retry_ms = 20000,
                                    .cancel = &w->cancel};
}

static struct gw_copy_report world_copy(struct world *w)
{
    struct gw_copy_options options = world_copy_options(w);
    struct gw_copy_report report;
    WORLD_OK(gw_copy_rows(&options, &report, &err));
    return report;
}

static void world_stop(struct world *w)
{
    gw_follow_stop(w->follow);
    gw_follow_stop(w->back);
    w->follow = w->back = NULL;
}

/* Everything of ours in memory goes; what is on the servers and in the folder stays. */
static void world_restart(struct world *w)
{
    world_stop(w);
    gw_state_close(w->state);
    gw_store_close(w->blue);
    gw_store_close(w->green);
    gw_cancel_release(&w->cancel);
    WORLD_OK(gw_cancel_init(&w->cancel, &err));
    world_open_stores(w);
    world_open_state(w);
}

static void world_free(struct world *w)
{
    char name[96];
    world_stop(w);
    gw_state_close(w->state);
    gw_store_close(w->blue);
    gw_store_close(w->green);
    snprintf(name, sizeof name, "%s-blue", w->name);
    gw_memory_forget(name);
    snprintf(name, sizeof name, "%s-green", w->name);
    gw_memory_forget(name);
    gw_schema_release(&w->schema);
    gw_cancel_release(&w->cancel);
    WORLD_OK(gw_remove_tree(w->folder, &err));
    free(w);
}

static void world_wait_past_marks(struct world *w)
{
    bool reached = false;
    WORLD_OK(gw_follow_wait_past_marks(w->follow, 30000, &reached, &err));
    assert_true(reached);
}

static void world_catch_up(struct gw_follow *follow)
{
    bool reached = false;
    /* The marker is a write on the source, and there may be a fault in its way. */
    for (int i = 0; i < 50 && !reached; i++) {
        struct gw_error err = {0};
        if (!gw_follow_wait_caught_up(follow, 30000, &reached, &err) && err.kind != GW_ERR_RETRY) {
            print_error("catching up: %s\n", err.message);
            abort();
        }
    }
    assert_true(reached);
}

/* Lines that only one side has; both are sorted. */
static void world_say_difference(const char *table, const char *blue, const char *green)
{
    while (*blue || *green) {
        size_t left = strcspn(blue, "\n"), right = strcspn(green, "\n");
        int order = !*blue ? 1 : !*green ? -1 : strncmp(blue, green, (left < right ? left : right) + 1);
        if (order != 0)
            print_error("%s only on %s: %.*s\n", table, order < 0 ? "blue" : "green", (int)(order < 0 ? left : right),
                        order < 0 ? blue : green);
        blue += order <= 0 ? left + 1 : 0;
        green += order >= 0 ? right + 1 : 0;
    }
}

static bool world_table_equal(struct world *w, const char *table, bool say)
{
    gw_autobuf struct gw_buf blue = {0}, green = {0};
    gw_memory_dump(w->blue_server, table, &blue);
    gw_memory_dump(w->green_server, table, &green);
    bool equal = strcmp(gw_buf_text(&blue), gw_buf_text(&green)) == 0;
    if (!equal && say)
        world_say_difference(table, gw_buf_text(&blue), gw_buf_text(&green));
    return equal;
}

static bool world_equal(struct world *w)
{
    bool equal = true;
    for (size_t i = 0; i < WORLD_TABLES; i++)
        equal &= world_table_equal(w, world_tables[i], true);
    return equal;
}

static size_t world_quarantined(struct world *w, bool say)
{
    struct gw_quarantined *items = NULL;
    size_t count = 0;
    WORLD_OK(gw_state_quarantined(w->state, &items, &count, &err));
    for (size_t i = 0; i < count && say; i++)
        print_error("quarantine: %s %s %s %s: %s\n", items[i].stream, items[i].collection, items[i].operation,
                    items[i].key, items[i].reason);
    gw_quarantined_free(items, count);
    return count;
}

/* Rows are loaded and keyed, changes applied past every mark, unique indexes made. */
static void world_move(struct world *w)
{
    if (!w->follow)
        world_follow(w);
    world_copy(w);
    WORLD_OK(gw_follow_allow_apply(w->follow, w->state, &err));
    world_wait_past_marks(w);
    WORLD_OK(w->green->type->schema->create_indexes(w->green, w->folder, 1, &err));
}

/* ---- by hand ---- */

#define ROW(...) ((const char *[]){__VA_ARGS__})
#define KEEP gw_memory_keep

static void world_sql(enum gw_memory_result result)
{
    assert_int_equal(result, GW_MEMORY_DONE);
}

static void world_insert(struct gw_memory *server, const char *table, const char *const *values)
{
    struct gw_memory_tx *tx = gw_memory_begin(server);
    world_sql(gw_memory_insert(tx, table, values));
    gw_memory_commit(tx);
}

static void world_update(struct gw_memory *server, const char *table, const char *const *key, const char *const *values)
{
    struct gw_memory_tx *tx = gw_memory_begin(server);
    world_sql(gw_memory_update(tx, table, key, values));
    gw_memory_commit(tx);
}

static void world_delete(struct gw_memory *server, const char *table, const char *const *key)
{
    struct gw_memory_tx *tx = gw_memory_begin(server);
    world_sql(gw_memory_delete(tx, table, key));
    gw_memory_commit(tx);
}

static const struct gw_collection *world_collection(struct world *w, const char *table)
{
    const struct gw_collection *collection = gw_schema_find(&w->schema, "public", table);
    assert_non_null(collection);
    return collection;
}

/* A chunk whose read and write are apart, so that a test can do things in between. */
struct hand_chunk {
    struct gw_reader *reader;
    struct gw_chunk chunk;
    struct gw_block blocks[64];
    size_t block_count;
};

static struct gw_bound hand_bound(const char *key)
{
    struct gw_bound bound = {0};
    if (key) {
        bound.count = 1;
        bound.texts = gw_calloc(1, sizeof *bound.texts);
        bound.texts[0] = gw_strdup(key);
    }
    return bound;
}

/* Cuts a collection in two: a chunk may then be read before the one in front of it. */
static void hand_cut(struct world *w, const char *table, const char *at)
{
    struct gw_range range = {.high = hand_bound(at)};
    uint64_t id = 0;
    WORLD_OK(gw_state_add_chunk(w->state, world_collection(w, table)->id, &range, &id, &err));
    struct gw_range rest = {.low = range.high};
    WORLD_OK(gw_state_add_chunk(w->state, world_collection(w, table)->id, &rest, &id, &err));
    gw_range_release(&range);
}

/* The chunk with this range, made when it is not there. */
static void hand_find(struct world *w, uint32_t collection, struct gw_chunk *out)
{
    struct gw_chunk *chunks = NULL;
    size_t count = 0;
    WORLD_OK(gw_state_chunks(w->state, collection, &chunks, &count, &err));
    for (size_t i = 0; i < count; i++)
        if (gw_bound_equal(&chunks[i].range.low, &out->range.low) &&
            gw_bound_equal(&chunks[i].range.high, &out->range.high))
            out->id = chunks[i].id;
    gw_chunks_free(chunks, count);
    if (out->id == 0)
        WORLD_OK(gw_state_add_chunk(w->state, collection, &out->range, &out->id, &err));
}

/* Reads [low, high) of a collection with a key of one column; NULL is open. */
static void hand_read(struct world *w, const char *table, const char *low, const char *high, struct hand_chunk *hand)
{
    const struct gw_collection *collection = world_collection(w, table);
    *hand = (struct hand_chunk){0};
    hand->chunk.collection = collection->id;
    hand->chunk.range = (struct gw_range){.low = hand_bound(low), .high = hand_bound(high)};
    hand_find(w, collection->id, &hand->chunk);
    WORLD_OK(w->blue->type->reader->open(w->blue, &hand->reader, &err));
    WORLD_OK(w->blue->type->reader->begin(hand->reader, collection, &hand->chunk.range, &hand->chunk.mark, &err));
    for (;;) {
        struct gw_block block;
        WORLD_OK(w->blue->type->reader->next(hand->reader, &block, &err));
        if (block.len == 0)
            break;
        block.bytes = gw_memdup(block.bytes, block.len);
        hand->blocks[hand->block_count++] = block;
        hand->chunk.rows += block.rows;
    }
    WORLD_OK(w->blue->type->reader->end(hand->reader, &err));
    w->blue->type->reader->close(hand->reader);
}

static void hand_write(struct world *w, struct hand_chunk *hand)
{
    const struct gw_writer_facet *facet = w->green->type->writer;
    struct gw_writer *writer = NULL;
    bool already = false;
    uint64_t rows = 0;
    struct gw_checkpoint checkpoint = {.chunk = hand->chunk.id,
                                       .collection = hand->chunk.collection,
                                       .range = hand->chunk.range,
                                       .mark = hand->chunk.mark};
    WORLD_OK(facet->open(w->green, "blue>green", &writer, &err));
    WORLD_OK(facet->begin_chunk(writer, &w->schema.collections[hand->chunk.collection], &checkpoint, &already, &err));
    assert_false(already);
    for (size_t i = 0; i < hand->block_count; i++) {
        WORLD_OK(facet->put(writer, &hand->blocks[i], &err));
        free((void *)hand->blocks[i].bytes);
    }
    WORLD_OK(facet->commit_chunk(writer, &rows, &err));
    assert_int_equal(rows, hand->chunk.rows);
    facet->close(writer);
    WORLD_OK(gw_state_chunk_loaded(w->state, hand->chunk.id, &hand->chunk.mark, rows, 0, &err));
    gw_chunk_release(&hand->chunk);
}

static void hand_load(struct world *w, const char *table, const char *low, const char *high)
{
    struct hand_chunk hand;
    hand_read(w, table, low, high, &hand);
    hand_write(w, &hand);
}

/* What was not loaded by hand is loaded by the stage, and everything keyed; then changes are applied. */
static void world_finish_load(struct world *w)
{
    world_copy(w);
    WORLD_OK(gw_follow_allow_apply(w->follow, w->state, &err));
    world_wait_past_marks(w);
    world_catch_up(w->follow);
}

static struct gw_follow_status world_status(struct gw_follow *follow)
{
    struct gw_follow_status status;
    gw_follow_status(follow, &status);
    return status;
}

/* A world with its log open and receiving. */
static struct world *world_ready(const char *what)
{
    struct world *w = world_new(what);
    world_prepare(w);
    world_follow(w);
    return w;
}

static void world_start_back(struct world *w)
{
    struct gw_position start;
    char barrier[240];
    WORLD_OK(w->green->type->changes->prepare(w->green, &w->schema, &start, barrier, &err));
    struct gw_follow_options options = world_follow_options(w, false);
    WORLD_OK(gw_follow_start(&options, &w->back, &err));
    WORLD_OK(gw_follow_allow_apply(w->back, NULL, &err));
}

/* ---- a writer ---- */

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t x = rng->state += UINT64_C(0x9E3779B97F4A7C15);
    x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
    return x ^ (x >> 31);
}

static inline unsigned rng_below(struct rng *rng, unsigned n)
{
    return (unsigned)(rng_next(rng) % n);
}

#define WRITER_OPEN 6
struct writer {
    struct gw_memory *server;
    struct rng rng;
    pthread_t thread;
    atomic_bool stop, paused, is_paused;
    atomic_ulong commits;
    unsigned keys; /* per table */
    bool truncates;
    int64_t pace_us;
    struct gw_memory_tx *open[WRITER_OPEN];   /* running */
    struct gw_memory_tx *logged[WRITER_OPEN]; /* in the log, not visible */
    uint64_t value;
};

static const char *writer_value(struct writer *writer, char out[48], bool large)
{
    snprintf(out, 48, "%s%llu", large ? "large-" : "v", (unsigned long long)++writer->value);
    return out;
}

/* -1, 0, and on both sides of 10, where text order and number order part. */
static void writer_id(struct writer *writer, char out[24])
{
    snprintf(out, 24, "%d", (int)rng_below(&writer->rng, writer->keys) - 3);
}

static void write_account(struct writer *writer, struct gw_memory_tx *tx)
{
    char id[24], other[24], a[48], b[48];
    writer_id(writer, id);
    writer_id(writer, other);
    const char *key[] = {id};
    switch (rng_below(&writer->rng, 8)) {
    case 0:
    case 1:
        gw_memory_insert(tx, "account",
                         (const char *[]){id, writer_value(writer, a, false), writer_value(writer, b, true)});
        break;
    case 2:
        gw_memory_delete(tx, "account", key);
        break;
    case 3: /* the key moves, the large value stays out of the log */
        gw_memory_update(tx, "account", key, (const char *[]){other, gw_memory_keep, gw_memory_keep});
        break;
    case 4:
        gw_memory_update(tx, "account", key,
                         (const char *[]){other, writer_value(writer, a, false), writer_value(writer, b, true)});
        break;
    case 5:
        gw_memory_update(tx, "account", key, (const char *[]){gw_memory_keep, NULL, writer_value(writer, b, true)});
        break;
    case 6:
        if (writer->truncates && rng_below(&writer->rng, 40) == 0) {
            gw_memory_truncate(tx, "account");
            break;
        }
        __attribute__((fallthrough));
    default:
        gw_memory_update(tx, "account", key,
                         (const char *[]){gw_memory_keep, writer_value(writer, a, false), gw_memory_keep});
    }
}

static void write_line(struct writer *writer, struct gw_memory_tx *tx)
{
    static const char *const codes[] = {"a", "A", "a-b", "ab", "_z", "ä", ""};
    char part[24], a[48], b[48], c[48];
    snprintf(part, sizeof part, "%u", rng_below(&writer->rng, writer->keys / 4 + 1));
    const char *code = codes[rng_below(&writer->rng, 7)], *other = codes[rng_below(&writer->rng, 7)];
    const char *key[] = {part, code};
    switch (rng_below(&writer->rng, 7)) {
    case 0:
    case 1:
        gw_memory_insert(tx, "line",
                         (const char *[]){part, code, writer_value(writer, a, false), writer_value(writer, b, true),
                                          writer_value(writer, c, true)});
        break;
    case 2:
        gw_memory_delete(tx, "line", key);
        break;
    case 3:
        gw_memory_update(
            tx, "line", key,
            (const char *[]){gw_memory_keep, other, gw_memory_keep, writer_value(writer, b, true), gw_memory_keep});
        break;
    case 4:
        gw_memory_update(tx, "line", key,
                         (const char *[]){gw_memory_keep, gw_memory_keep, gw_memory_keep, writer_value(writer, b, true),
                                          gw_memory_keep});
        break;
    default:
        gw_memory_update(tx, "line", key,
                         (const char *[]){gw_memory_keep, gw_memory_keep, writer_value(writer, a, false),
                                          gw_memory_keep, writer_value(writer, c, true)});
    }
}

/* No key: rows may be twice there. */
static void write_ledger(struct writer *writer, struct gw_memory_tx *tx)
{
    char what[24], amount[24], changed[48];
    snprintf(what, sizeof what, "w%u", rng_below(&writer->rng, 5));
    snprintf(amount, sizeof amount, "%u", rng_below(&writer->rng, 4));
    const char *row[] = {what, rng_below(&writer->rng, 6) == 0 ? NULL : amount};
    switch (rng_below(&writer->rng, 6)) {
    case 0:
    case 2:
        gw_memory_delete(tx, "ledger", row);
        break;
    case 1:
        gw_memory_update(tx, "ledger", row, (const char *[]){gw_memory_keep, writer_value(writer, changed, false)});
        break;
    default:
        gw_memory_insert(tx, "ledger", row);
    }
}

/* The unique place moves between rows. */
static void write_setting(struct writer *writer, struct gw_memory_tx *tx)
{
    char name[24], place[24], value[48];
    snprintf(name, sizeof name, "s%u", rng_below(&writer->rng, writer->keys / 3 + 2));
    snprintf(place, sizeof place, "p%u", rng_below(&writer->rng, 12));
    const char *key[] = {name};
    switch (rng_below(&writer->rng, 5)) {
    case 0:
        gw_memory_insert(tx, "setting", (const char *[]){name, place, writer_value(writer, value, true)});
        break;
    case 1:
        gw_memory_delete(tx, "setting", key);
        break;
    case 2:
        gw_memory_update(tx, "setting", key, (const char *[]){gw_memory_keep, NULL, gw_memory_keep});
        break;
    default:
        gw_memory_update(tx, "setting", key, (const char *[]){gw_memory_keep, place, gw_memory_keep});
    }
}

static void write_word(struct writer *writer, struct gw_memory_tx *tx)
{
    char id[24], text[48];
    writer_id(writer, id);
    const char *key[] = {id};
    unsigned what = rng_below(&writer->rng, 60);
    if (what == 0 && writer->truncates)
        gw_memory_truncate(tx, "word");
    else if (what < 25)
        gw_memory_insert(tx, "word", (const char *[]){id, writer_value(writer, text, false)});
    else if (what < 35)
        gw_memory_delete(tx, "word", key);
    else
        gw_memory_update(tx, "word", key, (const char *[]){gw_memory_keep, writer_value(writer, text, false)});
}

static void writer_change(struct writer *writer, struct gw_memory_tx *tx)
{
    static void (*const writes[])(struct writer *, struct gw_memory_tx *) = {write_account, write_line, write_ledger,
                                                                             write_setting, write_word, write_account};
    writes[rng_below(&writer->rng, 6)](writer, tx);
}

static struct gw_memory_tx **writer_slot(struct writer *writer, struct gw_memory_tx **slots)
{
    return &slots[rng_below(&writer->rng, WRITER_OPEN)];
}

/* One step of one of the transactions at hand. */
static void writer_step(struct writer *writer)
{
    struct gw_memory_tx **open = writer_slot(writer, writer->open);
    struct gw_memory_tx **logged = writer_slot(writer, writer->logged);
    unsigned what = rng_below(&writer->rng, 20);
    if (*logged && what < 8) {
        gw_memory_make_visible(*logged);
        *logged = NULL;
    } else if (!*open) {
        *open = gw_memory_begin(writer->server);
    } else if (what < 12) {
        writer_change(writer, *open);
    } else if (what < 13) {
        gw_memory_savepoint(*open);
    } else if (what < 14) {
        gw_memory_rollback_to(*open);
    } else if (what < 15) {
        gw_memory_rollback(*open);
        *open = NULL;
    } else if (what < 18 && !*logged) {
        gw_memory_log_commit(*open);
        *logged = *open;
        *open = NULL;
        atomic_fetch_add(&writer->commits, 1);
    } else {
        gw_memory_commit(*open);
        *open = NULL;
        atomic_fetch_add(&writer->commits, 1);
    }
}

static void writer_finish(struct writer *writer)
{
    for (size_t i = 0; i < WRITER_OPEN; i++) {
        if (writer->logged[i])
            gw_memory_make_visible(writer->logged[i]);
        if (writer->open[i])
            gw_memory_commit(writer->open[i]);
        writer->open[i] = writer->logged[i] = NULL;
    }
}

static void *writer_main(void *arg)
{
    struct writer *writer = arg;
    while (!atomic_load(&writer->stop)) {
        writer_step(writer);
        if (writer->pace_us > 0)
            gw_sleep_us(writer->pace_us);
    }
    writer_finish(writer);
    return NULL;
}

static void writer_init(struct writer *writer, struct gw_memory *server, uint64_t seed)
{
    *writer = (struct writer){.server = server, .rng = {seed}, .keys = 40, .truncates = true, .pace_us = 20};
}

static void writer_start(struct writer *writer)
{
    atomic_store(&writer->stop, false);
    assert_int_equal(pthread_create(&writer->thread, NULL, writer_main, writer), 0);
}

static void writer_stop(struct writer *writer)
{
    atomic_store(&writer->stop, true);
    pthread_join(writer->thread, NULL);
}

static void writer_run(struct writer *writer, unsigned steps)
{
    for (unsigned i = 0; i < steps; i++)
        writer_step(writer);
    writer_finish(writer);
}

#endif
