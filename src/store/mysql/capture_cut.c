/* Batches: what a snapshot sees and no batch has; marks of chunks; and what is read and acknowledged goes. */
#include "store/mysql/capture.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TRIM_ROWS 500      /* a statement */
#define TRIM_STATEMENTS 50 /* a transaction of them at most: many where the batch is long */
#define UNSEEN_MARK 2      /* below the transactions of any batch */

/* ---- what is there ------------------------------------------------------------------------------------------------ */

static bool load_batches(struct gw_mysql_conn *view, struct gw_mysql_batches *out, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    bool fine = true;
    *out = (struct gw_mysql_batches){0};
    if (!gw_mysql_query(view,
                        "SELECT number, before_order, transactions, stamp, ours, wall_us, runs FROM"
                        " godwit_capture_batch ORDER BY number",
                        &r, err))
        return false;
    bool any = mysql_num_rows(r) > 0;
    while (fine && (row = mysql_fetch_row(r))) {
        struct gw_mysql_runs runs;
        out->newest = (struct gw_mysql_batch){.head = {.number = strtoull(row[0], NULL, 10),
                                                       .before = strtoull(row[1], NULL, 10),
                                                       .transactions = strtoull(row[2], NULL, 10),
                                                       .stamp = strtoull(row[3], NULL, 10)},
                                              .ours = *row[4] == '1',
                                              .wall_us = strtoll(row[5], NULL, 10)};
        fine = gw_mysql_runs_parse(row[6], &runs, err);
        if (fine)
            gw_mysql_runs_join(&out->known, &runs);
        gw_mysql_runs_release(&runs);
    }
    mysql_free_result(r);
    if (!fine)
        gw_mysql_runs_release(&out->known);
    return fine && (any || gw_mysql_capture_lost(view->store, err, "the batches of what was captured are gone"));
}

struct fresh { /* what no batch has */
    struct gw_mysql_runs runs;
    bool ours, others;
    int64_t wall_us;
};

static bool find_fresh(struct gw_mysql_conn *view, const struct gw_mysql_runs *known, struct fresh *out,
                       struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    MYSQL_RES *r;
    MYSQL_ROW row;
    *out = (struct fresh){0};
    gw_buf_adds(&sql, "SELECT seq, op = 'O', UNIX_TIMESTAMP(at) FROM godwit_capture WHERE ");
    gw_mysql_runs_outside(known, &sql);
    gw_buf_adds(&sql, " ORDER BY seq");
    if (!gw_mysql_stream(view, &sql, &r, err))
        return false;
    while ((row = mysql_fetch_row(r))) {
        uint64_t seq = strtoull(row[0], NULL, 10);
        if (gw_mysql_runs_have(known, seq))
            continue;
        gw_mysql_runs_append(&out->runs, seq);
        out->ours = out->ours || *row[1] == '1';
        out->others = out->others || *row[1] != '1';
        int64_t wall_us = row[2] ? (int64_t)(strtod(row[2], NULL) * 1e6) : 0;
        out->wall_us = wall_us > out->wall_us ? wall_us : out->wall_us;
    }
    bool fine = gw_mysql_rows_ended(view, err);
    mysql_free_result(r);
    if (!fine)
        gw_mysql_runs_release(&out->runs);
    return fine;
}

/* ---- the cut ------------------------------------------------------------------------------------------------------ */

bool gw_mysql_cut_hold(struct gw_mysql_conn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    bool found = false;
    if (!gw_mysql_exec(conn, "START TRANSACTION", err))
        return false;
    conn->in_transaction = true;
    return gw_mysql_query_text(conn, "SELECT one FROM godwit_capture_cut WHERE one = 1 FOR UPDATE", &text, &found,
                               err) &&
           (found || gw_mysql_capture_lost(conn->store, err, "the row of godwit_capture_cut is gone"));
}

static bool write_batch(struct gw_mysql_conn *conn, const struct gw_mysql_batch *batch,
                        const struct gw_mysql_runs *runs, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_addf(&sql,
                "INSERT INTO godwit_capture_batch (number, before_order, transactions, stamp, ours, wall_us, trimmed,"
                " runs) VALUES (%" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %d, %" PRId64 ", 0, '",
                batch->head.number, batch->head.before, batch->head.transactions, batch->head.stamp, batch->ours,
                batch->wall_us);
    gw_mysql_runs_format(runs, &sql);
    gw_buf_adds(&sql, "')");
    return gw_mysql_exec_buf(conn, &sql, err);
}

