#include "journey/adopt.h"

#include "base/buf.h"
#include "base/mem.h"
#include "io/json.h"
#include "journey/definitions.h"
#include "journey/mapping.h"

#include <stdlib.h>
#include <string.h>

static bool read_owner(struct gw_journey *journey, struct gw_owner *owner, struct gw_error *err)
{
    for (int side = 0; side < 2; side++) {
        struct gw_store *store = journey->sides[side];
        struct gw_owner row;
        bool installed;
        if (!store->type->ownership->get(store, &row, &installed, err))
            return false;
        if (!installed || strcmp(row.migration, journey->migration.name) != 0) {
            (void)!gw_fail(err, GW_ERR_CONFLICT, "%s holds no migration \"%s\"%s%s", gw_side_name((enum gw_side)side),
                           journey->migration.name, installed ? "; it holds one named " : "",
                           installed ? row.migration : "");
            return gw_error_hint(err, "nothing to adopt: godwit run begins a migration");
        }
        if (side == GW_BLUE) {
            *owner = row;
        } else if (strcmp(owner->migration_id, row.migration_id) != 0) {
            return gw_fail(err, GW_ERR_CONFLICT, "blue and green belong to two different migrations named \"%s\"",
                           row.migration);
        } else if (row.epoch > owner->epoch) {
            *owner = row;
        }
    }
    return true;
}

/* `green` stays empty where both sides have the same collections. */
static bool parse_plan(const struct gw_buf *text, struct gw_schema *schema, struct gw_schema *green, bool *loaded,
                       struct gw_error *err)
{
    gw_autojson json_t *plan = NULL;
    json_t *collections;
    if (!gw_json_parse(gw_buf_text(text), text->len, "the plan noted on the sides", &plan, err) ||
        !gw_json_get_bool(plan, "loaded", loaded, err) || !gw_json_get_array(plan, "collections", &collections, err) ||
        !gw_mapping_schema_parse(collections, schema, err))
        return false;
    return gw_mapping_schema_parse(json_object_get(plan, "green"), green, err);
}

static bool read_plan(struct gw_journey *journey, struct gw_schema *schema, struct gw_schema *green_schema,
                      struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    struct gw_store *green = journey->sides[GW_GREEN];
    bool loaded = false;
    if (!green->type->ownership->noted(green, "plan", &text, err) ||
        !parse_plan(&text, schema, green_schema, &loaded, err))
        return gw_error_prefix(err, "reading the plan noted on green");
    if (loaded)
        return true;
    (void)!gw_fail(err, GW_ERR_LOST_POSITION,
                   "the load was not complete: the changes that the lost machine had spooled "
                   "are gone, so what was copied cannot be brought up to date");
    return gw_error_hint(err, "remove what is left with the break-glass SQL of godwit plan, empty green, and begin "
                              "again: godwit run");
}

static bool restore_chunks(struct gw_journey *journey, const struct gw_schema *schema, struct gw_error *err)
{
    struct gw_checkpoint *found = NULL;
    size_t count = 0;
    struct gw_store *green = journey->sides[GW_GREEN];
    if (!green->type->writer->checkpoints(green, &found, &count, err))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < count; i++) {
        struct gw_chunk chunk = {.id = found[i].chunk,
                                 .collection = found[i].collection,
                                 .range = found[i].range,
                                 .loaded = true,
                                 .mark = found[i].mark,
                                 .rows = found[i].rows,
                                 .bytes = found[i].bytes};
        ok = gw_state_restore_chunk(journey->state, &chunk, err);
    }
    for (size_t i = 0; i < count; i++)
        gw_checkpoint_release(&found[i]);
    free(found);
    for (size_t i = 0; ok && i < schema->count; i++)
        ok = gw_state_set_load_status(journey->state, schema->collections[i].id, GW_LOAD_KEYED, err);
    return ok;
}

static bool keep_green(struct gw_journey *journey, const struct gw_schema *green_schema, struct gw_error *err)
{
    if (green_schema->count == 0)
        return true;
    gw_autojson json_t *kept = gw_mapping_schema_json(green_schema);
    return gw_state_put(journey->state, "schema.green", kept, err);
}

static bool rebuild(struct gw_journey *journey, const struct gw_owner *owner, const struct gw_schema *schema,
                    const struct gw_schema *green_schema, enum gw_stage stage, struct gw_error *err)
{
    if (!gw_state_set_migration_id(journey->state, owner->migration_id, err) ||
        !gw_state_put_schema(journey->state, schema, err) || !keep_green(journey, green_schema, err) ||
        !gw_journey_read_schema(journey, err) || !restore_chunks(journey, schema, err))
        return false;
    /* Through the switch stage: the next verb looks at both sides and resolves a flip that was cut off. */
    return gw_definitions_keep(journey, owner->owner, err) &&
           gw_state_set_stage(journey->state, gw_stage_info(stage)->name, err) &&
           gw_state_event(journey->state, "stage", "adopted", err);
}

/* A journal in which nothing has begun (a run that met a migration it did not know) may be filled. */
static bool open_empty_journal(struct gw_journey *journey, struct gw_error *err)
{
    enum gw_stage stage;
    if (!gw_journey_open_state(journey, GW_JOURNAL_WORK, err) || !gw_journey_stage(journey, &stage, err))
        return false;
    if (stage == GW_STAGE_NEW)
        return true;
    (void)!gw_fail(err, GW_ERR_CONFLICT, "there is a journal already in %s, in stage %s", journey->folder,
                   gw_stage_info(stage)->name);
    return gw_error_hint(err, "godwit run goes on with it; if it is damaged, move it away and adopt again");
}

bool gw_adopt(struct gw_journey *journey, enum gw_stage *stage, struct gw_error *err)
{
    struct gw_owner owner;
    struct gw_schema schema = {0}, green_schema = {0};
    *stage = GW_STAGE_SWITCH;
    bool ok = gw_journey_connect(journey, err) && read_owner(journey, &owner, err) &&
              read_plan(journey, &schema, &green_schema, err) && open_empty_journal(journey, err) &&
              rebuild(journey, &owner, &schema, &green_schema, *stage, err);
    gw_schema_release(&schema);
    gw_schema_release(&green_schema);
    return ok;
}
