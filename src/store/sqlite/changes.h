/* The change log of a side as a stream; private to the two files that make it. */
#ifndef GW_STORE_SQLITE_CHANGES_H
#define GW_STORE_SQLITE_CHANGES_H

#include "store/sqlite/capture.h"

/* changes_prepare.c */
GW_MUST_CHECK bool gw_lite_prepare_capture(struct gw_store *, const struct gw_schema *, struct gw_position *start,
                                           char barrier[240], struct gw_error *);
GW_MUST_CHECK bool gw_lite_drop_capture(struct gw_store *, struct gw_error *);
/* What of this table's capture is not as it would be made now ("" : all is). */
GW_MUST_CHECK bool gw_lite_capture_amiss(struct gw_lite_conn *, const char *name, struct gw_buf *why,
                                         struct gw_error *);
/* changes_locate.c */
GW_MUST_CHECK bool gw_lite_locate(struct gw_store *, const struct gw_collection *, const struct gw_bound *bounds,
                                  size_t bound_count, const struct gw_row *keys, size_t key_count, uint32_t *chunk,
                                  struct gw_error *);

#endif
