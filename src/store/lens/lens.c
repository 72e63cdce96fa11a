#include "store/lens/internal.h"

#include "base/mem.h"

#include <stdlib.h>

const struct gw_collection *lens_own(const struct lens *lens, const struct gw_collection *collection)
{
    return &lens->options.schemas[lens->side]->collections[collection->id];
}

const struct gw_table_definition *lens_definition(const struct lens *lens, enum gw_side side, uint32_t collection)
{
    const struct gw_definition *definition =
        side == GW_BLUE ? gw_map_blue_definition(lens->options.map) : gw_map_definition(lens->options.map);
    return &definition->tables[collection];
}

static void lens_close(struct gw_store *store)
{
    struct lens *lens = lens_of(store);
    free(lens->largest);
    free(store);
}

/* ---- the notes that following keeps on its target ---- */

static bool lens_note(struct gw_store *store, const char *name, const char *json, struct gw_error *err)
{
    struct gw_store *inner = lens_of(store)->inner;
    return inner->type->ownership->note(inner, name, json, err);
}

static bool lens_noted(struct gw_store *store, const char *name, struct gw_buf *json, struct gw_error *err)
{
    struct gw_store *inner = lens_of(store)->inner;
    return inner->type->ownership->noted(inner, name, json, err);
}

static const struct gw_ownership_facet lens_ownership = {.note = lens_note, .noted = lens_noted};

static const char *const no_schemes[] = {NULL};

static const struct gw_store_type lens_target_type = {
    .contract = GW_STORE_CONTRACT,
    .name = "mapped side",
    .schemes = no_schemes,
    .close = lens_close,
    .writer = &lens_writer_facet,
    .ownership = &lens_ownership,
    .schema = &lens_schema_facet,
};

static const struct gw_store_type lens_face_type = {
    .contract = GW_STORE_CONTRACT,
    .name = "mapped side",
    .schemes = no_schemes,
    .close = lens_close,
    .catalog = &lens_face_catalog,
    .reader = &lens_face_reader,
    .scan = &lens_face_scan,
};

static struct lens *lens_new(const struct gw_lens_options *options, enum gw_side side, const struct gw_store_type *type)
{
    struct lens *lens = gw_zalloc(sizeof *lens);
    lens->options = *options;
    lens->side = side;
    lens->inner = options->sides[side];
    lens->back = side == GW_BLUE;
    lens->base.type = type;
    lens->base.side = side;
    lens->base.identity = lens->inner->identity;
    lens->base.identity.capabilities &= ~(uint64_t)GW_CAN_PASS_THROUGH;
    return lens;
}

bool gw_lens_target(const struct gw_lens_options *options, enum gw_side target, struct gw_store **out,
                    struct gw_error *err)
{
    for (int side = 0; side < 2; side++) {
        const struct gw_store_type *type = options->sides[side]->type;
        if (!type->codec)
            return gw_fail(err, GW_ERR_UNSUPPORTED, "%s cannot be moved to another engine yet", type->name);
    }
    *out = &lens_new(options, target, &lens_target_type)->base;
    return true;
}

bool gw_lens_face(const struct gw_lens_options *options, enum gw_side side, struct gw_store **out, struct gw_error *err)
{
    const struct gw_store_type *type = options->sides[side]->type;
    if (!type->scan || !type->scan->to_datum || !type->scan->from_datum)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "%s cannot be compared with another engine yet", type->name);
    struct lens *lens = lens_new(options, side, &lens_face_type);
    lens->largest = gw_calloc(options->schemas[GW_GREEN]->count + 1, sizeof *lens->largest);
    *out = &lens->base;
    return true;
}
