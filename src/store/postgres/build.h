/*
 * What the files of schema->build share. Private to them.
 */
#ifndef GW_STORE_POSTGRES_BUILD_H
#define GW_STORE_POSTGRES_BUILD_H

#include "store/postgres/describe.h"

struct gw_pg_building {
    struct gw_pg_store *store;
    const struct gw_definition *definition;
    bool own; /* SQL texts are in our dialect */
    struct gw_buf *left;
};

/* "schema"."table"; an empty space is public. */
void gw_pg_build_table(struct gw_buf *, const struct gw_table_definition *);
const char *gw_pg_build_space(const char *space);
/* An index's name: as it is where no other index or table of the schema has it, else with the table's before it. */
void gw_pg_build_index_name(const struct gw_pg_building *, const struct gw_table_definition *,
                            const struct gw_index_definition *, struct gw_buf *out);
/* At most 63 bytes, told apart by a hash when cut. */
void gw_pg_build_fit_name(struct gw_buf *name);
/* A condition in our dialect: its own, or one whose meaning is certain in any: numbers of this table compared with
 * numbers, AND, OR, NOT, BETWEEN, IN, IS NULL. False: it is not certain. */
bool gw_pg_build_condition(const struct gw_pg_building *, const struct gw_table_definition *, const char *sql,
                           struct gw_buf *out);
/* A line for a person. */
void gw_pg_build_left(const struct gw_pg_building *, const struct gw_table_definition *, const char *format, ...)
    GW_PRINTF(3, 4);
GW_MUST_CHECK bool gw_pg_build_constraints(const struct gw_pg_building *, PGconn *, struct gw_error *);

#endif
