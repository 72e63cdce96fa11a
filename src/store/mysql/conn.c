/* Connections: opened with pinned settings, waited on with the cancel token, pooled for short calls. */
#include "store/mysql/conn.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "store/mysql/url.h"
#include "store/password.h"

#include <errmsg.h>
#include <errno.h>
#include <mysqld_error.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define CONNECT_TIMEOUT_S 10

/* ---- classification -------------------------------------------------------------------------------------------- */

static enum gw_error_kind kind_of(unsigned code)
{
    static const struct {
        unsigned code;
        enum gw_error_kind kind;
    } table[] = {
        {CR_SERVER_GONE_ERROR, GW_ERR_RETRY},
        {CR_SERVER_LOST, GW_ERR_RETRY},
        {CR_SERVER_LOST_EXTENDED, GW_ERR_RETRY},
        {CR_COMMANDS_OUT_OF_SYNC, GW_ERR_BUG},
        {ER_LOCK_DEADLOCK, GW_ERR_RETRY},
        {ER_LOCK_WAIT_TIMEOUT, GW_ERR_RETRY},
        {ER_SERVER_SHUTDOWN, GW_ERR_RETRY},
        {ER_NORMAL_SHUTDOWN, GW_ERR_RETRY},
        {ER_QUERY_INTERRUPTED, GW_ERR_RETRY},
        {ER_CONNECTION_KILLED, GW_ERR_RETRY},
        {ER_STATEMENT_TIMEOUT, GW_ERR_RETRY},
        {ER_TABLE_DEF_CHANGED, GW_ERR_RETRY},
        {ER_CON_COUNT_ERROR, GW_ERR_RETRY},
        {ER_TOO_MANY_USER_CONNECTIONS, GW_ERR_RETRY},
        {ER_NEW_ABORTING_CONNECTION, GW_ERR_RETRY},
        {ER_NET_READ_ERROR, GW_ERR_RETRY},
        {ER_NET_READ_INTERRUPTED, GW_ERR_RETRY},
        {ER_XA_RBROLLBACK, GW_ERR_RETRY},
        {1020 /* ER_CHECKREAD: record has changed since last read */, GW_ERR_RETRY},
        {ER_ACCESS_DENIED_ERROR, GW_ERR_REFUSED},
        {1698 /* ER_ACCESS_DENIED_NO_PASSWORD_ERROR */, GW_ERR_REFUSED},
        {ER_DBACCESS_DENIED_ERROR, GW_ERR_REFUSED},
        {ER_TABLEACCESS_DENIED_ERROR, GW_ERR_REFUSED},
        {ER_COLUMNACCESS_DENIED_ERROR, GW_ERR_REFUSED},
        {ER_SPECIFIC_ACCESS_DENIED_ERROR, GW_ERR_REFUSED},
        {ER_PROCACCESS_DENIED_ERROR, GW_ERR_REFUSED},
        {ER_KILL_DENIED_ERROR, GW_ERR_REFUSED},
        {ER_BAD_DB_ERROR, GW_ERR_REFUSED},
        {ER_HOST_NOT_PRIVILEGED, GW_ERR_REFUSED},
        {ER_HOST_IS_BLOCKED, GW_ERR_REFUSED},
        {ER_OPTION_PREVENTS_STATEMENT, GW_ERR_REFUSED},
        {4151 /* ER_ACCOUNT_HAS_BEEN_LOCKED */, GW_ERR_REFUSED},
        {ER_DISK_FULL, GW_ERR_RESOURCE},
        {ER_RECORD_FILE_FULL, GW_ERR_RESOURCE},
        {ER_OUT_OF_RESOURCES, GW_ERR_RESOURCE},
        {ER_OUTOFMEMORY, GW_ERR_RESOURCE},
        {ER_NOT_SUPPORTED_YET, GW_ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].code == code)
            return table[i].kind;
    return GW_ERR_CONFLICT;
}

static const char *hint_for(unsigned code, enum gw_error_kind kind)
{
    if (kind == GW_ERR_RESOURCE)
        return "make room on the server's disk, then run the same command again: it goes on where it stopped";
    if (code == ER_CON_COUNT_ERROR || code == ER_TOO_MANY_USER_CONNECTIONS)
        return "raise max_connections, or end idle sessions";
    if (code == ER_ACCESS_DENIED_ERROR || code == 1698)
        return "see the user, the password (address, option file, password_command) and the account's host part";
    if (code == 4151)
        return "unlock godwit's own account: ALTER USER ... ACCOUNT UNLOCK";
    if (kind == GW_ERR_REFUSED && code != ER_BAD_DB_ERROR)
        return "run the script that \"godwit check --grants\" prints for this side";
    return NULL;
}

