/*
 * Chunks as work items. A lease is kept as a place on the monotonic clock and the boot it belongs to: a wall clock
 * that jumps forward would let a lease be taken from a worker that lives, one that jumps back would keep a dead
 * worker's lease alive for as long as the jump. After a reboot no worker of before is alive, so a lease of another
 * boot is void. (All workers of this journal are on this machine; a fleet leases from a queue of its own.)
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "state/internal.h"

struct chunk_job {
    uint32_t collection;
    const struct gw_range *range;
    const struct gw_chunk *restore;
    const struct gw_mark *mark;
    const char *worker;
    int lease_ms;
    uint64_t id, rows, bytes;
    struct gw_chunk *chunks; /* owned */
    size_t count, capacity;
    struct gw_load_totals totals;
};

void gw_chunk_release(struct gw_chunk *chunk)
{
    gw_range_release(&chunk->range);
    gw_mark_release(&chunk->mark);
    *chunk = (struct gw_chunk){0};
}

void gw_chunks_free(struct gw_chunk *chunks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        gw_chunk_release(&chunks[i]);
    free(chunks);
}

/* id, collection, low, high, loaded, mark, rows, bytes */
static bool chunk_from_row(struct gw_sqlite_query *query, struct gw_chunk *out, struct gw_error *err)
{
    struct gw_chunk chunk = {.id = (uint64_t)gw_sqlite_int(query, 0),
                             .collection = (uint32_t)gw_sqlite_int(query, 1),
                             .loaded = gw_sqlite_int(query, 4) != 0,
                             .rows = (uint64_t)gw_sqlite_int(query, 6),
                             .bytes = (uint64_t)gw_sqlite_int(query, 7)};
    const char *low = gw_sqlite_text(query, 2), *high = gw_sqlite_text(query, 3), *mark = gw_sqlite_text(query, 5);
    bool ok = gw_bound_parse(low ? low : "", &chunk.range.low, err) &&
              gw_bound_parse(high ? high : "", &chunk.range.high, err) &&
              (!mark || gw_mark_parse(mark, &chunk.mark, err));
    if (!ok) {
        gw_chunk_release(&chunk);
        return gw_error_prefix(err, "chunk %llu in the journal", (unsigned long long)gw_sqlite_int(query, 0));
    }
    *out = chunk;
    return true;
}

static bool no_chunk(uint64_t id, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_BUG, "the journal has no chunk %llu", (unsigned long long)id);
}

/* ---- splitting --------------------------------------------------------------------------------------------------------- */

static bool add_chunk(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct chunk_job *job = arg;
    gw_autobuf struct gw_buf low = {0}, high = {0};
    gw_bound_format(&job->range->low, &low);
    gw_bound_format(&job->range->high, &high);
    if (!gw_sqlite_do(db, NULL, err, "chunk_add", "itt", (int64_t)job->collection, gw_buf_text(&low),
                      gw_buf_text(&high)))
        return false;
    job->id = (uint64_t)gw_sqlite_last_id(db);
    return true;
}

bool gw_state_add_chunk(struct gw_state *state, uint32_t collection, const struct gw_range *range, uint64_t *id,
                        struct gw_error *err)
{
    struct chunk_job job = {.collection = collection, .range = range};
    if (!gw_state_write(state, false, add_chunk, &job, err))
        return false;
    *id = job.id;
    return true;
}

/* ---- leases ------------------------------------------------------------------------------------------------------------ */

static char boot_id[64];
static pthread_once_t boot_id_once = PTHREAD_ONCE_INIT;

static void read_boot_id(void)
{
    gw_autobuf struct gw_buf text = {0};
    struct gw_error ignored;
    /* Without it (no /proc) leases of the last boot hold until their time, as far as that clock goes. */
    if (gw_file_read("/proc/sys/kernel/random/boot_id", 256, &text, &ignored))
        snprintf(boot_id, sizeof boot_id, "%.*s", (int)strcspn(gw_buf_text(&text), "\n"), gw_buf_text(&text));
}

static const char *this_boot(void)
{
    pthread_once(&boot_id_once, read_boot_id);
    return boot_id;
}

static int64_t lease_end_us(int lease_ms)
{
    return gw_mono_us() + (int64_t)lease_ms * 1000;
}

