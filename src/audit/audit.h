/*
 * The audit stage: what is there, what depends on what, and what is risky. Reads only.
 *
 * The report is one JSON object:
 *   {"migration", "side", "server": {...}, "taken_at", "sections": {"tables": [{...}, ...], ...}}
 * Every section is an array of flat objects that have the same keys in the same order, so that it is a table in any
 * format. The sections come from the engine (inspect->inventory), in its order; added here:
 *   settings_that_differ  name, blue, green, unit   where the other side could be asked
 *   risks                 severity, id, what, fix   what check finds on this side
 *   not_read              section, why              what this role may not see
 *
 * Threads: one. Ownership: the report is the caller's.
 */
#ifndef GW_AUDIT_AUDIT_H
#define GW_AUDIT_AUDIT_H

#include "store/store.h"

#include <jansson.h>

struct gw_audit_options {
    struct gw_store *store;
    struct gw_store *other; /* may be NULL */
    const struct gw_filter *filter;
    const char *migration;
};
GW_MUST_CHECK bool gw_audit_take(const struct gw_audit_options *, json_t **out, struct gw_error *);

void gw_audit_text(const json_t *report, struct gw_buf *out);
/* With a table of contents, and the graph of foreign keys as a Mermaid diagram. */
void gw_audit_markdown(const json_t *report, struct gw_buf *out);

/* A cell as a person reads it: "12.4 MB" where the key ends in "bytes", "yes" and "no". Appends. */
void gw_audit_cell(const char *key, const json_t *value, struct gw_buf *out);
/* "foreign_keys" as "Foreign keys"; appends. */
void gw_audit_title(const char *section, struct gw_buf *out);

#endif
