/*
 * Definitions of a move from SQLite to SQLite, as they are carried out step by step: read from the source once and kept as
 * a file in the scratch folder, so that every later step and every resumed run makes the same things.
 *
 * Tables are made by their own statements, with one difference: a UNIQUE constraint is taken out and made as a unique
 * index once the load and its changes are past the marks. (A unique value that moves from one chunk to another while they
 * are read would fail it; SQLite cannot add a constraint later.)
 */
#ifndef GW_STORE_SQLITE_SCHEMA_H
#define GW_STORE_SQLITE_SCHEMA_H

#include "store/sqlite/catalog.h"

#include <jansson.h>

/* {"tables": [{"name", "sql", "key"}], "indexes": [{"table", "sql", "name"}], "others": [{"type", "name", "sql"}],
 *  "user_version", "application_id"}; "key": the statement of the unique index that is the key, where there is one. */
GW_MUST_CHECK bool gw_lite_read_definitions(struct gw_lite_conn *, const struct gw_filter *, json_t **out,
                                            struct gw_error *);
/* The CREATE TABLE statement without its UNIQUE constraints. False: one of them says what to do on conflict, it stays. */
bool gw_lite_without_uniques(const char *sql, struct gw_buf *out);
GW_MUST_CHECK bool gw_lite_has_object(struct gw_lite_conn *, const char *type, const char *name, bool *there,
                                      struct gw_error *);

GW_MUST_CHECK bool gw_lite_sync_sequences(struct gw_store *from, struct gw_store *to, size_t *count, struct gw_error *);
bool gw_lite_can_count(const struct gw_table_definition *, const struct gw_column_definition *);
GW_MUST_CHECK bool gw_lite_counters(struct gw_store *, const struct gw_schema *, struct gw_counter **out, size_t *count,
                                    struct gw_error *);
GW_MUST_CHECK bool gw_lite_set_counters(struct gw_store *, const struct gw_schema *, const struct gw_counter *,
                                        size_t count, struct gw_error *);
GW_MUST_CHECK bool gw_lite_build(struct gw_store *, const struct gw_definition *, enum gw_build_phase,
                                 const struct gw_table_definition *only, int jobs, struct gw_buf *left,
                                 struct gw_error *);
/* catalog_describe.c */
GW_MUST_CHECK bool gw_lite_describe(struct gw_store *, const struct gw_filter *, struct gw_definition *out,
                                    struct gw_error *);

#endif
