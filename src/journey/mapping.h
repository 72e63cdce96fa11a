/*
 * Moves to another engine, or with rules: the map of this migration, and the lenses (store/lens/) that stand in the place
 * of a side wherever a stage writes into it or compares it. Where both sides run one engine and no rule changes a row
 * there is no map, and a side stands for itself.
 *
 * The map is made anew from blue's definition whenever following starts: it must be what was planned.
 */
#ifndef GW_JOURNEY_MAPPING_H
#define GW_JOURNEY_MAPPING_H

#include "journey/journey.h"

/* What the sides' engines and the rules say; both sides must be open. */
bool gw_mapping_needed(const struct gw_journey *);
/* Makes the map and the lenses, once; where none is needed it does nothing. The planned schema must be read. */
GW_MUST_CHECK bool gw_mapping_open(struct gw_journey *, struct gw_error *);
void gw_mapping_close(struct gw_journey *);
/* Green's tables as they stand, kept as green's planned schema: when they are made, and again when they have keys. */
GW_MUST_CHECK bool gw_mapping_keep_green(struct gw_journey *, struct gw_error *);
/* Names a table that is on green already; "" when there is none. */
GW_MUST_CHECK bool gw_mapping_taken(struct gw_journey *, struct gw_buf *name, struct gw_error *);

/* The side as copy, follow and the load write into it. */
struct gw_store *gw_mapping_target(struct gw_journey *, enum gw_side);
/* The sides as verify looks at them; with a map both show green's schema. Until the next call. */
GW_MUST_CHECK bool gw_mapping_faces(struct gw_journey *, enum gw_side owner, struct gw_store **source,
                                    struct gw_store **target, struct gw_error *);

/* What the log of this side leaves out of what its foreign keys do; none where it carries all. Owned by the journey. */
GW_MUST_CHECK bool gw_mapping_cascades(struct gw_journey *, enum gw_side, const struct gw_cascade **out, size_t *count,
                                       struct gw_error *);

/* An array of the texts by which the state keeps collections; and back (`out` is the caller's also on false). */
json_t *gw_mapping_schema_json(const struct gw_schema *);
GW_MUST_CHECK bool gw_mapping_schema_parse(const json_t *, struct gw_schema *out, struct gw_error *);

#endif
