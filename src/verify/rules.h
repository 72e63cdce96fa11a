/*
 * What has to hold among the rows of the target, whoever keeps it so: every row that refers to another finds it (foreign
 * keys, declared, NOT VALID, or named in the migration file alone), what is unique is so, conditions are true, indexes
 * are there, and the owner's counters are past what they counted.
 *
 * A follower is written to with its foreign keys off, and an index may be missing or not valid: so the rows themselves
 * are asked, by statements that the engine runs. What the target breaks is looked at on the source, too: broken alike on
 * both sides it is no difference, and is said; broken on the target alone it is one.
 *
 * On a live pair the target lags. What it breaks is asked again once it has applied what the source had by then.
 *
 * Threads: gw_rules_run blocks, on one thread.
 */
#ifndef GW_VERIFY_RULES_H
#define GW_VERIFY_RULES_H

#include "verify/verify.h"

struct gw_rules_options {
    struct gw_store *source, *target; /* the sides themselves, no faces */
    /* What was asked for on either side ([0] the source); table i of the one is table i of the other. Borrowed. */
    const struct gw_definition *wanted[2];
    const struct gw_schema *schemas[2];     /* the same collections; for counters. Borrowed */
    const struct gw_verify_options *verify; /* wait_applied, cancel, resettle_ms */
    bool mapped;                            /* the target was not made as the source is */
    int64_t timeout_ms;                     /* of one statement; 0: none */
};

/* Appends to report->rules, and takes them into the verdicts of their collections. Without statements (an engine that has
 * none) it does nothing. False only when cancelled or a side is out of reach. */
GW_MUST_CHECK bool gw_rules_run(const struct gw_rules_options *, struct gw_verify_report *report, struct gw_error *err);

/* "orders(user_id) -> users(id)", several columns by commas, schema.table where there are schemas: a foreign key that is
 * declared nowhere. Added to the table of `blue` it speaks of. GW_ERR_USER naming what is not there. */
GW_MUST_CHECK bool gw_rules_declare(const char *text, const char *default_space, struct gw_definition *blue,
                                    struct gw_error *err);

/* ---- statements (rules_sql.c); each gives the keys of some rows that break it, then all of them are counted ---- */
void gw_rules_orphans_sql(const struct gw_store *, const struct gw_table_definition *, const struct gw_foreign_key *,
                          struct gw_buf *from);
void gw_rules_twice_sql(const struct gw_store *, const struct gw_table_definition *, const struct gw_index_definition *,
                        struct gw_buf *from);
void gw_rules_condition_sql(const struct gw_store *, const struct gw_table_definition *,
                            const struct gw_check_definition *, struct gw_buf *from);

#endif
