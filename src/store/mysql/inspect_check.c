/* check: one side, and both together. */
#include "base/mem.h"
#include "sql_embedded.h"
#include "store/mysql/capture.h"
#include "store/mysql/fence_accounts.h"
#include "store/mysql/inspect.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_PACKET_BYTES (16u << 20)

struct look {
    struct gw_mysql_store *store;
    struct gw_mysql_conn *conn;
    enum gw_side side;
    struct gw_findings *findings;
};

/* ---- rights ----------------------------------------------------------------------------------------------------- */

static void take_grant(const char *text, const char *database, struct gw_buf *global, struct gw_buf *own)
{
    const char *on = strstr(text, " ON ");
    if (strncmp(text, "GRANT ", 6) != 0 || !on)
        return;
    gw_autofree char *words = gw_strndup(text + 6, (size_t)(on - text) - 6);
    /* A database's name is a pattern in a grant: "_" and "%" may be escaped. */
    gw_autobuf struct gw_buf name = {0};
    const char *p = on + 4;
    for (p += *p == '`'; *p && *p != '`' && !(*p == '.' && p[1] == '*'); p++) {
        if (*p == '\\' && (p[1] == '_' || p[1] == '%'))
            p++;
        gw_buf_addc(&name, *p);
    }
    if (strcmp(gw_buf_text(&name), "*") == 0)
        gw_buf_addf(global, "%s, ", words);
    if (strcmp(gw_buf_text(&name), "*") == 0 || strcmp(gw_buf_text(&name), database) == 0)
        gw_buf_addf(own, "%s, ", words);
}

bool gw_mysql_rights(struct gw_mysql_conn *conn, struct gw_buf *global, struct gw_buf *database, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    if (!gw_mysql_query(conn, "SHOW GRANTS", &r, err))
        return false;
    gw_buf_adds(global, ", ");
    gw_buf_adds(database, ", ");
    while ((row = mysql_fetch_row(r)))
        take_grant(row[0], conn->store->database, global, database);
    mysql_free_result(r);
    return true;
}

static bool has_right(const struct gw_buf *rights, const char *name)
{
    gw_autofree char *wanted = gw_asprintf(", %s,", name);
    return strstr(gw_buf_text(rights), ", ALL PRIVILEGES,") || strstr(gw_buf_text(rights), ", SUPER,") ||
           strstr(gw_buf_text(rights), wanted);
}

static void check_right(const struct look *look, const struct gw_buf *rights, const char *name, const char *other,
                        enum gw_severity severity, const char *what_for)
{
    if (has_right(rights, name) || (other && has_right(rights, other)))
        return;
    gw_findings_add(look->findings, severity, look->side, "right", "run the script of \"godwit check --grants\"",
                    "godwit's account %s lacks %s%s%s: %s", look->store->account, name, other ? " or " : "",
                    other ? other : "", what_for);
}

static bool check_rights(const struct look *look, struct gw_error *err)
{
    static const char *const needed[] = {"SELECT",      "INSERT",     "UPDATE", "DELETE",
                                         "CREATE",      "DROP",       "ALTER",  "TRIGGER",
                                         "LOCK TABLES", "REFERENCES", "INDEX",  "CREATE TEMPORARY TABLES"};
    gw_autobuf struct gw_buf global = {0};
    gw_autobuf struct gw_buf database = {0};
    gw_autofree char *words = NULL;
    if (!gw_mysql_rights(look->conn, &global, &database, err))
        return false;
    if (strstr(gw_buf_text(&database), ", ALL PRIVILEGES"))
        gw_buf_adds(&database, "ALL PRIVILEGES, ");
    words = gw_asprintf("on %s.*", look->store->database);
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (!strstr(gw_buf_text(&database), "ALL PRIVILEGES"))
            check_right(look, &database, needed[i], NULL, GW_FINDING_BLOCKS, words);
    if (!gw_mysql_captures(look->store)) {
        check_right(look, &global, "REPLICATION SLAVE", NULL, GW_FINDING_BLOCKS, "the binlog cannot be read");
        check_right(look, &global, "BINLOG MONITOR", "REPLICATION CLIENT", GW_FINDING_BLOCKS,
                    "the binlog's end cannot be seen");
    }
    check_right(look, &global, "PROCESS", NULL, GW_FINDING_WARNING, "sessions that go around the gate are not seen");
    check_right(look, &global, "CONNECTION ADMIN", "CONNECTION_ADMIN", GW_FINDING_WARNING, "sessions cannot be ended");
    return true;
}

