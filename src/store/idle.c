#include "store/idle.h"

#include "base/mem.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#define KEPT 4

struct gw_idle {
    bool (*alive)(void *);
    void (*close)(void *);
    pthread_mutex_t lock;
    void *sessions[KEPT];
    size_t count;
};

struct gw_idle *gw_idle_new(bool (*alive)(void *session), void (*close)(void *session))
{
    struct gw_idle *idle = gw_zalloc(sizeof *idle);
    idle->alive = alive;
    idle->close = close;
    pthread_mutex_init(&idle->lock, NULL);
    return idle;
}

void gw_idle_free(struct gw_idle *idle)
{
    if (!idle)
        return;
    for (size_t i = 0; i < idle->count; i++)
        idle->close(idle->sessions[i]);
    pthread_mutex_destroy(&idle->lock);
    free(idle);
}

void *gw_idle_take(struct gw_idle *idle)
{
    for (;;) {
        pthread_mutex_lock(&idle->lock);
        void *session = idle->count > 0 ? idle->sessions[--idle->count] : NULL;
        pthread_mutex_unlock(&idle->lock);
        if (!session || !idle->alive || idle->alive(session))
            return session;
        idle->close(session);
    }
}

void gw_idle_give(struct gw_idle *idle, void *session)
{
    pthread_mutex_lock(&idle->lock);
    if (idle->count < KEPT) {
        idle->sessions[idle->count++] = session;
        session = NULL;
    }
    pthread_mutex_unlock(&idle->lock);
    idle->close(session);
}
