/* The store contract over every engine: the change log, and what is applied. */
#include "contract/suite.h"

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
    if (change.row.values[2].kind != GW_VALUE_UNCHANGED) /* a log may leave it out, or carry it again */
        assert_value(&change.row, 2, big);
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
    for (int i = 1; i <= 3; i++) {
        write_one(p, 0, "item", ROW(i == 1 ? "1" : i == 2 ? "2" : "3", "v", NULL));
        gather(p, 0, stream);
    }
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

static bool send_one(struct pair *p, struct gw_writer *writer, enum gw_change_kind kind, const char *id,
                     const char *value, struct gw_error *err)
{
    struct gw_value row_room[3], key_room[3];
    struct gw_row row = row_of(row_room, ROW(id, value, NULL), 3), key = item_key(key_room, id);
    struct gw_part part = {.kind = kind, .collection = collection(p, "item"), .count = 1, .keys = &key, .rows = &row};
    return type_of(p, 1)->writer->send(writer, &part, err);
}

/* One transaction that touches one row of item. */
static bool try_ahead(struct pair *p, struct gw_writer *writer, const struct gw_position *at, enum gw_change_kind kind,
                      const char *id, const char *value, struct gw_error *err)
{
    const struct gw_writer_facet *writing = type_of(p, 1)->writer;
    return writing->begin(writer, at, err) && send_one(p, writer, kind, id, value, err) &&
           writing->commit_ahead(writer, false, err);
}

static void send_ahead(struct pair *p, struct gw_writer *writer, const struct gw_position *at, enum gw_change_kind kind,
                       const char *id, const char *value)
{
    struct gw_error err = {0};
    MUST(try_ahead(p, writer, at, kind, id, value, &err));
}

static struct gw_position behind(const struct gw_position *at, uint64_t steps)
{
    struct gw_position later = *at;
    later.order += steps;
    return later;
}

static void assert_position(struct pair *p, const struct gw_position *expected)
{
    struct gw_error err = {0};
    struct gw_position got;
    MUST(type_of(p, 1)->writer->position(p->store[1], "blue>green", &got, &err));
    assert_int_equal(got.order, expected->order);
}

static void batches_sent_ahead_become_permanent_in_order(struct pair *p)
{
    struct gw_error err = {0};
    const struct gw_writer_facet *writing = type_of(p, 1)->writer;
    prepare_green(p);
    struct gw_position at = somewhere(p), second = behind(&at, 1), third = behind(&at, 2), fourth = behind(&at, 3);
    struct gw_writer *writer = open_writer(p, 1);
    assert_false(writing->await(writer, &err));
    send_ahead(p, writer, &at, GW_CHANGE_INSERT, "1", "first");
    send_ahead(p, writer, &second, GW_CHANGE_UPDATE, "1", "second");
    MUST(writing->await(writer, &err));
    send_ahead(p, writer, &third, GW_CHANGE_INSERT, "2", "third");
    MUST(writing->await(writer, &err));
    MUST(writing->await(writer, &err));
    assert_position(p, &third);
    assert_green(p, "item", "1|second|\\N\n2|third|\\N\n");
    MUST(writing->begin(writer, &fourth, &err));
    assert_int_equal(apply_insert(p, writer, ROW("3", "waited for", NULL)), 1);
    MUST(writing->commit(writer, true, &err));
    assert_position(p, &fourth);
    writing->close(writer);
}

static void nothing_is_there_of_what_was_sent_behind_a_batch_that_fails(struct pair *p)
{
    static const struct {
        enum gw_change_kind kind;
        const char *id;
    } wrong[] = {{GW_CHANGE_UPDATE, "9"}, {GW_CHANGE_DELETE, "9"}, {GW_CHANGE_INSERT, "1"}};
    struct gw_error err = {0};
    const struct gw_writer_facet *writing = type_of(p, 1)->writer;
    prepare_green(p);
    struct gw_position at = somewhere(p), second = behind(&at, 1), third = behind(&at, 2);
    struct gw_writer *writer = open_writer(p, 1);
    send_ahead(p, writer, &at, GW_CHANGE_INSERT, "1", "there");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        send_ahead(p, writer, &second, wrong[i].kind, wrong[i].id, "not there");
        if (i == 0)
            MUST(writing->await(writer, &err));
        /* The one behind it fails already where the server answered meanwhile, or its `await` does. */
        gw_error_clear(&err);
        assert_false(try_ahead(p, writer, &third, GW_CHANGE_INSERT, "3", "behind it", &err) &&
                     writing->await(writer, &err));
        assert_int_equal(err.kind, GW_ERR_CONFLICT);
        writing->rollback(writer);
        assert_position(p, &at);
        assert_green(p, "item", "1|there|\\N\n");
    }
    send_ahead(p, writer, &second, GW_CHANGE_INSERT, "2", "and goes on");
    writing->rollback(writer); /* owed, and no longer of interest: permanent all the same */
    assert_position(p, &second);
    MUST(writing->begin(writer, &third, &err));
    assert_int_equal(apply_insert(p, writer, ROW("3", "waited for", NULL)), 1);
    MUST(writing->commit(writer, true, &err));
    assert_position(p, &third);
    writing->close(writer);
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
    if (p->kit->lists_no_keys)
        skip();
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