bool gw_mysql_cut_in(struct gw_mysql_conn *view, struct gw_mysql_conn *write, struct gw_mysql_batches *out,
                     struct gw_error *err)
{
    struct fresh fresh;
    if (!load_batches(view, out, err))
        return false;
    bool fine = find_fresh(view, &out->known, &fresh, err);
    if (fine && fresh.runs.count > 0) {
        const struct gw_capture_batch last = out->newest.head;
        out->newest = (struct gw_mysql_batch){.head = {.number = last.number + 1,
                                                       .before = last.before + 2 * last.transactions,
                                                       .transactions = (uint64_t)fresh.ours + fresh.others,
                                                       .stamp = (uint64_t)gw_wall_us()},
                                              .ours = fresh.ours,
                                              .wall_us = fresh.wall_us};
        fine = write_batch(write, &out->newest, &fresh.runs, err);
        gw_mysql_runs_join(&out->known, &fresh.runs);
        GW_CRASH_POINT("mysql.capture.before_cut");
    }
    gw_mysql_runs_release(&fresh.runs);
    if (!fine)
        gw_mysql_runs_release(&out->known);
    return fine;
}

static bool commit(struct gw_mysql_conn *conn, struct gw_error *err)
{
    if (!gw_mysql_exec(conn, "COMMIT", err))
        return false;
    conn->in_transaction = false;
    GW_CRASH_POINT("mysql.capture.after_cut");
    return true;
}

/* What was begun is given back, whatever comes of it. */
static bool undo(struct gw_mysql_conn *conn)
{
    struct gw_error ignored;
    if (conn->in_transaction && !conn->broken && !gw_mysql_exec(conn, "ROLLBACK", &ignored))
        conn->broken = true;
    conn->in_transaction = false;
    return false;
}

/* The snapshot is that of the first plain read, behind the lock. */
bool gw_mysql_cut(struct gw_mysql_conn *conn, struct gw_mysql_batches *out, struct gw_error *err)
{
    if (!gw_mysql_cut_hold(conn, err) || !gw_mysql_cut_in(conn, conn, out, err))
        return undo(conn);
    if (commit(conn, err))
        return true;
    gw_mysql_runs_release(&out->known);
    return undo(conn);
}

/* Where capture is not open, as on a side that is not followed yet, there is no end: any place will do, as long as nobody
 * took away what was open. */
static bool is_open(struct gw_mysql_conn *conn, bool *open, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    bool noted = false;
    if (!gw_mysql_capture_there(conn, open, err))
        return false;
    if (*open)
        return true;
    if (!gw_mysql_query_text(conn, "SELECT 1 FROM godwit_note WHERE name = '" GW_MYSQL_CAPTURE_NOTE "'", &text, &noted,
                             err) &&
        !gw_mysql_no_such_table(conn, err))
        return false;
    return !noted || gw_mysql_capture_lost(conn->store, err, "what captures changes is not there: dropped by somebody");
}

bool gw_mysql_capture_enter(struct gw_mysql_conn *view, struct gw_mysql_conn *locker, struct gw_mark *mark,
                            struct gw_error *err)
{
    static const char begin[] = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
    struct gw_mysql_batches batches = {0};
    bool open = false;
    *mark = (struct gw_mark){.low = UNSEEN_MARK, .high = UNSEEN_MARK};
    if (!is_open(locker, &open, err))
        return false;
    if (!open)
        return gw_mysql_exec(view, begin, err);
    if (!gw_mysql_cut_hold(locker, err) || !gw_mysql_exec(view, begin, err) ||
        !gw_mysql_cut_in(view, locker, &batches, err))
        return undo(locker);
    gw_mysql_runs_release(&batches.known);
    if (!commit(locker, err))
        return undo(locker);
    mark->low = mark->high = 2 * batches.newest.head.number + 2;
    return true;
}

bool gw_mysql_capture_horizon(struct gw_mysql_store *store, struct gw_position *out, struct gw_error *err)
{
    struct gw_mysql_batches batches = {.newest.head.before = GW_CAPTURE_FIRST};
    struct gw_mysql_conn *conn;
    bool open = false;
    if (!gw_mysql_borrow(store, &conn, err))
        return false;
    bool fine = is_open(conn, &open, err) && (!open || gw_mysql_cut(conn, &batches, err));
    gw_mysql_runs_release(&batches.known);
    gw_mysql_return(conn, !fine);
    if (fine)
        gw_capture_end(&batches.newest.head, out);
    return fine;
}

