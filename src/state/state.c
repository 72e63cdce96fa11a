#include "state/state.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "io/json.h"
#include "state/internal.h"

#include <unistd.h>

bool gw_state_explain(struct gw_error *err)
{
    if (err->kind == GW_ERR_CONFLICT && !err->hint[0])
        gw_error_hint(err, "the journal is damaged; the data is not in it: move the file away and rebuild it from the "
                           "two sides with godwit adopt");
    return false;
}

static struct gw_state *state_new(const struct gw_state_options *options)
{
    struct gw_state *state = gw_zalloc(sizeof *state);
    state->folder = gw_strdup(options->folder);
    state->path = gw_asprintf("%s/state.db", options->folder);
    snprintf(state->migration, sizeof state->migration, "%s", options->migration);
    state->lock_fd = -1;
    state->synchronous_full = -1;
    state->last = &state->first;
    pthread_mutex_init(&state->read_lock, NULL);
    pthread_mutex_init(&state->write_lock, NULL);
    pthread_cond_init(&state->asked, NULL);
    pthread_cond_init(&state->answered, NULL);
    return state;
}

bool gw_state_open(const struct gw_state_options *options, struct gw_state **out, struct gw_error *err)
{
    if (strlen(options->migration) >= sizeof((struct gw_state *)0)->migration)
        return gw_fail(err, GW_ERR_USER, "the migration's name has more than 63 bytes");
    if (!options->create && !gw_state_exists(options->folder)) {
        gw_fail(err, GW_ERR_USER, "there is no journal of the migration \"%s\" in %s", options->migration,
                options->folder);
        return gw_error_hint(err, "godwit copy begins the migration; if it had begun and its journal was lost, godwit "
                                  "adopt rebuilds it from the two sides");
    }
    if (options->create && !gw_mkdir_private(options->folder, err))
        return false;
    struct gw_state *state = state_new(options);
    if ((options->exclusive && !gw_state_lock(options->folder, &state->lock_fd, err)) ||
        !gw_state_journal_open(state, options, err)) {
        gw_state_close(state);
        return false;
    }
    *out = state;
    return true;
}

void gw_state_close(struct gw_state *state)
{
    if (!state)
        return;
    gw_state_writer_stop(state);
    gw_sqlite_close(state->reader);
    gw_sqlite_close(state->writer);
    if (state->lock_fd >= 0) {
        /* Nobody reads a pid of a process that has gone; if this fails, the lock itself still tells. */
        (void)!ftruncate(state->lock_fd, 0);
        close(state->lock_fd);
    }
    pthread_mutex_destroy(&state->read_lock);
    pthread_mutex_destroy(&state->write_lock);
    pthread_cond_destroy(&state->asked);
    pthread_cond_destroy(&state->answered);
    free(state->folder);
    free(state->path);
    free(state);
}

bool gw_state_exists(const char *folder)
{
    gw_autofree char *path = gw_asprintf("%s/state.db", folder);
    return gw_file_exists(path);
}

const char *gw_state_migration_id(const struct gw_state *state)
{
    return state->migration_id;
}

/* ---- facts and stage ---------------------------------------------------------------------------------------------------- */

struct pair {
    const char *name, *text;
    char *got; /* owned */
    int64_t number;
};

static bool put_meta(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    const struct pair *pair = arg;
    return gw_sqlite_do(db, NULL, err, "meta_put", "tt", pair->name, pair->text);
}

bool gw_state_set_migration_id(struct gw_state *state, const char *id, struct gw_error *err)
{
    struct pair pair = {.name = "migration_id", .text = id};
    if (strlen(id) >= sizeof state->migration_id)
        return gw_fail(err, GW_ERR_CONFLICT, "\"%.60s\" is no migration id", id);
    if (!gw_state_write(state, true, put_meta, &pair, err))
        return false;
    snprintf(state->migration_id, sizeof state->migration_id, "%s", id);
    return true;
}

static bool put_fact(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    const struct pair *pair = arg;
    if (!pair->text)
        return gw_sqlite_do(db, NULL, err, "fact_remove", "t", pair->name);
    return gw_sqlite_do(db, NULL, err, "fact_put", "tt", pair->name, pair->text);
}

bool gw_state_put(struct gw_state *state, const char *name, const json_t *value, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    if (value)
        gw_json_dump(value, 0, &text);
    struct pair pair = {.name = name, .text = value ? gw_buf_text(&text) : NULL};
    return gw_state_write(state, true, put_fact, &pair, err);
}

static bool get_fact(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct pair *pair = arg;
    gw_autoquery struct gw_sqlite_query query = {0};
    bool row;
    if (!gw_sqlite_start(db, &query, err, "fact_get", "t", pair->name) || !gw_sqlite_step(&query, &row, err))
        return false;
    if (row)
        pair->got = gw_sqlite_dup(&query, 0);
    return true;
}

bool gw_state_get(struct gw_state *state, const char *name, json_t **out, struct gw_error *err)
{
    struct pair pair = {.name = name};
    json_t *value = NULL;
    if (!gw_state_read(state, get_fact, &pair, err))
        return false;
    gw_autofree char *text = pair.got;
    if (text && !gw_json_parse(text, strlen(text), "a fact in the journal", &value, err)) {
        err->kind = GW_ERR_CONFLICT;
        return gw_state_explain(err);
    }
    *out = value;
    return true;
}

static bool get_stage(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    struct pair *pair = arg;
    gw_autoquery struct gw_sqlite_query query = {0};
    bool row;
    if (!gw_sqlite_start(db, &query, err, "stage_get", "") || !gw_sqlite_step(&query, &row, err))
        return false;
    if (row) {
        pair->got = gw_sqlite_dup(&query, 0);
        pair->number = gw_sqlite_int(&query, 1);
    }
    return true;
}

bool gw_state_stage(struct gw_state *state, char stage[32], int64_t *since_wall_us, struct gw_error *err)
{
    struct pair pair = {0};
    if (!gw_state_read(state, get_stage, &pair, err))
        return false;
    gw_autofree char *text = pair.got;
    snprintf(stage, 32, "%s", text ? text : "");
    if (since_wall_us)
        *since_wall_us = pair.number;
    return true;
}

static bool put_stage(struct gw_sqlite *db, void *arg, struct gw_error *err)
{
    const struct pair *pair = arg;
    return gw_sqlite_do(db, NULL, err, "stage_put", "ti", pair->text, pair->number);
}

bool gw_state_set_stage(struct gw_state *state, const char *stage, struct gw_error *err)
{
    struct pair pair = {.text = stage, .number = gw_wall_us()};
    if (strlen(stage) >= 32)
        return gw_fail(err, GW_ERR_BUG, "the stage \"%s\" has too long a name", stage);
    return gw_state_write(state, true, put_stage, &pair, err);
}
