/*
 * The demo without a server: two SQLite files, and a gate made of three small files that clients honour and the hook
 * commands write: `where` names the side, `parked` is there while clients wait, `lock` is held shared by a client for the
 * length of a transaction. It is what an application of one machine would do.
 */
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "demo/kind.h"
#include "io/sqlite.h"
#include "sql_embedded.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { PARKED_POLL_US = 1000, PARKED_MOST_US = 30000000 };

static const char *const side_names[2] = {"blue", "green"};
static const char settings[] = "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON";

static char *path_of(const struct gw_demo_servers *files, const char *name)
{
    return gw_asprintf("%s/%s", files->place->folder, name);
}

static bool find(struct gw_demo_servers *files, const char *bindir, struct gw_error *err)
{
    (void)files;
    (void)bindir;
    gw_autofree char *flock_path = gw_process_find("flock", NULL);
    return flock_path || gw_fail(err, GW_ERR_UNSUPPORTED, "the demo needs flock, of the package util-linux");
}

static bool make_side(struct gw_demo_servers *files, int side, struct gw_error *err)
{
    gw_autofree char *name = gw_asprintf("%s.db", side_names[side]), *path = path_of(files, name);
    struct gw_sqlite *db = NULL;
    bool ok = gw_file_replace(path, "", 0, err) && gw_sqlite_open(path, &db, err) &&
              gw_sqlite_script(db, "PRAGMA journal_mode = WAL", err) &&
              (side == 1 || gw_sqlite_script(db, gw_sql_demo_files, err));
    gw_sqlite_close(db);
    return ok;
}

static bool start(struct gw_demo_servers *files, struct gw_error *err)
{
    gw_autofree char *where = path_of(files, "where"), *lock = path_of(files, "lock");
    return make_side(files, 0, err) && make_side(files, 1, err) && gw_file_replace(where, "blue", 4, err) &&
           gw_file_replace(lock, "", 0, err);
}

static void stop(struct gw_demo_servers *files)
{
    (void)files;
}

static void write_store(const struct gw_demo_servers *files, struct gw_buf *yaml)
{
    const char *folder = files->place->folder;
    gw_buf_addf(yaml, "    blue:  sqlite://%s/blue.db\n    green: sqlite://%s/green.db\n", folder, folder);
    gw_buf_addf(
        yaml,
        "    gate:\n      type: hook\n      park: \": >%s/parked; flock %s/lock true\"\n"
        "      point: \"printf %%s $GODWIT_TARGET >%s/where.$$; mv %s/where.$$ %s/where\"\n"
        "      unpark: \"rm -f %s/parked\"\n"
        "      probe: \"cat %s/where; echo; if [ -e %s/parked ]; then echo parked; fi\"\n    copy: { jobs: 2 }\n",
        folder, folder, folder, folder, folder, folder, folder, folder);
}

static void title(const struct gw_demo_servers *files, struct gw_buf *out)
{
    (void)files;
    gw_buf_adds(out, "SQLite to SQLite, with no server at all");
}

/* ---- clients ----------------------------------------------------------------------------------------------------- */

struct session {
    const struct gw_demo_servers *files;
    char *where, *parked;
    int lock;
    struct gw_sqlite *sides[2]; /* opened when first needed */
};

static void disconnect(void *arg)
{
    struct session *s = arg;
    if (!s)
        return;
    gw_sqlite_close(s->sides[0]);
    gw_sqlite_close(s->sides[1]);
    if (s->lock >= 0)
        close(s->lock);
    free(s->where);
    free(s->parked);
    free(s);
}

static void *connect_client(const struct gw_demo_servers *files, char why[GW_DEMO_WHY_MAX])
{
    struct session *s = gw_zalloc(sizeof *s);
    gw_autofree char *lock = path_of(files, "lock");
    s->files = files;
    s->where = path_of(files, "where");
    s->parked = path_of(files, "parked");
    s->lock = open(lock, O_RDWR | O_CLOEXEC);
    if (s->lock >= 0)
        return s;
    snprintf(why, GW_DEMO_WHY_MAX, "%s: %s", lock, strerror(errno));
    disconnect(s);
    return NULL;
}

