/*
 * The fence: BEFORE triggers on every table that read a flag row. SQLite has one writer at a time, so whoever raises the
 * flag has waited out every other writer; a transaction that began to read before sees SQLITE_BUSY_SNAPSHOT at its first
 * write, one that had not read yet sees the flag. Our own connections run no triggers.
 *
 * RAISE(ROLLBACK) and not ABORT: else a client that leaves its transaction open after the error would keep the write lock,
 * and nothing could be applied here. Nothing is lost by it, for behind the fence no transaction has written anything.
 */
#include "store/sqlite/capture.h"

#include "base/crash.h"
#include "base/mem.h"
#include "store/sqlite/home.h"

#define FENCE_TEXT "godwit: this side does not own its data now"

static const char *const verbs[] = {"INSERT", "UPDATE", "DELETE"};

static void add_trigger(struct gw_buf *sql, const struct gw_collection *collection, size_t verb)
{
    gw_autobuf struct gw_buf name = {0};
    gw_buf_addf(&name, "godwit_fence_%c_%s", "iud"[verb], collection -> name);
    gw_buf_adds(sql, "CREATE TRIGGER IF NOT EXISTS main.");
    gw_lite_add_ident(sql, gw_buf_text(&name));
    gw_buf_addf(sql, " BEFORE %s ON ", verbs[verb]);
    gw_lite_add_ident(sql, collection->name);
    gw_buf_adds(sql, " WHEN (SELECT raised FROM godwit_fence) BEGIN SELECT RAISE(ROLLBACK, '" FENCE_TEXT "'); END;");
}

static bool fence_install(struct gw_store *base, const struct gw_schema *schema, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    gw_autobuf struct gw_buf sql = {0};
    for (size_t i = 0; i < schema->count; i++)
        for (size_t verb = 0; verb < 3; verb++)
            add_trigger(&sql, &schema->collections[i], verb);
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = gw_lite_begin_write(conn, err) && gw_lite_exec(conn, gw_buf_text(&sql), err) &&
              gw_lite_exec(conn, "COMMIT", err);
    gw_lite_return(conn);
    return ok || gw_error_prefix(err, "making the triggers of the fence");
}

static bool raise_on(struct gw_lite_conn *conn, struct gw_position *at, struct gw_error *err)
{
    int64_t newest = 0;
    if (!gw_lite_begin_write(conn, err) ||
        !gw_lite_exec(conn, "UPDATE main.godwit_fence SET raised = 1 WHERE NOT raised", err) ||
        !gw_lite_newest(conn, &newest, err))
        return false;
    GW_CRASH_POINT("lite.fence.before_commit");
    if (!gw_lite_exec(conn, "COMMIT", err) || !gw_lite_sync(conn->store, err))
        return false;
    gw_lite_position(newest + 1, at);
    return true;
}

static bool fence_raise(struct gw_store *base, const struct gw_schema *schema, int lock_timeout_ms,
                        struct gw_position *at, struct gw_error *err)
{
    (void)schema;
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    conn->lock_ms = lock_timeout_ms;
    bool ok = raise_on(conn, at, err);
    gw_lite_return(conn);
    if (!ok && err->kind == GW_ERR_RETRY)
        gw_error_prefix(err, "writers did not end within %d ms, nothing was changed", lock_timeout_ms);
    return ok;
}

static bool lower_on(struct gw_lite_conn *conn, struct gw_error *err)
{
    struct gw_owner owner;
    bool installed;
    enum gw_side side = conn->store->base.side;
    if (!gw_lite_has_table(conn, "godwit_fence"))
        return true;
    if (!gw_lite_begin_write(conn, err) || !gw_lite_read_owner(conn, &owner, &installed, err))
        return false;
    if (installed && owner.owner != side) {
        gw_fail(err, GW_ERR_CONFLICT, "the fence on %s stays up: its owner row names %s", gw_side_name(side),
                gw_side_name(owner.owner));
        return gw_error_place(err, "%s %s", gw_side_name(side), conn->store->path);
    }
    if (!gw_lite_exec(conn, "UPDATE main.godwit_fence SET raised = 0 WHERE raised", err))
        return false;
    GW_CRASH_POINT("lite.fence.before_lowered");
    return gw_lite_exec(conn, "COMMIT", err) && gw_lite_sync(conn->store, err);
}

