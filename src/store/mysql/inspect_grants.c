/* The scripts that give godwit's account what it needs. */
#include "base/mem.h"
#include "store/mysql/inspect.h"
#include "store/mysql/url.h"

#include <stdlib.h>
#include <string.h>

static void write_script(enum gw_side side, const char *user, const char *database, bool is_mariadb, bool version_known,
                         int version, bool known, bool accounts, struct gw_buf *sql)
{
    gw_autobuf struct gw_buf account = {0};
    gw_mysql_add_literal(&account, user);
    gw_buf_adds(&account, "@'%'");
    const char *who = gw_buf_text(&account);
    gw_buf_addf(sql, "-- What godwit's account needs on %s, database %s. To be run by an administrator.\n",
                gw_side_name(side), database);
    gw_buf_addf(sql, "-- An account of its own: sessions of this user pass the fence, so no application may use it.\n");
    gw_buf_addf(sql,
                "-- Its password goes through no file: the account stays locked until\n"
                "-- ALTER USER %s IDENTIFIED BY '...' ACCOUNT UNLOCK;\n"
                "CREATE USER IF NOT EXISTS %s ACCOUNT LOCK;\n",
                who, who);
    gw_buf_adds(sql,
                "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, TRIGGER, LOCK TABLES,\n"
                "      CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EXECUTE, EVENT, CREATE TEMPORARY TABLES\n"
                "   ON ");
    gw_mysql_add_ident(sql, database);
    gw_buf_addf(sql, ".* TO %s;\n", who);
    gw_buf_adds(sql, "-- To read the binlog, to see its end, to see sessions and to end them:\n");
    if (!known)
        gw_buf_adds(sql, "-- (MariaDB; on MySQL: REPLICATION CLIENT for BINLOG MONITOR, CONNECTION_ADMIN for"
                         " CONNECTION ADMIN)\n");
    gw_buf_addf(sql, "GRANT REPLICATION SLAVE, %s, PROCESS, %s ON *.* TO %s;\n",
                is_mariadb ? "BINLOG MONITOR" : "REPLICATION CLIENT",
                is_mariadb ? "CONNECTION ADMIN" : "CONNECTION_ADMIN", who);
    if (is_mariadb && version_known && version >= 110300)
        gw_buf_addf(sql, "GRANT SHOW CREATE ROUTINE ON *.* TO %s;\n", who);
    else
        gw_buf_addf(sql, "-- To see routines of other definers:\nGRANT SELECT ON mysql.* TO %s;\n", who);
    gw_buf_adds(sql,
                "-- To keep the definers of views, triggers, events and routines; without it they become godwit's:\n");
    gw_buf_addf(sql, "-- GRANT %s ON *.* TO %s;\n", is_mariadb ? "SET USER" : "SET_USER_ID", who);
    gw_buf_addf(
        sql,
        "-- For \"fence: accounts\": to see and to lock the accounts that may write here, and to keep that out of the\n"
        "-- binlog:\n%sGRANT SELECT ON mysql.* TO %s;\n%sGRANT CREATE USER, %s ON *.* TO %s;\n",
        accounts ? "" : "-- ", who, accounts ? "" : "-- ", is_mariadb ? "BINLOG ADMIN" : "SYSTEM_VARIABLES_ADMIN", who);
    gw_buf_adds(sql, "-- Triggers (the fence) may be made while the binlog is written:\n"
                     "SET GLOBAL log_bin_trust_function_creators = 1;\n");
}

bool gw_mysql_grants(struct gw_store *base, struct gw_buf *sql, struct gw_error *err)
{
    struct gw_mysql_store *store = gw_mysql_store_of(base);
    (void)err;
    write_script(base->side, base->identity.user, store->database, store->is_mariadb, true, base->identity.version,
                 true, store->fence_accounts, sql);
    return true;
}

bool gw_mysql_grants_for(const struct gw_grants_ask *ask, struct gw_buf *sql, struct gw_error *err)
{
    struct gw_mysql_url *url;
    if (ask->store)
        return gw_mysql_grants(ask->store, sql, err);
    if (!gw_mysql_url_parse(ask->options->url, &url, err))
        return false;
    write_script(ask->options->side, url->user ? url->user : "godwit", url->database, true, false, 0, false,
                 ask->options->fence == GW_FENCE_ACCOUNTS, sql);
    gw_mysql_url_free(url);
    return true;
}