/* In through the gate: held until `flock(LOCK_UN)`. */
static bool enter(struct session *s, char why[GW_DEMO_WHY_MAX])
{
    int64_t end_us = gw_mono_us() + PARKED_MOST_US;
    while (gw_mono_us() < end_us) {
        if (flock(s->lock, LOCK_SH) != 0)
            break;
        if (access(s->parked, F_OK) != 0)
            return true;
        flock(s->lock, LOCK_UN);
        gw_sleep_us(PARKED_POLL_US);
    }
    snprintf(why, GW_DEMO_WHY_MAX, "the gate did not open");
    return false;
}

static bool side_now(struct session *s, struct gw_sqlite **out, struct gw_error *err)
{
    gw_autobuf struct gw_buf where = {0};
    if (!gw_file_read(s->where, 64, &where, err))
        return false;
    int side = strcmp(gw_buf_text(&where), "green") == 0;
    gw_autofree char *name = gw_asprintf("%s.db", side_names[side]), *path = path_of(s->files, name);
    if (!s->sides[side] &&
        (!gw_sqlite_open(path, &s->sides[side], err) || !gw_sqlite_script(s->sides[side], settings, err)))
        return false;
    *out = s->sides[side];
    return true;
}

static bool run(void *arg, const char *sql, char why[GW_DEMO_WHY_MAX])
{
    struct session *s = arg;
    struct gw_sqlite *db = NULL;
    struct gw_error err, ignored;
    if (!enter(s, why))
        return false;
    bool ok = side_now(s, &db, &err) && gw_sqlite_script(db, sql, &err);
    if (!ok) {
        snprintf(why, GW_DEMO_WHY_MAX, "%.180s: %.180s", err.message, err.detail);
        if (db && !gw_sqlite_idle(db))
            (void)!gw_sqlite_script(db, "ROLLBACK", &ignored);
    }
    flock(s->lock, LOCK_UN);
    return ok;
}

static bool alive(void *session)
{
    return session != NULL;
}

/* ---- what is there at the end ------------------------------------------------------------------------------------ */

static bool open_side(const struct gw_demo_servers *files, int side, struct gw_sqlite **out, struct gw_error *err)
{
    gw_autofree char *name = gw_asprintf("%s.db", side_names[side]), *path = path_of(files, name);
    if (!gw_sqlite_open(path, out, err))
        return false;
    gw_sqlite_use_queries(*out, "-- :ledger\nSELECT id FROM ledger WHERE id > 0 ORDER BY id\n"
                                "-- :money\nSELECT sum(balance) = 100000 * count(*) FROM accounts\n");
    return true;
}

static bool ledger(const struct gw_demo_servers *files, int side, uint64_t **ids, size_t *count, struct gw_error *err)
{
    struct gw_sqlite *db = NULL;
    size_t capacity = 0;
    bool row = false;
    *ids = NULL;
    *count = 0;
    bool ok = open_side(files, side, &db, err);
    if (ok) {
        gw_autoquery struct gw_sqlite_query q = {0};
        ok = gw_sqlite_start(db, &q, err, "ledger", "");
        while (ok && (ok = gw_sqlite_step(&q, &row, err)) && row) {
            *ids = gw_grow(*ids, &capacity, *count, sizeof **ids);
            (*ids)[(*count)++] = (uint64_t)gw_sqlite_int(&q, 0);
        }
    }
    gw_sqlite_close(db);
    return ok;
}

static bool money(const struct gw_demo_servers *files, int side, bool *kept, struct gw_error *err)
{
    struct gw_sqlite *db = NULL;
    bool row = false, ok = open_side(files, side, &db, err);
    if (ok) {
        gw_autoquery struct gw_sqlite_query q = {0};
        ok = gw_sqlite_start(db, &q, err, "money", "") && gw_sqlite_step(&q, &row, err);
        *kept = ok && row && gw_sqlite_int(&q, 0) == 1;
    }
    gw_sqlite_close(db);
    return ok;
}

const struct gw_demo_kind gw_demo_kind_files = {
    .beginning = "making two SQLite files (blue, green), and no server,",
    .through = "the gate's files",
    .find = find,
    .start = start,
    .stop = stop,
    .write_store = write_store,
    .title = title,
    .connect = connect_client,
    .run = run,
    .alive = alive,
    .disconnect = disconnect,
    .begin = "BEGIN IMMEDIATE",
    .now = "strftime('%Y-%m-%d %H:%M:%f', 'now')",
    .shipped = "json_set(doc, '$.shipped', json('true'))",
    .in_cents = true,
    .ledger = ledger,
    .money = money,
};
