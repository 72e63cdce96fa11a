/* Texts of many statements: gathered, run here, or by the writer's thread in order. See writer.h. */
#include "store/mysql/writer.h"

#include "base/mem.h"

#include <mysqld_error.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PIPE_TEXTS 4 /* that wait or run; more are waited for */

/* ---- a text ---------------------------------------------------------------------------------------------------- */

void gw_mysql_text_end(struct gw_mysql_text *text, enum gw_mysql_statement_kind kind, const struct gw_collection *c)
{
    text->statements = gw_grow(text->statements, &text->capacity, text->count, sizeof *text->statements);
    text->statements[text->count++] = (struct gw_mysql_statement){.kind = kind, .collection = c};
    gw_buf_addc(&text->sql, ';');
}

void gw_mysql_text_add(struct gw_mysql_text *text, const char *sql)
{
    gw_buf_adds(&text->sql, sql);
    gw_mysql_text_end(text, GW_MYSQL_STATEMENT_PLAIN, NULL);
}

/* There is no way to raise an error but a subquery that has too many rows where it is evaluated. */
void gw_mysql_text_due(struct gw_mysql_text *text, uint64_t rows, enum gw_mysql_statement_kind kind,
                       const struct gw_collection *c)
{
    gw_buf_addf(&text->sql, "SET @godwit_due = IF(ROW_COUNT() = %llu, 0, (SELECT 1 UNION ALL SELECT 2))",
                (unsigned long long)rows);
    gw_mysql_text_end(text, kind, c);
}

void gw_mysql_text_release(struct gw_mysql_text *text)
{
    gw_buf_release(&text->sql);
    free(text->statements);
    *text = (struct gw_mysql_text){0};
}

static bool fail_statement(struct gw_mysql_conn *conn, const struct gw_mysql_statement *statement, struct gw_error *err)
{
    bool guard = gw_mysql_errno(conn) == ER_SUBQUERY_NO_1_ROW && !conn->broken;
    const struct gw_collection *c = statement->collection;
    if (guard && statement->kind == GW_MYSQL_STATEMENT_POSITION)
        gw_fail(err, GW_ERR_RETRY, "the position is no longer where this session found it");
    else if (guard && statement->kind == GW_MYSQL_STATEMENT_DUE)
        gw_fail(err, GW_ERR_CONFLICT, "rows of %s that were to be changed are not there",
                c ? gw_collection_label(c) : "a table");
    else
        gw_mysql_fail(conn, "applying changes", err);
    return c ? gw_error_place(err, "%s", gw_collection_label(c)) : false;
}

/* Runs all its statements; stops at the first that fails. */
static bool run(struct gw_mysql_conn *conn, const struct gw_mysql_text *text, uint64_t *rows, struct gw_error *err)
{
    size_t at = 0;
    gw_mysql_enter(conn);
    if (text->count == 0)
        return true;
    if (mysql_real_query(conn->my, text->sql.data, text->sql.len) != 0)
        return fail_statement(conn, &text->statements[0], err);
    for (;;) {
        MYSQL_RES *result = mysql_store_result(conn->my);
        mysql_free_result(result);
        if (at < text->count && text->statements[at].kind == GW_MYSQL_STATEMENT_ROWS)
            *rows += mysql_affected_rows(conn->my);
        at++;
        int next = mysql_next_result(conn->my);
        if (next == 0)
            continue;
        if (next > 0)
            return fail_statement(conn, &text->statements[at < text->count ? at : text->count - 1], err);
        break;
    }
    if (at != text->count)
        return gw_fail(err, GW_ERR_BUG, "the server answered %zu of %zu statements", at, text->count);
    return true;
}

/* ---- the thread ------------------------------------------------------------------------------------------------ */

struct gw_mysql_pipe {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct gw_cancel *own; /* the token of the thread that sends */
    struct gw_mysql_conn *conn;
    struct gw_mysql_text texts[PIPE_TEXTS]; /* oldest first; the first one is being run */
    size_t count;
    struct gw_mysql_text spare;
    size_t committed; /* texts that commit, done and not awaited */
    bool ends;
    struct gw_error error; /* the first thing that failed: nothing is run behind it */
};

static void *pipe_main(void *arg)
{
    struct gw_mysql_pipe *p = arg;
    mysql_thread_init();
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->count == 0 && !p->ends)
            pthread_cond_wait(&p->changed, &p->lock);
        if (p->count == 0)
            break;
        struct gw_mysql_text text = p->texts[0];
        bool skip = p->error.kind != GW_ERR_NONE;
        gw_cancel_set_own(p->own);
        pthread_mutex_unlock(&p->lock);
        struct gw_error err = {0};
        uint64_t rows = 0;
        bool fine = skip || run(p->conn, &text, &rows, &err);
        pthread_mutex_lock(&p->lock);
        if (!fine)
            p->error = err;
        if (!skip && fine && text.commits)
            p->committed++;
        gw_mysql_text_release(&p->spare);
        p->spare = text;
        p->count--;
        memmove(p->texts, p->texts + 1, p->count * sizeof *p->texts);
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    mysql_thread_end();
    return NULL;
}

