/* check, audit and plan of one file; private to the files inspect*.c. */
#ifndef GW_STORE_SQLITE_INSPECT_H
#define GW_STORE_SQLITE_INSPECT_H

#include "store/sqlite/catalog.h"

#include <jansson.h>

/* inspect_values.c: values whose storage class is none that the declared type means. */
GW_MUST_CHECK bool gw_lite_check_values(struct gw_lite_conn *, const struct gw_lite_table *, struct gw_findings *,
                                        struct gw_error *);
/* inspect_report.c */
GW_MUST_CHECK bool gw_lite_inventory(struct gw_store *, const struct gw_filter *, json_t **out, struct gw_error *);
GW_MUST_CHECK bool gw_lite_footprint(struct gw_store *, const struct gw_schema *, json_t **out, struct gw_error *);
GW_MUST_CHECK bool gw_lite_break_glass(const struct gw_store_options *, struct gw_store *, struct gw_buf *out,
                                       struct gw_error *);

#endif
