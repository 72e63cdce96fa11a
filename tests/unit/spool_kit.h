/*
 * Transactions that follow from their number alone, so that a reader can tell without a record of what was written
 * whether it got exactly those it should have.
 */
#ifndef SPOOL_KIT_H
#define SPOOL_KIT_H

#include "gw_test.h"
#include "row_equal.h"

#include "base/hash.h"
#include "spool/spool.h"

static inline uint64_t kit_hash(uint64_t a, uint64_t b)
{
    uint64_t both[2] = {a, b};
    return gw_hash64(both, sizeof both, 7);
}

static inline struct gw_position kit_position(uint64_t order)
{
    struct gw_position position = {.order = order};
    snprintf(position.text, sizeof position.text, "0/%llX", (unsigned long long)order);
    return position;
}

static inline uint64_t kit_commit_order(uint64_t n)
{
    return 1000 + n * 10;
}

/* How many row events transaction n has; every 17th has many, so that it spans small segments. */
static inline uint64_t kit_events(uint64_t n)
{
    return kit_hash(n, 1) % 17 == 0 ? 30 : kit_hash(n, 1) % 6;
}

static inline bool kit_progress_after(uint64_t n)
{
    return kit_hash(n, 2) % 5 == 0;
}

/* Event i of transaction n: 0 is BEGIN, 1.. are rows, the last is COMMIT. `bytes` backs the values. */
static inline struct gw_change kit_event(uint64_t n, uint64_t i, struct gw_value values[2], unsigned char bytes[256])
{
    struct gw_change change = {.transaction = n};
    if (i == 0) {
        change.kind = GW_CHANGE_BEGIN;
        change.position = kit_position(kit_commit_order(n) - 1);
        change.ours = kit_hash(n, 3) % 7 == 0;
        change.commit_wall_us = (int64_t)n;
        return change;
    }
    if (i > kit_events(n)) {
        change.kind = GW_CHANGE_COMMIT;
        change.position = kit_position(kit_commit_order(n));
        change.commit_wall_us = (int64_t)n;
        return change;
    }
    uint64_t hash = kit_hash(n, 100 + i);
    change.kind = GW_CHANGE_INSERT + hash % 3;
    change.collection = (uint32_t)(hash % 5);
    for (size_t b = 0; b < 256; b++)
        bytes[b] = (unsigned char)(hash >> (b % 8) ^ b);
    values[0] = (struct gw_value){.kind = GW_VALUE_TEXT, .len = (uint32_t)(hash % 90), .bytes = bytes};
    values[1] = (struct gw_value){.kind = hash & 1 ? GW_VALUE_NULL : GW_VALUE_UNCHANGED};
    struct gw_row row = {.count = 2, .values = values};
    if (change.kind != GW_CHANGE_INSERT)
        change.old = row;
    if (change.kind != GW_CHANGE_DELETE)
        change.row = row;
    return change;
}

static inline void kit_assert_event(const struct gw_change *got, uint64_t n, uint64_t i)
{
    struct gw_value values[2];
    unsigned char bytes[256];
    struct gw_change want = kit_event(n, i, values, bytes);
    assert_int_equal(got->kind, want.kind);
    assert_true(got->transaction == want.transaction);
    assert_true(got->position.order == want.position.order);
    assert_string_equal(got->position.text, want.position.text);
    assert_int_equal(got->collection, want.collection);
    assert_int_equal(got->ours, want.ours);
    assert_true(row_equal(&got->old, &want.old));
    assert_true(row_equal(&got->row, &want.row));
}

/* Appends; the limit must not be in the way. */
static inline void kit_append(struct gw_spool *spool, const struct gw_change *change)
{
    struct gw_error err = {0};
    bool full = true;
    MUST(gw_spool_append(spool, change, &full, &err));
    assert_false(full);
}

/* The first `events` events of transaction n; all of it, and what comes after it, when that is more than it has. */
static inline bool kit_append_part(struct gw_spool *spool, uint64_t n, uint64_t events)
{
    struct gw_value values[2];
    unsigned char bytes[256];
    for (uint64_t i = 0; i < kit_events(n) + 2; i++) {
        if (i == events)
            return false;
        struct gw_change change = kit_event(n, i, values, bytes);
        kit_append(spool, &change);
    }
    if (kit_progress_after(n)) {
        struct gw_change change = {.kind = GW_CHANGE_PROGRESS, .position = kit_position(kit_commit_order(n) + 3)};
        kit_append(spool, &change);
    }
    return true;
}

static inline void kit_append_whole(struct gw_spool *spool, uint64_t n)
{
    assert_true(kit_append_part(spool, n, UINT64_MAX));
}

/* The number of the transaction that comes after a position of the kit. */
static inline uint64_t kit_next(const struct gw_position *position)
{
    return position->order < 1000 ? 0 : (position->order - 1000) / 10 + 1;
}

static inline struct gw_spool *kit_open(const char *dir, int64_t segment_bytes, int64_t limit_bytes)
{
    struct gw_error err = {0};
    struct gw_spool *spool;
    struct gw_spool_options options = {
        .dir = dir, .stream = "blue>green", .segment_bytes = segment_bytes, .limit_bytes = limit_bytes};
    MUST(gw_spool_open(&options, &spool, &err));
    return spool;
}

/* Reads on from the reader: exactly transactions first..last-1, and nothing behind them. */
static inline void kit_assert_reads(struct gw_spool_reader *reader, uint64_t first, uint64_t last)
{
    struct gw_error err = {0};
    struct gw_change change;
    bool got;
    uint64_t n = first, i = 0;
    for (;;) {
        MUST(gw_spool_next(reader, 0, &change, &got, &err));
        if (!got)
            break;
        if (change.kind == GW_CHANGE_PROGRESS)
            continue;
        assert_true(n < last);
        kit_assert_event(&change, n, i);
        if (change.kind == GW_CHANGE_COMMIT) {
            n++;
            i = 0;
        } else {
            i++;
        }
    }
    assert_int_equal(i, 0);
    assert_int_equal(n, last);
}

static inline void kit_assert_holds(struct gw_spool *spool, uint64_t from_order, uint64_t first, uint64_t last)
{
    struct gw_error err = {0};
    struct gw_spool_reader *reader;
    struct gw_position from = {0};
    if (from_order)
        from = kit_position(from_order);
    MUST(gw_spool_reader_open(spool, &from, &reader, &err));
    kit_assert_reads(reader, first, last);
    assert_false(gw_spool_ready(reader));
    gw_spool_reader_close(reader);
}

#endif