static bool pipe_start(struct gw_mysql_writer *w, struct gw_error *err)
{
    if (w->pipe)
        return true;
    struct gw_mysql_pipe *p = gw_zalloc(sizeof *p);
    p->conn = w->conn;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    int failed = pthread_create(&p->thread, NULL, pipe_main, p);
    if (failed) {
        free(p);
        return gw_fail_errno(err, failed, "cannot start a thread to apply changes");
    }
    w->pipe = p;
    return true;
}

bool gw_mysql_text_send(struct gw_mysql_writer *w, struct gw_error *err)
{
    if (!pipe_start(w, err))
        return false;
    struct gw_mysql_pipe *p = w->pipe;
    pthread_mutex_lock(&p->lock);
    p->own = gw_cancel_own();
    while (p->count == PIPE_TEXTS)
        pthread_cond_wait(&p->changed, &p->lock);
    bool fine = p->error.kind == GW_ERR_NONE;
    if (fine) {
        p->texts[p->count++] = w->text;
        w->text = p->spare;
        p->spare = (struct gw_mysql_text){0};
        gw_buf_clear(&w->text.sql);
        w->text.count = 0;
        w->text.commits = false;
        pthread_cond_broadcast(&p->changed);
    } else {
        *err = p->error;
    }
    pthread_mutex_unlock(&p->lock);
    return fine;
}

bool gw_mysql_pipe_await(struct gw_mysql_writer *w, struct gw_error *err)
{
    struct gw_mysql_pipe *p = w->pipe;
    if (!p)
        return gw_fail(err, GW_ERR_BUG, "nothing is owed");
    pthread_mutex_lock(&p->lock);
    while (p->committed == 0 && p->error.kind == GW_ERR_NONE && p->count > 0)
        pthread_cond_wait(&p->changed, &p->lock);
    bool fine = p->committed > 0;
    if (fine)
        p->committed--;
    else if (p->error.kind != GW_ERR_NONE)
        *err = p->error;
    else
        gw_fail(err, GW_ERR_BUG, "nothing is owed");
    pthread_mutex_unlock(&p->lock);
    return fine;
}

bool gw_mysql_pipe_drain(struct gw_mysql_writer *w, struct gw_error *err)
{
    struct gw_mysql_pipe *p = w->pipe;
    if (!p)
        return true;
    pthread_mutex_lock(&p->lock);
    while (p->count > 0)
        pthread_cond_wait(&p->changed, &p->lock);
    bool fine = p->error.kind == GW_ERR_NONE;
    if (!fine)
        *err = p->error;
    pthread_mutex_unlock(&p->lock);
    return fine;
}

bool gw_mysql_pipe_busy(struct gw_mysql_writer *w)
{
    struct gw_mysql_pipe *p = w->pipe;
    if (!p)
        return false;
    pthread_mutex_lock(&p->lock);
    bool busy = p->count > 0 && p->error.kind == GW_ERR_NONE;
    pthread_mutex_unlock(&p->lock);
    return busy;
}

void gw_mysql_pipe_abandon(struct gw_mysql_writer *w)
{
    struct gw_mysql_pipe *p = w->pipe;
    w->ahead_count = 0;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    while (p->count > 1)
        gw_mysql_text_release(&p->texts[--p->count]);
    while (p->count > 0)
        pthread_cond_wait(&p->changed, &p->lock);
    p->committed = 0;
    gw_error_clear(&p->error);
    pthread_mutex_unlock(&p->lock);
}

void gw_mysql_pipe_free(struct gw_mysql_writer *w)
{
    struct gw_mysql_pipe *p = w->pipe;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    while (p->count > 1)
        gw_mysql_text_release(&p->texts[--p->count]);
    p->ends = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    gw_mysql_text_release(&p->spare);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->changed);
    free(p);
    w->pipe = NULL;
}

bool gw_mysql_text_run(struct gw_mysql_writer *w, uint64_t *rows, struct gw_error *err)
{
    uint64_t counted = 0;
    bool fine = gw_mysql_pipe_drain(w, err) && run(w->conn, &w->text, &counted, err);
    gw_buf_clear(&w->text.sql);
    gw_buf_shrink(&w->text.sql, GW_MYSQL_TEXT_BYTES * 2);
    w->text.count = 0;
    w->text.commits = false;
    if (fine && rows)
        *rows += counted;
    return fine;
}
