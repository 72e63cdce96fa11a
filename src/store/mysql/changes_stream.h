/* What the files of the stream share among themselves. One thread at a time. */
#ifndef GW_STORE_MYSQL_CHANGES_STREAM_H
#define GW_STORE_MYSQL_CHANGES_STREAM_H

#include "store/mysql/binlog_dump.h"
#include "store/mysql/binlog_sql.h"
#include "store/mysql/changes.h"

struct gw_mysql_stream_head { /* every stream's first member */
    bool captured;            /* by triggers: capture.h */
};

/* A way through the log: its connection, its decoder, and where it is. */
struct gw_mysql_source {
    struct gw_mysql_store *store;
    struct gw_binlog_dump *dump;
    struct gw_binlog *decoder;
    char file[GW_BINLOG_FILE_MAX];
    uint32_t made; /* the file, as its description says */
    uint64_t pos;  /* behind the last event */
    uint64_t from; /* the server could not begin so far into its file: what is before is passed over */
};
/* The event at hand, and where it begins; *got false: none until the deadline. Borrowed until the next one. */
GW_MUST_CHECK bool gw_mysql_source_next(struct gw_mysql_source *, int64_t deadline_us, struct gw_binlog_event *,
                                        uint64_t *start, bool *got, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_source_open(struct gw_mysql_source *, struct gw_mysql_store *, const struct gw_schema *,
                                        const char *what, const char *file, uint64_t pos, const char *lock,
                                        struct gw_error *);
void gw_mysql_source_close(struct gw_mysql_source *);
/* Another session, from the same place. */
GW_MUST_CHECK bool gw_mysql_source_reopen(struct gw_mysql_source *, const char *what, const char *lock,
                                          struct gw_error *);
/* Where the server's session is worth giving up for its memory. */
GW_MUST_CHECK bool gw_mysql_source_shed(struct gw_mysql_source *, const char *what, const char *lock,
                                        struct gw_error *);

/* ---- changes_group.c: groups whose rows are not what they seem ---- */

struct gw_mysql_span { /* offsets in a group's file */
    uint64_t from, to;
};

/* A group that is rolled back, as a whole or in part, behind rows of it: known once it was met. */
void gw_mysql_group_remember(const struct gw_mysql_store *, uint64_t id);
bool gw_mysql_group_remembered(const struct gw_mysql_store *, uint64_t id);
/* Goes through the group that begins there; *spans (owned) are what of it is rolled back. */
GW_MUST_CHECK bool gw_mysql_group_scan(struct gw_mysql_store *, const struct gw_schema *, const char *file,
                                       uint64_t pos, struct gw_mysql_span **spans, size_t *count, struct gw_error *);

struct gw_mysql_prepared { /* an XA transaction that is prepared, and where its group begins */
    struct gw_binlog_xid xid;
    char file[GW_BINLOG_FILE_MAX];
    uint64_t pos;
};
struct gw_mysql_prepared_list {
    struct gw_mysql_prepared *items;
    size_t count, capacity;
};
void gw_mysql_prepared_add(struct gw_mysql_prepared_list *, const struct gw_binlog_xid *, const char *file,
                           uint64_t pos);
/* Takes it out of the list; false: it is not there. */
bool gw_mysql_prepared_take(struct gw_mysql_prepared_list *, const struct gw_binlog_xid *,
                            struct gw_mysql_prepared *out);
const struct gw_mysql_prepared *gw_mysql_prepared_oldest(const struct gw_mysql_prepared_list *); /* NULL: none */

/* ---- changes_shape.c ---- */

/* What the catalog says of a planned collection now; *now is owned (gw_schema_release), *found borrowed from it, NULL
 * when the table is gone. */
GW_MUST_CHECK bool gw_mysql_shape_now(struct gw_mysql_store *, const struct gw_collection *planned,
                                      struct gw_schema *now, const struct gw_collection **found, struct gw_error *);
/* Are all planned columns and the key still there as planned? */
bool gw_mysql_shape_carries(const struct gw_collection *planned, const struct gw_collection *now);

struct gw_mysql_default { /* of a column that an INSERT did not name (binlog_row_image = MINIMAL) */
    bool known;
    bool null;
    char *bytes; /* owned */
    uint32_t len;
};
/* Fills what the row leaves out; `defaults` has a place for each column and keeps what was learned. */
GW_MUST_CHECK bool gw_mysql_fill_defaults(struct gw_mysql_store *, const struct gw_collection *,
                                          struct gw_mysql_default *defaults, struct gw_row *row, struct gw_error *);
void gw_mysql_forget_defaults(struct gw_mysql_default *defaults, size_t count);

#endif
