/* The type descriptor, and a file's identity as it is learned at open. */
#include "store/sqlite/conn.h"

#include "base/mem.h"

#include <errno.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#define OLDEST_VERSION 3035000 /* RETURNING, DROP COLUMN, and the WAL fixes before it */

static const char *const schemes[] = {"sqlite", "file", NULL};

/* The path in "sqlite:app.db", "sqlite:///srv/app.db", "file:app.db" or a plain path; borrowed. */
static const char *path_in(const char *url)
{
    for (const char *const *scheme = schemes; *scheme; scheme++) {
        size_t len = strlen(*scheme);
        if (strncmp(url, *scheme, len) == 0 && url[len] == ':') {
            url += len + 1;
            return strncmp(url, "//", 2) == 0 ? url + 2 : url;
        }
    }
    return url;
}

static bool ends_in(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len > end_len && sqlite3_stricmp(text + len - end_len, end) == 0;
}

/* Asks the library and not the file: a descriptor of ours that is closed would drop the locks which connections of this
 * process hold on the file. */
static bool is_database(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 100)
        return false;
    sqlite3 *db = NULL;
    bool yes = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
               sqlite3_exec(db, "PRAGMA schema_version", NULL, NULL, NULL) != SQLITE_NOTADB;
    sqlite3_close(db);
    return yes;
}

static bool lite_recognises(const char *url)
{
    static const char *const ends[] = {".db", ".db3", ".sqlite", ".sqlite3", NULL};
    if (strstr(url, "://"))
        return false;
    for (const char *const *end = ends; *end; end++)
        if (ends_in(url, *end))
            return true;
    return is_database(url);
}

static bool find_file(struct gw_lite_store *store, const char *url, struct gw_error *err)
{
    const char *path = path_in(url);
    if (!*path || strchr(path, '?') || strcmp(path, ":memory:") == 0) {
        gw_fail(err, GW_ERR_USER, "\"%s\" names no database file", url);
        return gw_error_hint(err, "give its path: sqlite:///srv/app.db, or /srv/app.db");
    }
    char *real = realpath(path, NULL);
    if (!real) {
        gw_fail_errno(err, errno, "%s", path);
        if (err->kind != GW_ERR_RESOURCE)
            err->kind = GW_ERR_REFUSED;
        return gw_error_hint(err, "a new side begins as an empty database: sqlite3 %s 'PRAGMA journal_mode=WAL'", path);
    }
    store->path = real;
    return true;
}

static void learn_user(struct gw_identity *id)
{
    struct passwd found, *result = NULL;
    char room[2048];
    if (getpwuid_r(geteuid(), &found, room, sizeof room, &result) == 0 && result)
        snprintf(id->user, sizeof id->user, "%s", found.pw_name);
    else
        snprintf(id->user, sizeof id->user, "uid %u", (unsigned)geteuid());
}

static void learn_name(const struct gw_lite_store *store, struct gw_identity *id)
{
    const char *slash = strrchr(store->path, '/');
    snprintf(id->database, sizeof id->database, "%s", slash ? slash + 1 : store->path);
    char *dot = strrchr(id->database, '.');
    if (dot && dot != id->database)
        *dot = 0;
    snprintf(id->address, sizeof id->address, "%s", store->path);
}

static bool learn_identity(struct gw_lite_store *store, struct gw_lite_conn *conn, struct gw_error *err)
{
    struct gw_identity *id = &store->base.identity;
    struct stat st;
    int64_t ignored;
    if (sqlite3_libversion_number() < OLDEST_VERSION)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "this is SQLite %s; godwit needs 3.35 or newer", sqlite3_libversion());
    if (!gw_lite_int(conn, "SELECT count(*) FROM main.sqlite_master", &ignored, NULL, err))
        return false;
    if (stat(store->path, &st) != 0)
        return gw_fail_errno(err, errno, "%s", store->path);
    learn_name(store, id);
    learn_user(id);
    snprintf(id->product, sizeof id->product, "SQLite %s", sqlite3_libversion());
    snprintf(id->server, sizeof id->server, "file-%llx-%llx", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    id->version = sqlite3_libversion_number();
    id->capabilities = gw_store_sqlite.capabilities;
    id->encrypted = id->loopback = true; /* nothing leaves the machine */
    id->capture = GW_CAPTURE_TRIGGER;
    return true;
}

static void lite_close(struct gw_store *base)
{
    struct gw_lite_store *store = gw_lite_store_of(base);
    gw_idle_free(store->pool);
    free(store->path);
    free(store->migration);
    free(store);
}

static bool lite_open(const struct gw_store_options *options, struct gw_store **out, struct gw_error *err)
{
    if (options->capture == GW_CAPTURE_LOG) {
        gw_fail(err, GW_ERR_UNSUPPORTED, "SQLite has no change log that could be read");
        return gw_error_hint(err, "capture: trigger");
    }
    struct gw_lite_store *store = gw_zalloc(sizeof *store);
    struct gw_lite_conn *conn = NULL;
    store->base.type = &gw_store_sqlite;
    store->base.side = options->side;
    store->migration = gw_strdup(options->migration ? options->migration : "");
    store->cancel = options->cancel;
    store->pool = gw_lite_pool_new();
    if (!find_file(store, options->url, err) || !gw_lite_borrow(store, &conn, err) ||
        !learn_identity(store, conn, err)) {
        gw_lite_return(conn);
        lite_close(&store->base);
        return false;
    }
    gw_lite_return(conn);
    *out = &store->base;
    return true;
}

const struct gw_store_type gw_store_sqlite = {
    .contract = GW_STORE_CONTRACT,
    .name = "sqlite",
    .schemes = schemes,
    .default_space = "",
    .names_ignore_case = true,
    .capabilities = GW_CAN_TRANSACT | GW_CAN_PASS_THROUGH | GW_CAN_FENCE | GW_CAN_REPLICA_ROLE | GW_CAN_LOG_CASCADES,
    .recognises = lite_recognises,
    .open = lite_open,
    .close = lite_close,
    .catalog = &gw_lite_catalog,
    .inspect = &gw_lite_inspect,
    .reader = &gw_lite_reader,
    .writer = &gw_lite_writer,
    .changes = &gw_lite_changes,
    .scan = &gw_lite_scan,
    .codec = &gw_lite_codec,
    .ownership = &gw_lite_ownership,
    .fence = &gw_lite_fence,
    .sessions = &gw_lite_sessions,
    .schema = &gw_lite_schema,
    .query = &gw_lite_query_facet,
};