/* ---- trimming ----------------------------------------------------------------------------------------------------- */

/* Joined row by row, by the whole key: nothing between them is locked, and nobody is waited for. (A list of numbers the
 * optimizer may take for a scan of the table, which waits for every row that is not committed.) */
static bool delete_rows(struct gw_mysql_conn *conn, const uint64_t *seqs, size_t count, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "DELETE c FROM JSON_TABLE('[");
    for (size_t i = 0; i < count; i++)
        gw_buf_addf(&sql, "%s%" PRIu64, i ? "," : "", seqs[i]);
    gw_buf_adds(&sql,
                "]', '$[*]' COLUMNS (s bigint unsigned PATH '$')) l STRAIGHT_JOIN godwit_capture c ON c.seq = l.s");
    return gw_mysql_exec_buf(conn, &sql, err);
}

/* The rows and their numbers go together, so that no snapshot has the ones without the others. */
static bool trim_some(struct gw_mysql_conn *conn, uint64_t number, struct gw_mysql_runs *runs, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    uint64_t seqs[TRIM_ROWS];
    size_t statements = 1 + runs->count / TRIM_ROWS;
    bool fine = gw_mysql_exec(conn, "START TRANSACTION", err);
    conn->in_transaction = fine;
    for (size_t i = 0; fine && i < statements && i < TRIM_STATEMENTS && runs->count > 0; i++) {
        size_t count = gw_mysql_runs_take(runs, seqs, TRIM_ROWS);
        fine = delete_rows(conn, seqs, count, err);
    }
    gw_buf_adds(&sql, "UPDATE godwit_capture_batch SET runs = '");
    gw_mysql_runs_format(runs, &sql);
    gw_buf_addf(&sql, "' WHERE number = %" PRIu64, number);
    fine = fine && gw_mysql_exec_buf(conn, &sql, err);
    GW_CRASH_POINT("mysql.capture.trim");
    if (!fine || !gw_mysql_exec(conn, "COMMIT", err))
        return undo(conn);
    conn->in_transaction = false;
    return true;
}

static bool first_to_trim(struct gw_mysql_conn *conn, uint64_t *number, struct gw_mysql_runs *runs, bool *found,
                          struct gw_error *err)
{
    MYSQL_RES *r;
    if (!gw_mysql_query(conn,
                        "SELECT number, runs FROM godwit_capture_batch WHERE trimmed = 1 AND runs <> '' ORDER BY number"
                        " LIMIT 1",
                        &r, err))
        return false;
    MYSQL_ROW row = mysql_fetch_row(r);
    *found = row != NULL;
    bool fine = true;
    if (row) {
        *number = strtoull(row[0], NULL, 10);
        fine = gw_mysql_runs_parse(row[1], runs, err);
    }
    mysql_free_result(r);
    return fine;
}

bool gw_mysql_capture_trim(struct gw_mysql_conn *conn, uint64_t number, int64_t most_us, bool *more,
                           struct gw_error *err)
{
    int64_t until_us = gw_mono_us() + most_us;
    if (!gw_mysql_execf(conn, err,
                        "UPDATE godwit_capture_batch SET trimmed = 1 WHERE number <= %" PRIu64 " AND trimmed = 0",
                        number))
        return false;
    *more = true;
    while (gw_mono_us() < until_us) {
        struct gw_mysql_runs runs = {0};
        uint64_t of = 0;
        if (!first_to_trim(conn, &of, &runs, more, err))
            return false;
        bool fine = true;
        while (fine && runs.count > 0 && gw_mono_us() < until_us)
            fine = trim_some(conn, of, &runs, err);
        gw_mysql_runs_release(&runs);
        if (!fine)
            return false;
        if (!*more)
            break;
    }
    /* The newest of them stays, as the oldest that is known. */
    return gw_mysql_exec(conn,
                         "DELETE b FROM godwit_capture_batch b JOIN (SELECT MAX(number) AS newest FROM"
                         " godwit_capture_batch WHERE trimmed = 1) m WHERE b.runs = '' AND b.number < m.newest",
                         err);
}
