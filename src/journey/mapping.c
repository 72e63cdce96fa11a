#include "journey/mapping.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/json.h"
#include "store/lens_plan.h"

#include <stdlib.h>
#include <string.h>

bool gw_mapping_needed(const struct gw_journey *journey)
{
    return gw_lens_needed(journey->sides[GW_BLUE], journey->sides[GW_GREEN], journey->rules);
}

/* ---- schemas ----------------------------------------------------------------------------------------------------- */

json_t *gw_mapping_schema_json(const struct gw_schema *schema)
{
    json_t *collections = json_array();
    for (size_t i = 0; i < schema->count; i++) {
        gw_autobuf struct gw_buf text = {0};
        gw_collection_format(&schema->collections[i], &text);
        json_array_append_new(collections, gw_json_text(gw_buf_text(&text)));
    }
    return collections;
}

bool gw_mapping_schema_parse(const json_t *collections, struct gw_schema *out, struct gw_error *err)
{
    size_t i;
    json_t *item;
    out->collections = gw_calloc(json_array_size(collections) + 1, sizeof *out->collections);
    json_array_foreach((json_t *)(uintptr_t)collections, i, item)
    {
        if (!json_is_string(item))
            return gw_fail(err, GW_ERR_CONFLICT, "the plan that was kept is damaged at table %zu", i);
        if (!gw_collection_parse(json_string_value(item), &out->collections[i], err))
            return false;
        out->count = i + 1;
    }
    return true;
}

static bool differs(const struct gw_table_definition *table, const char *how, struct gw_error *err)
{
    gw_fail(err, GW_ERR_CONFLICT, "table %s%s%s %s", table->space, *table->space ? "." : "", table->name, how);
    return gw_error_hint(err, "a definition was changed by hand while the migration was under way: undo it, or godwit "
                              "abort and begin again");
}

/* The definition's columns are the collection's, in their order: rows are mapped by place. */
static bool same_places(const struct gw_table_definition *table, const struct gw_collection *collection,
                        struct gw_error *err)
{
    if (!collection)
        return differs(table, "is not there", err);
    if (collection->column_count != table->column_count)
        return differs(table, "does not have the planned number of columns", err);
    for (size_t i = 0; i < table->column_count; i++)
        if (strcmp(table->columns[i].name, collection->columns[i].name) != 0)
            return differs(table, "does not have the planned columns", err);
    return true;
}

/* ---- green's schema ---------------------------------------------------------------------------------------------- */

/* Everything: names on green are the map's, and the migration file's patterns mean blue's. */
static const struct gw_filter no_filter;

static bool align_green(struct gw_journey *journey, struct gw_schema *there, struct gw_schema *out,
                        struct gw_error *err)
{
    const struct gw_definition *wanted = gw_map_definition(journey->map);
    out->collections = gw_calloc(wanted->table_count + 1, sizeof *out->collections);
    for (size_t i = 0; i < wanted->table_count; i++) {
        const struct gw_table_definition *table = &wanted->tables[i];
        const struct gw_collection *found = gw_schema_find(there, table->space, table->name);
        if (!same_places(table, found, err))
            return gw_error_place(err, "green");
        gw_autobuf struct gw_buf text = {0};
        gw_collection_format(found, &text);
        if (!gw_collection_parse(gw_buf_text(&text), &out->collections[i], err))
            return false;
        out->collections[i].id = (uint32_t)i;
        out->count = i + 1;
    }
    return true;
}

bool gw_mapping_keep_green(struct gw_journey *journey, struct gw_error *err)
{
    struct gw_store *green = journey->sides[GW_GREEN];
    struct gw_schema there = {0}, aligned = {0};
    if (!journey->map)
        return true;
    bool ok = green->type->catalog->list(green, &no_filter, &there, err) && align_green(journey, &there, &aligned, err);
    if (ok) {
        gw_autojson json_t *kept = gw_mapping_schema_json(&aligned);
        GW_CRASH_POINT("mapping.before_keep");
        ok = gw_state_put(journey->state, "schema.green", kept, err);
    }
    if (ok) {
        pthread_mutex_lock(&journey->lock);
        struct gw_schema before = journey->green_schema;
        journey->green_schema = aligned;
        aligned = before;
        pthread_mutex_unlock(&journey->lock);
    }
    gw_schema_release(&aligned);
    gw_schema_release(&there);
    return ok;
}

bool gw_mapping_taken(struct gw_journey *journey, struct gw_buf *name, struct gw_error *err)
{
    struct gw_store *green = journey->sides[GW_GREEN];
    struct gw_schema there = {0};
    const struct gw_definition *wanted = journey->map ? gw_map_definition(journey->map) : NULL;
    if (!green->type->catalog->list(green, wanted ? &no_filter : &journey->store->filter, &there, err))
        return false;
    size_t count = wanted ? wanted->table_count : journey->schema.count;
    for (size_t i = 0; i < count && !name->len; i++) {
        const char *space = wanted ? wanted->tables[i].space : journey->schema.collections[i].space;
        const char *table = wanted ? wanted->tables[i].name : journey->schema.collections[i].name;
        const struct gw_collection *found = gw_schema_find(&there, space, table);
        if (found)
            gw_buf_adds(name, gw_collection_label(found));
    }
    gw_schema_release(&there);
    return true;
}

