/*
 * verify's own reading. Canonical bytes: TEXT are its bytes (GW_VALUE_TEXT); others one letter and the value
 * (GW_VALUE_BINARY): "i" and 8 bytes big-endian, "r" and the bits of a double, "b" and the bytes. The storage class
 * counts: 1 is not 1.0, and neither is '1'. Generated columns are NULL: they follow from the others.
 *
 * Shares no decoder with reader, stream and codec: what a value means is written down here a second time.
 */
#ifndef GW_STORE_SQLITE_SCAN_H
#define GW_STORE_SQLITE_SCAN_H

#include "store/sqlite/table.h"

bool gw_lite_scan_to_datum(struct gw_scan *, const struct gw_column *, const struct gw_value *, struct gw_arena *,
                           struct gw_datum *, struct gw_error *) GW_MUST_CHECK;
bool gw_lite_scan_from_datum(struct gw_scan *, const struct gw_column *, const struct gw_datum *, struct gw_arena *,
                             struct gw_value *, struct gw_error *) GW_MUST_CHECK;
void gw_lite_scan_print(const struct gw_column *, const struct gw_value *, struct gw_buf *out);

#endif
