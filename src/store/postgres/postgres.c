/* The type descriptor, and a store's identity as it is learned at open. */
#include "store/postgres/capture.h"

#include "base/hash.h"
#include "base/mem.h"
#include "store/postgres/schema_manifest.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define OLDEST_VERSION 130000 /* pg_current_snapshot, and logical replication of partitions */

static const char *const schemes[] = {"postgresql", "postgres", NULL};

/* A slot's name is [a-z0-9_], 63 bytes. Slots are of the whole server: the database's number keeps apart migrations of
 * one name in two databases, and stays when the database is renamed. Names that only differ in what is replaced or cut
 * get a hash. */
static void make_name(const char *migration, unsigned database, enum gw_side side, char out[64])
{
    char clean[39];
    size_t len = 0;
    bool exact = true;
    for (const char *p = migration; *p && len < sizeof clean - 1; p++) {
        unsigned char c = (unsigned char)*p;
        bool fine = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
        exact = exact && fine;
        clean[len++] = fine ? (char)c : (char)(isupper(c) ? tolower(c) : '_');
    }
    clean[len] = 0;
    exact = exact && strlen(migration) == len;
    if (exact)
        snprintf(out, 64, "godwit_%s_%u_%s", clean, database, gw_side_name(side));
    else
        snprintf(out, 64, "godwit_%.29s_%08x_%u_%s", clean,
                 (unsigned)(gw_hash64(migration, strlen(migration), 0) & 0xffffffffu), database, gw_side_name(side));
}

static bool may_be_replica(struct gw_pg_store *store, PGconn *conn)
{
    struct gw_error ignored;
    return gw_pg_exec(store, conn, "SET session_replication_role = replica", &ignored) &&
           gw_pg_exec(store, conn, "RESET session_replication_role", &ignored);
}

/* A physical clone has its origin's system identifier, so the postmaster's start goes with it. Where the identifier may
 * not be read, start and port tell two servers apart well enough. */
static void learn_server(struct gw_pg_store *store, PGconn *conn, struct gw_identity *id)
{
    struct gw_error ignored;
    gw_autobuf struct gw_buf text = {0};
    if (!gw_pg_query_text(store, conn,
                          "SELECT system_identifier || '-' || extract(epoch FROM"
                          " pg_postmaster_start_time())::numeric FROM pg_control_system()",
                          0, NULL, &text, NULL, &ignored) &&
        !gw_pg_query_text(store, conn,
                          "SELECT 'start-' || extract(epoch FROM pg_postmaster_start_time())::numeric || '-' ||"
                          " coalesce(inet_server_port(), 0)",
                          0, NULL, &text, NULL, &ignored))
        gw_buf_adds(&text, "unknown");
    snprintf(id->server, sizeof id->server, "%s", gw_buf_text(&text));
}

static void learn_address(PGconn *conn, struct gw_identity *id)
{
    const char *host = PQhost(conn);
    const char *address = PQhostaddr(conn);
    bool local = !host || !*host || *host == '/' || *host == '@';
    id->loopback =
        local || strcmp(address ? address : "", "::1") == 0 || strncmp(address ? address : "", "127.", 4) == 0;
    snprintf(id->address, sizeof id->address, "%s:%s/%s", host && *host ? host : "(local)", PQport(conn), PQdb(conn));
    snprintf(id->database, sizeof id->database, "%s", PQdb(conn));
    id->encrypted = PQsslInUse(conn) != 0;
}

