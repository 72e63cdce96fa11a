/*
 * What check and plan need of a map before anything is made: whether there must be one, what would be lost, and how many
 * of blue's real rows it would hit.
 */
#ifndef GW_STORE_LENS_PLAN_H
#define GW_STORE_LENS_PLAN_H

#include "store/lens.h"

/* Two engines, or rules that change rows. */
bool gw_lens_needed(const struct gw_store *blue, const struct gw_store *green, struct gw_rules *rules);
/* GW_ERR_UNSUPPORTED where the engine cannot describe itself. */
GW_MUST_CHECK bool gw_lens_describe(struct gw_store *, const struct gw_filter *, struct gw_definition *out,
                                    struct gw_error *err);
GW_MUST_CHECK bool gw_lens_compile(const struct gw_definition *blue_definition, const struct gw_store *blue,
                                   const struct gw_store *green, struct gw_rules *rules, struct gw_map **out,
                                   struct gw_map_losses *losses, struct gw_error *err);

/* How many of blue's rows each loss that counts rows would hit: hits[i] for losses->items[i]. Reads `rows_most` rows of
 * each collection at most (0: all); *complete false when there were more. */
GW_MUST_CHECK bool gw_lens_count_hits(struct gw_store *blue, const struct gw_schema *schema, const struct gw_map *map,
                                      const struct gw_map_losses *losses, uint64_t rows_most, uint64_t *hits,
                                      bool *complete, struct gw_error *err);

/* The losses as findings of check and plan: what blocks, what breaks the way back, what is only said. `hits` may be
 * NULL: not counted. */
void gw_lens_findings(const struct gw_map *map, const struct gw_map_losses *losses, const uint64_t *hits, bool complete,
                      struct gw_findings *findings);

/* All of it: describes blue, compiles, looks at the data (rows_most as above), and says what it finds. */
struct gw_lens_look {
    struct gw_findings *findings;
    struct gw_buf *map;      /* the map in words, a paragraph a table; may be NULL */
    struct gw_schema *green; /* green's collections to be: spaces, names, names of columns; may be NULL */
};
GW_MUST_CHECK bool gw_lens_look(struct gw_store *blue, struct gw_store *green, const struct gw_filter *filter,
                                struct gw_rules *rules, uint64_t rows_most, const struct gw_lens_look *out,
                                struct gw_error *err);

#endif