/* ---- rows under policy quarantine -------------------------------------------------------------------------------- */

static bool chunk_begins(void *arg, uint64_t chunk, struct gw_error *err)
{
    struct gw_journey *journey = arg;
    bool ok = gw_state_forget_left_out(journey->state, chunk, err);
    GW_CRASH_POINT("aside.after_forget");
    return ok;
}

static bool set_aside(void *arg, uint64_t chunk, const struct gw_collection *collection, const char *key,
                      const char *why, struct gw_error *err)
{
    struct gw_journey *journey = arg;
    struct gw_quarantined item = {.wall_us = gw_wall_us(), .chunk = chunk, .left_out = true};
    snprintf(item.stream, sizeof item.stream, "%s", gw_stream_name(GW_BLUE));
    item.collection = gw_strdup(gw_collection_label(collection));
    item.operation = gw_strdup("copy");
    item.key = gw_strdup(key);
    item.reason = gw_strdup(why);
    bool ok = gw_state_quarantine(journey->state, &item, NULL, 0, err);
    GW_CRASH_POINT("aside.after_note");
    free(item.collection);
    free(item.operation);
    free(item.key);
    free(item.reason);
    return ok;
}

/* ---- the map and the lenses -------------------------------------------------------------------------------------- */

/* Blue's definition in the order of the planned schema, without what came since. */
static bool planned_definition(struct gw_journey *journey, struct gw_definition *now, struct gw_definition *out,
                               struct gw_error *err)
{
    out->sql_of = gw_strdup(now->sql_of);
    for (size_t i = 0; i < journey->schema.count; i++) {
        const struct gw_collection *planned = &journey->schema.collections[i];
        const struct gw_table_definition *found = gw_definition_find(now, planned->space, planned->name);
        if (!found)
            return gw_fail(err, GW_ERR_CONFLICT, "blue has no table %s any more", gw_collection_label(planned));
        if (!same_places(found, planned, err))
            return gw_error_place(err, "blue");
        gw_table_definition_copy(gw_definition_add_table(out), found);
    }
    return true;
}

/* plan and check say them all; whoever did not ask is told the first. */
static bool refuse_blocking(const struct gw_map_losses *losses, struct gw_error *err)
{
    for (size_t i = 0; i < losses->count; i++) {
        if (!losses->items[i].blocks)
            continue;
        gw_fail(err, GW_ERR_USER, "%s", losses->items[i].what);
        return gw_error_hint(err, "godwit plan shows all that blocks, and the rules that settle it");
    }
    return true;
}

static bool compile(struct gw_journey *journey, struct gw_error *err)
{
    struct gw_definition now = {0}, planned = {0};
    struct gw_map_losses losses = {0};
    struct gw_store *blue = journey->sides[GW_BLUE];
    bool ok = gw_lens_describe(blue, &journey->store->filter, &now, err) &&
              planned_definition(journey, &now, &planned, err) &&
              gw_lens_compile(&planned, blue, journey->sides[GW_GREEN], journey->rules, &journey->map, &losses, err) &&
              refuse_blocking(&losses, err);
    if (!ok) {
        gw_map_free(journey->map);
        journey->map = NULL;
    }
    gw_map_losses_release(&losses);
    gw_definition_release(&now);
    gw_definition_release(&planned);
    return ok;
}

bool gw_mapping_open(struct gw_journey *journey, struct gw_error *err)
{
    if (journey->map || !gw_mapping_needed(journey))
        return true;
    if (!compile(journey, err))
        return gw_error_prefix(err, "mapping blue to green");
    struct gw_lens_options options = {.sides = {journey->sides[GW_BLUE], journey->sides[GW_GREEN]},
                                      .schemas = {&journey->schema, &journey->green_schema},
                                      .map = journey->map,
                                      .set_aside = set_aside,
                                      .begins = chunk_begins,
                                      .set_aside_arg = journey};
    return gw_lens_target(&options, GW_GREEN, &journey->targets[GW_GREEN], err) &&
           gw_lens_target(&options, GW_BLUE, &journey->targets[GW_BLUE], err);
}

void gw_mapping_close(struct gw_journey *journey)
{
    for (int side = 0; side < 2; side++) {
        gw_store_close(journey->targets[side]);
        gw_store_close(journey->faces[side]);
        journey->targets[side] = journey->faces[side] = NULL;
    }
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < journey->cascade_count[side]; i++) {
            free(journey->cascades[side][i].parent_columns);
            free(journey->cascades[side][i].child_columns);
        }
        free(journey->cascades[side]);
        journey->cascades[side] = NULL;
        journey->cascade_count[side] = 0;
    }
    gw_map_free(journey->map);
    journey->map = NULL;
    gw_schema_release(&journey->green_schema);
}