static bool lease_chunk(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct chunk_job *job = arg;
    gw_autoquery struct gw_sqlite_query query = {0};
    bool row;
    if (!gw_sqlite_start(db, &query, err, "chunk_next", "ti", this_boot(), gw_mono_us()) ||
        !gw_sqlite_step(&query, &row, err))
        return false;
    if (!row)
        return true;
    job->chunks = gw_zalloc(sizeof *job->chunks);
    if (!chunk_from_row(&query, job->chunks, err))
        return false;
    job->count = 1;
    gw_sqlite_finish(&query);
    return gw_sqlite_do(db, NULL, err, "chunk_lease", "itti", (int64_t)job->chunks->id, job->worker, this_boot(),
                        lease_end_us(job->lease_ms));
}

bool gw_state_lease_chunk(struct gw_state *state, const char *worker, int lease_ms, struct gw_chunk *out, bool *got,
                          struct gw_error *err)
{
    struct chunk_job job = {.worker = worker, .lease_ms = lease_ms};
    if (!gw_state_write(state, false, lease_chunk, &job, err)) {
        gw_chunks_free(job.chunks, job.count);
        return false;
    }
    *got = job.count > 0;
    if (*got)
        *out = job.chunks[0];
    free(job.chunks);
    return true;
}

static bool extend_lease(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    const struct chunk_job *job = arg;
    int64_t changed;
    if (!gw_sqlite_do(db, &changed, err, "chunk_extend", "itti", (int64_t)job->id, job->worker, this_boot(),
                      lease_end_us(job->lease_ms)))
        return false;
    if (changed == 1)
        return true;
    gw_fail(err, GW_ERR_CONFLICT, "the worker %s no longer holds the lease of chunk %llu", job->worker,
            (unsigned long long)job->id);
    return gw_error_hint(err, "the chunk is given up here: another worker has it or has loaded it");
}

bool gw_state_extend_lease(struct gw_state *state, uint64_t chunk, const char *worker, int lease_ms,
                           struct gw_error *err)
{
    struct chunk_job job = {.id = chunk, .worker = worker, .lease_ms = lease_ms};
    return gw_state_write(state, false, extend_lease, &job, err);
}

static bool chunk_loaded(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    const struct chunk_job *job = arg;
    gw_autobuf struct gw_buf mark = {0};
    int64_t changed;
    gw_mark_format(job->mark, &mark);
    return gw_sqlite_do(db, &changed, err, "chunk_loaded", "itii", (int64_t)job->id, gw_buf_text(&mark),
                        (int64_t)job->rows, (int64_t)job->bytes) &&
           (changed == 1 || no_chunk(job->id, err));
}

bool gw_state_chunk_loaded(struct gw_state *state, uint64_t chunk, const struct gw_mark *mark, uint64_t rows,
                           uint64_t bytes, struct gw_error *err)
{
    struct chunk_job job = {.id = chunk, .mark = mark, .rows = rows, .bytes = bytes};
    return gw_state_write(state, false, chunk_loaded, &job, err);
}

static bool release_chunk(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    const struct chunk_job *job = arg;
    int64_t changed;
    if (job->id == 0)
        return gw_sqlite_do(db, NULL, err, "chunk_release_all", "");
    return gw_sqlite_do(db, &changed, err, "chunk_release", "i", (int64_t)job->id) &&
           (changed == 1 || no_chunk(job->id, err));
}

bool gw_state_release_chunk(struct gw_state *state, uint64_t chunk, struct gw_error *err)
{
    struct chunk_job job = {.id = chunk};
    if (chunk == 0)
        return no_chunk(chunk, err);
    return gw_state_write(state, false, release_chunk, &job, err);
}

bool gw_state_release_all_leases(struct gw_state *state, struct gw_error *err)
{
    struct chunk_job job = {0};
    return gw_state_write(state, false, release_chunk, &job, err);
}

/* ---- reading and restoring --------------------------------------------------------------------------------------------- */

static bool list_chunks(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct chunk_job *job = arg;
    gw_autoquery struct gw_sqlite_query query = {0};
    bool row;
    if (!gw_sqlite_start(db, &query, err, "chunks_of", "i", (int64_t)job->collection))
        return false;
    for (;;) {
        if (!gw_sqlite_step(&query, &row, err))
            return false;
        if (!row)
            return true;
        job->chunks = gw_grow(job->chunks, &job->capacity, job->count, sizeof *job->chunks);
        if (!chunk_from_row(&query, &job->chunks[job->count], err))
            return false;
        job->count++;
    }
}

