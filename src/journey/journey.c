#include "journey/journey.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/json.h"
#include "journey/mapping.h"
#include "journey/streams.h"
#include "switch/switch.h"

#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES (16u << 20)

/* Said of the file, before anything is opened: a scheme that no engine has is a mistake in it. */
static bool known_engines(const char *file, const struct gw_migration_store *store, struct gw_error *err)
{
    for (int side = 0; side < 2; side++) {
        const struct gw_store_type *type;
        if (!gw_store_type_for(store->side[side].url, &type, err)) {
            gw_error_prefix(err, "%s of store %s", gw_side_name((enum gw_side)side), store->name);
            return gw_error_place(err, "%s:%d", file, store->line);
        }
    }
    return true;
}

bool gw_journey_open(const char *file, struct gw_cancel *cancel, struct gw_journey **out, struct gw_error *err)
{
    struct gw_migration migration;
    if (!gw_migration_load(file, &migration, err))
        return false;
    if (migration.store_count != 1) {
        (void)!gw_fail(err, GW_ERR_UNSUPPORTED, "%s names %zu stores; this version moves one store per migration", file,
                       migration.store_count);
        gw_migration_release(&migration);
        return gw_error_hint(err, "write one migration file per store");
    }
    struct gw_rules *rules = NULL;
    gw_autobuf struct gw_buf text = {0};
    if (!known_engines(file, &migration.stores[0], err) || !gw_file_read(file, FILE_MAX_BYTES, &text, err) ||
        !gw_rules_parse(&migration.stores[0].collections, &rules, err)) {
        gw_migration_release(&migration);
        return false;
    }
    struct gw_journey *journey = gw_zalloc(sizeof *journey);
    journey->file = gw_strdup(file);
    journey->file_hash = gw_hash64(gw_buf_text(&text), text.len, 0);
    journey->migration = migration;
    journey->store = &journey->migration.stores[0];
    journey->folder = journey->migration.state_folder;
    journey->rules = rules;
    journey->cancel = cancel;
    pthread_mutex_init(&journey->lock, NULL);
    *out = journey;
    return true;
}

void gw_journey_close(struct gw_journey *journey)
{
    if (!journey)
        return;
    gw_streams_stop(journey);
    gw_gate_close(journey->gate);
    gw_mapping_close(journey);
    gw_rules_free(journey->rules);
    for (int side = 0; side < 2; side++)
        gw_store_close(journey->sides[side]);
    gw_schema_release(&journey->schema);
    gw_state_close(journey->state);
    gw_migration_release(&journey->migration);
    pthread_mutex_destroy(&journey->lock);
    free(journey->file);
    free(journey);
}

bool gw_journey_open_state(struct gw_journey *journey, enum gw_journal_access access, struct gw_error *err)
{
    if (journey->state)
        return true;
    if (access == GW_JOURNAL_READ && !gw_state_exists(journey->folder))
        return true;
    struct gw_state_options options = {.folder = journey->folder,
                                       .migration = journey->migration.name,
                                       .create = access == GW_JOURNAL_WORK,
                                       .exclusive = access == GW_JOURNAL_WORK};
    if (gw_state_open(&options, &journey->state, err))
        return true;
    return access == GW_JOURNAL_READ && err->kind == GW_ERR_RETRY; /* just being made: there is none yet */
}

static enum gw_capture capture_of(enum gw_migration_capture setting)
{
    switch (setting) {
    case GW_MIGRATION_CAPTURE_LOG:
        return GW_CAPTURE_LOG;
    case GW_MIGRATION_CAPTURE_TRIGGER:
        return GW_CAPTURE_TRIGGER;
    case GW_MIGRATION_CAPTURE_AUTO:
        break;
    }
    return GW_CAPTURE_AUTO;
}

bool gw_journey_connect_side(struct gw_journey *journey, enum gw_side side, struct gw_error *err)
{
    if (journey->sides[side])
        return true;
    const struct gw_migration_side *settings = &journey->store->side[side];
    struct gw_store_options options = {.url = settings->url,
                                       .password_command = settings->password_command,
                                       .bindir = settings->pg_bindir,
                                       .migration = journey->migration.name,
                                       .side = side,
                                       .capture = capture_of(journey->store->capture),
                                       .fence = settings->fence == GW_MIGRATION_FENCE_ACCOUNTS ? GW_FENCE_ACCOUNTS
                                                                                               : GW_FENCE_TRIGGERS,
                                       .cancel = journey->cancel};
    if (gw_store_open(&options, &journey->sides[side], err))
        return true;
    return gw_error_prefix(err, "%s (%s)", gw_side_name(side), journey->store->name);
}

static bool refuse_same_database(struct gw_journey *journey, struct gw_error *err)
{
    const struct gw_identity *blue = &journey->sides[GW_BLUE]->identity, *green = &journey->sides[GW_GREEN]->identity;
    if (strcmp(blue->server, green->server) || strcmp(blue->database, green->database))
        return true;
    (void)!gw_fail(err, GW_ERR_USER, "blue and green are the same database: %s", green->address);
    return gw_error_hint(err, "green must be another database, on another server in all but trials");
}

