/*
 * A report for people and for machines that are not ours, made of the JSON that gw_verify_report_json gives. All append.
 * What a report may hold of customers' rows (keys, values that differ) is in all of them.
 */
#ifndef GW_VERIFY_RENDER_H
#define GW_VERIFY_RENDER_H

#include "base/buf.h"

#include <jansson.h>
#include <stdbool.h>

void gw_verify_markdown(const json_t *report, struct gw_buf *out);
void gw_verify_html(const json_t *report, struct gw_buf *out);  /* one page that needs nothing else */
void gw_verify_junit(const json_t *report, struct gw_buf *out); /* a test case for each collection and rule */

/* ---- shared by the three ---- */
const char *gw_render_text(const json_t *object, const char *key);             /* "" when it is not there */
void gw_render_number(const json_t *object, const char *key, struct gw_buf *); /* 4,112 */
void gw_render_times(const json_t *side, struct gw_buf *);                     /* of a query: "1.20, 3.40" */
const char *gw_render_found(const json_t *query);
/* What gw_verify_left_out says of a report or one of its collections. */
void gw_render_left_out(const json_t *object, struct gw_buf *);
void gw_render_why(const json_t *collection, struct gw_buf *); /* its reason, and that */
bool gw_render_is_definition(const json_t *rule);
const char *gw_render_weight(const json_t *rule);                /* "note", or its verdict */
void gw_render_since(const json_t *collection, struct gw_buf *); /* "; found different first at ..." */
#define GW_RENDER_PRIVATE "What rows hold is held back: a '#' stands before the hash of a value."
/* "2026-03-01 05:12:00 UTC, 12.4 s, on a live pair" */
void gw_render_when(const json_t *report, struct gw_buf *);

#endif