/* ---- settings --------------------------------------------------------------------------------------------------- */

static char *variable(const struct look *look, const char *name)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_autobuf struct gw_buf text = {0};
    struct gw_error ignored;
    gw_buf_addf(&sql, "SELECT @@%s", name);
    if (!gw_mysql_query_text(look->conn, gw_buf_text(&sql), &text, NULL, &ignored))
        return gw_strdup("");
    return gw_strdup(gw_buf_text(&text));
}

static void check_durability(const struct look *look)
{
    gw_autofree char *flush = variable(look, "global.innodb_flush_log_at_trx_commit");
    gw_autofree char *sync = variable(look, "global.sync_binlog");
    if (strcmp(flush, "1") != 0)
        gw_findings_add(look->findings, GW_FINDING_WARNING, look->side, "durability",
                        "SET GLOBAL innodb_flush_log_at_trx_commit = 1",
                        "innodb_flush_log_at_trx_commit is %s: a crash of the server loses commits that were "
                        "acknowledged, godwit's too; a session cannot change it",
                        flush);
    if (look->store->binlog && strcmp(sync, "1") != 0)
        gw_findings_add(look->findings, GW_FINDING_WARNING, look->side, "sync-binlog", "SET GLOBAL sync_binlog = 1",
                        "sync_binlog is %s: after a crash of the server the binlog may lack what the tables have",
                        sync);
}

/* By triggers, and why: what is asked for is as good as what cannot be otherwise, but it is said which it is. */
static void check_capture(const struct look *look)
{
    const struct gw_error *why = &look->store->binlog_why;
    bool asked = strcmp(why->message, "capture: trigger") == 0;
    gw_autofree char *format = variable(look, "global.binlog_format"), *log = variable(look, "global.log_bin");
    gw_autofree char *galera = variable(look, "global.wsrep_on");
    gw_findings_add(look->findings, asked ? GW_FINDING_INFO : GW_FINDING_WARNING, look->side, "capture",
                    asked        ? "nothing to do"
                    : *why->hint ? why->hint
                                 : "nothing to do; or what \"godwit check --grants\" prints, and it reads the binlog",
                    "changes of %s are captured by triggers, not read from its binlog (%s): each row that is written is"
                    " written once more (godwit plan measures what that costs), and a session that writes one waits for"
                    " nobody",
                    gw_side_name(look->side), why->message);
    gw_findings_add(
        look->findings, GW_FINDING_INFO, look->side, "truncate", "use DELETE until the migration is finished",
        "TRUNCATE fires no trigger: it is noticed where it sets an AUTO_INCREMENT back, else by godwit verify");
    if (strcmp(log, "1") == 0 && strcasecmp(format, "STATEMENT") == 0)
        gw_findings_add(look->findings, GW_FINDING_WARNING, look->side, "binlog-format",
                        "SET GLOBAL binlog_format = 'MIXED'",
                        "binlog_format is STATEMENT: the server warns of each statement that fires one of our triggers,"
                        " and replicas number what they capture by themselves");
    if (strcmp(galera, "1") == 0)
        gw_findings_add(look->findings, GW_FINDING_BLOCKS, look->side, "galera",
                        "let all writers use one node's binlog",
                        "the server is a node of a cluster (wsrep_on): what triggers number on one node says nothing of"
                        " the order on another");
}