bool gw_journey_connect(struct gw_journey *journey, struct gw_error *err)
{
    return gw_journey_connect_side(journey, GW_BLUE, err) && gw_journey_connect_side(journey, GW_GREEN, err) &&
           refuse_same_database(journey, err);
}

bool gw_journey_open_gate(struct gw_journey *journey, struct gw_error *err)
{
    return journey->gate || gw_gate_open(&journey->store->gate, journey->store->side[GW_BLUE].url,
                                         journey->store->side[GW_GREEN].url, journey->cancel, &journey->gate, err);
}

bool gw_journey_stage(struct gw_journey *journey, enum gw_stage *stage, struct gw_error *err)
{
    char name[32] = "";
    int64_t since;
    if (journey->state && !gw_state_stage(journey->state, name, &since, err))
        return false;
    return gw_stage_parse(name, stage, err);
}

bool gw_journey_enter(struct gw_journey *journey, enum gw_stage stage, struct gw_error *err)
{
    enum gw_stage now;
    if (!gw_journey_stage(journey, &now, err))
        return false;
    if (now == stage)
        return true;
    if (!gw_stage_may_follow(now, stage))
        return gw_fail(err, GW_ERR_BUG, "stage %s cannot follow stage %s", gw_stage_info(stage)->name,
                       gw_stage_info(now)->name);
    return gw_state_set_stage(journey->state, gw_stage_info(stage)->name, err) &&
           gw_state_event(journey->state, "stage", gw_stage_info(stage)->name, err);
}

bool gw_journey_allows(struct gw_journey *journey, enum gw_verb verb, struct gw_error *err)
{
    enum gw_stage stage;
    return gw_journey_stage(journey, &stage, err) && gw_stage_allows(stage, verb, err);
}

/* Kept only where it is not blue's. */
static bool read_green_schema(struct gw_journey *journey, struct gw_error *err)
{
    gw_autojson json_t *kept = NULL;
    if (!gw_state_get(journey->state, "schema.green", &kept, err))
        return false;
    return !kept || gw_mapping_schema_parse(kept, &journey->green_schema, err);
}

bool gw_journey_read_schema(struct gw_journey *journey, struct gw_error *err)
{
    /* A status may be taken on another thread while the load reads it for the first time. */
    pthread_mutex_lock(&journey->lock);
    bool ok = (journey->schema.count > 0 || gw_state_schema(journey->state, &journey->schema, err)) &&
              (journey->green_schema.count > 0 || read_green_schema(journey, err));
    pthread_mutex_unlock(&journey->lock);
    return ok;
}

const struct gw_schema *gw_journey_schema(const struct gw_journey *journey, enum gw_side side)
{
    return side == GW_GREEN && journey->green_schema.count > 0 ? &journey->green_schema : &journey->schema;
}

bool gw_journey_is_done(struct gw_journey *journey, const char *step, bool *done, struct gw_error *err)
{
    gw_autofree char *name = gw_asprintf("done.%s", step);
    json_t *value = NULL;
    if (!gw_state_get(journey->state, name, &value, err))
        return false;
    *done = json_is_true(value);
    json_decref(value);
    return true;
}

bool gw_journey_set_done(struct gw_journey *journey, const char *step, struct gw_error *err)
{
    gw_autofree char *name = gw_asprintf("done.%s", step);
    return gw_state_put(journey->state, name, json_true(), err);
}

bool gw_journey_owner(struct gw_journey *journey, enum gw_side *owner, bool *torn, struct gw_error *err)
{
    struct gw_owner row;
    if (!gw_switch_owner(journey->sides, &row, torn, err))
        return false;
    *owner = row.owner;
    return true;
}

void gw_journey_say(struct gw_journey *journey, const char *format, ...)
{
    gw_autobuf struct gw_buf line = {0};
    va_list args;
    va_start(args, format);
    gw_buf_vaddf(&line, format, args);
    va_end(args);
    gw_info("%s", gw_buf_text(&line));
    struct gw_error ignored;
    if (journey->state && !gw_state_event(journey->state, "say", gw_buf_text(&line), &ignored))
        gw_debug("the journal could not be written: %s", ignored.message);
}

void gw_journey_progress(struct gw_journey *journey, double done, const char *format, ...)
{
    if (!journey->progress)
        return;
    gw_autobuf struct gw_buf line = {0};
    va_list args;
    va_start(args, format);
    gw_buf_vaddf(&line, format, args);
    va_end(args);
    journey->progress(gw_buf_text(&line), done, journey->progress_arg);
}

const char *gw_stream_name(enum gw_side source)
{
    return source == GW_BLUE ? "blue>green" : "green>blue";
}