static bool means_lost(unsigned code)
{
    return code == CR_SERVER_GONE_ERROR || code == CR_SERVER_LOST || code == CR_SERVER_LOST_EXTENDED ||
           code == ER_SERVER_SHUTDOWN || code == ER_CONNECTION_KILLED || code == ER_NEW_ABORTING_CONNECTION ||
           code == CR_MALFORMED_PACKET;
}

/* The token that was asked: the store's, or that of the thread itself. NULL: neither. */
static const struct gw_cancel *asked(const struct gw_mysql_store *store)
{
    if (gw_cancel_asked(store->cancel))
        return store->cancel;
    return gw_cancel_asked(gw_cancel_own()) ? gw_cancel_own() : NULL;
}

static bool fail_with(struct gw_mysql_conn *conn, unsigned code, const char *state, const char *text, const char *doing,
                      struct gw_error *err)
{
    struct gw_mysql_store *store = conn->store;
    if (means_lost(code))
        conn->broken = true;
    if (conn->broken && asked(store))
        return gw_cancel_fail(asked(store), err);
    enum gw_error_kind kind = kind_of(code);
    if (code >= 2000 && code < 3000 && kind == GW_ERR_CONFLICT)
        kind = GW_ERR_RETRY;
    gw_fail(err, kind, "%s: %s (error %u, SQLSTATE %s)", doing, text, code, state);
    if (hint_for(code, kind))
        gw_error_hint(err, "%s", hint_for(code, kind));
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

bool gw_mysql_fail(struct gw_mysql_conn *conn, const char *doing, struct gw_error *err)
{
    return fail_with(conn, mysql_errno(conn->my), mysql_sqlstate(conn->my), mysql_error(conn->my), doing, err);
}

bool gw_mysql_stmt_fail(struct gw_mysql_conn *conn, MYSQL_STMT *stmt, const char *doing, struct gw_error *err)
{
    return fail_with(conn, mysql_stmt_errno(stmt), mysql_stmt_sqlstate(stmt), mysql_stmt_error(stmt), doing, err);
}

const char *gw_mysql_log_status(const struct gw_mysql_conn *conn)
{
    if (mariadb_connection(conn->my))
        return "SHOW BINLOG STATUS";
    return mysql_get_server_version(conn->my) >= 80200 ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS";
}

unsigned gw_mysql_errno(const struct gw_mysql_conn *conn)
{
    return mysql_errno(conn->my);
}

bool gw_mysql_no_such_table(const struct gw_mysql_conn *conn, struct gw_error *err)
{
    if (gw_mysql_errno(conn) != ER_NO_SUCH_TABLE || conn->broken)
        return false;
    gw_error_clear(err);
    return true;
}

/* ---- waiting --------------------------------------------------------------------------------------------------- */

static _Thread_local struct gw_mysql_store *waiting_for;

void gw_mysql_enter(struct gw_mysql_conn *conn)
{
    waiting_for = conn->store;
}

static int fd_of(const struct gw_cancel *cancel)
{
    return cancel ? cancel->fd : -1;
}

/* Called by the library before it would block. 1: go on; 0: out of time, and the library gives the connection up. */
static int wait_for_socket(my_socket socket, my_bool is_read, int timeout_ms)
{
    struct gw_mysql_store *store = waiting_for;
    struct pollfd fds[3] = {{.fd = socket, .events = is_read ? POLLIN : POLLOUT},
                            {.fd = store ? fd_of(store->cancel) : -1, .events = POLLIN},
                            {.fd = fd_of(gw_cancel_own()), .events = POLLIN}};
    int64_t deadline_us = timeout_ms < 0 ? 0 : gw_mono_us() + (int64_t)timeout_ms * 1000;
    for (;;) {
        if (store && asked(store))
            return 0;
        int got = poll(fds, 3, timeout_ms < 0 ? -1 : gw_left_ms(deadline_us));
        if (got < 0 && errno != EINTR)
            return -1;
        if (got > 0 && fds[0].revents)
            return 1;
        if (timeout_ms >= 0 && gw_left_ms(deadline_us) == 0)
            return 0;
    }
}

/* ---- connecting ------------------------------------------------------------------------------------------------ */

static bool on_this_machine(const struct gw_mysql_url *url)
{
    return url->socket || !url->host || strcmp(url->host, "localhost") == 0 || strncmp(url->host, "127.", 4) == 0 ||
           strcmp(url->host, "::1") == 0;
}

static void set_tls(MYSQL *my, const struct gw_mysql_url *url)
{
    enum gw_mysql_ssl_mode mode = url->ssl_mode;
    bool files = url->ssl_ca || url->ssl_capath || url->ssl_cert;
    if (mode == GW_MYSQL_SSL_DEFAULT)
        mode = files || !on_this_machine(url) ? GW_MYSQL_SSL_PREFERRED : GW_MYSQL_SSL_DISABLED;
    if (mode == GW_MYSQL_SSL_DISABLED)
        return;
    my_bool yes = 1, verify = mode >= GW_MYSQL_SSL_VERIFY_CA;
    mysql_ssl_set(my, url->ssl_key, url->ssl_cert, url->ssl_ca, url->ssl_capath, url->ssl_cipher);
    if (url->tls_version)
        mysql_optionsv(my, MARIADB_OPT_TLS_VERSION, url->tls_version);
    if (mode >= GW_MYSQL_SSL_REQUIRED)
        mysql_optionsv(my, MYSQL_OPT_SSL_ENFORCE, &yes);
    mysql_optionsv(my, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
}

static void set_options(MYSQL *my, const struct gw_mysql_url *url, const char *what)
{
    unsigned timeout = url->connect_timeout_s ? url->connect_timeout_s : CONNECT_TIMEOUT_S;
    unsigned on = 1;
    char name[64];
    snprintf(name, sizeof name, "godwit %s", what);
    mysql_optionsv(my, MYSQL_OPT_CONNECT_TIMEOUT, &timeout);
    mysql_optionsv(my, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    mysql_optionsv(my, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", name);
    mysql_optionsv(my, MYSQL_OPT_LOCAL_INFILE, &on);
    mysql_optionsv(my, MARIADB_OPT_IO_WAIT, wait_for_socket);
    mysql_optionsv(my, MYSQL_READ_DEFAULT_GROUP, url->default_group ? url->default_group : "godwit");
    if (url->default_file)
        mysql_optionsv(my, MYSQL_READ_DEFAULT_FILE, url->default_file);
    if (url->default_auth)
        mysql_optionsv(my, MYSQL_DEFAULT_AUTH, url->default_auth);
    if (url->plugin_dir)
        mysql_optionsv(my, MYSQL_PLUGIN_DIR, url->plugin_dir);
    if (url->public_key)
        mysql_optionsv(my, MYSQL_SERVER_PUBLIC_KEY, url->public_key);
    set_tls(my, url);
}

/* A library that is told to load a file answers with this: only load.c, which sets its own, has anything to give. */
static int no_infile(void **data, const char *name, void *arg)
{
    (void)data, (void)name, (void)arg;
    return 1;
}
static int no_infile_read(void *data, char *buffer, unsigned int len)
{
    (void)data, (void)buffer, (void)len;
    return -1;
}
static void no_infile_end(void *data)
{
    (void)data;
}
static int no_infile_error(void *data, char *text, unsigned int len)
{
    (void)data;
    snprintf(text, len, "no file of this machine is sent to a server");
    return CR_UNKNOWN_ERROR;
}

/* A store that was opened before may lose its server and get it back; at the first contact it is simply not there. */
static bool fail_connect(struct gw_mysql_store *store, MYSQL *my, struct gw_error *err)
{
    unsigned code = mysql_errno(my);
    bool opened = store->base.identity.version != 0;
    if (asked(store))
        return gw_cancel_fail(asked(store), err);
    enum gw_error_kind kind = kind_of(code);
    if (code >= 2000 && code < 3000)
        kind = opened && code != CR_AUTH_PLUGIN_CANNOT_LOAD && code != CR_SSL_CONNECTION_ERROR ? GW_ERR_RETRY
                                                                                               : GW_ERR_REFUSED;
    else if (kind == GW_ERR_CONFLICT)
        kind = GW_ERR_REFUSED;
    gw_fail(err, kind, "cannot connect: %s (error %u)", mysql_error(my), code);
    const char *hint = hint_for(code, kind);
    if (code == CR_AUTH_PLUGIN_CANNOT_LOAD ||
        strstr(mysql_error(my), "could not be loaded")) /* the library says 1045, too */
        hint = "the account logs in by a plugin that the client library lacks here: on Debian libmariadb3 brings them; "
               "plugin_dir in the address names another folder";
    else if (code == CR_SSL_CONNECTION_ERROR)
        hint = "see ssl-mode (disabled, preferred, required, verify_ca, verify_identity) and ssl-ca of the address";
    else if (code >= 2000 && code < 3000)
        hint = "see that the server runs, and the host, port, socket and ssl-mode of the address";
    if (hint)
        gw_error_hint(err, "%s", hint);
    char url[160];
    gw_redact_url(store->url, url, sizeof url);
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), opened ? store->base.identity.address : url);
}

/* Values must read and write the same on any server, whatever it has as its default. */
static bool pin_settings(struct gw_mysql_conn *conn, struct gw_error *err)
{
    static const char all[] =
        "SET NAMES utf8mb4 COLLATE utf8mb4_bin;"
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES,NO_AUTO_VALUE_ON_ZERO,NO_BACKSLASH_ESCAPES,"
        "NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', autocommit = 1, max_error_count = 65535, completion_type = 0, foreign_key_checks = 1,"
        " unique_checks = 1, sql_auto_is_null = 0, sql_safe_updates = 0, sql_select_limit = DEFAULT, big_tables = 0,"
        " sql_big_selects = 1, sql_quote_show_create = 1, group_concat_max_len = 67108864, net_read_timeout = 3600,"
        " net_write_timeout = 3600, wait_timeout = 604800, interactive_timeout = 604800, lc_time_names = 'en_US',"
        " div_precision_increment = 4;"
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE;";
    return gw_mysql_exec(conn, all, err) &&
           gw_mysql_exec(conn,
                         mariadb_connection(conn->my)
                             ? "SET SESSION max_statement_time = 0, check_constraint_checks = 1"
                             : "SET SESSION completion_type = 0 /*!50708 , max_execution_time = 0 */"
                               " /*!80003 , information_schema_stats_expiry = 0 */",
                         err);
}

static MYSQL *real_connect(struct gw_mysql_store *store, const char *what, const char *password)
{
    const struct gw_mysql_url *url = store->address;
    MYSQL *my = mysql_init(NULL);
    if (!my)
        return NULL;
    set_options(my, url, what);
    mysql_set_local_infile_handler(my, no_infile, no_infile_read, no_infile_end, no_infile_error, NULL);
    const char *host = url->socket && !url->host ? "localhost" : url->host;
    if (host && strcmp(host, "localhost") == 0 && url->port && !url->socket)
        host = "127.0.0.1"; /* the library takes "localhost" for the socket, whatever the port says */
    mysql_real_connect(my, host, url->user, password, url->database, url->port, url->socket,
                       CLIENT_FOUND_ROWS | CLIENT_MULTI_STATEMENTS | CLIENT_MULTI_RESULTS | CLIENT_LOCAL_FILES);
    return my;
}

/* The library goes on in the clear where the server has no TLS, also when it is told to enforce it. */
static bool has_tls_as_asked(struct gw_mysql_store *store, MYSQL *my, struct gw_error *err)
{
    if (store->address->ssl_mode < GW_MYSQL_SSL_REQUIRED || mysql_get_ssl_cipher(my))
        return true;
    gw_fail(err, GW_ERR_REFUSED, "the server offers no TLS, and ssl-mode of the address requires it");
    gw_error_hint(err, "give the server a certificate (ssl_cert, ssl_key), or ssl-mode=preferred in the address");
    char url[160];
    gw_redact_url(store->url, url, sizeof url);
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), url);
}

