/* Inside of the lens; private to store/lens/. */
#ifndef GW_STORE_LENS_INTERNAL_H
#define GW_STORE_LENS_INTERNAL_H

#include "store/lens.h"

#include <pthread.h>
#include <stdatomic.h>

struct lens {
    struct gw_store base; /* first */
    struct gw_lens_options options;
    enum gw_side side;      /* the side behind the lens */
    struct gw_store *inner; /* options.sides[side] */
    bool back;              /* rows come from green: side is blue */
    atomic_uint *largest;   /* faces: bytes of the largest row met, by collection */
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
 * green's. Borrows from the datum, the arena, or `room` (until its next use). */
struct gw_datum lens_normal(const struct gw_type *type, bool unlike, const struct gw_datum *datum,
                            struct gw_arena *arena, struct gw_buf *room);

/* lens_value.c: the canonical bytes of a datum as verify holds them. Up to GW_LENS_LARGE_BYTES these are gw_datum_write's.
 * Of a larger value, unless it is of a key, its kind, length, hash and beginning stand for it, so that no more than one
 * copy of it is ever there. Hashes are seeded anew in each process. */
#define GW_LENS_LARGE_BYTES (256u << 10)
void lens_value_write(struct gw_buf *out, const struct gw_datum *datum, bool key);
void lens_value_print(const struct gw_value *value, struct gw_buf *out);

extern const struct gw_writer_facet lens_writer_facet;
extern const struct gw_schema_facet lens_schema_facet;
extern const struct gw_catalog_facet lens_face_catalog;
extern const struct gw_reader_facet lens_face_reader;
extern const struct gw_scan_facet lens_face_scan;

#endif
