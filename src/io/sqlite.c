#include "io/sqlite.h"

#include "base/mem.h"

#include <sqlite3.h>

#define BUSY_TIMEOUT_MS 10000

struct named {
    char *name, *sql; /* owned */
    sqlite3_stmt *statement;
};

struct gw_sqlite {
    sqlite3 *handle;
    char *path;
    struct named *queries;
    size_t count, capacity;
};

static enum gw_error_kind kind_of(int code)
{
    switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FORMAT:
        return GW_ERR_CONFLICT;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
        return GW_ERR_RESOURCE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
        return GW_ERR_RETRY;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return GW_ERR_USER;
    default:
        return GW_ERR_BUG;
    }
}

static bool fail(const struct gw_sqlite *db, int code, const char *doing, struct gw_error *err)
{
    int extended = db->handle ? sqlite3_extended_errcode(db->handle) : code;
    int os_error = db->handle ? sqlite3_system_errno(db->handle) : 0;
    enum gw_error_kind kind = kind_of(code);
    gw_fail(err, kind, "%s: %s (%s)", db->path, db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(code), doing);
    if (os_error && (kind == GW_ERR_RESOURCE || kind == GW_ERR_USER))
        gw_error_detail(err, "SQLite result %d; the system says: %s", extended, strerrordesc_np(os_error));
    else
        gw_error_detail(err, "SQLite result %d", extended);
    if (kind == GW_ERR_RESOURCE)
        gw_error_hint(err, "make room on that disk, or see to it, and start again: nothing is lost");
    else if (kind == GW_ERR_RETRY)
        gw_error_hint(err, "another process holds the file for long: end it, then start again");
    return false;
}

bool gw_sqlite_open(const char *path, struct gw_sqlite **out, struct gw_error *err)
{
    struct gw_sqlite *db = gw_zalloc(sizeof *db);
    db->path = gw_strdup(path);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(path, &db->handle, flags, NULL);
    if (code != SQLITE_OK) {
        fail(db, code, "open", err);
        gw_sqlite_close(db);
        return false;
    }
    sqlite3_extended_result_codes(db->handle, 0);
    sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    *out = db;
    return true;
}

static void free_queries(struct gw_sqlite *db)
{
    for (size_t i = 0; i < db->count; i++) {
        sqlite3_finalize(db->queries[i].statement);
        free(db->queries[i].name);
        free(db->queries[i].sql);
    }
    free(db->queries);
    db->queries = NULL;
    db->count = db->capacity = 0;
}

void gw_sqlite_close(struct gw_sqlite *db)
{
    if (!db)
        return;
    free_queries(db);
    sqlite3_close(db->handle);
    free(db->path);
    free(db);
}

bool gw_sqlite_script(struct gw_sqlite *db, const char *sql, struct gw_error *err)
{
    int code = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    if (code == SQLITE_OK)
        return true;
    char doing[64];
    snprintf(doing, sizeof doing, "%.60s", sql);
    return fail(db, code, doing, err);
}

bool gw_sqlite_idle(struct gw_sqlite *db)
{
    return sqlite3_get_autocommit(db->handle) != 0;
}

/* ---- queries ----------------------------------------------------------------------------------------------------------- */

#define HEAD "-- :"

/* The next head at or after `at` that begins a line, or NULL. */
static const char *find_head(const char *text, const char *at)
{
    while ((at = strstr(at, HEAD)) != NULL) {
        if (at == text || at[-1] == '\n')
            return at;
        at++;
    }
    return NULL;
}

void gw_sqlite_use_queries(struct gw_sqlite *db, const char *text)
{
    free_queries(db);
    const char *head = find_head(text, text);
    while (head) {
        const char *name = head + sizeof HEAD - 1;
        size_t name_len = strcspn(name, "\r\n \t");
        const char *sql = name + strcspn(name, "\n");
        const char *next = find_head(text, sql);
        db->queries = gw_grow(db->queries, &db->capacity, db->count, sizeof *db->queries);
        db->queries[db->count++] = (struct named){.name = gw_strndup(name, name_len),
                                                  .sql = gw_strndup(sql, next ? (size_t)(next - sql) : strlen(sql))};
        head = next;
    }
}