bool gw_mysql_connect(struct gw_mysql_store *store, const char *what, struct gw_mysql_conn **out, struct gw_error *err)
{
    gw_autobuf struct gw_buf password = {0};
    if (asked(store))
        return gw_cancel_fail(asked(store), err);
    if (store->password_command &&
        !gw_store_password(&store->base, store->password_command, store->cancel, &password, err))
        return false;
    waiting_for = store;
    MYSQL *my = real_connect(store, what, password.len ? gw_buf_text(&password) : store->address->password);
    if (password.data)
        explicit_bzero(password.data, password.len);
    if (!my)
        return gw_fail(err, GW_ERR_RESOURCE, "no memory for a connection");
    if (mysql_errno(my)) {
        fail_connect(store, my, err);
        mysql_close(my);
        return false;
    }
    if (!has_tls_as_asked(store, my, err)) {
        mysql_close(my);
        return false;
    }
    int on = 1;
    if (setsockopt(mysql_get_socket(my), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on) != 0)
        gw_debug("no keepalive on a connection");
    struct gw_mysql_conn *conn = gw_zalloc(sizeof *conn);
    conn->store = store;
    conn->my = my;
    conn->id = mysql_thread_id(my);
    if (!pin_settings(conn, err)) {
        gw_mysql_close(conn);
        return false;
    }
    *out = conn;
    return true;
}