/* ---- rows as they are ---- */

struct looked {
    struct gw_buf texts[4]; /* "a|b", by the number that was wanted */
    size_t enough_at;       /* rows; 0: all */
    size_t rows;
};

static bool note_row(void *arg, size_t wanted, const struct gw_row *row, bool *enough, struct gw_error *err)
{
    struct looked *looked = arg;
    struct gw_buf *text = &looked->texts[wanted];
    (void)err;
    gw_buf_addf(text, "%zu:", wanted);
    for (uint32_t c = 0; c < row->count; c++) {
        const struct gw_value *v = &row->values[c];
        gw_buf_adds(text, c ? "|" : "");
        if (v->kind == GW_VALUE_NULL)
            gw_buf_adds(text, "\\N");
        else if (v->kind == GW_VALUE_BINARY &&
                 (v->len == 8 || v->len == 9)) /* an engine's bigint, with its class or not */
            gw_buf_addf(text, "%llu", (unsigned long long)gw_get64(v->bytes + v->len - 8));
        else
            gw_buf_add(text, v->bytes, v->len);
    }
    gw_buf_addc(text, ' ');
    *enough = ++looked->rows == looked->enough_at;
    return true;
}

static void assert_looks(struct pair *p, struct gw_writer *writer, const char *table, const struct gw_row *wanted,
                         size_t count, const char *expected)
{
    struct gw_error err = {0};
    struct looked looked = {.enough_at = 0};
    gw_autobuf struct gw_buf all = {0};
    MUST(type_of(p, 1)->writer->current(writer, collection(p, table), wanted, count, note_row, &looked, &err));
    for (size_t i = 0; i < 4; i++) {
        gw_buf_adds(&all, gw_buf_text(&looked.texts[i]));
        gw_buf_release(&looked.texts[i]);
    }
    assert_string_equal(gw_buf_text(&all), expected);
}

static void rows_are_seen_behind_all_that_was_sent(struct pair *p)
{
    struct gw_error err = {0};
    const struct gw_writer_facet *writing = type_of(p, 1)->writer;
    prepare_green(p);
    struct gw_position at = somewhere(p), second = behind(&at, 1), third = behind(&at, 2);
    struct gw_writer *writer = open_writer(p, 1);
    struct gw_value rooms[3][3];
    struct gw_row keys[] = {item_key(rooms[0], "3"), item_key(rooms[1], "9"), item_key(rooms[2], "1")};
    send_ahead(p, writer, &at, GW_CHANGE_INSERT, "1", "first");
    MUST(writing->begin(writer, &second, &err));
    MUST(send_one(p, writer, GW_CHANGE_UPDATE, "1", "second", &err));
    MUST(send_one(p, writer, GW_CHANGE_INSERT, "3", "new", &err));
    assert_looks(p, writer, "item", keys, 3, "0:3|new|\\N 2:1|second|\\N ");
    MUST(send_one(p, writer, GW_CHANGE_DELETE, "3", NULL, &err));
    assert_looks(p, writer, "item", keys, 3, "2:1|second|\\N ");
    MUST(writing->await(writer, &err)); /* the first is owed all the while */
    MUST(writing->commit_ahead(writer, true, &err));
    MUST(writing->begin(writer, &third, &err));
    assert_looks(p, writer, "item", keys, 3, "2:1|second|\\N ");
    MUST(send_one(p, writer, GW_CHANGE_UPDATE, "1", "third", &err));
    MUST(writing->commit_ahead(writer, true, &err));
    MUST(writing->await(writer, &err));
    MUST(writing->await(writer, &err));
    assert_green(p, "item", "1|third|\\N\n");
    writing->close(writer);
}

