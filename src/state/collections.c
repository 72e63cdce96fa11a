/* The planned schema, and how far each collection is loaded. */
#include "base/mem.h"
#include "state/internal.h"

struct schema_job {
    const struct gw_schema *put;
    struct gw_schema got; /* owned */
    size_t capacity;
};

static bool load_schema(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct schema_job *job = arg;
    gw_autoquery struct gw_sqlite_query query = {0};
    bool row;
    if (!gw_sqlite_start(db, &query, err, "collection_all", ""))
        return false;
    for (;;) {
        if (!gw_sqlite_step(&query, &row, err))
            return false;
        if (!row)
            return true;
        struct gw_collection collection;
        const char *json = gw_sqlite_text(&query, 0);
        if (!gw_collection_parse(json ? json : "", &collection, err))
            return false;
        job->got.collections =
            gw_grow(job->got.collections, &job->capacity, job->got.count, sizeof *job->got.collections);
        job->got.collections[job->got.count++] = collection;
    }
}

static bool same_as_kept(const struct gw_collection *kept, const struct gw_collection *now, struct gw_error *err)
{
    gw_autobuf struct gw_buf difference = {0};
    if (strcmp(kept->space, now->space) != 0 || strcmp(kept->name, now->name) != 0)
        gw_fail(err, GW_ERR_CONFLICT, "collection %u was planned as %s and is now %s", kept->id,
                gw_collection_label(kept), gw_collection_label(now));
    else if (!gw_collection_same_shape(kept, now, &difference))
        gw_fail(err, GW_ERR_CONFLICT, "%s is not as it was planned: %s", gw_collection_label(now),
                gw_buf_text(&difference));
    else
        return true;
    return gw_error_hint(err, "put it back as it was, or give the copy up and plan again (godwit abort, godwit plan)");
}

static bool compare_schema(const struct gw_schema *kept, const struct gw_schema *now, struct gw_error *err)
{
    for (size_t i = 0; i < kept->count && i < now->count; i++)
        if (!same_as_kept(&kept->collections[i], &now->collections[i], err))
            return false;
    if (kept->count == now->count)
        return true;
    gw_fail(err, GW_ERR_CONFLICT, "%zu collections were planned and there are now %zu", kept->count, now->count);
    return gw_error_hint(err, "exclude what is new, or give the copy up and plan again (godwit abort, godwit plan)");
}

static bool add_collection(struct gw_sqlite *db, const struct gw_collection *collection, size_t id,
                           struct gw_error *err)
{
    gw_autobuf struct gw_buf json = {0};
    struct gw_collection back;
    struct gw_collection planned = *collection;
    planned.id = (uint32_t)id;
    gw_collection_format(&planned, &json);
    /* Read back at once: a name that JSON cannot hold must be refused now, not after a restart. */
    if (!gw_collection_parse(gw_buf_text(&json), &back, err)) {
        err->kind = GW_ERR_UNSUPPORTED;
        return gw_error_hint(err, "a name in %s is not UTF-8: exclude the collection or rename it",
                             gw_collection_label(collection));
    }
    gw_collection_release(&back);
    return gw_sqlite_do(db, NULL, err, "collection_add", "itii", (int64_t)id, gw_buf_text(&json),
                        collection->estimated_rows, collection->estimated_bytes);
}

static bool put_schema(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct schema_job *job = arg;
    if (!load_schema(db, job, err))
        return false;
    if (job->got.count > 0)
        return compare_schema(&job->got, job->put, err);
    for (size_t i = 0; i < job->put->count; i++)
        if (!add_collection(db, &job->put->collections[i], i, err))
            return false;
    return true;
}

bool gw_state_put_schema(struct gw_state *state, const struct gw_schema *schema, struct gw_error *err)
{
    struct schema_job job = {.put = schema};
    bool ok = gw_state_write(state, true, put_schema, &job, err);
    gw_schema_release(&job.got);
    return ok;
}

bool gw_state_schema(struct gw_state *state, struct gw_schema *out, struct gw_error *err)
{
    struct schema_job job = {0};
    if (!gw_state_read(state, load_schema, &job, err)) {
        gw_schema_release(&job.got);
        return false;
    }
    *out = job.got;
    return true;
}

struct status_job {
    uint32_t collection;
    enum gw_load_status status;
};

static bool unknown(uint32_t collection, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_BUG, "the journal has no collection %u", collection);
}

static bool put_status(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    const struct status_job *job = arg;
    int64_t changed;
    return gw_sqlite_do(db, &changed, err, "load_status_put", "ii", (int64_t)job->collection, (int64_t)job->status) &&
           (changed == 1 || unknown(job->collection, err));
}

bool gw_state_set_load_status(struct gw_state *state, uint32_t collection, enum gw_load_status status,
                              struct gw_error *err)
{
    struct status_job job = {.collection = collection, .status = status};
    return gw_state_write(state, false, put_status, &job, err);
}

static bool get_status(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct status_job *job = arg;
    gw_autoquery struct gw_sqlite_query query = {0};
    bool row;
    if (!gw_sqlite_start(db, &query, err, "load_status_get", "i", (int64_t)job->collection) ||
        !gw_sqlite_step(&query, &row, err))
        return false;
    job->status = (enum gw_load_status)gw_sqlite_int(&query, 0);
    return row || unknown(job->collection, err);
}

bool gw_state_load_status(struct gw_state *state, uint32_t collection, enum gw_load_status *out, struct gw_error *err)
{
    struct status_job job = {.collection = collection};
    if (!gw_state_read(state, get_status, &job, err))
        return false;
    *out = job.status;
    return true;
}