static void check_log(const struct look *look, bool keyless)
{
    gw_autofree char *image = variable(look, "global.binlog_row_image");
    gw_autofree char *values = variable(look, "global.binlog_row_value_options");
    gw_autofree char *expire = variable(look, "global.binlog_expire_logs_seconds");
    if (keyless && strcasecmp(image, "FULL") != 0)
        gw_findings_add(look->findings, GW_FINDING_BLOCKS, look->side, "row-image",
                        "SET GLOBAL binlog_row_image = 'FULL'",
                        "binlog_row_image is %s: a row of a table without key cannot be told from others", image);
    if (strcasestr(values, "PARTIAL_JSON"))
        gw_findings_add(look->findings, GW_FINDING_BLOCKS, look->side, "partial-json",
                        "SET GLOBAL binlog_row_value_options = ''",
                        "binlog_row_value_options is %s: changes of JSON come in pieces", values);
    long seconds = strtol(expire, NULL, 10);
    if (seconds > 0 && seconds < 86400)
        gw_findings_add(look->findings, GW_FINDING_WARNING, look->side, "binlog-expire",
                        "SET GLOBAL binlog_expire_logs_seconds = 604800",
                        "the server drops its binlog after %ld s: whoever stops longer than that has lost the place",
                        seconds);
}

static bool check_binlog_filters(const struct look *look, struct gw_error *err)
{
    MYSQL_RES *r;
    if (gw_mysql_captures(look->store))
        return true;
    if (!gw_mysql_query(look->conn, gw_mysql_log_status(look->conn), &r, err))
        return false;
    MYSQL_ROW row = mysql_fetch_row(r);
    if (row && mysql_num_fields(r) >= 4 && (*row[2] || *row[3]))
        gw_findings_add(look->findings, GW_FINDING_BLOCKS, look->side, "binlog-filter",
                        "take binlog_do_db and binlog_ignore_db out of the configuration, and restart",
                        "the binlog leaves out databases (binlog_do_db \"%s\", binlog_ignore_db \"%s\")", row[2],
                        row[3]);
    mysql_free_result(r);
    return true;
}

/* Who writes all the same while the fence is up. */
static bool check_fence(const struct look *look, struct gw_error *err)
{
    gw_autobuf struct gw_buf global = {0}, database = {0}, beyond = {0};
    struct gw_error why;
    if (!look->store->fence_accounts) {
        gw_findings_add(
            look->findings, GW_FINDING_INFO, look->side, "fence", NULL,
            "the fence is triggers: reading goes on and no connection is cut; TRUNCATE and other DDL pass it, "
            "and are told by the definitions that changed or not at all (\"fence: accounts\" of this side "
            "locks the accounts that may write here, as well)");
        return true;
    }
    if (!gw_mysql_rights(look->conn, &global, &database, err))
        return false;
    check_right(look, &global, "CREATE USER", NULL, GW_FINDING_BLOCKS, "\"fence: accounts\" cannot lock an account");
    check_right(look, &global, "CONNECTION ADMIN", "CONNECTION_ADMIN", GW_FINDING_BLOCKS,
                "\"fence: accounts\" cannot end the sessions of locked accounts");
    check_right(look, &global, "PROCESS", NULL, GW_FINDING_BLOCKS,
                "\"fence: accounts\" cannot see the sessions of locked accounts");
    if (!gw_mysql_accounts_beyond(look->conn, &beyond, &why)) {
        gw_findings_add(look->findings, GW_FINDING_BLOCKS, look->side, "fence",
                        "run the script of \"godwit check --grants\"", "the accounts cannot be seen: %s", why.message);
        return true;
    }
    for (char *line = beyond.data, *end; line && *line; line = end) {
        end = line + strcspn(line, "\n");
        if (*end)
            *end++ = 0;
        gw_findings_add(
            look->findings, GW_FINDING_WARNING, look->side, "fence", NULL,
            "\"fence: accounts\" does not lock %s: its rows are stopped by the triggers, TRUNCATE and other "
            "DDL are not",
            line);
    }
    return true;
}

