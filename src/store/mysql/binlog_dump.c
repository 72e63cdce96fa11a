#include "store/mysql/binlog_dump.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

#include <errmsg.h>
#include <inttypes.h>
#include <ma_pvio.h>
#include <mysqld_error.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define HEARTBEAT_NS "500000000"
#define LOCK_PATIENCE_S 5
#define DIRECT_BYTES 2048 /* from here on the library reads past its buffer */
#define LARGE_BYTES ((size_t)4 << 20)
#define SHED_BYTES ((size_t)32 << 20)
#define READER_GIVES_UP_S "3600" /* the applier may be busy for long: the server must not end the session */
#define DIALECT_WITH_GTID "4"    /* as MariaDB's own replicas say it */

static pthread_mutex_t lock_of_ids = PTHREAD_MUTEX_INITIALIZER;
static unsigned long own_ids[64]; /* the newest dumps of this process, closed ones too: their sessions may linger */
static size_t own_count;

bool gw_binlog_lost(struct gw_mysql_store *store, struct gw_error *err, const char *why, ...)
{
    char text[300];
    va_list args;
    va_start(args, why);
    vsnprintf(text, sizeof text, why, args);
    va_end(args);
    gw_fail(err, GW_ERR_LOST_POSITION, "the binlog of %s no longer holds what was not read yet: %s",
            gw_side_name(store->base.side), text);
    gw_error_hint(err,
                  "changes of this side are missing for good. Before the switch: godwit abort, let the server keep"
                  " its binlog longer (binlog_expire_logs_seconds), then godwit copy. After it the way back is over:"
                  " godwit finish --now --no-archive");
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

/* ---- who reads ------------------------------------------------------------------------------------------------- */

static void own_add(unsigned long id)
{
    pthread_mutex_lock(&lock_of_ids);
    own_ids[own_count++ % (sizeof own_ids / sizeof own_ids[0])] = id;
    pthread_mutex_unlock(&lock_of_ids);
}

static bool is_own(unsigned long id)
{
    bool own = false;
    pthread_mutex_lock(&lock_of_ids);
    for (size_t i = 0; i < sizeof own_ids / sizeof own_ids[0]; i++)
        own |= own_ids[i] == id;
    pthread_mutex_unlock(&lock_of_ids);
    return own;
}

static bool take_lock(struct gw_mysql_conn *conn, const char *lock, int patience_s, bool *got, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, answer = {0};
    gw_buf_adds(&sql, "SELECT GET_LOCK(");
    gw_mysql_add_literal(&sql, lock);
    gw_buf_addf(&sql, ", %d)", patience_s);
    if (!gw_mysql_query_text(conn, gw_buf_text(&sql), &answer, NULL, err))
        return false;
    *got = strcmp(gw_buf_text(&answer), "1") == 0;
    return true;
}

static bool holder(struct gw_mysql_conn *conn, const char *lock, unsigned long *id, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0}, answer = {0};
    gw_buf_adds(&sql, "SELECT IS_USED_LOCK(");
    gw_mysql_add_literal(&sql, lock);
    gw_buf_addc(&sql, ')');
    if (!gw_mysql_query_text(conn, gw_buf_text(&sql), &answer, NULL, err))
        return false;
    *id = strtoul(gw_buf_text(&answer), NULL, 10);
    return true;
}

bool gw_binlog_lock_held(struct gw_mysql_conn *conn, const char *lock, bool *held, struct gw_error *err)
{
    unsigned long id = 0;
    if (!holder(conn, lock, &id, err))
        return false;
    *held = id != 0;
    return true;
}

/* A stream of this process gives way to a newer one. One that was left behind by a process that is gone is noticed by the
 * server at its next heartbeat. */
static bool wait_alone(struct gw_mysql_conn *conn, const char *lock, struct gw_error *err)
{
    bool got = false;
    unsigned long id = 0;
    if (!take_lock(conn, lock, 0, &got, err))
        return false;
    if (got)
        return true;
    if (!holder(conn, lock, &id, err))
        return false;
    struct gw_error ignored;
    if (id && is_own(id) && !gw_mysql_execf(conn, &ignored, "KILL CONNECTION %lu", id) && conn->broken) {
        *err = ignored;
        return false;
    }
    if (!take_lock(conn, lock, LOCK_PATIENCE_S, &got, err))
        return false;
    if (got)
        return true;
    gw_fail(err, GW_ERR_CONFLICT, "the changes of %s are being read by another session (connection %lu on the server)",
            gw_side_name(conn->store->base.side), id);
    gw_error_hint(err,
                  "another godwit runs this migration: stop it, or let it do the work; if its machine is gone: KILL"
                  " that connection");
    return gw_error_place(err, "%s %s", gw_side_name(conn->store->base.side), conn->store->base.identity.address);
}

bool gw_binlog_alone(struct gw_mysql_conn *conn, const char *lock, struct gw_error *err)
{
    if (!wait_alone(conn, lock, err))
        return false;
    own_add(conn->id);
    return true;
}

/* ---- the command ----------------------------------------------------------------------------------------------- */

/* What a replica tells before it asks: variables of the session that the server reads, by the names of both dialects. */
static const char replica_words[] =
    "SET @master_heartbeat_period = " HEARTBEAT_NS ", @source_heartbeat_period = " HEARTBEAT_NS
    ", @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32'"
    ", @mariadb_slave_capability = " DIALECT_WITH_GTID ", @slave_uuid = UUID();"
    " SET SESSION net_write_timeout = " READER_GIVES_UP_S;