static struct named *find_query(struct gw_sqlite *db, const char *name)
{
    for (size_t i = 0; i < db->count; i++)
        if (strcmp(db->queries[i].name, name) == 0)
            return &db->queries[i];
    return NULL;
}

static int bind_all(sqlite3_stmt *statement, const char *binds, va_list args)
{
    int code = SQLITE_OK, index = 1;
    for (const char *b = binds; *b && code == SQLITE_OK; b++, index++) {
        if (*b == 'i') {
            code = sqlite3_bind_int64(statement, index, va_arg(args, int64_t));
        } else if (*b == 't') {
            const char *text = va_arg(args, const char *);
            code = text ? sqlite3_bind_text(statement, index, text, -1, SQLITE_TRANSIENT)
                        : sqlite3_bind_null(statement, index);
        } else {
            const void *bytes = va_arg(args, const void *);
            size_t len = va_arg(args, size_t);
            code = bytes ? sqlite3_bind_blob64(statement, index, bytes, len, SQLITE_TRANSIENT)
                         : sqlite3_bind_null(statement, index);
        }
    }
    if (code == SQLITE_OK && index - 1 != sqlite3_bind_parameter_count(statement))
        return SQLITE_RANGE;
    return code;
}

static bool start(struct gw_sqlite *db, struct gw_sqlite_query *query, struct gw_error *err, const char *name,
                  const char *binds, va_list args)
{
    struct named *named = find_query(db, name);
    if (!named)
        return gw_fail(err, GW_ERR_BUG, "there is no query \"%s\"", name);
    if (!named->statement) {
        int code = sqlite3_prepare_v3(db->handle, named->sql, -1, SQLITE_PREPARE_PERSISTENT, &named->statement, NULL);
        if (code != SQLITE_OK)
            return fail(db, code, name, err);
        if (!named->statement)
            return gw_fail(err, GW_ERR_BUG, "the query \"%s\" is empty", name);
    }
    int code = bind_all(named->statement, binds, args);
    if (code != SQLITE_OK) {
        sqlite3_clear_bindings(named->statement);
        return code == SQLITE_RANGE ? gw_fail(err, GW_ERR_BUG, "the query \"%s\" has other parameters", name)
                                    : fail(db, code, name, err);
    }
    *query = (struct gw_sqlite_query){.db = db, .statement = named->statement, .name = named->name};
    return true;
}

bool gw_sqlite_start(struct gw_sqlite *db, struct gw_sqlite_query *query, struct gw_error *err, const char *name,
                     const char *binds, ...)
{
    va_list args;
    va_start(args, binds);
    bool ok = start(db, query, err, name, binds, args);
    va_end(args);
    return ok;
}

void gw_sqlite_finish(struct gw_sqlite_query *query)
{
    if (query->statement) {
        sqlite3_reset(query->statement);
        sqlite3_clear_bindings(query->statement);
    }
    *query = (struct gw_sqlite_query){0};
}

bool gw_sqlite_step(struct gw_sqlite_query *query, bool *row, struct gw_error *err)
{
    int code = sqlite3_step(query->statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return fail(query->db, code, query->name, err);
    *row = code == SQLITE_ROW;
    return true;
}

bool gw_sqlite_do(struct gw_sqlite *db, int64_t *changed, struct gw_error *err, const char *name, const char *binds,
                  ...)
{
    gw_autoquery struct gw_sqlite_query query = {.db = db};
    bool row = true;
    va_list args;
    va_start(args, binds);
    bool ok = start(db, &query, err, name, binds, args);
    va_end(args);
    while (ok && row)
        ok = gw_sqlite_step(&query, &row, err);
    if (ok && changed)
        *changed = sqlite3_changes64(db->handle);
    return ok;
}

int64_t gw_sqlite_last_id(struct gw_sqlite *db)
{
    return sqlite3_last_insert_rowid(db->handle);
}

int64_t gw_sqlite_int(struct gw_sqlite_query *query, int column)
{
    return sqlite3_column_int64(query->statement, column);
}

const char *gw_sqlite_text(struct gw_sqlite_query *query, int column)
{
    return (const char *)sqlite3_column_text(query->statement, column);
}

char *gw_sqlite_dup(struct gw_sqlite_query *query, int column)
{
    const char *text = gw_sqlite_text(query, column);
    return text ? gw_strdup(text) : NULL;
}
