/*
 * The change log of a MariaDB or MySQL side, shared by the files that make its facet:
 *   changes.c          opening it, signals, the log's end      changes_stream.c   events to changes
 *   changes_shape.c    tables that are not as planned          changes_group.c    whole transactions out of order (XA,
 *                                                              rolled back in part)
 *   changes_locate.c   which chunk holds a key            changes_xa.c       XA COMMIT and snapshots
 *
 * A transaction's number is where its group of events begins (gw_binlog_order), which is also BEGIN's position; COMMIT's
 * position is behind its last event. The server writes a group as a whole when it commits, and a snapshot's position lies
 * between groups: a read with the mark M saw exactly the transactions with a number below M (but see changes_xa.c).
 *
 * The server keeps its binlog by time (binlog_expire_logs_seconds), whoever reads it: acknowledging changes nothing
 * there, and a reader that stays away too long finds its place gone.
 */
#ifndef GW_STORE_MYSQL_CHANGES_H
#define GW_STORE_MYSQL_CHANGES_H

#include "store/mysql/binlog.h"
#include "store/mysql/conn.h"

/* Where the binlog ends now. */
GW_MUST_CHECK bool gw_mysql_binlog_end(struct gw_mysql_conn *, struct gw_binlog_place *out, struct gw_error *);
/* The name that one stream of this migration and side holds on the server. */
void gw_mysql_stream_lock(const struct gw_mysql_store *, char out[64]);
/* What prepare left in the home: where the log begins for us. *found false: it was never opened, or dropped. */
GW_MUST_CHECK bool gw_mysql_log_noted(struct gw_mysql_store *, struct gw_mysql_conn *, struct gw_binlog_place *start,
                                      bool *found, struct gw_error *);
/* Does the server give the account its binlog? *err says why not. */
GW_MUST_CHECK bool gw_mysql_log_readable(struct gw_mysql_store *, struct gw_error *);
/* For retained: what this process's stream has acknowledged last. */
void gw_mysql_acknowledged_set(const struct gw_mysql_store *, const struct gw_position *);
bool gw_mysql_acknowledged_get(const struct gw_mysql_store *, struct gw_position *out);
/* Bytes of the binlog behind a place; -1 when its file is gone. */
GW_MUST_CHECK bool gw_mysql_binlog_bytes(struct gw_mysql_conn *, const struct gw_binlog_place *from, int64_t *bytes,
                                         struct gw_error *);

/* changes_xa.c: XA COMMITs since the server started, and whether one is running; for MariaDB. A snapshot's place in the
 * binlog is exact if none is running before it and the count is the same behind it. Needs PROCESS to see them. */
struct gw_mysql_xa_look {
    uint64_t count;
    bool running;
};
GW_MUST_CHECK bool gw_mysql_xa_commits(struct gw_mysql_conn *, struct gw_mysql_xa_look *out, struct gw_error *);

/* changes_stream.c, changes_locate.c: members of the facet. */
GW_MUST_CHECK bool gw_mysql_stream_open(struct gw_store *, const struct gw_schema *, const struct gw_position *from,
                                        struct gw_stream **out, struct gw_error *);
void gw_mysql_stream_close(struct gw_stream *);
GW_MUST_CHECK bool gw_mysql_stream_next(struct gw_stream *, int timeout_ms, struct gw_change *, bool *got,
                                        struct gw_error *);
GW_MUST_CHECK bool gw_mysql_stream_acknowledge(struct gw_stream *, const struct gw_position *, struct gw_error *);
GW_MUST_CHECK bool gw_mysql_locate(struct gw_store *, const struct gw_collection *, const struct gw_bound *bounds,
                                   size_t bound_count, const struct gw_row *keys, size_t key_count, uint32_t *chunk,
                                   struct gw_error *);

#endif
