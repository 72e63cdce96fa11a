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
    return gw_pg_pipe_run(w, false, err);
}

static bool send_seen(struct gw_pg_writer *w, const char *token, struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    gw_buf_clear(&a->sql);
    gw_buf_adds(&a->sql, "INSERT INTO godwit.seen (token, at) VALUES ($1, clock_timestamp())"
                         " ON CONFLICT (token) DO UPDATE SET at = excluded.at");
    gw_pg_parameters_clear(a);
    gw_pg_parameter_add(a, token, strlen(token), false, 0);
    return gw_pg_pipe_run(w, false, err);
}

static bool send_waiting(struct gw_pg_writer *w, const struct gw_pg_waiting *waiting, struct gw_error *err)
{
    switch (waiting->kind) {
    case GW_PG_WAITING_SQL:
        return gw_pg_pipe_sql(w, waiting->sql, false, err);
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

/* gw_pg_pipe_close pushes what is left. */
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

static void expect(struct gw_pg_apply *a, bool counts, struct gw_pg_statement *prepare)
{
    a->entries = gw_grow(a->entries, &a->entry_capacity, a->entry_count, sizeof *a->entries);
    a->entries[a->entry_count++] = (struct gw_pg_pipe_entry){.counts = counts, .prepare = prepare};
}

bool gw_pg_pipe_open(struct gw_pg_writer *w, struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    if (a->open)
        return true;
    if (!PQenterPipelineMode(w->conn) || PQsetnonblocking(w->conn, 1) != 0)
        return fail_send(w, err);
    a->open = true;
    a->entry_count = 0;
    a->unpushed_bytes = 0;
    bool fine = true;
    for (size_t i = 0; i < a->waiting_count && fine; i++)
        fine = send_waiting(w, &a->waiting[i], err);
    forget_waiting(a);
    return fine;
}

bool gw_pg_pipe_sql(struct gw_pg_writer *w, const char *sql, bool counts, struct gw_error *err)
{
    if (!PQsendQueryParams(w->conn, sql, 0, NULL, NULL, NULL, NULL, 0))
        return fail_send(w, err);
    expect(w->apply, counts, NULL);
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

bool gw_pg_pipe_run(struct gw_pg_writer *w, bool counts, struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    struct gw_pg_statement *statement = find_statement(a);
    char name[32];
    snprintf(name, sizeof name, "gw%u", statement->number);
    if (!statement->prepared && !statement->sent) {
        if (!PQsendPrepare(w->conn, name, gw_buf_text(&a->sql), a->parameter_count, a->types))
            return fail_send(w, err);
        statement->sent = true;
        expect(a, false, statement);
    }
    if (!PQsendQueryPrepared(w->conn, name, a->parameter_count, a->values, a->lengths, a->formats, 0))
        return fail_send(w, err);
    expect(a, counts, NULL);
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

struct outcome {
    bool fine;
    uint64_t touched;
};

static void take_answer(struct gw_pg_writer *w, const struct gw_pg_pipe_entry *entry, const PGresult *r,
                        struct outcome *outcome, const char *doing, struct gw_error *err)
{
    switch (PQresultStatus(r)) {
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK:
        if (entry->prepare)
            entry->prepare->prepared = true;
        if (entry->counts)
            outcome->touched += strtoull(PQcmdTuples((PGresult *)r), NULL, 10);
        break;
    case PGRES_PIPELINE_ABORTED:
        break;
    default:
        if (outcome->fine)
            gw_pg_fail(w->store, w->conn, r, doing, err);
        outcome->fine = false;
        break;
    }
}

/* Reads to the end of one command (a NULL result), or to the end of all. */
static bool read_answers(struct gw_pg_writer *w, struct outcome *outcome, const char *doing, bool committing,
                         struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    size_t at = 0;
    for (;;) {
        PGresult *r = NULL;
        if (!next_answer(w, &r, err))
            return false;
        if (!r && at++ <= a->entry_count)
            continue;
        if (!r) {
            w->failed = true;
            return gw_fail(err, GW_ERR_RETRY, "the server ended the session in the middle of its answers");
        }
        if (PQresultStatus(r) == PGRES_PIPELINE_SYNC) {
            PQclear(r);
            return true;
        }
        if (at >= a->entry_count) {
            PQclear(r);
            w->failed = true;
            return gw_fail(err, GW_ERR_BUG, "the server answered more than it was asked");
        }
        take_answer(w, &a->entries[at], r, outcome, doing, err);
        if (committing && outcome->fine && at + 1 == a->entry_count && undid(r))
            outcome->fine = gw_fail(err, GW_ERR_CONFLICT, "the transaction had failed before and was rolled back");
        PQclear(r);
    }
}

static void settle_statements(struct gw_pg_apply *a)
{
    for (size_t i = 0; i < a->entry_count; i++)
        if (a->entries[i].prepare)
            a->entries[i].prepare->sent = false;
    a->entry_count = 0;
}

/* Many shapes of updates over a long life: begin anew now and then, between transactions' statements. */
static void limit_statements(struct gw_pg_writer *w)
{
    struct gw_pg_apply *a = w->apply;
    if (a->statement_count < MAX_STATEMENTS)
        return;
    for (size_t i = 0; i < a->statement_count; i++)
        free(a->statements[i]);
    a->statement_count = 0;
    gw_pg_wait_behind(a, (struct gw_pg_waiting){.kind = GW_PG_WAITING_SQL, .sql = "DEALLOCATE ALL"});
}

bool gw_pg_pipe_close(struct gw_pg_writer *w, uint64_t *touched, const char *doing, struct gw_error *err)
{
    struct gw_pg_apply *a = w->apply;
    struct outcome outcome = {.fine = true};
    bool committing = strcmp(doing, "committing") == 0;
    if (!PQpipelineSync(w->conn))
        return fail_send(w, err);
    bool answered = read_answers(w, &outcome, doing, committing, err);
    settle_statements(a);
    if (!answered)
        return false;
    a->open = false;
    if (!PQexitPipelineMode(w->conn) || PQsetnonblocking(w->conn, 0) != 0)
        return fail_send(w, err);
    limit_statements(w);
    if (!outcome.fine) {
        w->failed = w->failed || PQstatus(w->conn) != CONNECTION_OK;
        return false;
    }
    *touched += outcome.touched;
    return true;
}

bool gw_pg_pipe_drain(struct gw_pg_writer *w, struct gw_error *err)
{
    uint64_t unused = 0;
    return w->apply->waiting_count == 0 ||
           (gw_pg_pipe_open(w, err) && gw_pg_pipe_close(w, &unused, "beginning a transaction", err));
}
