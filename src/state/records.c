/* Quarantine, verdicts, events. */
#include "base/clock.h"
#include "base/mem.h"
#include "io/json.h"
#include "state/internal.h"

/* ---- quarantine -------------------------------------------------------------------------------------------------------- */

struct quarantine_job {
    const struct gw_quarantined *put;
    const char *stream, *collection, *key;
    uint64_t order;
    const void *change;
    size_t change_len;
    int64_t id;
    uint64_t chunk;
    bool there;
    struct gw_quarantined *got; /* owned */
    size_t count, capacity;
};

static bool unsettle_verdicts(struct gw_sqlite *db, const char *why, struct gw_error *err)
{
    return gw_sqlite_do(db, NULL, err, "verdict_unsettle", "t", why) &&
           gw_sqlite_do(db, NULL, err, "verify_forget", "");
}

static bool add_quarantined(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    const struct quarantine_job *job = arg;
    const struct gw_quarantined *put = job->put;
    return unsettle_verdicts(db, "a change went into quarantine after it", err) &&
           gw_sqlite_do(db, NULL, err, "quarantine_add", "tttttitibii", put->stream, put->collection, put->operation,
                        put->key, put->reason, (int64_t)put->position.order, put->position.text,
                        put->wall_us ? put->wall_us : gw_wall_us(), job->change, job->change_len, (int64_t)put->chunk,
                        (int64_t)(put->left_out || put->chunk != 0));
}

bool gw_state_quarantine(struct gw_state *state, const struct gw_quarantined *quarantined, const void *change,
                         size_t change_len, struct gw_error *err)
{
    struct quarantine_job job = {.put = quarantined, .change = change, .change_len = change_len};
    return gw_state_write(state, true, add_quarantined, &job, err);
}

static bool answer(struct gw_sqlite_query *query, bool *out, struct gw_error *err)
{
    bool row;
    if (!gw_sqlite_step(query, &row, err))
        return false;
    *out = row && gw_sqlite_int(query, 0) != 0;
    return true;
}

static bool find_quarantined(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct quarantine_job *job = arg;
    const struct gw_quarantined *like = job->put;
    gw_autoquery struct gw_sqlite_query query = {0};
    return gw_sqlite_start(db, &query, err, "quarantine_has", "itttt", (int64_t)like->position.order, like->stream,
                           like->collection, like->operation, like->key) &&
           answer(&query, &job->there, err);
}

bool gw_state_is_quarantined(struct gw_state *state, const struct gw_quarantined *like, bool *there,
                             struct gw_error *err)
{
    struct quarantine_job job = {.put = like};
    bool ok = gw_state_read(state, find_quarantined, &job, err);
    *there = job.there;
    return ok;
}

static bool find_left_out(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct quarantine_job *job = arg;
    gw_autoquery struct gw_sqlite_query query = {0};
    return gw_sqlite_start(db, &query, err, "quarantine_has_chunk", "i", (int64_t)job->chunk) &&
           answer(&query, &job->there, err);
}

static bool forget_left_out(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    const struct quarantine_job *job = arg;
    return gw_sqlite_do(db, NULL, err, "quarantine_forget_chunk", "i", (int64_t)job->chunk);
}

/* Nearly every chunk has none: no write for those. */
bool gw_state_forget_left_out(struct gw_state *state, uint64_t chunk, struct gw_error *err)
{
    struct quarantine_job job = {.chunk = chunk};
    return gw_state_read(state, find_left_out, &job, err) &&
           (!job.there || gw_state_write(state, true, forget_left_out, &job, err));
}

static bool list_quarantined(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct quarantine_job *job = arg;
    gw_autoquery struct gw_sqlite_query query = {0};
    bool row;
    if (!gw_sqlite_start(db, &query, err, "quarantine_all", ""))
        return false;
    for (;;) {
        if (!gw_sqlite_step(&query, &row, err))
            return false;
        if (!row)
            return true;
        job->got = gw_grow(job->got, &job->capacity, job->count, sizeof *job->got);
        struct gw_quarantined *one = &job->got[job->count++];
        const char *stream = gw_sqlite_text(&query, 1), *position = gw_sqlite_text(&query, 7);
        *one = (struct gw_quarantined){.id = gw_sqlite_int(&query, 0),
                                       .collection = gw_sqlite_dup(&query, 2),
                                       .operation = gw_sqlite_dup(&query, 3),
                                       .key = gw_sqlite_dup(&query, 4),
                                       .reason = gw_sqlite_dup(&query, 5),
                                       .position.order = (uint64_t)gw_sqlite_int(&query, 6),
                                       .wall_us = gw_sqlite_int(&query, 8),
                                       .left_out = gw_sqlite_int(&query, 9) != 0};
        snprintf(one->stream, sizeof one->stream, "%s", stream ? stream : "");
        snprintf(one->position.text, sizeof one->position.text, "%s", position ? position : "");
    }
}

bool gw_state_quarantined(struct gw_state *state, struct gw_quarantined **out, size_t *count, struct gw_error *err)
{
    struct quarantine_job job = {0};
    if (!gw_state_read(state, list_quarantined, &job, err)) {
        gw_quarantined_free(job.got, job.count);
        return false;
    }
    *out = job.got;
    *count = job.count;
    return true;
}

void gw_quarantined_free(struct gw_quarantined *quarantined, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(quarantined[i].collection);
        free(quarantined[i].operation);
        free(quarantined[i].key);
        free(quarantined[i].reason);
    }
    free(quarantined);
}