static void check_settings(const struct look *look)
{
    const struct gw_identity *id = &look->store->base.identity;
    gw_autofree char *trust = variable(look, "global.log_bin_trust_function_creators");
    gw_autofree char *log_bin = variable(look, "global.log_bin");
    gw_autobuf struct gw_buf global = {0};
    gw_autobuf struct gw_buf database = {0};
    struct gw_error ignored;
    if (id->in_recovery)
        gw_findings_add(look->findings, GW_FINDING_BLOCKS, look->side, "read-only", "give the address of the primary",
                        "the server is read-only");
    if (!id->loopback && !id->encrypted)
        gw_findings_add(look->findings, GW_FINDING_WARNING, look->side, "tls",
                        "ssl-mode=verify_identity in the address", "the connection to %s is not encrypted",
                        id->address);
    if (look->store->max_packet_bytes < LEAST_PACKET_BYTES)
        gw_findings_add(look->findings, GW_FINDING_WARNING, look->side, "max-packet",
                        "SET GLOBAL max_allowed_packet = 67108864",
                        "max_allowed_packet is %zu: a longer value cannot be moved", look->store->max_packet_bytes);
    if (look->side == GW_GREEN && !look->store->is_mariadb && !look->store->local_infile)
        gw_findings_add(look->findings, GW_FINDING_INFO, look->side, "local-infile", "SET GLOBAL local_infile = 1",
                        "local_infile is off: rows are loaded by INSERT, which is slower");
    if (strcmp(log_bin, "1") == 0 && strcmp(trust, "0") == 0 &&
        gw_mysql_rights(look->conn, &global, &database, &ignored) && !has_right(&global, "SUPER"))
        gw_findings_add(look->findings, GW_FINDING_BLOCKS, look->side, "trust-function-creators",
                        "SET GLOBAL log_bin_trust_function_creators = 1",
                        "triggers (the fence's, and those that capture) cannot be made while the binlog is written");
    check_durability(look);
}

/* ---- tables ----------------------------------------------------------------------------------------------------- */

static bool check_tables(const struct look *look, bool *keyless, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    *keyless = false;
    if (!gw_mysql_query(look->conn, gw_sql_mysql_check, &r, err))
        return false;
    while ((row = mysql_fetch_row(r))) {
        if (*row[2] && strcmp(row[2], gw_side_name(look->side)) != 0)
            continue;
        *keyless = *keyless || strcmp(row[1], "no-key") == 0;
        gw_findings_add(look->findings, (enum gw_severity)(*row[0] - '0'), look->side, row[1], row[4], "%s", row[3]);
        if (strcmp(row[1], "history") == 0)
            look->findings->items[look->findings->count - 1].stays_behind = true;
    }
    mysql_free_result(r);
    return true;
}

bool gw_mysql_check(struct gw_store *base, const struct gw_filter *filter, struct gw_findings *findings,
                    struct gw_error *err)
{
    struct look look = {.store = gw_mysql_store_of(base), .side = base->side, .findings = findings};
    bool keyless = false;
    (void)filter;
    if (!gw_mysql_borrow(look.store, &look.conn, err))
        return false;
    check_settings(&look);
    bool fine = check_rights(&look, err) && check_fence(&look, err) && check_tables(&look, &keyless, err) &&
                check_binlog_filters(&look, err);
    if (fine && gw_mysql_captures(look.store))
        check_capture(&look);
    else if (fine)
        check_log(&look, keyless);
    gw_mysql_return(look.conn, !fine);
    return fine;
}

/* ---- both sides ------------------------------------------------------------------------------------------------- */

static void compare_variable(const struct look *blue, const struct look *green, const char *name,
                             enum gw_severity severity, const char *id, const char *consequence)
{
    gw_autofree char *a = variable(blue, name), *b = variable(green, name);
    if (strcmp(a, b) != 0)
        gw_findings_add(blue->findings, severity, GW_GREEN, id, NULL, "%s is %s on blue and %s on green: %s", name, a,
                        b, consequence);
}