struct gw_store *gw_mapping_target(struct gw_journey *journey, enum gw_side side)
{
    return journey->targets[side] ? journey->targets[side] : journey->sides[side];
}

static bool open_face(struct gw_journey *journey, enum gw_side side, enum gw_side owner, struct gw_error *err)
{
    struct gw_lens_options options = {.sides = {journey->sides[GW_BLUE], journey->sides[GW_GREEN]},
                                      .schemas = {&journey->schema, &journey->green_schema},
                                      .map = journey->map,
                                      .owner = owner};
    gw_store_close(journey->faces[side]);
    journey->faces[side] = NULL;
    return gw_lens_face(&options, side, &journey->faces[side], err);
}

bool gw_mapping_faces(struct gw_journey *journey, enum gw_side owner, struct gw_store **source,
                      struct gw_store **target, struct gw_error *err)
{
    if (journey->map && (!open_face(journey, GW_BLUE, owner, err) || !open_face(journey, GW_GREEN, owner, err)))
        return false;
    struct gw_store **sides = journey->map ? journey->faces : journey->sides;
    *source = sides[owner];
    *target = sides[gw_side_other(owner)];
    return true;
}

/* ---- foreign keys whose work no log carries ---------------------------------------------------------------------- */

static bool acts(const struct gw_foreign_key *key)
{
    return key->on_delete == GW_REFERENCE_CASCADE || key->on_delete == GW_REFERENCE_SET_NULL ||
           key->on_delete == GW_REFERENCE_SET_DEFAULT || key->on_update == GW_REFERENCE_CASCADE ||
           key->on_update == GW_REFERENCE_SET_NULL || key->on_update == GW_REFERENCE_SET_DEFAULT;
}

static bool column_of(const struct gw_collection *collection, const char *name, uint32_t *out)
{
    for (size_t i = 0; i < collection->column_count; i++) {
        *out = (uint32_t)i;
        if (strcmp(collection->columns[i].name, name) == 0)
            return true;
    }
    return false;
}

static bool add_cascade(struct gw_journey *journey, enum gw_side side, const struct gw_collection *child,
                        const struct gw_foreign_key *key, struct gw_error *err)
{
    const struct gw_schema *schema = gw_journey_schema(journey, side);
    const struct gw_collection *parent = gw_schema_find(schema, key->space ? key->space : child->space, key->table);
    if (!parent || !acts(key))
        return true;
    size_t count = journey->cascade_count[side]++;
    journey->cascades[side] = gw_realloc(journey->cascades[side], (count + 1) * sizeof *journey->cascades[side]);
    struct gw_cascade *cascade = &journey->cascades[side][count];
    *cascade = (struct gw_cascade){.parent = parent->id,
                                   .child = child->id,
                                   .count = key->column_count,
                                   .parent_columns = gw_calloc(key->column_count + 1, sizeof(uint32_t)),
                                   .child_columns = gw_calloc(key->column_count + 1, sizeof(uint32_t))};
    for (size_t i = 0; i < key->column_count; i++)
        if (!column_of(child, key->columns[i], &cascade->child_columns[i]) ||
            !column_of(parent, key->references[i], &cascade->parent_columns[i]))
            return gw_fail(err, GW_ERR_CONFLICT, "foreign key %s of %s is on columns that are not in the plan",
                           key->name, gw_collection_label(child));
    return true;
}

static bool find_cascades(struct gw_journey *journey, enum gw_side side, struct gw_error *err)
{
    struct gw_store *store = journey->sides[side];
    const struct gw_schema *schema = gw_journey_schema(journey, side);
    struct gw_definition definition = {0};
    bool ok = store->type->catalog->describe(store, &no_filter, &definition, err);
    for (size_t i = 0; ok && i < schema->count; i++) {
        const struct gw_collection *child = &schema->collections[i];
        const struct gw_table_definition *table = gw_definition_find(&definition, child->space, child->name);
        for (size_t k = 0; ok && table && k < table->foreign_key_count; k++)
            ok = add_cascade(journey, side, child, &table->foreign_keys[k], err);
    }
    gw_definition_release(&definition);
    return ok || gw_error_prefix(err, "reading the foreign keys of %s", gw_side_name(side));
}

bool gw_mapping_cascades(struct gw_journey *journey, enum gw_side side, const struct gw_cascade **out, size_t *count,
                         struct gw_error *err)
{
    struct gw_store *store = journey->sides[side];
    bool carried = (store->identity.capabilities & GW_CAN_LOG_CASCADES) || !store->type->catalog->describe;
    if (!carried && !journey->cascades[side] && !find_cascades(journey, side, err))
        return false;
    *out = journey->cascades[side];
    *count = journey->cascade_count[side];
    return true;
}
