/*
 * What verify's canonical bytes mean, by code that shares nothing with the codec.
 *
 * Canonical bytes, as they come from the server's binary protocol:
 *   integers, YEAR, DECIMAL   TEXT    digits
 *   FLOAT, DOUBLE             BINARY  their bits, 4 or 8 bytes big-endian (0 and -0 differ)
 *   DATE                      TEXT    "2024-02-29"
 *   TIME                      TEXT    "-838:59:59.000000", always six digits of the fraction
 *   DATETIME, TIMESTAMP       TEXT    "2024-02-29 12:30:00.000000", the same; TIMESTAMP in UTC
 *   character types           TEXT    UTF-8; labels of ENUM and SET; JSON as the server keeps it; UUID, INET as printed
 *   binary types, BIT         BINARY  bytes
 *   geometry                  BINARY  SRID little-endian, WKB
 */
#ifndef GW_STORE_MYSQL_SCAN_DATUM_H
#define GW_STORE_MYSQL_SCAN_DATUM_H

#include "store/store.h"

GW_MUST_CHECK bool gw_mysql_scan_to_datum(struct gw_scan *, const struct gw_column *, const struct gw_value *,
                                          struct gw_arena *, struct gw_datum *, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_scan_from_datum(struct gw_scan *, const struct gw_column *, const struct gw_datum *,
                                            struct gw_arena *, struct gw_value *, struct gw_error *);
void gw_mysql_scan_print(const struct gw_column *, const struct gw_value *, struct gw_buf *out);

#endif
