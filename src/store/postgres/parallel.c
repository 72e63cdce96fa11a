#include "store/postgres/parallel.h"

#include "base/mem.h"

#include <stdlib.h>

struct shared {
    const struct gw_pg_parallel *work;
    pthread_mutex_t lock;
    size_t next;
    bool failed;
    struct gw_error error; /* the first one */
};

static bool take(struct shared *s, size_t *index)
{
    pthread_mutex_lock(&s->lock);
    bool got = !s->failed && s->next < s->work->count;
    if (got)
        *index = s->next++;
    pthread_mutex_unlock(&s->lock);
    return got;
}

static void note_failure(struct shared *s, const struct gw_error *err)
{
    pthread_mutex_lock(&s->lock);
    if (!s->failed)
        s->error = *err;
    s->failed = true;
    pthread_mutex_unlock(&s->lock);
}

static void *work(void *arg)
{
    struct shared *s = arg;
    const struct gw_pg_parallel *w = s->work;
    struct gw_error err;
    PGconn *conn = NULL;
    size_t index;
    if (!gw_pg_connect(w->store, GW_PG_PLAIN, w->what, &conn, &err) ||
        (w->session_sql && !gw_pg_exec(w->store, conn, w->session_sql, &err))) {
        note_failure(s, &err);
        PQfinish(conn);
        return NULL;
    }
    while (take(s, &index)) {
        if (!w->each(w->store, conn, index, w->arg, &err)) {
            note_failure(s, &err);
            break;
        }
    }
    PQfinish(conn);
    return NULL;
}

bool gw_pg_parallel_run(const struct gw_pg_parallel *p, struct gw_error *err)
{
    struct shared s = {.work = p};
    size_t jobs = p->jobs > 1 ? (size_t)p->jobs : 1;
    if (p->count == 0)
        return true;
    if (jobs > p->count)
        jobs = p->count;
    pthread_mutex_init(&s.lock, NULL);
    pthread_t *threads = gw_calloc(jobs, sizeof *threads);
    size_t begun = 0;
    /* This thread is one of them: with one job there is no other. */
    for (size_t i = 1; i < jobs; i++)
        if (pthread_create(&threads[begun], NULL, work, &s) == 0)
            begun++;
    work(&s);
    for (size_t i = 0; i < begun; i++)
        pthread_join(threads[i], NULL);
    free(threads);
    pthread_mutex_destroy(&s.lock);
    if (s.failed)
        *err = s.error;
    return !s.failed;
}
