/* The home on a side. Tables: lite_home.sql. */
#ifndef GW_STORE_SQLITE_HOME_H
#define GW_STORE_SQLITE_HOME_H

#include "store/sqlite/conn.h"

/* On the connection, in the transaction at hand. *installed false: no home, or none that is whole. */
GW_MUST_CHECK bool gw_lite_read_owner(struct gw_lite_conn *, struct gw_owner *, bool *installed, struct gw_error *);
/* GW_ERR_CONFLICT with the fix unless the file is in WAL mode. */
GW_MUST_CHECK bool gw_lite_check_wal(struct gw_lite_conn *, struct gw_error *);

#endif
