/*
 * The store contract, one suite over every engine: that what store.h says of each facet is so, and that capability
 * bit and behaviour agree. Ends with the join itself over each engine. The log and its applying: test_contract_log.c.
 */
#include "contract/suite.h"

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

/* A bigint: an engine's own form (perhaps with its storage class before it), or text. */
static int64_t id_of(const struct gw_value *value)
{
    char text[24] = {0};
    if (value->kind == GW_VALUE_BINARY && value->len == 8)
        return (int64_t)gw_get64(value->bytes);
    if (value->kind == GW_VALUE_BINARY && value->len == 9)
        return (int64_t)gw_get64(value->bytes + 1);
    assert_true(value->len < sizeof text);
    memcpy(text, value->bytes, value->len);
    return strtoll(text, NULL, 10);
}

/* The number in the stream is the number the mark knows. */
static void a_mark_saw_what_its_read_saw(struct pair *p)
{
    struct gw_error err = {0};
    struct gw_stream *stream = open_stream(p, 0, prepare(p));
    write_one(p, 0, "item", ROW("1", "committed before", NULL));
    gather(p, 0, stream);
    void *open = p->kit->begin(p, 0);
    if (!p->kit->one_writer)
        assert_int_equal(p->kit->insert(open, "item", ROW("2", "open", NULL)), KIT_DONE);
    write_one(p, 0, "item", ROW("3", "began later, committed before", NULL));
    gather(p, 0, stream);
    if (p->kit->one_writer)
        assert_int_equal(p->kit->insert(open, "item", ROW("2", "open", NULL)), KIT_DONE);
    struct gw_reader *reader = NULL;
    struct gw_mark mark = {0};
    struct gw_range all = {0};
    struct gw_block block;
    uint64_t rows = 0;
    MUST(type_of(p, 0)->reader->open(p->store[0], &reader, &err));
    bool waits = p->kit->waits_for_writers;
    if (waits)
        p->kit->commit(open);
    MUST(type_of(p, 0)->reader->begin(reader, collection(p, "item"), &all, &mark, &err));
    if (!waits)
        p->kit->commit(open);
    gather(p, 0, stream);
    write_one(p, 0, "item", ROW("4", "after", NULL));
    gather(p, 0, stream);
    do {
        MUST(type_of(p, 0)->reader->next(reader, &block, &err));
        rows += block.rows;
    } while (block.len > 0);
    assert_int_equal(rows, waits ? 3 : 2);
    MUST(type_of(p, 0)->reader->end(reader, &err));
    type_of(p, 0)->reader->close(reader);
    const bool seen[] = {true, waits, true, false}; /* by id; what is independent comes in any order */
    bool met[4] = {false};
    for (int i = 0; i < 4; i++) {
        struct gw_change begin = next_change(p, 0, stream);
        assert_int_equal(begin.kind, GW_CHANGE_BEGIN);
        uint64_t transaction = begin.transaction;
        struct gw_change insert = next_change(p, 0, stream);
        assert_int_equal(insert.kind, GW_CHANGE_INSERT);
        assert_int_equal(insert.transaction, transaction);
        int64_t id = id_of(&insert.row.values[0]) - 1;
        assert_true(id >= 0 && id < 4 && !met[id]);
        met[id] = true;
        assert_int_equal(gw_mark_saw(&mark, transaction), seen[id]);
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

/* ---- statements that only read ---------------------------------------------------------------------------------- */

static bool note_values(void *arg, const struct gw_query_row *row, struct gw_error *err)
{
    (void)err;
    for (size_t i = 0; i < row->count; i++)
        gw_buf_addf(arg, "%s%s", i ? "|" : "", row->values[i] ? row->values[i] : "NULL");
    gw_buf_addc(arg, ';');
    return true;
}

static bool ask(struct pair *p, const char *sql, uint64_t rows, struct gw_buf *out, struct gw_error *err)
{
    struct gw_query_limits limits = {.timeout_ms = 300, .rows = rows};
    int64_t took_us = -1;
    gw_buf_clear(out);
    bool ok = type_of(p, 0)->query->run(p->store[0], sql, &limits, note_values, out, &took_us, err);
    assert_true(took_us >= 0);
    return ok;
}

static void a_query_reads_and_cannot_write(struct pair *p)
{
    struct gw_error err = {0};
    gw_autobuf struct gw_buf got = {0}, table = {0}, sql = {0};
    if (!type_of(p, 0)->query)
        return;
    for (int i = 1; i <= 3; i++) {
        char id[8];
        snprintf(id, sizeof id, "%d", i);
        write_one(p, 0, "item", ROW(id, i == 2 ? NULL : "v", NULL));
    }
    type_of(p, 0)->query->add_name(&table, p->kit->space ? p->kit->space : "public", "item");
    gw_buf_addf(&sql, "SELECT id, v FROM %s ORDER BY id", table.data);
    MUST(ask(p, sql.data, 0, &got, &err));
    assert_string_equal(got.data, "1|v;2|NULL;3|v;");
    MUST(ask(p, sql.data, 2, &got, &err));
    assert_string_equal(got.data, "1|v;2|NULL;");
    const char *const writes[] = {"DELETE FROM %s", "DELETE FROM %s RETURNING id", "SELECT 1; DELETE FROM %s",
                                  "DROP TABLE %s"};
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) {
        const char *rest = strstr(writes[i], "%s");
        gw_buf_clear(&sql);
        gw_buf_addf(&sql, "%.*s%s%s", (int)(rest - writes[i]), writes[i], table.data, rest + 2);
        if (ask(p, sql.data, 0, &got, &err))
            fail_msg("%s was run", sql.data);
        assert_int_equal(got.len, 0);
    }
    gw_buf_clear(&sql);
    gw_buf_addf(&sql, "SELECT count(*) FROM %s", table.data);
    MUST(ask(p, sql.data, 0, &got, &err));
    assert_string_equal(got.data, "3;");
    gw_buf_clear(&got);
    MUST(type_of(p, 0)->query->explain(p->store[0], sql.data, &(struct gw_query_limits){0}, &got, &err));
    assert_true(got.len > 0);
}

static void a_query_that_takes_too_long_is_ended(struct pair *p)
{
    struct gw_error err = {0};
    gw_autobuf struct gw_buf got = {0};
    if (!type_of(p, 0)->query || p->kit->old_server)
        return;
    int64_t began_us = gw_mono_us();
    assert_false(ask(p,
                     "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
                     " SELECT count(*) FROM n a, n b, n c WHERE a.i + b.i < c.i",
                     0, &got, &err));
    assert_int_equal(err.kind, GW_ERR_RETRY);
    assert_true(gw_mono_us() - began_us < INT64_C(10000000));
    MUST(ask(p, "SELECT 1", 0, &got, &err));
    assert_string_equal(got.data, "1;");
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

int main(void)
{
    static const struct contract_entry tests[] = {
        CONTRACT(capability_bits_and_facets_agree),
        CONTRACT(catalog_lists_collections_with_their_keys),
        CONTRACT(chunks_carry_every_row_once),
        CONTRACT(an_empty_collection_is_one_empty_chunk),
        CONTRACT(rows_and_checkpoint_live_and_die_together),
        CONTRACT(a_mark_saw_what_its_read_saw),
        CONTRACT(refetch_reads_one_row_with_a_mark),
        CONTRACT(the_owner_changes_by_compare_and_set),
        CONTRACT(the_fence_stops_everybody_but_us),
        CONTRACT(a_query_reads_and_cannot_write),
        CONTRACT(a_query_that_takes_too_long_is_ended),
        CONTRACT(copy_and_follow_end_in_equal_sides),
    };
    return contract_main(tests, sizeof tests / sizeof tests[0]);
}
