/* The type descriptor, and a store's identity as it is learned at open. */
#include "store/mysql/capture.h"

#include "base/hash.h"
#include "base/mem.h"
#include "store/mysql/column.h"
#include "store/mysql/fence_accounts.h"
#include "store/mysql/url.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define OLDEST_MARIADB 100600
#ifdef GW_CRASH_POINTS
#define OLDEST_MYSQL 50600 /* what tests can have of MySQL's own dialect is older than what is promised */
#else
#define OLDEST_MYSQL 80019
#endif

static const char *const schemes[] = {"mysql", "mariadb", NULL};

static void learn_address(struct gw_mysql_store *store, struct gw_mysql_conn *conn)
{
    struct gw_identity *id = &store->base.identity;
    const char *socket = NULL, *host = NULL;
    unsigned port = 0;
    mariadb_get_infov(conn->my, MARIADB_CONNECTION_UNIX_SOCKET, (void *)&socket);
    mariadb_get_infov(conn->my, MARIADB_CONNECTION_HOST, (void *)&host);
    mariadb_get_infov(conn->my, MARIADB_CONNECTION_PORT, (void *)&port);
    bool local = socket && *socket;
    id->loopback =
        local || !host || strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
    id->encrypted = mysql_get_ssl_cipher(conn->my) != NULL;
    if (local)
        snprintf(id->address, sizeof id->address, "%s/%s", socket, store->database);
    else
        snprintf(id->address, sizeof id->address, "%s:%u/%s", host ? host : "(local)", port, store->database);
}

static bool check_version(struct gw_mysql_store *store, struct gw_error *err)
{
    struct gw_identity *id = &store->base.identity;
    if (id->version >= (store->is_mariadb ? OLDEST_MARIADB : OLDEST_MYSQL))
        return true;
    gw_fail(err, GW_ERR_UNSUPPORTED, "server is %s; godwit needs MariaDB 10.6 or MySQL 8.0.19 or newer", id->product);
    gw_error_hint(err, "upgrade it first");
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), id->address);
}

/* Hosts may be clones of each other: whatever tells two servers apart goes into the name. */
static bool learn_server(struct gw_mysql_store *store, struct gw_mysql_conn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    struct gw_error ignored;
    bool found = false;
    if (!store->is_mariadb && gw_mysql_query_text(conn, "SELECT @@server_uuid", &text, &found, &ignored) && found) {
        snprintf(store->base.identity.server, sizeof store->base.identity.server, "%s", gw_buf_text(&text));
        return true;
    }
    if (!gw_mysql_query_text(conn,
                             "SELECT CONCAT_WS(' ', @@hostname, @@port, @@socket, @@datadir, @@server_id,"
                             " @@pid_file)",
                             &text, NULL, err))
        return false;
    struct gw_hash128 hash = gw_hash128(gw_buf_text(&text), text.len, 0);
    snprintf(store->base.identity.server, sizeof store->base.identity.server, "%016llx%016llx",
             (unsigned long long)hash.high, (unsigned long long)hash.low);
    return true;
}

static bool variable_is(struct gw_mysql_conn *conn, const char *expression, const char *wanted)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_autobuf struct gw_buf text = {0};
    struct gw_error ignored;
    gw_buf_addf(&sql, "SELECT %s", expression);
    return gw_mysql_query_text(conn, gw_buf_text(&sql), &text, NULL, &ignored) &&
           strcasecmp(gw_buf_text(&text), wanted) == 0;
}

/* Whether the row binlog is written and may be read: decides how changes are had. */
static void learn_log(struct gw_mysql_store *store, struct gw_mysql_conn *conn)
{
    struct gw_error *why = &store->binlog_why;
    gw_autobuf struct gw_buf text = {0};
    bool found = false;
    gw_error_clear(why);
    if (!variable_is(conn, "@@log_bin", "1")) {
        gw_fail(why, GW_ERR_UNSUPPORTED, "the server writes no binlog");
        gw_error_hint(why, "log_bin, and binlog_format = ROW, in the server's configuration");
    } else if (!variable_is(conn, "@@global.binlog_format", "ROW")) {
        gw_fail(why, GW_ERR_UNSUPPORTED, "binlog_format is not ROW");
        gw_error_hint(why, "SET GLOBAL binlog_format = 'ROW', then let all sessions connect anew");
    } else if (gw_mysql_query_text(conn, gw_mysql_log_status(conn), &text, &found, why) && !found) {
        gw_fail(why, GW_ERR_REFUSED, "the binlog has no status");
    }
    store->binlog = why->kind == GW_ERR_NONE;
    struct gw_error ignored;
    store->binlog_snapshot =
        store->binlog && store->is_mariadb &&
        gw_mysql_query_text(conn, "SHOW STATUS LIKE 'Binlog_snapshot_file'", &text, &found, &ignored) && found;
}