/* What we no longer listen to may go on for long there (an index): it is ended by another session. */
static void end_at_server(struct gw_mysql_conn *conn)
{
    struct gw_mysql_store *store = conn->store;
    if (store->password_command)
        return;
    waiting_for = NULL;
    struct gw_mysql_url *url = store->address;
    unsigned given = url->connect_timeout_s, short_timeout = 1;
    MYSQL *my = mysql_init(NULL);
    if (!my)
        return;
    set_options(my, url, "cancel");
    mysql_optionsv(my, MYSQL_OPT_CONNECT_TIMEOUT, &short_timeout);
    mysql_optionsv(my, MYSQL_OPT_READ_TIMEOUT, &short_timeout);
    (void)given;
    char sql[64];
    snprintf(sql, sizeof sql, "KILL %lu", conn->id);
    if (mysql_real_connect(my, url->socket && !url->host ? "localhost" : url->host, url->user, url->password,
                           url->database, url->port, url->socket, 0) &&
        mysql_query(my, sql) != 0)
        gw_debug("cannot end a session that was given up: %s", mysql_error(my));
    mysql_close(my);
}

void gw_mysql_close(struct gw_mysql_conn *conn)
{
    if (!conn)
        return;
    gw_mysql_enter(conn);
    if (conn->broken && asked(conn->store))
        end_at_server(conn);
    mysql_close(conn->my);
    free(conn);
}

