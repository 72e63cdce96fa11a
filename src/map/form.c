/* Which columns keep the form of their values when these go to the other side and come back. */
#include "map/internal.h"

#include <string.h>

static bool is_whole_number(const struct gw_type *type)
{
    return type->kind == GW_KIND_INT64 || type->kind == GW_KIND_UINT64;
}

static bool is_words(const struct gw_type *type)
{
    return (type->kind == GW_KIND_TEXT || type->kind == GW_KIND_ENUM) && !type->is_set;
}

static bool settles(enum gw_map_policy policy)
{
    return policy == GW_MAP_ROUND || policy == GW_MAP_TRUNCATE || policy == GW_MAP_NULL;
}

/* One form for a value in `own`, and no two values of it that are one in `other`. What is not known for certain is not. */
static bool one_to_one(const struct gw_type *own, const struct gw_type *other)
{
    if (is_whole_number(own))
        return is_whole_number(other) || (other->kind == GW_KIND_DECIMAL && other->scale == 0);
    if (is_words(own))
        return is_words(other) && own->fixed == other->fixed;
    if (own->kind == GW_KIND_DECIMAL && is_whole_number(other))
        return own->scale == 0;
    if (own->kind == GW_KIND_BOOL && is_whole_number(other))
        return true;
    if (own->kind == GW_KIND_UUID && (is_words(other) || other->kind == GW_KIND_BYTES))
        return true;
    if (own->kind != other->kind)
        return false;
    switch (own->kind) {
    case GW_KIND_DECIMAL:
        return own->scale >= 0 && own->scale == other->scale;
    case GW_KIND_BYTES:
        return own->fixed == other->fixed;
    case GW_KIND_JSON: /* what may not hold a NUL is no text: of a document there is one form */
        return own->no_nul && !other->no_nul && !other->loose;
    case GW_KIND_BITS:
        return own->fixed == other->fixed && own->length == other->length;
    case GW_KIND_BOOL:
    case GW_KIND_FLOAT32:
    case GW_KIND_FLOAT64:
    case GW_KIND_DATE:
    case GW_KIND_TIME:
    case GW_KIND_TIMESTAMP:
    case GW_KIND_TIMESTAMPTZ:
    case GW_KIND_UUID:
    case GW_KIND_GEOMETRY:
        return true;
    default:
        return false;
    }
}

/* In a column that takes anything these are written in one form only. */
static bool has_usual_form(const struct gw_type *type)
{
    return is_whole_number(type) || is_words(type) || type->kind == GW_KIND_BYTES || type->kind == GW_KIND_FLOAT64;
}

static bool is_fit(const struct gw_map_step *step)
{
    return step->kind == STEP_COPY || step->kind == STEP_FIT;
}

/* The very same type of one engine: nothing is made of a value on the way. */
static bool is_same(const struct gw_map *map, uint32_t collection, int blue, int green)
{
    const char *engine = map->blue.sql_of;
    const char *a = map->blue.tables[collection].columns[blue].sql_type;
    const char *b = map->green.tables[collection].columns[green].sql_type;
    return engine && strcmp(engine, map->green_engine) == 0 && a && b && strcmp(a, b) == 0;
}

enum gw_map_form gw_map_form(const struct gw_map *map, uint32_t collection, int column, bool back)
{
    const struct gw_map_step *step = &map->tables[back][collection].steps[column];
    if (step->kind == STEP_NOTHING || step->kind == STEP_CONSTANT || step->kind == STEP_COMPUTED)
        return GW_MAP_FORM_KEPT; /* nothing of the other side is written to it */
    if (!is_fit(step) || step->zone)
        return GW_MAP_FORM_FREE;
    const struct gw_map_step *there = &map->tables[!back][collection].steps[step->source];
    if (!is_fit(there) || there->source != column || settles(step->policy) || settles(there->policy))
        return GW_MAP_FORM_FREE;
    if (step->kind == STEP_COPY && there->kind == STEP_COPY &&
        is_same(map, collection, back ? column : step->source, back ? step->source : column))
        return GW_MAP_FORM_KEPT;
    if (!one_to_one(step->to, there->to))
        return GW_MAP_FORM_FREE;
    if (!step->to->loose)
        return GW_MAP_FORM_KEPT;
    return has_usual_form(step->to) ? GW_MAP_FORM_USUAL : GW_MAP_FORM_FREE;
}

static bool all_sources(const struct gw_map_table *there, bool *sources)
{
    memset(sources, true, there->count);
    return there->count > 0;
}

bool gw_map_sources(const struct gw_map *map, uint32_t collection, int column, bool back, bool *sources)
{
    const struct gw_map_step *step = &map->tables[back][collection].steps[column];
    /* What steps go the other way is what columns there are on the side that is read. */
    const struct gw_map_table *there = &map->tables[!back][collection];
    bool uses_row = step->lua >= 0 && map->functions[step->lua].uses_row;
    switch (step->kind) {
    case STEP_COPY:
    case STEP_FIT:
    case STEP_CHANGE:
    case STEP_SPLIT:
    case STEP_LUA:
        if (uses_row || step->source < 0)
            return all_sources(there, sources);
        sources[step->source] = true;
        return true;
    case STEP_CONCAT:
    case STEP_JOIN:
        for (size_t i = 0; i < step->piece_count; i++)
            if (step->pieces[i].column >= 0)
                sources[step->pieces[i].column] = true;
        return true;
    default:
        return false;
    }
}
