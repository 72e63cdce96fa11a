/*
 * A side's tables in words that no engine owns, and the other way. Private to store/postgres/.
 *
 *   describe.c   from the catalogs            build.c             the phases, tables, keys
 *   counters.c   sequences behind columns     build_names.c       what indexes and constraints are called, what SQL of
 *                                                                 another dialect certainly means
 *                                             build_constraints.c foreign keys and checks
 */
#ifndef GW_STORE_POSTGRES_DESCRIBE_H
#define GW_STORE_POSTGRES_DESCRIBE_H

#include "store/postgres/codec.h"

#define GW_PG_DIALECT "postgres" /* gw_definition.sql_of */

/* catalog->describe */
GW_MUST_CHECK bool gw_pg_describe(struct gw_store *, const struct gw_filter *, struct gw_definition *out,
                                  struct gw_error *);
/* schema->counters, set_counters */
bool gw_pg_can_count(const struct gw_table_definition *, const struct gw_column_definition *);
GW_MUST_CHECK bool gw_pg_counters(struct gw_store *, const struct gw_schema *, struct gw_counter **out, size_t *count,
                                  struct gw_error *);
GW_MUST_CHECK bool gw_pg_set_counters(struct gw_store *, const struct gw_schema *, const struct gw_counter *,
                                      size_t count, struct gw_error *);
/* schema->build */
GW_MUST_CHECK bool gw_pg_build_index(struct gw_store *, const struct gw_definition *,
                                     const struct gw_table_definition *, size_t nth, bool *more, struct gw_error *);
GW_MUST_CHECK bool gw_pg_build(struct gw_store *, const struct gw_definition *, enum gw_build_phase,
                               const struct gw_table_definition *only, int jobs, struct gw_buf *left,
                               struct gw_error *);

#endif
