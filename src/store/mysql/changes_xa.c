/*
 * XA COMMIT against snapshots. The server's consistent snapshots fit its binlog for ordinary transactions; an XA COMMIT is
 * in the binlog a while before it is visible, and a snapshot taken in between has a position behind it without its rows.
 * So a snapshot counts only if no XA COMMIT was under way around it: none was running before, and none began until after.
 */
#include "store/mysql/changes.h"

#include <stdlib.h>

bool gw_mysql_xa_commits(struct gw_mysql_conn *conn, struct gw_mysql_xa_look *out, struct gw_error *err)
{
    MYSQL_RES *r;
    /* The count first: whatever began after it makes the next count another one. A statement is counted, and listed,
     * before it does anything. */
    if (!gw_mysql_query(conn,
                        "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME ="
                        " 'COM_XA_COMMIT' UNION ALL SELECT COUNT(*) FROM information_schema.PROCESSLIST"
                        " WHERE INFO LIKE '%xa%commit%' AND ID <> CONNECTION_ID()",
                        &r, err))
        return false;
    MYSQL_ROW row = mysql_fetch_row(r);
    out->count = row && row[0] ? strtoull(row[0], NULL, 10) : 0;
    row = mysql_fetch_row(r);
    out->running = !row || !row[0] || row[0][0] != '0';
    mysql_free_result(r);
    return true;
}
