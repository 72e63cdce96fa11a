/*
 * A decoder of COPY BINARY of its own: verify shares none with the copy, so that a fault in one is found by the other.
 *
 * Fed with CopyData messages, cut anywhere; gives rows of fields. No length is trusted. Pure: no connection, no I/O.
 * Format: signature "PGCOPY\n\377\r\n\0", flags (32 bits; bit 16: OIDs, refused), header extension (32-bit length),
 * then per row a 16-bit field count and per field a 32-bit length (-1: NULL) with the bytes; at the end a count of -1.
 *
 *     gw_pg_copy_begin(&copy, fields);
 *     for (;;) switch (gw_pg_copy_next(&copy, &err)) {
 *     case GW_PG_COPY_MORE: gw_pg_copy_feed(&copy, message, len); break;
 *     case GW_PG_COPY_ROW:  ... copy.fields[0 .. fields-1], until the next call ... break;
 *     case GW_PG_COPY_END:  return true;
 *     case GW_PG_COPY_BAD:  return false;
 *     }
 */
#ifndef GW_STORE_POSTGRES_SCAN_COPY_H
#define GW_STORE_POSTGRES_SCAN_COPY_H

#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct gw_pg_copy_field {
    const unsigned char *bytes; /* NULL: SQL NULL; borrowed from the message fed last or from `pending` */
    uint32_t len;
};

struct gw_pg_copy {
    uint16_t field_count;
    struct gw_pg_copy_field *fields; /* owned */
    struct gw_cursor at;             /* what is left of the message fed last, or of pending */
    struct gw_buf pending;           /* a row that a message ended in */
    bool in_pending;
    bool header_read, ended;
};

enum gw_pg_copy_step { GW_PG_COPY_ROW, GW_PG_COPY_MORE, GW_PG_COPY_END, GW_PG_COPY_BAD };

void gw_pg_copy_begin(struct gw_pg_copy *, uint16_t field_count); /* on a zeroed one, or one used before */
void gw_pg_copy_release(struct gw_pg_copy *);
/* Only after GW_PG_COPY_MORE. The bytes are borrowed until the next GW_PG_COPY_MORE. */
void gw_pg_copy_feed(struct gw_pg_copy *, const void *bytes, size_t len);
GW_MUST_CHECK enum gw_pg_copy_step gw_pg_copy_next(struct gw_pg_copy *, struct gw_error *);

#endif
