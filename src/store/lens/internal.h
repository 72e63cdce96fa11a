/* Inside of the lens; private to store/lens/. */
#ifndef GW_STORE_LENS_INTERNAL_H
#define GW_STORE_LENS_INTERNAL_H

#include "store/lens.h"

struct lens {
    struct gw_store base; /* first */
    struct gw_lens_options options;
    enum gw_side side;      /* the side behind the lens */
    struct gw_store *inner; /* options.sides[side] */
    bool back;              /* rows come from green: side is blue */
};

static inline struct lens *lens_of(struct gw_store *store)
{
    return (struct lens *)store;
}

/* The collection behind the lens for one of the other side, and its definition. */
const struct gw_collection *lens_own(const struct lens *, const struct gw_collection *);
const struct gw_table_definition *lens_definition(const struct lens *, enum gw_side, uint32_t collection);

/* lens_normal.c: equal values get equal bytes, whichever engine they came from: 1.0 and 1.00, INT64 and UINT64, the
 * padding of CHAR(n), the order of keys in JSON; where the engines are `unlike`, how a time is written. `type` is
 * green's. */
struct gw_datum lens_normal(const struct gw_type *type, bool unlike, const struct gw_datum *datum,
                            struct gw_arena *arena);

extern const struct gw_writer_facet lens_writer_facet;
extern const struct gw_schema_facet lens_schema_facet;
extern const struct gw_catalog_facet lens_face_catalog;
extern const struct gw_reader_facet lens_face_reader;
extern const struct gw_scan_facet lens_face_scan;

#endif