static bool learn_identity(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    struct gw_identity *id = &store->base.identity;
    PGresult *r;
    learn_address(conn, id);
    if (PQserverVersion(conn) < OLDEST_VERSION) {
        gw_fail(err, GW_ERR_UNSUPPORTED, "server is PostgreSQL %s; godwit needs 13 or newer",
                PQparameterStatus(conn, "server_version"));
        gw_error_hint(err, "upgrade it first, at least to 13");
        return gw_error_place(err, "%s %s", gw_side_name(store->base.side), id->address);
    }
    if (!gw_pg_query(store, conn,
                     "SELECT current_setting('server_version'), pg_is_in_recovery(), session_user,"
                     " current_database(), (SELECT oid FROM pg_database WHERE datname = current_database())",
                     0, NULL, &r, err))
        return false;
    snprintf(id->product, sizeof id->product, "PostgreSQL %s", PQgetvalue(r, 0, 0));
    id->in_recovery = *PQgetvalue(r, 0, 1) == 't';
    snprintf(id->user, sizeof id->user, "%s", PQgetvalue(r, 0, 2));
    snprintf(store->session_user, sizeof store->session_user, "%s", PQgetvalue(r, 0, 2));
    snprintf(id->database, sizeof id->database, "%s", PQgetvalue(r, 0, 3));
    make_name(store->migration, (unsigned)strtoul(PQgetvalue(r, 0, 4), NULL, 10), store->base.side, store->slot);
    memcpy(store->publication, store->slot, sizeof store->slot);
    PQclear(r);
    learn_server(store, conn, id);
    id->capabilities = gw_store_postgres.capabilities;
    if (!may_be_replica(store, conn))
        id->capabilities &= ~(uint64_t)GW_CAN_REPLICA_ROLE;
    if (!gw_pg_capture_decide(store, conn, store->asked_capture, &id->capture, &store->why_captured, err))
        return false;
    id->version = PQserverVersion(conn); /* last: from here on a lost server is worth waiting for */
    return true;
}

static void pg_close(struct gw_store *base)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    if (!store)
        return;
    gw_idle_free(store->pool);
    gw_pg_manifest_free(store->manifest);
    pthread_mutex_destroy(&store->manifest_lock);
    if (store->url)
        explicit_bzero(store->url, strlen(store->url));
    free(store->url);
    free(store->password_command);
    free(store->bindir);
    free(store->migration);
    gw_buf_release(&store->why_captured);
    free(store);
}

static bool pg_open(const struct gw_store_options *options, struct gw_store **out, struct gw_error *err)
{
    struct gw_pg_store *store = gw_zalloc(sizeof *store);
    PGconn *conn;
    store->base.type = &gw_store_postgres;
    store->base.side = options->side;
    store->url = gw_strdup(options->url);
    store->password_command = options->password_command ? gw_strdup(options->password_command) : NULL;
    store->bindir = options->bindir ? gw_strdup(options->bindir) : NULL;
    store->migration = gw_strdup(options->migration);
    store->cancel = options->cancel;
    store->asked_capture = options->capture;
    store->pool = gw_pg_pool_new();
    pthread_mutex_init(&store->manifest_lock, NULL);
    if (!gw_pg_connect(store, GW_PG_PLAIN, "control", &conn, err)) {
        pg_close(&store->base);
        return false;
    }
    bool known = learn_identity(store, conn, err);
    gw_pg_return(store, conn, !known);
    if (!known) {
        pg_close(&store->base);
        return false;
    }
    *out = &store->base;
    return true;
}

const struct gw_store_type gw_store_postgres = {
    .contract = GW_STORE_CONTRACT,
    .name = "postgres",
    .schemes = schemes,
    .default_space = "public",
    .name_bytes = 63,
    .capabilities = GW_CAN_LOG_CASCADES | GW_CAN_TRANSACT | GW_CAN_PASS_THROUGH | GW_CAN_TRUNCATE_STREAM |
                    GW_CAN_FENCE | GW_CAN_REPLICA_ROLE | GW_CAN_BINARY_STREAM,
    .open = pg_open,
    .close = pg_close,
    .catalog = &gw_pg_catalog,
    .inspect = &gw_pg_inspect,
    .reader = &gw_pg_reader,
    .writer = &gw_pg_writer_facet,
    .changes = &gw_pg_changes,
    .scan = &gw_pg_scan,
    .codec = &gw_pg_codec,
    .ownership = &gw_pg_ownership,
    .fence = &gw_pg_fence,
    .sessions = &gw_pg_sessions,
    .schema = &gw_pg_schema,
    .query = &gw_pg_query_facet,
};