static bool clear_quarantine(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    const struct quarantine_job *job = arg;
    return unsettle_verdicts(db, "the quarantine was cleared after it", err) &&
           gw_sqlite_do(db, NULL, err, "quarantine_clear", "i", job->id);
}

bool gw_state_clear_quarantine(struct gw_state *state, int64_t id, struct gw_error *err)
{
    struct quarantine_job job = {.id = id};
    return gw_state_write(state, true, clear_quarantine, &job, err);
}

static bool heal(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    const struct quarantine_job *job = arg;
    return gw_sqlite_do(db, NULL, err, "quarantine_heal", "ittt", (int64_t)job->order, job->stream, job->collection,
                        job->key);
}

bool gw_state_heal(struct gw_state *state, const char *stream, const char *collection, const char *key, uint64_t order,
                   struct gw_error *err)
{
    struct quarantine_job job = {.stream = stream, .collection = collection, .key = key, .order = order};
    return gw_state_write(state, true, heal, &job, err);
}

static bool find_healed(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct quarantine_job *job = arg;
    gw_autoquery struct gw_sqlite_query query = {0};
    return gw_sqlite_start(db, &query, err, "quarantine_has_healed", "t", job->stream) &&
           answer(&query, &job->there, err);
}

static bool drop_healed(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    const struct quarantine_job *job = arg;
    return unsettle_verdicts(db, "rows that were left out went over after it", err) &&
           gw_sqlite_do(db, NULL, err, "quarantine_drop_healed", "ti", job->stream, (int64_t)job->order) &&
           gw_sqlite_do(db, NULL, err, "quarantine_undo_healed", "t", job->stream);
}

bool gw_state_healed(struct gw_state *state, const char *stream, uint64_t reached, struct gw_error *err)
{
    struct quarantine_job job = {.stream = stream, .order = reached};
    return gw_state_read(state, find_healed, &job, err) &&
           (!job.there || gw_state_write(state, true, drop_healed, &job, err));
}

/* ---- verdicts and events ----------------------------------------------------------------------------------------------- */

struct record_job {
    int64_t id, wall_us;
    const char *kind, *text;
    json_t *got; /* owned */
};

static bool put_verdict(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    const struct record_job *job = arg;
    return gw_sqlite_do(db, NULL, err, "verdict_put", "iti", job->id, job->text, job->wall_us);
}

bool gw_state_put_verdict(struct gw_state *state, uint32_t collection, const json_t *verdict, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    gw_json_dump(verdict, 0, &text);
    struct record_job job = {.id = collection, .wall_us = gw_wall_us(), .text = gw_buf_text(&text)};
    return gw_state_write(state, true, put_verdict, &job, err);
}

static bool list_verdicts(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct record_job *job = arg;
    gw_autoquery struct gw_sqlite_query query = {0};
    bool row;
    job->got = json_array();
    if (!gw_sqlite_start(db, &query, err, "verdict_all", ""))
        return false;
    for (;;) {
        if (!gw_sqlite_step(&query, &row, err))
            return false;
        if (!row)
            return true;
        const char *text = gw_sqlite_text(&query, 1);
        json_t *verdict = json_loads(text ? text : "", 0, NULL);
        if (!json_is_object(verdict)) {
            json_decref(verdict);
            return gw_fail(err, GW_ERR_CONFLICT, "the verdict of collection %lld in the journal is not readable",
                           (long long)gw_sqlite_int(&query, 0));
        }
        json_object_set_new(verdict, "collection_id", json_integer(gw_sqlite_int(&query, 0)));
        json_object_set_new(verdict, "wall_us", json_integer(gw_sqlite_int(&query, 2)));
        json_array_append_new(job->got, verdict);
    }
}

static bool add_event(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    const struct record_job *job = arg;
    return gw_sqlite_do(db, NULL, err, "event_add", "itt", job->wall_us, job->kind, job->text);
}

bool gw_state_event(struct gw_state *state, const char *kind, const char *text, struct gw_error *err)
{
    struct record_job job = {.wall_us = gw_wall_us(), .kind = kind, .text = text};
    return gw_state_write(state, false, add_event, &job, err);
}

static bool list_events(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct record_job *job = arg;
    gw_autoquery struct gw_sqlite_query query = {0};
    bool row;
    job->got = json_array();
    if (!gw_sqlite_start(db, &query, err, "event_since", "i", job->id))
        return false;
    for (;;) {
        if (!gw_sqlite_step(&query, &row, err))
            return false;
        if (!row)
            return true;
        json_t *event = json_object();
        json_object_set_new(event, "id", json_integer(gw_sqlite_int(&query, 0)));
        json_object_set_new(event, "wall_us", json_integer(gw_sqlite_int(&query, 1)));
        json_object_set_new(event, "kind", gw_json_text(gw_sqlite_text(&query, 2)));
        json_object_set_new(event, "text", gw_json_text(gw_sqlite_text(&query, 3)));
        json_array_append_new(job->got, event);
    }
}

static bool read_records(struct gw_state *state, gw_state_job *read, int64_t since, json_t **out, struct gw_error *err)
{
    struct record_job job = {.id = since};
    if (!gw_state_read(state, read, &job, err)) {
        json_decref(job.got);
        return false;
    }
    *out = job.got;
    return true;
}

bool gw_state_verdicts(struct gw_state *state, json_t **out, struct gw_error *err)
{
    return read_records(state, list_verdicts, 0, out, err);
}

bool gw_state_events(struct gw_state *state, int64_t since_id, json_t **out, struct gw_error *err)
{
    return read_records(state, list_events, since_id, out, err);
}