bool gw_state_chunks(struct gw_state *state, uint32_t collection, struct gw_chunk **out, size_t *count,
                     struct gw_error *err)
{
    struct chunk_job job = {.collection = collection};
    if (!gw_state_read(state, list_chunks, &job, err)) {
        gw_chunks_free(job.chunks, job.count);
        return false;
    }
    *out = job.chunks;
    *count = job.count;
    return true;
}

/* A chunk of the same number over other rows is of another split: the journal and the target are not of one copy. */
static bool check_same_chunk(struct gw_sqlite *db, const struct gw_chunk *chunk, struct gw_error *err)
{
    gw_autoquery struct gw_sqlite_query query = {0};
    struct gw_chunk kept = {0};
    bool row;
    if (!gw_sqlite_start(db, &query, err, "chunk_get", "i", (int64_t)chunk->id) || !gw_sqlite_step(&query, &row, err))
        return false;
    if (!row)
        return true;
    if (!chunk_from_row(&query, &kept, err))
        return false;
    bool same = kept.collection == chunk->collection && gw_bound_equal(&kept.range.low, &chunk->range.low) &&
                gw_bound_equal(&kept.range.high, &chunk->range.high);
    gw_chunk_release(&kept);
    if (same)
        return true;
    gw_fail(err, GW_ERR_CONFLICT, "chunk %llu holds other rows in the target's checkpoints than in the journal",
            (unsigned long long)chunk->id);
    return gw_error_hint(err, "the journal and the target are not of one copy: move the journal away and rebuild it "
                              "with godwit adopt, or give the copy up (godwit abort)");
}

static bool restore_chunk(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    const struct chunk_job *job = arg;
    const struct gw_chunk *chunk = job->restore;
    gw_autobuf struct gw_buf low = {0}, high = {0}, mark = {0};
    gw_bound_format(&chunk->range.low, &low);
    gw_bound_format(&chunk->range.high, &high);
    if (chunk->loaded)
        gw_mark_format(&chunk->mark, &mark);
    return check_same_chunk(db, chunk, err) &&
           gw_sqlite_do(db, NULL, err, "chunk_restore", "iittitii", (int64_t)chunk->id, (int64_t)chunk->collection,
                        gw_buf_text(&low), gw_buf_text(&high), (int64_t)chunk->loaded,
                        chunk->loaded ? gw_buf_text(&mark) : NULL, (int64_t)chunk->rows, (int64_t)chunk->bytes);
}

bool gw_state_restore_chunk(struct gw_state *state, const struct gw_chunk *chunk, struct gw_error *err)
{
    struct chunk_job job = {.restore = chunk};
    return gw_state_write(state, false, restore_chunk, &job, err);
}

static bool add_up(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct gw_load_totals *totals = &((struct chunk_job *)arg)->totals;
    gw_autoquery struct gw_sqlite_query chunks = {0}, collections = {0};
    bool row;
    if (!gw_sqlite_start(db, &chunks, err, "chunk_totals", "") || !gw_sqlite_step(&chunks, &row, err) ||
        !gw_sqlite_start(db, &collections, err, "collection_totals", "i", (int64_t)GW_LOAD_LOADED) ||
        !gw_sqlite_step(&collections, &row, err))
        return false;
    totals->chunks = (uint64_t)gw_sqlite_int(&chunks, 0);
    totals->chunks_loaded = (uint64_t)gw_sqlite_int(&chunks, 1);
    totals->rows_loaded = (uint64_t)gw_sqlite_int(&chunks, 2);
    totals->bytes_loaded = (uint64_t)gw_sqlite_int(&chunks, 3);
    totals->collections = (uint64_t)gw_sqlite_int(&collections, 0);
    totals->collections_loaded = (uint64_t)gw_sqlite_int(&collections, 1);
    totals->estimated_rows = gw_sqlite_int(&collections, 2);
    totals->estimated_bytes = gw_sqlite_int(&collections, 3);
    return true;
}

bool gw_state_load_totals(struct gw_state *state, struct gw_load_totals *out, struct gw_error *err)
{
    struct chunk_job job = {0};
    if (!gw_state_read(state, add_up, &job, err))
        return false;
    *out = job.totals;
    return true;
}
