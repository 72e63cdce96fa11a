#include "verify/pass.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define ROWS_A_BUCKET 256
#define MIN_BITS 8u
#define MAX_BITS 16u
#define STORED_MAX_BYTES (8u << 20) /* whole rows (no key) are stored to be shown, not beyond this */
#define STORED_ROW_MAX_BYTES 4096u

/* ---- digests ----------------------------------------------------------------------------------------------------- */

void gw_pass_init(struct gw_pass *pass, int64_t rows_expected, bool with_buckets)
{
    *pass = (struct gw_pass){0};
    if (!with_buckets)
        return;
    pass->bits = MIN_BITS;
    while (pass->bits < MAX_BITS && (INT64_C(1) << pass->bits) * ROWS_A_BUCKET < rows_expected)
        pass->bits++;
    for (int i = 0; i < 2; i++)
        pass->buckets[i] = gw_calloc((size_t)1 << pass->bits, sizeof *pass->buckets[i]);
}

void gw_pass_release(struct gw_pass *pass)
{
    free(pass->buckets[0]);
    free(pass->buckets[1]);
    *pass = (struct gw_pass){0};
}

bool gw_pass_equal(const struct gw_pass *pass)
{
    return gw_digest_equal(&pass->total[0], &pass->total[1]);
}

size_t gw_pass_buckets(const struct gw_pass *pass)
{
    return (size_t)1 << pass->bits;
}

bool gw_pass_bucket_equal(const struct gw_pass *pass, size_t bucket)
{
    if (pass->bits == 0)
        return gw_pass_equal(pass);
    return gw_digest_equal(&pass->buckets[0][bucket], &pass->buckets[1][bucket]);
}

uint64_t gw_pass_bucket_rows(const struct gw_pass *pass, size_t bucket)
{
    if (pass->bits == 0)
        return pass->total[0].rows + pass->total[1].rows;
    return pass->buckets[0][bucket].rows + pass->buckets[1][bucket].rows;
}

static size_t bucket_of(unsigned bits, struct gw_hash128 key)
{
    return bits ? (size_t)(key.high >> (64 - bits)) : 0;
}

struct digest_visit {
    struct gw_pass *pass;
    int side;
    const struct gw_collection *collection;
};

static void visit_digest(void *arg, struct gw_verify_side *side, const struct gw_row *row)
{
    struct digest_visit *visit = arg;
    struct gw_pass *pass = visit->pass;
    uint64_t bytes;
    struct gw_hash128 hash = gw_rowhash_row(&side->hash, row, &bytes);
    gw_digest_add(&pass->total[visit->side], hash, bytes);
    if (pass->bits) {
        struct gw_hash128 key = gw_rowhash_key(&side->hash, visit->collection, row);
        gw_digest_add(&pass->buckets[visit->side][bucket_of(pass->bits, key)], hash, bytes);
    }
}

static void clear_side(struct gw_pass *pass, int side)
{
    pass->total[side] = (struct gw_digest){0};
    if (pass->bits)
        memset(pass->buckets[side], 0, gw_pass_buckets(pass) * sizeof *pass->buckets[side]);
}

bool gw_pass_read(struct gw_pass *pass, struct gw_verify_pair *pair, const struct gw_verify_scope *scope,
                  struct gw_error *err)
{
    struct digest_visit visits[2] = {{pass, 0, scope->collection}, {pass, 1, scope->collection}};
    clear_side(pass, 0);
    clear_side(pass, 1);
    memset(pass->spans, 0, sizeof pass->spans);
    return gw_verify_pair_read(pair, (const struct gw_verify_scope *[2]){scope, scope}, visit_digest,
                               (void *[2]){&visits[0], &visits[1]}, pass->spans, err);
}

