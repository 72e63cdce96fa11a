/*
 * Events of the binlog over a connection of its own: COM_BINLOG_DUMP, raw bytes.
 *
 * Why not the library's mariadb_rpl_fetch(): it takes every event apart by itself (tables and rows, too), copies it, and
 * gives up at types it does not know; and it cannot be asked whether the next event is here already. So the command is
 * sent by hand through the library's connection (with its TLS and logins) and its packets are read as they come.
 *
 * Memory: an event is held once, in the library's buffer; it keeps the size of the largest one until `swollen` says that
 * the dump is worth opening anew. A row is one event, however large: at most max_allowed_packet of the server, 1 GiB.
 */
#ifndef GW_STORE_MYSQL_BINLOG_DUMP_H
#define GW_STORE_MYSQL_BINLOG_DUMP_H

#include "store/mysql/binlog.h"
#include "store/mysql/conn.h"

struct gw_binlog_dump {
    struct gw_mysql_conn *conn;
    bool tls;
    bool maybe_more; /* what was read last may have left bytes where poll does not see them */
    bool waited;     /* the event at hand was not there yet when it was asked for */
    bool swollen;
    bool large; /* not so much, but worth it while nothing comes */
};

/* Connects as `what` and starts at the place (file and offset). `lock`: a name that one stream holds at a time, or NULL.
 * GW_ERR_LOST_POSITION when the server has no such place any more, GW_ERR_CONFLICT when another process holds the lock. */
GW_MUST_CHECK bool gw_binlog_dump_open(struct gw_mysql_store *, const char *what, const char *file, uint64_t pos,
                                       const char *lock, struct gw_binlog_dump **out, struct gw_error *);
void gw_binlog_dump_close(struct gw_binlog_dump *); /* NULL is fine */
/* The next event, borrowed until the next call; *len 0: none until the deadline. */
GW_MUST_CHECK bool gw_binlog_dump_next(struct gw_binlog_dump *, int64_t deadline_us, const unsigned char **event,
                                       size_t *len, struct gw_error *);
/* GW_ERR_LOST_POSITION with the way on; `why` is a clause. */
bool gw_binlog_lost(struct gw_mysql_store *, struct gw_error *, const char *why, ...) GW_PRINTF(3, 4);
/* The one stream of this name: what `lock` of open does, for a stream that reads something else. */
GW_MUST_CHECK bool gw_binlog_alone(struct gw_mysql_conn *, const char *lock, struct gw_error *);
/* Is the lock held, by whomever? */
GW_MUST_CHECK bool gw_binlog_lock_held(struct gw_mysql_conn *, const char *lock, bool *held, struct gw_error *);

#endif
