#include "plan/estimate.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "io/json.h"

#include <stdlib.h>
#include <string.h>

/* Read: rows of the largest tables, enough to be past the first round trips, little enough for a busy server. */
enum { SAMPLE_TABLES = 3, SAMPLE_ROWS = 20000, ROUND_TRIPS = 15 };
static const int64_t sample_table_bytes = 16 << 20, write_sample_bytes = 16 << 20;
/* An index of a measured build holds about a tenth of what its table does. */
enum { INDEX_SHARE = 10 };

struct sample {
    int64_t bytes, rows, took_us, tables;
};

static int by_size(const void *a, const void *b)
{
    const struct gw_collection *x = *(const struct gw_collection *const *)a,
                               *y = *(const struct gw_collection *const *)b;
    return (x->estimated_bytes < y->estimated_bytes) - (x->estimated_bytes > y->estimated_bytes);
}

/* The first chunk of a collection, as copy would read it; cut off when it is more than the sample needs. */
static bool read_some(struct gw_store *blue, struct gw_reader *reader, const struct gw_collection *collection,
                      struct sample *sample, struct gw_error *err)
{
    struct gw_range range = {0};
    struct gw_mark mark = {0};
    bool last = false;
    int64_t began_us = gw_mono_us(), before = sample->bytes;
    bool fine = (collection->key_kind == GW_KEY_NONE ||
                 blue->type->reader->split(reader, collection, &range.low, SAMPLE_ROWS, &range.high, &last, err)) &&
                blue->type->reader->begin(reader, collection, &range, &mark, err);
    while (fine && sample->bytes - before < sample_table_bytes) {
        struct gw_block block;
        fine = blue->type->reader->next(reader, &block, err);
        if (!fine || block.len == 0)
            break;
        sample->bytes += (int64_t)block.len;
        sample->rows += (int64_t)block.rows;
    }
    sample->took_us += gw_mono_us() - began_us;
    sample->tables++;
    gw_range_release(&range);
    gw_mark_release(&mark);
    return fine;
}

static bool read_sample(struct gw_store *blue, const struct gw_schema *schema, struct sample *sample,
                        struct gw_error *err)
{
    const struct gw_collection **largest = NULL;
    size_t capacity = 0;
    bool fine = true;
    if (!blue->type->reader || schema->count == 0)
        return true;
    for (size_t i = 0; i < schema->count; i++) {
        largest = gw_grow(largest, &capacity, i, sizeof *largest);
        largest[i] = &schema->collections[i];
    }
    qsort(largest, schema->count, sizeof *largest, by_size);
    for (size_t i = 0; fine && i < schema->count && i < SAMPLE_TABLES; i++) {
        struct gw_reader *reader; /* of its own: it may be closed in mid-read */
        fine = blue->type->reader->open(blue, &reader, err);
        if (!fine)
            break;
        fine = read_some(blue, reader, largest[i], sample, err);
        blue->type->reader->close(reader);
    }
    free(largest);
    return fine;
}

static int64_t rate(int64_t bytes, int64_t took_us)
{
    return took_us > 0 ? (int64_t)((double)bytes * 1e6 / (double)took_us) : 0;
}

static json_t *number_or_null(int64_t value)
{
    return value > 0 ? json_integer(value) : json_null();
}

static int64_t time_us(int64_t bytes, int64_t bytes_per_second)
{
    return bytes_per_second > 0 ? (int64_t)((double)bytes * 1e6 / (double)bytes_per_second) : 0;
}

/* What could not be measured for lack of a right is no reason to have no plan. */
static bool passes(const struct gw_error *err)
{
    return err->kind != GW_ERR_CANCELLED && err->kind != GW_ERR_RETRY;
}

struct rates {
    int64_t read, write, index;
    int64_t round_trip_us[2];
    int64_t plain_ns[2], captured_ns[2]; /* a row written, by side; 0 where the log is read, or not measured */
};

