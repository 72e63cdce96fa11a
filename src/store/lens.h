/*
 * A side seen through a map (map/map.h): where the two sides run different engines, or rules change rows, stages are
 * handed a lens in the place of a side, and never know.
 *
 *   gw_lens_target   the side that is written to, speaking the other side's schema and values: what copy, follow and the
 *                    load write into it comes out mapped, in the target's own form. Has writer, ownership (notes only)
 *                    and schema (create, keys, indexes, finish, analyze, sequences).
 *   gw_lens_face     a side as verify looks at it: both faces of a pair show green's collections, blue's rows as they
 *                    should be on green. Compared is what green can hold, whichever side owns the data, so what was
 *                    knowingly lost on the way is not a difference. Has catalog (list), reader (split) and scan.
 *
 * Native rows are spooled and kept in quarantine as the source wrote them; they are mapped when they are written.
 *
 * Threads and errors as the sides' own. A value that green's column cannot hold under policy fail is GW_ERR_CONFLICT.
 */
#ifndef GW_STORE_LENS_H
#define GW_STORE_LENS_H

#include "map/map.h"
#include "store/store.h"

struct gw_lens_options {
    struct gw_store *sides[2];          /* borrowed for life, as are the others */
    const struct gw_schema *schemas[2]; /* of each side, in its own terms; ids are places in both */
    const struct gw_map *map;
    enum gw_side owner; /* faces: what the owner's log does not bring to the other side is not compared */
    /* A row under policy quarantine, left out of a chunk: kept where it blocks the switch, durably, before the chunk
     * commits. */
    bool (*set_aside)(void *arg, uint64_t chunk, const struct gw_collection *source, const char *key, const char *why,
                      struct gw_error *err);
    /* A chunk begins to be loaded: what was set aside of it before, in a try that ended, is to be forgotten. */
    bool (*begins)(void *arg, uint64_t chunk, struct gw_error *err);
    void *set_aside_arg;
};

/* `target` is the side written to; the lens speaks the other one's schema. */
GW_MUST_CHECK bool gw_lens_target(const struct gw_lens_options *, enum gw_side target, struct gw_store **out,
                                  struct gw_error *err);
GW_MUST_CHECK bool gw_lens_face(const struct gw_lens_options *, enum gw_side side, struct gw_store **out,
                                struct gw_error *err);
/* Both are closed by gw_store_close, which leaves the sides open. */

#endif