/* Collations that blue's columns have and green's server does not know. */
static bool missing_collations(const struct look *blue, const struct look *green, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    if (!gw_mysql_query(blue->conn,
                        "SELECT DISTINCT COLLATION_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()"
                        " AND COLLATION_NAME IS NOT NULL",
                        &r, err))
        return false;
    bool fine = true;
    while (fine && (row = mysql_fetch_row(r))) {
        gw_autobuf struct gw_buf sql = {0};
        gw_autobuf struct gw_buf text = {0};
        bool found = false;
        gw_buf_adds(&sql, "SELECT 1 FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY WHERE ");
        gw_buf_adds(&sql, green->store->is_mariadb && green->store->base.identity.version >= 101001
                              ? "FULL_COLLATION_NAME = "
                              : "COLLATION_NAME = ");
        gw_mysql_add_literal(&sql, row[0]);
        fine = gw_mysql_query_text(green->conn, gw_buf_text(&sql), &text, &found, err);
        if (fine && !found)
            gw_findings_add(blue->findings, GW_FINDING_BLOCKS, GW_GREEN, "collation",
                            "convert the columns on blue, or take a server that has it",
                            "green does not know the collation %s, which columns on blue have", row[0]);
    }
    mysql_free_result(r);
    return fine;
}

static bool check_both(const struct look *blue, const struct look *green, struct gw_error *err)
{
    const struct gw_identity *a = &blue->store->base.identity, *b = &green->store->base.identity;
    if (strcmp(a->server, b->server) == 0 && strcmp(a->database, b->database) == 0)
        gw_findings_add(blue->findings, GW_FINDING_BLOCKS, GW_GREEN, "same-database", "give green another database",
                        "both sides are the same database");
    if (blue->store->is_mariadb != green->store->is_mariadb)
        gw_findings_add(blue->findings, GW_FINDING_WARNING, GW_GREEN, "product", NULL,
                        "blue is %s, green is %s: types and collations that only one has stop the move", a->product,
                        b->product);
    else if (a->version / 100 > b->version / 100)
        gw_findings_add(blue->findings, GW_FINDING_WARNING, GW_GREEN, "older", "take at least the version of blue",
                        "green is %s, older than blue's %s", b->product, a->product);
    if (green->store->max_packet_bytes < blue->store->max_packet_bytes)
        gw_findings_add(blue->findings, GW_FINDING_WARNING, GW_GREEN, "max-packet",
                        "SET GLOBAL max_allowed_packet as on blue",
                        "max_allowed_packet is %zu on blue and %zu on green: a value between the two cannot be moved",
                        blue->store->max_packet_bytes, green->store->max_packet_bytes);
    compare_variable(blue, green, "lower_case_table_names", GW_FINDING_BLOCKS, "table-names",
                     "names of tables mean other tables");
    compare_variable(blue, green, "global.sql_mode", GW_FINDING_WARNING, "sql-mode",
                     "the application meets other rules after the switch");
    compare_variable(blue, green, "global.time_zone", GW_FINDING_WARNING, "time-zone",
                     "timestamps are shown in another zone after the switch");
    compare_variable(blue, green, "global.character_set_server", GW_FINDING_INFO, "charset",
                     "tables made after the switch have another character set");
    return missing_collations(blue, green, err);
}

bool gw_mysql_check_pair(struct gw_store *blue, struct gw_store *green, const struct gw_filter *filter,
                         struct gw_findings *findings, struct gw_error *err)
{
    (void)filter;
    if (blue->type != green->type)
        return true;
    struct look a = {.store = gw_mysql_store_of(blue), .side = GW_BLUE, .findings = findings};
    struct look b = {.store = gw_mysql_store_of(green), .side = GW_GREEN, .findings = findings};
    if (!gw_mysql_borrow(a.store, &a.conn, err))
        return false;
    bool fine = gw_mysql_borrow(b.store, &b.conn, err) && check_both(&a, &b, err);
    gw_mysql_return(a.conn, !fine);
    gw_mysql_return(b.conn, !fine);
    return fine;
}