/* ---- running SQL ----------------------------------------------------------------------------------------------- */

/* "running SELECT ...": enough of the statement to know which it was. */
static void describe(const char *sql, size_t sql_len, char out[100])
{
    size_t skip = strspn(sql, " \t\r\n");
    size_t len = strcspn(sql + skip, "\r\n");
    (void)sql_len;
    snprintf(out, 100, "running \"%.*s\"", len > 72 ? 72 : (int)len, sql + skip);
}

static bool run(struct gw_mysql_conn *conn, const char *sql, size_t len, struct gw_error *err)
{
    char doing[100];
    gw_mysql_enter(conn);
    if (asked(conn->store))
        return gw_cancel_fail(asked(conn->store), err);
    if (mysql_real_query(conn->my, sql, len) == 0)
        return true;
    describe(sql, len, doing);
    return gw_mysql_fail(conn, doing, err);
}

/* Throws away what is left of a text's results; an error of a later statement is an error. */
static bool drain(struct gw_mysql_conn *conn, const char *sql, size_t len, struct gw_error *err)
{
    char doing[100];
    for (;;) {
        MYSQL_RES *result = mysql_store_result(conn->my);
        if (result)
            mysql_free_result(result);
        else if (mysql_errno(conn->my))
            break;
        int next = mysql_next_result(conn->my);
        if (next < 0)
            return true;
        if (next > 0)
            break;
    }
    describe(sql, len, doing);
    return gw_mysql_fail(conn, doing, err);
}

static bool exec_len(struct gw_mysql_conn *conn, const char *sql, size_t len, struct gw_error *err)
{
    return run(conn, sql, len, err) && drain(conn, sql, len, err);
}

bool gw_mysql_exec(struct gw_mysql_conn *conn, const char *sql, struct gw_error *err)
{
    return exec_len(conn, sql, strlen(sql), err);
}

bool gw_mysql_exec_buf(struct gw_mysql_conn *conn, const struct gw_buf *sql, struct gw_error *err)
{
    return exec_len(conn, gw_buf_text(sql), sql->len, err);
}

bool gw_mysql_execf(struct gw_mysql_conn *conn, struct gw_error *err, const char *format, ...)
{
    gw_autobuf struct gw_buf sql = {0};
    va_list args;
    va_start(args, format);
    gw_buf_vaddf(&sql, format, args);
    va_end(args);
    return gw_mysql_exec_buf(conn, &sql, err);
}

bool gw_mysql_exec_counted(struct gw_mysql_conn *conn, const struct gw_buf *sql, uint64_t *rows, struct gw_error *err)
{
    if (!run(conn, gw_buf_text(sql), sql->len, err))
        return false;
    *rows = mysql_affected_rows(conn->my);
    return drain(conn, gw_buf_text(sql), sql->len, err);
}

