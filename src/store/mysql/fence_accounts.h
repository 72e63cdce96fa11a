/*
 * The fence's second layer, where it is asked for (`fence: accounts`): accounts locked, their sessions ended. It stops what
 * passes triggers, TRUNCATE and other DDL, and it stops reading, too.
 *
 * Locked are accounts whose rights to write reach this database and no other, and that none of the server's own rights
 * lets write: nobody else on the server shall suffer. Never godwit's. Each stands in godwit_locked before it is locked, and
 * those alone are unlocked again; one that was locked before is left alone. Lock and unlock stay out of the binlog where
 * godwit may keep them out: a replica's readers are none of our business.
 * Whoever is not locked is named by gw_mysql_accounts_beyond.
 */
#ifndef GW_STORE_MYSQL_FENCE_ACCOUNTS_H
#define GW_STORE_MYSQL_FENCE_ACCOUNTS_H

#include "store/mysql/conn.h"

/* Whether this server can: MariaDB 10.4, MySQL 5.7.6. GW_ERR_UNSUPPORTED. */
GW_MUST_CHECK bool gw_mysql_accounts_can(const struct gw_mysql_store *, struct gw_error *);
/* Locks them, ends their sessions and waits until those are gone: GW_ERR_RETRY past the deadline. Idempotent. */
GW_MUST_CHECK bool gw_mysql_accounts_lock(struct gw_mysql_conn *, int64_t deadline_us, struct gw_error *);
/* Unlocks those that godwit_locked names, and forgets them. Idempotent; no table is fine. */
GW_MUST_CHECK bool gw_mysql_accounts_unlock(struct gw_mysql_conn *, struct gw_error *);
/* Whether godwit_locked names any. */
GW_MUST_CHECK bool gw_mysql_accounts_locked(struct gw_mysql_conn *, bool *any, struct gw_error *);
/* One line for each that should be locked and is not, and for each session such an account still has. */
GW_MUST_CHECK bool gw_mysql_accounts_open(struct gw_mysql_conn *, struct gw_buf *lines, struct gw_error *);
/* One line for each account that may write here and is never locked, with the reason. */
GW_MUST_CHECK bool gw_mysql_accounts_beyond(struct gw_mysql_conn *, struct gw_buf *lines, struct gw_error *);

#endif
