/*
 * Statements sent ahead of their answers. Small ones wait for each other, for every push wakes the server; beyond that
 * they are pushed to the socket and whatever the server says meanwhile is read, so libpq never holds much more than one
 * statement; answers are a line each and wait in its buffer.
 */
#include "store/postgres/apply.h"

#include "base/hash.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAX_STATEMENTS 1000
#define KEEP_BYTES (1u << 20)
#define PUSH_BYTES 16384

/* ---- what waits ------------------------------------------------------------------------------------------------- */

void gw_pg_wait_behind(struct gw_pg_apply *a, struct gw_pg_waiting waiting)
{
    a->waiting = gw_grow(a->waiting, &a->waiting_capacity, a->waiting_count, sizeof *a->waiting);
    a->waiting[a->waiting_count++] = waiting;
}

static void forget_waiting(struct gw_pg_apply *a)
{
    for (size_t i = 0; i < a->waiting_count; i++)
        free(a->waiting[i].text);
    a->waiting_count = 0;
}

static bool send_position(struct gw_pg_writer *w, const struct gw_position *position, struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    char expected[24], order[24];
    snprintf(expected, sizeof expected, "%" PRIu64, w->order);
    snprintf(order, sizeof order, "%" PRIu64, position->order);
    gw_buf_clear(&a->sql);
    gw_buf_adds(&a->sql, "SELECT godwit.reach($1, $2, $3, $4)");
    gw_pg_parameters_clear(a);
    gw_pg_parameter_add(a, w->stream, strlen(w->stream), false, 0);
    gw_pg_parameter_add(a, expected, strlen(expected), false, 0);
    gw_pg_parameter_add(a, order, strlen(order), false, 0);
    gw_pg_parameter_add(a, position->text, strlen(position->text), false, 0);
    return gw_pg_pipe_run(w, GW_PG_PIPE_PLAIN, err);
}

static bool send_seen(struct gw_pg_writer *w, const char *token, struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    gw_buf_clear(&a->sql);
    gw_buf_adds(&a->sql, "INSERT INTO godwit.seen (token, at) VALUES ($1, clock_timestamp())"
                         " ON CONFLICT (token) DO UPDATE SET at = excluded.at");
    gw_pg_parameters_clear(a);
    gw_pg_parameter_add(a, token, strlen(token), false, 0);
    return gw_pg_pipe_run(w, GW_PG_PIPE_PLAIN, err);
}

static bool send_waiting(struct gw_pg_writer *w, const struct gw_pg_waiting *waiting, struct gw_error *err)
{
    switch (waiting->kind) {
    case GW_PG_WAITING_SQL:
        return gw_pg_pipe_sql(w, waiting->sql, GW_PG_PIPE_PLAIN, err);
    case GW_PG_WAITING_COMMIT:
        return gw_pg_pipe_sql(w, waiting->sql, GW_PG_PIPE_COMMIT, err);
    case GW_PG_WAITING_POSITION:
        return send_position(w, &waiting->position, err);
    case GW_PG_WAITING_SIGNAL:
        return send_seen(w, waiting->text, err);
    }
    return gw_fail(err, GW_ERR_BUG, "unknown kind of waiting statement");
}

/* ---- parameters -------------------------------------------------------------------------------------------------- */

void gw_pg_parameters_clear(struct gw_pg_apply *a)
{
    a->parameter_count = 0;
}

void gw_pg_parameter_add(struct gw_pg_apply *a, const void *bytes, size_t len, bool binary, uint32_t type)
{
    size_t at = (size_t)a->parameter_count++;
    a->values = gw_grow(a->values, &a->parameter_capacity, at, sizeof *a->values);
    a->lengths = gw_grow(a->lengths, &a->lengths_capacity, at, sizeof *a->lengths);
    a->formats = gw_grow(a->formats, &a->formats_capacity, at, sizeof *a->formats);
    a->types = gw_grow(a->types, &a->types_capacity, at, sizeof *a->types);
    a->values[at] = bytes;
    a->lengths[at] = (int)len;
    a->formats[at] = binary;
    a->types[at] = type;
}

