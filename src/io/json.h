/*
 * What is missing in jansson: errors of ours, files, text that may not be UTF-8. Everything else is jansson itself.
 */
#ifndef GW_IO_JSON_H
#define GW_IO_JSON_H

#include "base/buf.h"
#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define gw_autojson __attribute__((cleanup(gw_cleanup_json)))
void gw_cleanup_json(json_t **value);

/* A string; bytes that are not UTF-8, and NUL, become U+FFFD (json_string() would give NULL). NULL gives null. */
json_t *gw_json_text(const char *text);
json_t *gw_json_text_len(const char *bytes, size_t len);

/* Appends the value; indent 0 is one line. Keys keep the order in which they were set. */
void gw_json_dump(const json_t *value, unsigned indent, struct gw_buf *out);

/* A whole JSON text; duplicate keys are refused. `what` names it in errors: a file, "message from the runner". */
GW_MUST_CHECK bool gw_json_parse(const char *text, size_t len, const char *what, json_t **value, struct gw_error *err);
GW_MUST_CHECK bool gw_json_read_file(const char *path, size_t max_bytes, json_t **value, struct gw_error *err);

/* Appends the text that all JSON texts of the same meaning have: no spaces, the members of objects in byte order and of
 * each name the last, strings with the fewest escapes, numbers by their value (1, 1.0 and 10e-1 are "1", -0 is "0"),
 * digit by digit and never through a double. GW_ERR_CONFLICT: it is none; GW_ERR_UNSUPPORTED: nested deeper than 4,096,
 * or an exponent of more than 15 digits. On error nothing is appended. */
GW_MUST_CHECK bool gw_json_canonical(const char *text, size_t len, struct gw_buf *out, struct gw_error *err);

/* Required members, of the right type; strings are borrowed from the object. */
GW_MUST_CHECK bool gw_json_get_string(const json_t *object, const char *key, const char **out, struct gw_error *err);
GW_MUST_CHECK bool gw_json_get_int(const json_t *object, const char *key, int64_t *out, struct gw_error *err);
GW_MUST_CHECK bool gw_json_get_bool(const json_t *object, const char *key, bool *out, struct gw_error *err);
GW_MUST_CHECK bool gw_json_get_array(const json_t *object, const char *key, json_t **out, struct gw_error *err);

#endif