bool gw_pass_read_side(struct gw_pass *pass, struct gw_verify_pair *pair, const struct gw_verify_scope *scope, int side,
                       struct gw_error *err)
{
    struct digest_visit visit = {pass, side, scope->collection};
    clear_side(pass, side);
    pass->spans[side] = (struct gw_verify_span){0};
    return gw_verify_side_read(&pair->sides[side], scope, visit_digest, &visit, &pass->spans[side], err);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

void gw_pass_rows_release(struct gw_pass_rows *rows)
{
    free(rows->entries);
    gw_buf_release(&rows->stored);
    *rows = (struct gw_pass_rows){0};
}

void gw_pass_rows_clear(struct gw_pass_rows *rows)
{
    rows->count = 0;
    gw_buf_clear(&rows->stored);
    if (rows->capacity)
        memset(rows->entries, 0, rows->capacity * sizeof *rows->entries);
}

bool gw_pass_entry_differs(const struct gw_pass_entry *entry)
{
    return entry->count[0] != entry->count[1] || entry->sum[0].low != entry->sum[1].low ||
           entry->sum[0].high != entry->sum[1].high;
}

static bool is_free(const struct gw_pass_entry *entry)
{
    return entry->count[0] + entry->count[1] == 0;
}

static struct gw_pass_entry *slot_of(struct gw_pass_entry *entries, size_t capacity, struct gw_hash128 key)
{
    size_t i = (size_t)key.low & (capacity - 1);
    while (!is_free(&entries[i]) && (entries[i].key.low != key.low || entries[i].key.high != key.high))
        i = (i + 1) & (capacity - 1);
    return &entries[i];
}

static void make_room(struct gw_pass_rows *rows)
{
    if ((rows->count + 1) * 4 < rows->capacity * 3)
        return;
    size_t capacity = rows->capacity ? rows->capacity * 2 : 4096;
    struct gw_pass_entry *entries = gw_calloc(capacity, sizeof *entries);
    for (size_t i = 0; i < rows->capacity; i++)
        if (!is_free(&rows->entries[i]))
            *slot_of(entries, capacity, rows->entries[i].key) = rows->entries[i];
    free(rows->entries);
    rows->entries = entries;
    rows->capacity = capacity;
}

/* The key columns alone, the others absent. */
static void store(struct gw_pass_rows *rows, const struct gw_collection *collection, const struct gw_row *row,
                  struct gw_pass_entry *entry)
{
    struct gw_value keys[32];
    size_t at = rows->stored.len;
    if (collection->key_count == 0) {
        uint64_t bytes = 0;
        for (uint32_t i = 0; i < row->count; i++)
            bytes += row->values[i].len;
        if (bytes > STORED_ROW_MAX_BYTES || at > STORED_MAX_BYTES)
            return;
        gw_row_encode(&rows->stored, row);
    } else {
        size_t count = collection->key_count < 32 ? collection->key_count : 32;
        for (size_t i = 0; i < count; i++)
            keys[i] = row->values[collection->key[i]];
        gw_row_encode(&rows->stored, &(struct gw_row){(uint32_t)count, keys});
    }
    entry->stored = at + 1;
}

void gw_pass_rows_add(struct gw_pass_rows *rows, const struct gw_collection *collection, int place,
                      struct gw_verify_side *side, struct gw_hash128 key, const struct gw_row *row)
{
    uint64_t bytes;
    struct gw_hash128 hash = gw_rowhash_row(&side->hash, row, &bytes);
    make_room(rows);
    struct gw_pass_entry *entry = slot_of(rows->entries, rows->capacity, key);
    if (is_free(entry)) {
        rows->count++;
        entry->key = key;
        store(rows, collection, row, entry);
    }
    struct gw_digest digest = {.rows = entry->count[place], .sum = entry->sum[place]};
    gw_digest_add(&digest, hash, bytes);
    entry->count[place] = digest.rows;
    entry->sum[place] = digest.sum;
}

const struct gw_pass_entry *gw_pass_rows_find(const struct gw_pass_rows *rows, struct gw_hash128 key)
{
    if (rows->capacity == 0)
        return NULL;
    const struct gw_pass_entry *entry = slot_of(rows->entries, rows->capacity, key);
    return is_free(entry) ? NULL : entry;
}

struct rows_visit {
    struct gw_pass_rows *rows;
    const struct gw_collection *collection;
    const bool *chosen;
    unsigned bits;
    int side;
};

static void visit_row(void *arg, struct gw_verify_side *side, const struct gw_row *row)
{
    struct rows_visit *visit = arg;
    struct gw_hash128 key = gw_rowhash_key(&side->hash, visit->collection, row);
    if (!visit->chosen || visit->chosen[bucket_of(visit->bits, key)])
        gw_pass_rows_add(visit->rows, visit->collection, visit->side, side, key, row);
}

bool gw_pass_read_rows(struct gw_pass_rows *rows, const struct gw_pass *pass, const bool *chosen,
                       struct gw_verify_pair *pair, const struct gw_verify_scope *scope, struct gw_error *err)
{
    gw_pass_rows_clear(rows);
    for (int side = 0; side < 2; side++) {
        struct rows_visit visit = {rows, scope->collection, chosen, pass->bits, side};
        struct gw_verify_span span = {0};
        if (!gw_verify_side_read(&pair->sides[side], scope, visit_row, &visit, &span, err))
            return false;
    }
    return true;
}
