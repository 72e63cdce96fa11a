/* The journal file: made or opened, brought to the current format, checked whose it is. */
#include "base/crash.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "sql_embedded.h"
#include "state/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PRAGMAS                                                                                                        \
    "PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;"                                \
    "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -512; PRAGMA synchronous = NORMAL"

/* Step i brings a journal from format i to i + 1. */
static const char *const format_steps[GW_STATE_FORMAT] = {gw_sql_state_format_1, gw_sql_state_format_2,
                                                          gw_sql_state_format_3, gw_sql_state_format_4};

/* Made by us before SQLite opens it, so that it, and what SQLite puts beside it, is private whatever the umask. */
static bool make_file(const char *path, struct gw_error *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return gw_fail_errno(err, errno, "could not make the journal %s", path);
    close(fd);
    return true;
}

static bool connect_to(const char *path, struct gw_sqlite **out, struct gw_error *err)
{
    struct gw_sqlite *db;
    if (!gw_sqlite_open(path, &db, err))
        return false;
    gw_sqlite_use_queries(db, gw_sql_state_queries);
    if (!gw_sqlite_script(db, PRAGMAS, err)) {
        gw_sqlite_close(db);
        return false;
    }
    *out = db;
    return true;
}

static bool one_number(struct gw_sqlite *db, const char *name, int64_t *out, struct gw_error *err)
{
    gw_autoquery struct gw_sqlite_query query = {0};
    bool row;
    if (!gw_sqlite_start(db, &query, err, name, "") || !gw_sqlite_step(&query, &row, err))
        return false;
    *out = row ? gw_sqlite_int(&query, 0) : 0;
    return true;
}

/* *out NULL when there is none; owned. */
static bool get_meta(struct gw_sqlite *db, const char *name, char **out, struct gw_error *err)
{
    gw_autoquery struct gw_sqlite_query query = {0};
    bool row;
    if (!gw_sqlite_start(db, &query, err, "meta_get", "t", name) || !gw_sqlite_step(&query, &row, err))
        return false;
    *out = row ? gw_sqlite_dup(&query, 0) : NULL;
    return true;
}

static bool check_pages(struct gw_state *state, struct gw_error *err)
{
    gw_autoquery struct gw_sqlite_query query = {0};
    bool row;
    if (!gw_sqlite_start(state->writer, &query, err, "quick_check", "") || !gw_sqlite_step(&query, &row, err))
        return false;
    const char *verdict = row ? gw_sqlite_text(&query, 0) : NULL;
    if (verdict && strcmp(verdict, "ok") == 0)
        return true;
    return gw_fail(err, GW_ERR_CONFLICT, "%s: the file is damaged: %.300s", state->path, verdict ? verdict : "");
}

/* 0: an empty file, without any table. */
static bool read_format(struct gw_state *state, int64_t *format, struct gw_error *err)
{
    int64_t tables, has_meta;
    gw_autofree char *text = NULL;
    if (!one_number(state->writer, "table_count", &tables, err) ||
        !one_number(state->writer, "has_meta", &has_meta, err))
        return false;
    *format = 0;
    if (tables == 0)
        return true;
    if (has_meta && !get_meta(state->writer, "format", &text, err))
        return false;
    char *end = NULL;
    *format = text ? strtol(text, &end, 10) : 0;
    if (!text || *end || *format < 1)
        return gw_fail(err, GW_ERR_CONFLICT, "%s is not a journal of godwit", state->path);
    return true;
}

static void random_id(char out[40])
{
    snprintf(out, 40, "%016llx%016llx", (unsigned long long)gw_random64(), (unsigned long long)gw_random64());
}

static bool apply_steps(struct gw_state *state, int64_t from, struct gw_error *err)
{
    char text[24], id[40];
    for (int64_t i = from; i < GW_STATE_FORMAT; i++)
        if (!gw_sqlite_script(state->writer, format_steps[i], err))
            return false;
    snprintf(text, sizeof text, "%d", GW_STATE_FORMAT);
    if (!gw_sqlite_do(state->writer, NULL, err, "meta_put", "tt", "format", text))
        return false;
    if (from > 0)
        return true;
    random_id(id);
    return gw_sqlite_do(state->writer, NULL, err, "meta_put", "tt", "migration", state->migration) &&
           gw_sqlite_do(state->writer, NULL, err, "meta_put", "tt", "migration_id", id);
}

/* One transaction: killed in it, the journal is as it was. The format is read again inside: another process may have
 * been quicker. */
static bool upgrade(struct gw_state *state, struct gw_error *err)
{
    int64_t format;
    struct gw_error ignored;
    if (!gw_sqlite_script(state->writer, "BEGIN IMMEDIATE", err))
        return false;
    bool ok = read_format(state, &format, err) && (format >= GW_STATE_FORMAT || apply_steps(state, format, err));
    GW_CRASH_POINT("state.upgrade.before_commit");
    if (ok && gw_sqlite_script(state->writer, "COMMIT", err))
        return true;
    (void)(gw_sqlite_idle(state->writer) || gw_sqlite_script(state->writer, "ROLLBACK", &ignored));
    return false;
}

static bool check_format(struct gw_state *state, const struct gw_state_options *options, struct gw_error *err)
{
    int64_t format;
    if (!read_format(state, &format, err))
        return false;
    if (format > GW_STATE_FORMAT) {
        gw_fail(err, GW_ERR_CONFLICT, "the journal %s has format %lld, this godwit knows up to %d", state->path,
                (long long)format, GW_STATE_FORMAT);
        return gw_error_hint(err, "a newer godwit made it: go on with that one");
    }
    if (format == GW_STATE_FORMAT)
        return true;
    int pid = options->exclusive ? 0 : gw_state_runner_pid(options->folder);
    if (format == 0 && !options->create)
        return gw_fail(err, pid ? GW_ERR_RETRY : GW_ERR_CONFLICT,
                       pid ? "the journal %s is just being made" : "the journal %s is empty", state->path);
    if (format > 0 && pid) {
        gw_fail(err, GW_ERR_CONFLICT,
                "the journal %s is of an older format, and its runner (pid %d) is an older godwit", state->path, pid);
        return gw_error_hint(err, "end that runner and start it again with this godwit, which goes on where it was");
    }
    return upgrade(state, err);
}

static bool check_migration(struct gw_state *state, struct gw_error *err)
{
    gw_autofree char *name = NULL, *id = NULL;
    if (!get_meta(state->writer, "migration", &name, err) || !get_meta(state->writer, "migration_id", &id, err))
        return false;
    if (!name || !id || strlen(id) >= sizeof state->migration_id)
        return gw_fail(err, GW_ERR_CONFLICT, "%s does not say which migration it belongs to", state->path);
    if (strcmp(name, state->migration) != 0) {
        gw_fail(err, GW_ERR_CONFLICT, "the journal %s belongs to the migration \"%s\", not to \"%s\"", state->path,
                name, state->migration);
        return gw_error_hint(err, "give each migration a state folder of its own, or correct the name in the file");
    }
    snprintf(state->migration_id, sizeof state->migration_id, "%s", id);
    return true;
}

bool gw_state_journal_open(struct gw_state *state, const struct gw_state_options *options, struct gw_error *err)
{
    if (options->create && !make_file(state->path, err))
        return false;
    bool ok = connect_to(state->path, &state->writer, err) && (!options->exclusive || check_pages(state, err)) &&
              check_format(state, options, err) && check_migration(state, err) &&
              connect_to(state->path, &state->reader, err);
    return ok || gw_state_explain(err);
}