static bool fail_dump(struct gw_binlog_dump *d, struct gw_error *err)
{
    struct gw_mysql_conn *conn = d->conn;
    unsigned code = gw_mysql_errno(conn);
    const char *said = mysql_error(conn->my);
    if (code == ER_MASTER_FATAL_ERROR_READING_BINLOG) {
        gw_autofree char *text = gw_strdup(said);
        conn->broken = true;
        if (strstr(text, "max_allowed_packet"))
            return gw_fail(err, GW_ERR_UNSUPPORTED, "the source cannot send an event of its binlog: %s", text);
        if (strstr(text, "same server"))
            return gw_fail(err, GW_ERR_RETRY, "the source gave our stream of changes to another: %s", text);
        return gw_binlog_lost(conn->store, err, "%s", text);
    }
    if (code == 0) {
        conn->broken = true;
        gw_fail(err, GW_ERR_RETRY, "the source ended the stream of changes");
        return gw_error_place(err, "%s %s", gw_side_name(conn->store->base.side), conn->store->base.identity.address);
    }
    return gw_mysql_fail(conn, "reading the binlog", err);
}

static bool send_dump(struct gw_binlog_dump *d, const char *file, uint64_t pos, struct gw_error *err)
{
    unsigned char command[10 + GW_BINLOG_FILE_MAX];
    uint32_t fields[3] = {(uint32_t)pos, 0, (uint32_t)gw_random64() | 0x80000000u}; /* offset, flags, our server_id */
    size_t len = strnlen(file, GW_BINLOG_FILE_MAX);
    for (unsigned i = 0; i < 4; i++) {
        command[i] = (unsigned char)(fields[0] >> (8 * i));
        command[6 + i] = (unsigned char)(fields[2] >> (8 * i));
    }
    command[4] = command[5] = 0;
    memcpy(command + 10, file, len);
    gw_mysql_enter(d->conn);
    if (d->conn->my->methods->db_command(d->conn->my, COM_BINLOG_DUMP, (const char *)command, 10 + len, 1, NULL))
        return fail_dump(d, err);
    return true;
}

bool gw_binlog_dump_open(struct gw_mysql_store *store, const char *what, const char *file, uint64_t pos,
                         const char *lock, struct gw_binlog_dump **out, struct gw_error *err)
{
    struct gw_binlog_dump *d = gw_zalloc(sizeof *d);
    if (!gw_mysql_connect(store, what, &d->conn, err)) {
        free(d);
        return false;
    }
    d->tls = mysql_get_ssl_cipher(d->conn->my) != NULL;
    if ((lock && !wait_alone(d->conn, lock, err)) || !gw_mysql_exec(d->conn, replica_words, err)) {
        gw_binlog_dump_close(d);
        return false;
    }
    if (lock)
        own_add(d->conn->id);
    if (!send_dump(d, file, pos, err)) {
        gw_binlog_dump_close(d);
        return false;
    }
    *out = d;
    return true;
}

void gw_binlog_dump_close(struct gw_binlog_dump *d)
{
    if (!d)
        return;
    d->conn->broken = true; /* in the middle of a command that does not end */
    gw_mysql_close(d->conn);
    free(d);
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

static bool is_buffered(const struct gw_binlog_dump *d)
{
    const MARIADB_PVIO *io = d->conn->my->net.pvio;
    return io && io->cache && io->cache_pos < io->cache + io->cache_size;
}

/* Waits until there is something to read, so that the library's own wait, which cannot time out without ending the
 * connection, is only for the rest of a packet. Under TLS bytes may be where poll does not see them: then the library
 * waits, for a heartbeat at the longest. */
static bool wait_for_data(struct gw_binlog_dump *d, int64_t deadline_us, bool *ready, struct gw_error *err)
{
    struct gw_mysql_store *store = d->conn->store;
    *ready = is_buffered(d) || (d->tls && d->maybe_more);
    d->waited = false;
    while (!*ready) {
        struct gw_cancel *own = gw_cancel_own();
        struct pollfd fds[3] = {{.fd = (int)mysql_get_socket(d->conn->my), .events = POLLIN},
                                {.fd = store->cancel ? store->cancel->fd : -1, .events = POLLIN},
                                {.fd = own ? own->fd : -1, .events = POLLIN}};
        if (gw_cancel_asked(store->cancel))
            return gw_cancel_fail(store->cancel, err);
        if (gw_cancel_asked(own))
            return gw_cancel_fail(own, err);
        int left_ms = gw_left_ms(deadline_us);
        int got = poll(fds, 1, 0);
        if (got == 0) {
            d->waited = true;
            got = left_ms ? poll(fds, 3, left_ms) : 0;
        }
        *ready = got > 0 && fds[0].revents != 0;
        if (!*ready && gw_left_ms(deadline_us) == 0)
            return true;
    }
    return true;
}

bool gw_binlog_dump_next(struct gw_binlog_dump *d, int64_t deadline_us, const unsigned char **event, size_t *len,
                         struct gw_error *err)
{
    bool ready;
    *len = 0;
    if (!wait_for_data(d, deadline_us, &ready, err))
        return false;
    if (!ready)
        return true;
    gw_mysql_enter(d->conn);
    unsigned long got = mysql_net_read_packet(d->conn->my);
    const unsigned char *packet = d->conn->my->net.read_pos;
    if (got == packet_error || got == 0 || (*packet == 0xfe && got < 9))
        return fail_dump(d, err);
    if (*packet != 0)
        return gw_fail(err, GW_ERR_CONFLICT, "the source sends a packet of kind %u in its stream of changes", *packet);
    d->maybe_more = got >= DIRECT_BYTES;
    d->swollen = d->swollen || got > SHED_BYTES;
    d->large = d->large || got > LARGE_BYTES;
    *event = packet + 1;
    *len = got - 1;
    return true;
}
