#include "store/mysql/home.h"
bool gw_mysql_fence_remove(struct gw_mysql_conn *c, struct gw_error *e)
{
    (void)c;
    (void)e;
    return true;
}
bool gw_mysql_fence_left(struct gw_mysql_conn *c, struct gw_buf *b, struct gw_error *e)
{
    (void)c;
    (void)b;
    (void)e;
    return true;
}
bool gw_mysql_loose_restore(struct gw_mysql_conn *c, struct gw_error *e)
{
    (void)c;
    (void)e;
    return true;
}
