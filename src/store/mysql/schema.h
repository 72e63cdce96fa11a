/*
 * The source's definitions, taken once and made on the target in steps.
 *
 * Taken by SHOW CREATE, kept as JSON in the work folder ("mysql-schema.json"), so that a killed step is run again from the
 * same texts. A table is made with its columns, checks and primary key (rows of InnoDB are kept in its order; an
 * AUTO_INCREMENT column keeps its key, too); other indexes, then foreign keys, come after the rows.
 *
 *   schema_take.c    reading definitions, tables come apart      schema.c        steps, views, routines
 *   schema_keys.c    indexes, foreign keys, orphans              schema_loose.c  triggers and events off and on
 *   counters.c       AUTO_INCREMENT and sequences                build.c         another engine's definition
 */
#ifndef GW_STORE_MYSQL_SCHEMA_H
#define GW_STORE_MYSQL_SCHEMA_H

#include "store/mysql/catalog.h"

#include <jansson.h>

/* {"tables":[{"name","create","indexes":[{"name","sql"}],"foreign_keys":[{"name","sql"}]}],
 *  "views","routines","triggers","events","sequences":[{"kind","name","sql","sql_mode","charset","collation"}]} */
GW_MUST_CHECK bool gw_mysql_definitions_take(struct gw_mysql_conn *, const struct gw_filter *, json_t **out,
                                             struct gw_error *);
GW_MUST_CHECK bool gw_mysql_definitions_save(const char *work_dir, const json_t *, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_definitions_load(const char *work_dir, json_t **out, struct gw_error *);
/* One SHOW CREATE of a trigger, event, routine or view as an object of that form. */
GW_MUST_CHECK bool gw_mysql_take_object(struct gw_mysql_conn *, const char *kind, const char *name, json_t **out,
                                        struct gw_error *);
/* Runs it with the settings it was made with; what is there already is left alone; with a definer that may not be set: as ourselves, and says so. */
GW_MUST_CHECK bool gw_mysql_make_object(struct gw_mysql_conn *, const json_t *object, struct gw_error *);
/* "DEFINER=`a`@`b` " out of a CREATE statement; owned. */
char *gw_mysql_without_definer(const char *sql);

/* schema_keys.c */
GW_MUST_CHECK bool gw_mysql_add_indexes(struct gw_mysql_conn *, const json_t *table, const char *only,
                                        struct gw_error *);
GW_MUST_CHECK bool gw_mysql_add_foreign_keys(struct gw_mysql_conn *, const json_t *table, struct gw_error *);

/* schema_loose.c: keeps for the time when this side is the owner. */
GW_MUST_CHECK bool gw_mysql_loose_defer(struct gw_mysql_conn *, const json_t *definitions, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_loosen(struct gw_store *, const struct gw_schema *, size_t *taken_off, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_tighten_open(struct gw_store *, struct gw_tighten **out, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_tighten(struct gw_tighten *, int timeout_ms, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_tighten_commit(struct gw_tighten *, struct gw_error *);
void gw_mysql_tighten_close(struct gw_tighten *);
GW_MUST_CHECK bool gw_mysql_validate(struct gw_store *, struct gw_buf *failed, size_t *done, struct gw_error *);

/* counters.c */
GW_MUST_CHECK bool gw_mysql_sync_sequences(struct gw_store *from, struct gw_store *to, size_t *count,
                                           struct gw_error *);
GW_MUST_CHECK bool gw_mysql_missing_sequences(struct gw_store *from, struct gw_store *to, struct gw_buf *lines,
                                              struct gw_error *);
bool gw_mysql_can_count(const struct gw_table_definition *, const struct gw_column_definition *);
GW_MUST_CHECK bool gw_mysql_counters(struct gw_store *, const struct gw_schema *, struct gw_counter **out,
                                     size_t *count, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_set_counters(struct gw_store *, const struct gw_schema *, const struct gw_counter *,
                                         size_t count, struct gw_error *);
/* build.c */
GW_MUST_CHECK bool gw_mysql_build(struct gw_store *, const struct gw_definition *, enum gw_build_phase,
                                  const struct gw_table_definition *only, int jobs, struct gw_buf *left,
                                  struct gw_error *);

#endif
