/*
 * Capture by triggers: what they write down, and the statements that make them.
 *
 * Every row of a captured table that is inserted, updated or deleted leaves a row in godwit_log. SQLite has one writer at
 * a time, so seq is the order of commits, a snapshot sees a prefix of the log, and that prefix holds whole transactions:
 * a mark is the newest seq a snapshot saw, a position is the seq that comes next, and nothing else has to be kept.
 *
 * INSERT or UPDATE OR REPLACE removes rows without firing DELETE triggers (unless the application sets
 * recursive_triggers). So a BEFORE trigger notes in godwit_replaced every row that a unique index, or the rowid, could
 * make go away; when the AFTER trigger fires, what was noted and is gone (or has the new row's rowid) was replaced, and
 * is logged as deleted. What was noted and is still there means nothing: too much noted does no harm.
 *
 * Columns of the log: v0, v1, ... INSERT and UPDATE: the new row's columns (without generated ones); then, of an UPDATE,
 * and from v0 on of a DELETE, the old key (the whole old row without a key). `same` names the places of a new row's large
 * values that an UPDATE left as they were ("2,5,"): they are NULL.
 */
#ifndef GW_STORE_SQLITE_CAPTURE_H
#define GW_STORE_SQLITE_CAPTURE_H

#include "store/sqlite/table.h"

enum gw_lite_log_kind {
    GW_LITE_LOG_OURS = 0, /* a transaction of ours; v0: its stream */
    GW_LITE_LOG_INSERT = 1,
    GW_LITE_LOG_UPDATE = 2,
    GW_LITE_LOG_DELETE = 3,
    GW_LITE_LOG_SIGNAL = 4, /* v0: its token */
    GW_LITE_LOG_START = 5,  /* the first row, when capture began: nothing to hand out */
};

/* Columns of the log that a table needs. */
size_t gw_lite_capture_width(const struct gw_lite_table *);
/* Statements that make the triggers of a table, each behind a DROP IF EXISTS. `nested`: the application has triggers on it
 * that could write into it in the middle of a statement. */
GW_MUST_CHECK bool gw_lite_capture_triggers(struct gw_lite_conn *, const struct gw_lite_table *, int tab, bool nested,
                                            struct gw_buf *sql, struct gw_error *);
/* The newest seq, as the transaction at hand sees it; 0 without a log. */
GW_MUST_CHECK bool gw_lite_newest(struct gw_lite_conn *, int64_t *seq, struct gw_error *);
/* A row that is known by itself. The log must be there. */
GW_MUST_CHECK bool gw_lite_log(struct gw_lite_conn *, enum gw_lite_log_kind, const char *text, struct gw_error *);
void gw_lite_position(int64_t next, struct gw_position *out);

#endif