static bool fence_lower(struct gw_store *base, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = lower_on(conn, err);
    gw_lite_return(conn);
    return ok;
}

static bool is_raised_on(struct gw_lite_conn *conn, bool *raised, struct gw_error *err)
{
    int64_t flag = 0;
    if (gw_lite_has_table(conn, "godwit_fence") &&
        !gw_lite_int(conn, "SELECT raised FROM main.godwit_fence", &flag, NULL, err))
        return false;
    *raised = flag != 0;
    return true;
}

static bool fence_is_raised(struct gw_store *base, bool *raised, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = is_raised_on(conn, raised, err);
    gw_lite_return(conn);
    return ok;
}

/* ---- proof ----------------------------------------------------------------------------------------------------- */

/* An insert as an application would make it. Whether its values would do is never reached behind the fence: a BEFORE
 * trigger comes before every constraint. */
static bool probe(struct gw_lite_conn *conn, const struct gw_collection *collection, bool *held, struct gw_buf *how,
                  struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "INSERT INTO main.");
    gw_lite_add_ident(&sql, collection->name);
    gw_buf_adds(&sql, " DEFAULT VALUES");
    if (!gw_lite_begin_write(conn, err))
        return false;
    int rc = sqlite3_exec(conn->db, gw_buf_text(&sql), NULL, NULL, NULL);
    bool stopped = rc != SQLITE_OK && strcmp(sqlite3_errmsg(conn->db), FENCE_TEXT) == 0;
    if (!stopped) {
        *held = false;
        gw_buf_addf(how, "%san insert into %s was %s", how->len > 0 ? "; " : "", collection->name,
                    rc == SQLITE_OK ? "possible" : sqlite3_errmsg(conn->db));
    }
    gw_lite_rollback(conn);
    return true;
}

static bool fence_prove(struct gw_store *base, const struct gw_schema *schema, bool *held, struct gw_buf *how,
                        struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    bool ok = true;
    if (!gw_lite_connect(gw_lite_store_of(base), true, &conn, err))
        return false;
    *held = schema->count > 0;
    for (size_t i = 0; ok && i < schema->count; i++)
        ok = probe(conn, &schema->collections[i], held, how, err);
    gw_lite_disconnect(conn);
    if (ok && *held)
        gw_buf_addf(how, "a connection with triggers, as the application's: inserts into %zu tables were refused",
                    schema->count);
    return ok;
}

static bool look_for_holes(struct gw_lite_conn *conn, const struct gw_schema *schema, struct gw_buf *lines,
                           struct gw_error *err)
{
    if (!gw_lite_has_table(conn, "godwit_fence"))
        gw_buf_adds(lines, "the fence is not installed\n");
    for (size_t i = 0; i < schema->count; i++) {
        const struct gw_collection *collection = &schema->collections[i];
        for (size_t verb = 0; verb < 3; verb++) {
            gw_autobuf struct gw_buf sql = {0}, name = {0};
            int64_t count = 0;
            gw_buf_addf(&name, "godwit_fence_%c_%s", "iud"[verb], collection -> name);
            gw_buf_adds(&sql, "SELECT count(*) FROM main.sqlite_master WHERE type = 'trigger' AND name = ");
            gw_lite_add_literal(&sql, gw_buf_text(&name));
            gw_buf_adds(&sql, " AND tbl_name = ");
            gw_lite_add_literal(&sql, collection->name);
            gw_buf_adds(&sql, " COLLATE NOCASE");
            if (!gw_lite_int(conn, gw_buf_text(&sql), &count, NULL, err))
                return false;
            if (count == 0)
                gw_buf_addf(lines, "table %s: the trigger that stops %s is not there\n", collection->name, verbs[verb]);
        }
    }
    return true;
}

static bool fence_holes(struct gw_store *base, const struct gw_schema *schema, struct gw_buf *lines,
                        struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = look_for_holes(conn, schema, lines, err);
    gw_lite_return(conn);
    return ok;
}

const struct gw_fence_facet gw_lite_fence = {
    .install = fence_install,
    .raise = fence_raise,
    .lower = fence_lower,
    .is_raised = fence_is_raised,
    .prove = fence_prove,
    .holes = fence_holes,
};