struct gw_buf *gw_pg_parameter_buffer(struct gw_pg_apply *a)
{
    size_t at = (size_t)a->parameter_count;
    if (at >= a->array_count) {
        a->arrays = gw_realloc(a->arrays, (at + 1) * sizeof *a->arrays);
        while (a->array_count <= at)
            a->arrays[a->array_count++] = (struct gw_buf){0};
    }
    gw_buf_shrink(&a->arrays[at], KEEP_BYTES);
    return &a->arrays[at];
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static bool fail_send(struct gw_pg_writer *w, struct gw_error *err)
{
    w->failed = true;
    return gw_pg_fail(w->store, w->conn, NULL, "sending changes", err);
}

static bool push(struct gw_pg_writer *w, struct gw_error *err)
{
    for (;;) {
        bool ready;
        int unsent = PQflush(w->conn);
        if (unsent == 0)
            return true;
        if (unsent < 0)
            return fail_send(w, err);
        if (!gw_pg_wait(w->store, w->conn, true, -1, &ready, err)) {
            w->failed = true;
            return false;
        }
        if (!PQconsumeInput(w->conn))
            return fail_send(w, err);
    }
}

/* The end of what belongs together pushes what is left. */
static bool push_much(struct gw_pg_writer *w, size_t bytes, struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    a->unpushed_bytes += bytes;
    if (a->unpushed_bytes < PUSH_BYTES)
        return true;
    a->unpushed_bytes = 0;
    return push(w, err);
}

static size_t parameter_bytes(const struct gw_pg_apply *a)
{
    size_t bytes = 0;
    for (int i = 0; i < a->parameter_count; i++)
        bytes += (size_t)a->lengths[i];
    return bytes;
}

static void expect(struct gw_pg_apply *a, enum gw_pg_pipe_kind kind, struct gw_pg_statement *prepare)
{
    a->entries = gw_grow(a->entries, &a->entry_capacity, a->entry_count, sizeof *a->entries);
    a->entries[a->entry_count++] = (struct gw_pg_pipe_entry){.kind = kind, .prepare = prepare};
}

static bool enter(struct gw_pg_writer *w, struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    if (a->open)
        return true;
    if (!PQenterPipelineMode(w->conn) || PQsetnonblocking(w->conn, 1) != 0)
        return fail_send(w, err);
    a->open = true;
    a->entry_count = 0;
    a->unpushed_bytes = 0;
    bool forget = a->statements_forgotten;
    a->statements_forgotten = false;
    return !forget || gw_pg_pipe_sql(w, "DEALLOCATE ALL", GW_PG_PIPE_PLAIN, err);
}

bool gw_pg_pipe_open(struct gw_pg_writer *w, struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    bool fine = enter(w, err);
    for (size_t i = 0; i < a->waiting_count && fine; i++)
        fine = send_waiting(w, &a->waiting[i], err);
    forget_waiting(a);
    return fine;
}

bool gw_pg_pipe_sql(struct gw_pg_writer *w, const char *sql, enum gw_pg_pipe_kind kind, struct gw_error *err)
{
    if (!PQsendQueryParams(w->conn, sql, 0, NULL, NULL, NULL, NULL, 0))
        return fail_send(w, err);
    expect(w->apply, kind, NULL);
    return push_much(w, strlen(sql), err);
}

static struct gw_pg_statement *find_statement(struct gw_pg_apply *a)
{
    uint64_t key = gw_hash64(a->sql.data, a->sql.len, 0);
    key = gw_hash64(a->types, (size_t)a->parameter_count * sizeof *a->types, key);
    for (size_t i = 0; i < a->statement_count; i++)
        if (a->statements[i]->key == key)
            return a->statements[i];
    struct gw_pg_statement *fresh = gw_zalloc(sizeof *fresh);
    fresh->key = key;
    fresh->number = a->next_statement++;
    a->statements = gw_grow(a->statements, &a->statement_capacity, a->statement_count, sizeof *a->statements);
    a->statements[a->statement_count++] = fresh;
    return fresh;
}

bool gw_pg_pipe_run(struct gw_pg_writer *w, enum gw_pg_pipe_kind kind, struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    struct gw_pg_statement *statement = find_statement(a);
    char name[32];
    snprintf(name, sizeof name, "gw%u", statement->number);
    if (!statement->prepared && !statement->sent) {
        if (!PQsendPrepare(w->conn, name, gw_buf_text(&a->sql), a->parameter_count, a->types))
            return fail_send(w, err);
        statement->sent = true;
        expect(a, GW_PG_PIPE_PLAIN, statement);
    }
    if (!PQsendQueryPrepared(w->conn, name, a->parameter_count, a->values, a->lengths, a->formats, 0))
        return fail_send(w, err);
    expect(a, kind, NULL);
    return push_much(w, a->sql.len + parameter_bytes(a), err);
}

/* ---- answers ----------------------------------------------------------------------------------------------------- */

static bool next_answer(struct gw_pg_writer *w, PGresult **out, struct gw_error *err)
{
    for (;;) {
        bool ready;
        int unsent = PQflush(w->conn);
        if (unsent < 0)
            return fail_send(w, err);
        if (!PQisBusy(w->conn)) {
            *out = PQgetResult(w->conn);
            if (!*out && PQstatus(w->conn) != CONNECTION_OK)
                return fail_send(w, err);
            return true;
        }
        if (!gw_pg_wait(w->store, w->conn, unsent > 0, -1, &ready, err)) {
            w->failed = true;
            return false;
        }
        if (!PQconsumeInput(w->conn))
            return fail_send(w, err);
    }
}

/* A COMMIT of a transaction that failed before answers ROLLBACK, without an error. */
static bool undid(const PGresult *r)
{
    return strcmp(PQcmdStatus((PGresult *)r), "ROLLBACK") == 0;
}

struct outcome {           /* of what was sent together */
    struct gw_error error; /* the first */
    uint64_t touched;
};

static void take_answer(struct gw_pg_writer *w, const struct gw_pg_pipe_entry *entry, const PGresult *r,
                        struct outcome *outcome, const char *doing)
{
    bool fine = outcome->error.kind == GW_ERR_NONE;
    switch (PQresultStatus(r)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        if (entry->prepare)
            entry->prepare->prepared = true;
        if (entry->kind == GW_PG_PIPE_COUNTS)
            outcome->touched += strtoull(PQcmdTuples((PGresult *)r), NULL, 10);
        if (entry->kind == GW_PG_PIPE_COMMIT && undid(r) && fine)
            (void)!gw_fail(&outcome->error, GW_ERR_CONFLICT, "the transaction had failed before and was rolled back");
        break;
    case PGRES_PIPELINE_ABORTED:
        break;
    default:
        if (fine)
            (void)!gw_pg_fail(w->store, w->conn, r, doing, &outcome->error);
        break;
    }
}

static bool fail_order(struct gw_pg_writer *w, enum gw_error_kind kind, const char *what, struct gw_error *err)
{
    w->failed = true;
    return gw_fail(err, kind, "%s", what);
}

/* One entry's results, to the NULL that ends them; a sync is a result of its own. */
static bool read_entry(struct gw_pg_writer *w, const struct gw_pg_pipe_entry *entry, struct outcome *outcome,
                       const char *doing, struct gw_error *err)
{
    bool sync = entry->kind == GW_PG_PIPE_SYNC || entry->kind == GW_PG_PIPE_SYNC_AHEAD;
    for (;;) {
        PGresult *r = NULL;
        if (!next_answer(w, &r, err))
            return false;
        if (!r && !sync)
            return true;
        if (!r)
            return fail_order(w, GW_ERR_RETRY, "the server ended the session in the middle of its answers", err);
        bool synced = PQresultStatus(r) == PGRES_PIPELINE_SYNC;
        if (!sync && !synced)
            take_answer(w, entry, r, outcome, doing);
        PQclear(r);
        if (sync != synced)
            return sync ? fail_order(w, GW_ERR_BUG, "the server answered more than it was asked", err)
                        : fail_order(w, GW_ERR_BUG, "the server answered less than it was asked", err);
        if (sync)
            return true;
    }
}

/* Up to a sync, and takes the entries away: behind it others may always be on their way. *end: which sync. */
static bool read_answers(struct gw_pg_writer *w, struct outcome *outcome, enum gw_pg_pipe_kind *end, const char *doing,
                         struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    size_t at = 0;
    while (at < a->entry_count) {
        const struct gw_pg_pipe_entry *entry = &a->entries[at++];
        bool answered = read_entry(w, entry, outcome, doing, err);
        if (entry->prepare)
            entry->prepare->sent = false;
        if (!answered)
            return false;
        *end = entry->kind;
        if (entry->kind == GW_PG_PIPE_SYNC || entry->kind == GW_PG_PIPE_SYNC_AHEAD)
            break;
    }
    a->entry_count -= at;
    memmove(a->entries, a->entries + at, a->entry_count * sizeof *a->entries);
    return true;
}

/* The answers of the oldest transaction sent ahead that has none yet. */
static void settle_ahead(struct gw_pg_apply *a, const struct outcome *outcome)
{
    for (size_t i = 0; i < a->ahead_count; i++)
        if (!a->ahead[i].answered) {
            a->ahead[i].answered = true;
            a->ahead[i].error = outcome->error;
            return;
        }
}

/* Many shapes of updates over a long life: begin anew now and then, when nothing is on its way. */
static void limit_statements(struct gw_pg_writer *w)
{
    struct gw_pg_apply *a = w->apply;
    if (a->statement_count < MAX_STATEMENTS)
        return;
    for (size_t i = 0; i < a->statement_count; i++)
        free(a->statements[i]);
    a->statement_count = 0;
    a->statements_forgotten = true;
}

static bool send_sync(struct gw_pg_writer *w, enum gw_pg_pipe_kind kind, struct gw_error *err)
{
    if (!PQpipelineSync(w->conn))
        return fail_send(w, err);
    expect(w->apply, kind, NULL);
    w->apply->unpushed_bytes = 0;
    return push(w, err);
}

bool gw_pg_pipe_close(struct gw_pg_writer *w, uint64_t *touched, const char *doing, struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    struct outcome outcome = {0};
    if (!send_sync(w, GW_PG_PIPE_SYNC, err))
        return false;
    while (a->entry_count > 0) {
        enum gw_pg_pipe_kind end = GW_PG_PIPE_SYNC;
        outcome = (struct outcome){0};
        if (!read_answers(w, &outcome, &end, doing, err))
            return false;
        if (end == GW_PG_PIPE_SYNC_AHEAD)
            settle_ahead(a, &outcome);
    }
    a->open = false;
    if (!PQexitPipelineMode(w->conn) || PQsetnonblocking(w->conn, 0) != 0)
        return fail_send(w, err);
    limit_statements(w);
    if (outcome.error.kind != GW_ERR_NONE) {
        w->failed = w->failed || PQstatus(w->conn) != CONNECTION_OK;
        *err = outcome.error;
        return false;
    }
    *touched += outcome.touched;
    return true;
}

bool gw_pg_pipe_drain(struct gw_pg_writer *w, struct gw_error *err)
{
    uint64_t unused = 0;
    return (w->apply->waiting_count == 0 && !w->apply->open) ||
           (gw_pg_pipe_open(w, err) && gw_pg_pipe_close(w, &unused, "beginning a transaction", err));
}

/* ---- ahead ------------------------------------------------------------------------------------------------------- */

bool gw_pg_pipe_ahead(struct gw_pg_writer *w, uint64_t order_before, struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    uint64_t unused = 0;
    if (a->ahead_count == GW_COMMITS_AHEAD)
        return gw_fail(err, GW_ERR_BUG, "more than %d commits are owed an answer", GW_COMMITS_AHEAD);
    if (!send_sync(w, GW_PG_PIPE_SYNC_AHEAD, err))
        return false;
    a->ahead[a->ahead_count++] = (struct gw_pg_ahead){.order_before = order_before};
    return a->statement_count < MAX_STATEMENTS || gw_pg_pipe_close(w, &unused, "committing", err);
}

bool gw_pg_pipe_await(struct gw_pg_writer *w, struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    if (!a || a->ahead_count == 0)
        return gw_fail(err, GW_ERR_BUG, "a commit is awaited that was not sent");
    if (!a->ahead[0].answered) {
        struct outcome outcome = {0};
        enum gw_pg_pipe_kind end = GW_PG_PIPE_SYNC;
        if (!read_answers(w, &outcome, &end, "applying changes", err))
            return false;
        settle_ahead(a, &outcome);
    }
    struct gw_pg_ahead oldest = a->ahead[0];
    if (oldest.error.kind != GW_ERR_NONE) { /* stays first: the position goes back to before it */
        *err = oldest.error;
        w->failed = w->failed || PQstatus(w->conn) != CONNECTION_OK;
        return false;
    }
    memmove(a->ahead, a->ahead + 1, --a->ahead_count * sizeof *a->ahead);
    return true;
}

void gw_pg_pipe_abandon(struct gw_pg_writer *w)
{
    struct gw_pg_apply *a = w->apply;
    struct gw_error ignored;
    uint64_t unused = 0;
    if (!a)
        return;
    if (a->open && !w->failed && !gw_pg_pipe_close(w, &unused, "rolling back", &ignored) && a->open)
        w->failed = true;
    for (size_t i = 0; i < a->ahead_count; i++)
        if (!a->ahead[i].answered || a->ahead[i].error.kind != GW_ERR_NONE) {
            w->order = a->ahead[i].order_before;
            break;
        }
    a->ahead_count = 0;
}
