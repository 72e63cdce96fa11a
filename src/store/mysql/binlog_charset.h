/*
 * Text of a column's own character set to UTF-8. utf8mb3, utf8mb4 and ascii are UTF-8 already; the wide ones are known
 * here; of all others the server is asked for the whole table, once for a stream, so that a value of the log comes out
 * as the server itself would convert it.
 */
#ifndef GW_STORE_MYSQL_BINLOG_CHARSET_H
#define GW_STORE_MYSQL_BINLOG_CHARSET_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include "model/value.h"

struct gw_binlog_charset;
struct gw_binlog_charsets; /* all that a decoder uses */

struct gw_binlog_charsets *gw_binlog_charsets_new(void);
void gw_binlog_charsets_free(struct gw_binlog_charsets *); /* NULL is fine */
/* Never NULL; one that must be learned is asked for by the next gw_binlog_charsets_ask. */
const struct gw_binlog_charset *gw_binlog_charset_get(struct gw_binlog_charsets *, const char *name);
bool gw_binlog_charsets_ask(struct gw_binlog_charsets *, const char **question);
GW_MUST_CHECK bool gw_binlog_charsets_answer(struct gw_binlog_charsets *, const char *answer, size_t len,
                                             struct gw_error *);
/* Bytes of the longest character; 0 not known. */
unsigned gw_binlog_charset_width(const struct gw_binlog_charset *);
bool gw_binlog_charset_is_utf8(const struct gw_binlog_charset *);
/* What is no text in it comes out as '?', as the server does. */
GW_MUST_CHECK bool gw_binlog_charset_convert(const struct gw_binlog_charset *, const unsigned char *bytes, size_t len,
                                             struct gw_arena *arena, struct gw_value *out, struct gw_error *err);

#endif
