/*
 * What verify's own values mean, by code of its own: a fault in the copy's decoders (codec*.c) is found because nothing
 * here is shared with them but the table of which type is which kind. Members of the scan facet, as store.h says.
 */
#ifndef GW_STORE_POSTGRES_SCAN_DATUM_H
#define GW_STORE_POSTGRES_SCAN_DATUM_H

#include "store/postgres/codec.h"

/* The types that a scan met; one a scan. */
struct gw_pg_meanings {
    struct gw_pg_meaning *items;
    size_t count;
};
void gw_pg_meanings_release(struct gw_pg_meanings *);
/* Asks the server (on another connection: a scan may be in mid-read) once for each type that is not built in. */
GW_MUST_CHECK bool gw_pg_meaning_find(struct gw_pg_meanings *, struct gw_pg_store *, const struct gw_column *,
                                      const struct gw_pg_coding **out, struct gw_error *);
GW_MUST_CHECK bool gw_pg_scan_datum(const struct gw_pg_coding *, const struct gw_column *, const struct gw_value *,
                                    struct gw_arena *, struct gw_datum *, struct gw_error *);
GW_MUST_CHECK bool gw_pg_scan_value(const struct gw_pg_coding *, const struct gw_column *, const struct gw_datum *,
                                    struct gw_arena *, struct gw_value *, struct gw_error *);

#endif