bool gw_mysql_query(struct gw_mysql_conn *conn, const char *sql, MYSQL_RES **out, struct gw_error *err)
{
    char doing[100];
    if (!run(conn, sql, strlen(sql), err))
        return false;
    MYSQL_RES *result = mysql_store_result(conn->my);
    if (!result) {
        describe(sql, strlen(sql), doing);
        if (mysql_errno(conn->my))
            return gw_mysql_fail(conn, doing, err);
        return gw_fail(err, GW_ERR_BUG, "%s: gives no rows", doing);
    }
    *out = result;
    return true;
}

bool gw_mysql_stream(struct gw_mysql_conn *conn, const struct gw_buf *sql, MYSQL_RES **out, struct gw_error *err)
{
    if (!run(conn, gw_buf_text(sql), sql->len, err))
        return false;
    *out = mysql_use_result(conn->my);
    return *out || gw_mysql_fail(conn, "reading rows", err);
}

bool gw_mysql_rows_ended(struct gw_mysql_conn *conn, struct gw_error *err)
{
    return mysql_errno(conn->my) == 0 || gw_mysql_fail(conn, "reading rows", err);
}

bool gw_mysql_query_text(struct gw_mysql_conn *conn, const char *sql, struct gw_buf *out, bool *found,
                         struct gw_error *err)
{
    MYSQL_RES *result;
    if (!gw_mysql_query(conn, sql, &result, err))
        return false;
    MYSQL_ROW row = mysql_fetch_row(result);
    bool have = row && row[0];
    gw_buf_clear(out);
    if (have)
        gw_buf_add(out, row[0], mysql_fetch_lengths(result)[0]);
    if (found)
        *found = have;
    mysql_free_result(result);
    return true;
}

/* ---- pool ------------------------------------------------------------------------------------------------------ */

/* Nothing is due on an idle connection: if there is something to read, it is the server's farewell. */
static bool still_alive(void *session)
{
    struct gw_mysql_conn *conn = session;
    struct pollfd fd = {.fd = mysql_get_socket(conn->my), .events = POLLIN};
    return fd.fd >= 0 && poll(&fd, 1, 0) == 0;
}

static void close_idle(void *session)
{
    gw_mysql_close(session);
}

struct gw_idle *gw_mysql_pool_new(void)
{
    return gw_idle_new(still_alive, close_idle);
}

bool gw_mysql_borrow(struct gw_mysql_store *store, struct gw_mysql_conn **out, struct gw_error *err)
{
    *out = gw_idle_take(store->pool);
    return *out || gw_mysql_connect(store, "control", out, err);
}

void gw_mysql_return(struct gw_mysql_conn *conn, bool broken)
{
    if (!conn)
        return;
    if (broken || conn->broken || conn->in_transaction)
        gw_mysql_close(conn);
    else
        gw_idle_give(conn->store->pool, conn);
}

/* ---- SQL text -------------------------------------------------------------------------------------------------- */

static void add_doubled(struct gw_buf *out, const char *text, size_t len, char quote)
{
    const char *end = text + len;
    gw_buf_addc(out, quote);
    while (text < end) {
        const char *next = memchr(text, quote, (size_t)(end - text));
        const char *stop = next ? next + 1 : end;
        gw_buf_add(out, text, (size_t)(stop - text));
        if (next)
            gw_buf_addc(out, quote);
        text = stop;
    }
    gw_buf_addc(out, quote);
}

void gw_mysql_add_ident(struct gw_buf *out, const char *name)
{
    add_doubled(out, name, strlen(name), '`');
}

void gw_mysql_add_text(struct gw_buf *out, const void *text, size_t len)
{
    add_doubled(out, text, len, '\'');
}

void gw_mysql_add_literal(struct gw_buf *out, const char *text)
{
    add_doubled(out, text, strlen(text), '\'');
}

void gw_mysql_add_hex(struct gw_buf *out, const void *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = bytes;
    gw_buf_adds(out, "X'");
    gw_buf_reserve(out, len * 2 + 1);
    char *to = out->data + out->len;
    for (size_t i = 0; i < len; i++) {
        *to++ = digits[from[i] >> 4];
        *to++ = digits[from[i] & 15];
    }
    *to = 0;
    out->len += len * 2;
    gw_buf_addc(out, '\'');
}

void gw_mysql_add_table(struct gw_buf *out, const struct gw_collection *collection)
{
    gw_mysql_add_ident(out, collection->name);
}
