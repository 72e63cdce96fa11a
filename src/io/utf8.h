/*
 * Is it UTF-8? RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef GW_IO_UTF8_H
#define GW_IO_UTF8_H

#include <stddef.h>

/* Bytes of the longest valid beginning: equal to len when all of it is. */
size_t gw_utf8_valid_prefix(const char *bytes, size_t len);

#endif
