/* Schema through the map: green's definition, made by green's engine; counters by the columns they stand behind. */
#include "base/log.h"
#include "base/mem.h"
#include "store/lens/internal.h"

#include <stdlib.h>

static bool build(struct gw_store *store, enum gw_build_phase phase, const struct gw_table_definition *only, int jobs,
                  struct gw_error *err)
{
    struct lens *lens = lens_of(store);
    const struct gw_schema_facet *schema = lens->inner->type->schema;
    if (!schema || !schema->build)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "%s cannot be built from another engine's definition yet",
                       lens->inner->type->name);
    gw_autobuf struct gw_buf left = {0};
    if (!schema->build(lens->inner, gw_map_definition(lens->options.map), phase, only, jobs, &left, err))
        return false;
    if (left.len)
        gw_warn("%s: left for a person:\n%s", gw_side_name(lens->side), gw_buf_text(&left));
    return true;
}

static bool lens_create(struct gw_store *source, struct gw_store *target, const struct gw_filter *filter,
                        const char *work_dir, struct gw_error *err)
{
    (void)source;
    (void)filter;
    (void)work_dir;
    return build(target, GW_BUILD_TABLES, NULL, 1, err);
}

static bool lens_create_key(struct gw_store *target, const struct gw_collection *collection, const char *work_dir,
                            struct gw_error *err)
{
    (void)work_dir;
    return build(target, GW_BUILD_KEY, lens_definition(lens_of(target), GW_GREEN, collection->id), 1, err);
}

static bool lens_create_index(struct gw_store *target, const struct gw_collection *collection, size_t nth, bool *more,
                              struct gw_error *err)
{
    struct lens *lens = lens_of(target);
    const struct gw_schema_facet *schema = lens->inner->type->schema;
    *more = false;
    return !schema || !schema->build_index ||
           schema->build_index(lens->inner, gw_map_definition(lens->options.map),
                               lens_definition(lens, GW_GREEN, collection->id), nth, more, err);
}

static bool lens_create_indexes(struct gw_store *target, const char *work_dir, int jobs, struct gw_error *err)
{
    (void)work_dir;
    return build(target, GW_BUILD_INDEXES, NULL, jobs, err);
}

static bool lens_finish(struct gw_store *target, const char *work_dir, struct gw_error *err)
{
    (void)work_dir;
    return build(target, GW_BUILD_CONSTRAINTS, NULL, 1, err);
}

static bool lens_analyze(struct gw_store *target, const struct gw_schema *schema, int jobs, struct gw_error *err)
{
    struct lens *lens = lens_of(target);
    (void)schema;
    return lens->inner->type->schema->analyze(lens->inner, lens->options.schemas[lens->side], jobs, err);
}

static bool lens_sync_sequences(struct gw_store *from, struct gw_store *to, size_t *count, struct gw_error *err)
{
    struct lens *lens = lens_of(to);
    const struct gw_schema *source = lens->options.schemas[gw_side_other(lens->side)];
    const struct gw_schema *target = lens->options.schemas[lens->side];
    struct gw_counter *counters = NULL;
    size_t found = 0, kept = 0;
    if (!from->type->schema->counters || !lens->inner->type->schema->set_counters)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "counters cannot be carried from %s to %s yet", from->type->name,
                       lens->inner->type->name);
    if (!from->type->schema->counters(from, source, &counters, &found, err))
        return false;
    for (size_t i = 0; i < found; i++) {
        int column = gw_map_column(lens->options.map, counters[i].collection, (int)counters[i].column, lens->back);
        if (column < 0)
            continue;
        counters[kept] = counters[i];
        counters[kept++].column = (uint32_t)column;
    }
    bool ok = lens->inner->type->schema->set_counters(lens->inner, target, counters, kept, err);
    free(counters);
    *count = kept;
    return ok;
}

const struct gw_schema_facet lens_schema_facet = {
    .create = lens_create,
    .create_key = lens_create_key,
    .create_index = lens_create_index,
    .create_indexes = lens_create_indexes,
    .finish = lens_finish,
    .analyze = lens_analyze,
    .sync_sequences = lens_sync_sequences,
};