static bool decide_capture(struct gw_mysql_store *store, struct gw_mysql_conn *conn, enum gw_capture wanted,
                           struct gw_error *err)
{
    struct gw_identity *id = &store->base.identity;
    if (!gw_mysql_capture_decide(store, conn, wanted, &id->capture, err))
        return false;
    if (id->capture == GW_CAPTURE_TRIGGER) {
        id->capabilities &= ~(uint64_t)GW_CAN_TRUNCATE_STREAM;
        return true;
    }
    if (wanted == GW_CAPTURE_LOG && !store->binlog) {
        *err = store->binlog_why;
        return gw_error_place(err, "%s %s", gw_side_name(store->base.side), id->address);
    }
    return true;
}

static bool learn_identity(struct gw_mysql_store *store, struct gw_mysql_conn *conn, enum gw_capture capture,
                           struct gw_error *err)
{
    struct gw_identity *id = &store->base.identity;
    MYSQL_RES *r;
    store->is_mariadb = mariadb_connection(conn->my);
    learn_address(store, conn);
    if (!gw_mysql_query(conn,
                        "SELECT VERSION(), CURRENT_USER(), SUBSTRING_INDEX(USER(), '@', 1), DATABASE(),"
                        " @@global.read_only, @@local_infile, @@max_allowed_packet",
                        &r, err))
        return false;
    MYSQL_ROW row = mysql_fetch_row(r);
    id->version = (int)mysql_get_server_version(conn->my);
    snprintf(id->product, sizeof id->product, "%s %.*s", store->is_mariadb ? "MariaDB" : "MySQL",
             (int)strcspn(row[0], "-"), row[0]);
    snprintf(store->account, sizeof store->account, "%s", row[1]);
    snprintf(id->user, sizeof id->user, "%s", row[2]);
    snprintf(id->database, sizeof id->database, "%s", row[3] ? row[3] : "");
    id->in_recovery = *row[4] == '1';
    store->local_infile = *row[5] == '1';
    store->max_packet_bytes = (size_t)strtoull(row[6], NULL, 10);
    store->bulk = store->is_mariadb;
    mysql_free_result(r);
    id->capabilities = gw_store_mysql.capabilities;
    int version = id->version;
    id->version = 0; /* until all is known: from then on a lost server is worth waiting for */
    if (!learn_server(store, conn, err))
        return false;
    learn_log(store, conn);
    id->version = version;
    if (store->fence_accounts && !gw_mysql_accounts_can(store, err))
        return gw_error_place(err, "%s %s", gw_side_name(store->base.side), id->address);
    return check_version(store, err) && decide_capture(store, conn, capture, err);
}

static void mysql_store_close(struct gw_store *base)
{
    struct gw_mysql_store *store = gw_mysql_store_of(base);
    if (!store)
        return;
    gw_idle_free(store->pool);
    if (store->url)
        explicit_bzero(store->url, strlen(store->url));
    gw_mysql_url_free(store->address);
    free(store->url);
    free(store->password_command);
    free(store->migration);
    free(store->database);
    free(store);
}

static void library_init(void)
{
    mysql_library_init(0, NULL, NULL);
}

static bool mysql_store_open(const struct gw_store_options *options, struct gw_store **out, struct gw_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_init);
    struct gw_mysql_url *address;
    if (!gw_mysql_url_parse(options->url, &address, err))
        return gw_error_place(err, "%s", gw_side_name(options->side));
    struct gw_mysql_store *store = gw_zalloc(sizeof *store);
    struct gw_mysql_conn *conn = NULL;
    store->base.type = &gw_store_mysql;
    store->base.side = options->side;
    store->url = gw_strdup(options->url);
    store->address = address;
    store->database = gw_strdup(address->database);
    store->password_command = options->password_command ? gw_strdup(options->password_command) : NULL;
    store->migration = gw_strdup(options->migration);
    store->cancel = options->cancel;
    store->fence_accounts = options->fence == GW_FENCE_ACCOUNTS;
    store->pool = gw_mysql_pool_new();
    bool fine = gw_mysql_connect(store, "control", &conn, err);
    if (fine) {
        fine = learn_identity(store, conn, options->capture, err);
        gw_mysql_return(conn, !fine);
    }
    if (!fine) {
        mysql_store_close(&store->base);
        return false;
    }
    *out = &store->base;
    return true;
}

const struct gw_store_type gw_store_mysql = {
    .contract = GW_STORE_CONTRACT,
    .name = "mysql",
    .schemes = schemes,
    .default_space = "",
    .key_bytes = GW_MYSQL_KEY_BYTES,
    .capabilities =
        GW_CAN_TRANSACT | GW_CAN_PASS_THROUGH | GW_CAN_TRUNCATE_STREAM | GW_CAN_FENCE | GW_CAN_LOCK_ACCOUNTS,
    .open = mysql_store_open,
    .close = mysql_store_close,
    .catalog = &gw_mysql_catalog,
    .inspect = &gw_mysql_inspect,
    .reader = &gw_mysql_reader,
    .writer = &gw_mysql_writer_facet,
    .scan = &gw_mysql_scan,
    .codec = &gw_mysql_codec,
    .changes = &gw_mysql_changes,
    .ownership = &gw_mysql_ownership,
    .fence = &gw_mysql_fence,
    .sessions = &gw_mysql_sessions,
    .schema = &gw_mysql_schema,
    .query = &gw_mysql_query_facet,
};
