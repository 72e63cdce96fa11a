/*
 * The queries of a migration file (`queries:` of a store): what the application asks most, by a name of the operator's;
 * verify runs them on both sides. Keys, in one table (query.c): sql, blue, green, ordered, tolerance, calls, runs.
 *
 * All strings are owned. Read-only after loading.
 */
#ifndef GW_MODEL_QUERY_H
#define GW_MODEL_QUERY_H

#include "base/buf.h"
#include "base/error.h"
#include "io/yaml.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gw_tolerance {
    char *column;
    double by; /* numbers: so much; times: so many seconds */
};

struct gw_named_query {
    char *name;
    char *sql[2]; /* for blue, for green: enum gw_side */
    bool ordered; /* the order of rows counts */
    size_t tolerance_count;
    struct gw_tolerance *tolerances;
    int64_t calls; /* how often the application asks it, in any unit: by this regressions are ranked */
    int64_t runs;  /* how often it is run for its times */
};

struct gw_named_queries {
    size_t count;
    struct gw_named_query *items;
};

/* *out must be empty; it is, too, on false. Errors are placed. */
GW_MUST_CHECK bool gw_named_queries_read(const struct gw_yaml *, const struct gw_yaml_node *,
                                         struct gw_named_queries *out, struct gw_error *err);
void gw_named_queries_release(struct gw_named_queries *);

/* For `godwit config`: every key as "stores.*.queries.*.<key>". Appends. */
void gw_named_queries_write_docs(struct gw_buf *out);
json_t *gw_named_queries_json_schema(void); /* of the value of `queries`; owned by the caller */

#endif