static void rows_are_seen_by_any_of_their_values(struct pair *p)
{
    struct gw_error err = {0};
    const struct gw_writer_facet *writing = type_of(p, 1)->writer;
    prepare_green(p);
    struct gw_position at = somewhere(p);
    struct gw_writer *writer = open_writer(p, 1);
    struct gw_value room[3][2], wanted[2], item[3];
    struct gw_row rows[] = {row_of(room[0], ROW("a", NULL), 2), row_of(room[1], ROW("a", "b"), 2),
                            row_of(room[2], ROW("A", "b"), 2)};
    uint64_t touched = 0;
    struct gw_part part = {.kind = GW_CHANGE_INSERT, .collection = collection(p, "loose"), .count = 3, .rows = rows};
    MUST(writing->begin(writer, &at, &err));
    MUST(writing->apply(writer, &part, &touched, &err));
    assert_int_equal(apply_insert(p, writer, ROW("7", "v", NULL)), 1);
    const struct gw_value any = {.kind = GW_VALUE_ABSENT};
    struct gw_row like = {.count = 2, .values = wanted};
    wanted[0] = gw_value_text("a"), wanted[1] = gw_value_text(NULL);
    assert_looks(p, writer, "loose", &like, 1, "0:a|\\N ");
    wanted[0] = gw_value_text("A"), wanted[1] = any;
    assert_looks(p, writer, "loose", &like, 1, "0:A|b ");
    wanted[0] = wanted[1] = any;
    for (size_t enough = 0; enough < 3; enough++) {
        struct looked looked = {.enough_at = enough};
        MUST(writing->current(writer, collection(p, "loose"), &like, 1, note_row, &looked, &err));
        assert_int_equal(looked.rows, enough ? enough : 3);
        gw_buf_release(&looked.texts[0]);
    }
    like = row_of(item, ROW(KEEP, "v", KEEP), 3);
    item[0] = item[2] = any;
    assert_looks(p, writer, "item", &like, 1, "0:7|v|\\N ");
    writing->rollback(writer);
    gw_error_clear(&err);
    assert_false(writing->current(writer, collection(p, "item"), &like, 1, note_row, NULL, &err));
    assert_int_equal(err.kind, GW_ERR_BUG);
    writing->close(writer);
}

static void no_row_is_seen_behind_what_failed(struct pair *p)
{
    struct gw_error err = {0};
    const struct gw_writer_facet *writing = type_of(p, 1)->writer;
    prepare_green(p);
    struct gw_position at = somewhere(p), second = behind(&at, 1);
    struct gw_writer *writer = open_writer(p, 1);
    struct gw_value room[3];
    struct gw_row key = item_key(room, "1");
    struct looked looked = {.enough_at = 0};
    send_ahead(p, writer, &at, GW_CHANGE_UPDATE, "9", "not there");
    bool begun = writing->begin(writer, &second, &err);
    assert_false(begun && writing->current(writer, collection(p, "item"), &key, 1, note_row, &looked, &err));
    assert_true(err.kind == GW_ERR_CONFLICT || err.kind == GW_ERR_RETRY);
    writing->rollback(writer);
    MUST(writing->begin(writer, &at, &err));
    assert_looks(p, writer, "item", &key, 1, "");
    MUST(writing->commit(writer, true, &err));
    writing->close(writer);
}

int main(void)
{
    static const struct contract_entry tests[] = {
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
        CONTRACT(batches_sent_ahead_become_permanent_in_order),
        CONTRACT(nothing_is_there_of_what_was_sent_behind_a_batch_that_fails),
        CONTRACT(rows_are_seen_behind_all_that_was_sent),
        CONTRACT(rows_are_seen_by_any_of_their_values),
        CONTRACT(no_row_is_seen_behind_what_failed),
        CONTRACT(a_row_without_key_is_one_of_its_twins),
        CONTRACT(a_conflict_is_a_conflict_and_a_savepoint_mends_it),
        CONTRACT(truncate_and_ranges_empty_what_they_name),
    };
    return contract_main(tests, sizeof tests / sizeof tests[0]);
}