static bool measure(const struct gw_plan_options *options, const struct gw_schema *schema, struct rates *rates,
                    struct sample *sample, struct gw_buf *basis, struct gw_error *err)
{
    struct gw_store *green = options->sides[GW_GREEN];
    if (!read_sample(options->sides[GW_BLUE], schema, sample, err)) {
        if (!passes(err))
            return false;
        gw_buf_addf(basis, "reading was not measured (%s); ", err->message);
    } else if (sample->bytes > 0) {
        char text[16];
        gw_format_bytes(sample->bytes, text);
        rates->read = rate(sample->bytes, sample->took_us);
        gw_buf_addf(basis, "read %s, %lld rows of the %lld largest tables on blue by one connection; ", text,
                    (long long)sample->rows, (long long)sample->tables);
    }
    if (green->type->inspect->probe_write &&
        !green->type->inspect->probe_write(green, write_sample_bytes, &rates->write, &rates->index, err)) {
        if (!passes(err))
            return false;
        gw_buf_addf(basis, "writing was not measured (%s); ", err->message);
    } else if (rates->write > 0) {
        gw_buf_addf(basis, "on green wrote 16 MB %s; ", green->type->inspect->probe_write_how);
    }
    for (int side = 0; side < 2; side++) {
        int64_t ignored;
        struct gw_store *store = options->sides[side];
        if (store->type->inspect->probe &&
            !store->type->inspect->probe(store, ROUND_TRIPS, 1 << 20, &rates->round_trip_us[side], &ignored, err))
            return false;
        if (store->type->inspect->probe_capture &&
            !store->type->inspect->probe_capture(store, &rates->plain_ns[side], &rates->captured_ns[side], err)) {
            if (!passes(err))
                return false;
            gw_buf_addf(basis, "what a captured write costs on %s was not measured (%s); ",
                        gw_side_name((enum gw_side)side), err->message);
        }
    }
    return true;
}

bool gw_plan_estimate(const struct gw_plan_options *options, const struct gw_schema *schema,
                      const struct gw_plan_sizes *sizes, json_t *plan, struct gw_error *err)
{
    struct rates rates = {0};
    struct sample sample = {0};
    gw_autobuf struct gw_buf basis = {0};
    const struct gw_migration_copy *copy = &options->settings->copy;
    if (!measure(options, schema, &rates, &sample, &basis, err))
        return false;
    int64_t slower = rates.read > 0 && (rates.write <= 0 || rates.read < rates.write) ? rates.read : rates.write;
    int64_t most_us = time_us(sizes->bytes, slower);
    int64_t index_us = time_us(sizes->index_bytes * INDEX_SHARE, rates.index);
    gw_buf_addf(&basis, "at best %d copy jobs are %d times as fast as one, at worst as one", copy->jobs, copy->jobs);
    json_t *estimate = json_object();
    json_object_set_new(estimate, "read_bytes_per_second", number_or_null(rates.read));
    json_object_set_new(estimate, "write_bytes_per_second", number_or_null(rates.write));
    json_object_set_new(estimate, "index_bytes_per_second", number_or_null(rates.index));
    json_object_set_new(estimate, "copy_least_us", number_or_null(most_us / copy->jobs));
    json_object_set_new(estimate, "copy_most_us", number_or_null(most_us));
    json_object_set_new(estimate, "index_us", number_or_null(index_us / copy->index_jobs));
    json_object_set_new(estimate, "verify_us",
                        number_or_null(time_us(sizes->bytes, rates.read) / options->settings->verify.jobs));
    json_object_set_new(estimate, "round_trip_blue_us", number_or_null(rates.round_trip_us[GW_BLUE]));
    json_object_set_new(estimate, "round_trip_green_us", number_or_null(rates.round_trip_us[GW_GREEN]));
    for (int side = 0; side < 2; side++) {
        gw_autofree char *name = gw_asprintf("captured_write_%s_ns", gw_side_name((enum gw_side)side));
        gw_autofree char *plain = gw_asprintf("plain_write_%s_ns", gw_side_name((enum gw_side)side));
        json_object_set_new(estimate, name, number_or_null(rates.captured_ns[side]));
        json_object_set_new(estimate, plain, number_or_null(rates.plain_ns[side]));
        gw_autofree char *how = gw_asprintf("captured_write_%s_how", gw_side_name((enum gw_side)side));
        if (rates.captured_ns[side] > 0)
            json_object_set_new(estimate, how, json_string(options->sides[side]->type->inspect->probe_capture_how));
    }
    json_object_set_new(estimate, "green_disk_bytes", json_integer(sizes->bytes + sizes->index_bytes));
    json_object_set_new(estimate, "blue_log_limit_bytes", json_integer(options->settings->follow.wal_limit_bytes));
    json_object_set_new(estimate, "local_disk_bytes", json_integer(options->settings->follow.spool_limit_bytes));
    json_object_set_new(estimate, "basis", gw_json_text(gw_buf_text(&basis)));
    json_object_set_new(plan, "estimate", estimate);
    return true;
}
