#include "base/queue.h"

#include "base/clock.h"
#include "base/mem.h"

#include <pthread.h>
#include <time.h>

struct queue_item {
    struct queue_item *next;
    void *item;
    size_t bytes;
};

struct gw_queue {
    pthread_mutex_t lock;
    pthread_cond_t can_push, can_pop;
    struct queue_item *head, **tail;
    size_t bytes, max_bytes, count;
    bool closed;
};

struct gw_queue *gw_queue_new(size_t max_bytes)
{
    struct gw_queue *queue = gw_zalloc(sizeof *queue);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&queue->lock, NULL);
    pthread_cond_init(&queue->can_push, &attr);
    pthread_cond_init(&queue->can_pop, &attr);
    pthread_condattr_destroy(&attr);
    queue->tail = &queue->head;
    queue->max_bytes = max_bytes;
    return queue;
}

void gw_queue_free(struct gw_queue *queue, void (*free_item)(void *item))
{
    if (!queue)
        return;
    while (queue->head) {
        struct queue_item *first = queue->head;
        queue->head = first->next;
        if (free_item)
            free_item(first->item);
        free(first);
    }
    pthread_cond_destroy(&queue->can_push);
    pthread_cond_destroy(&queue->can_pop);
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

static bool queue_has_room(const struct gw_queue *queue, size_t bytes)
{
    return queue->count == 0 || (queue->bytes <= queue->max_bytes && bytes <= queue->max_bytes - queue->bytes);
}

bool gw_queue_push(struct gw_queue *queue, void *item, size_t bytes)
{
    struct queue_item *added = gw_alloc(sizeof *added);
    *added = (struct queue_item){.item = item, .bytes = bytes};
    pthread_mutex_lock(&queue->lock);
    while (!queue->closed && !queue_has_room(queue, bytes))
        pthread_cond_wait(&queue->can_push, &queue->lock);
    bool pushed = !queue->closed;
    if (pushed) {
        *queue->tail = added;
        queue->tail = &added->next;
        queue->bytes += bytes;
        queue->count++;
        pthread_cond_signal(&queue->can_pop);
    }
    pthread_mutex_unlock(&queue->lock);
    if (!pushed)
        free(added);
    return pushed;
}

/* Waits until something is there, or closed, or the time is over; called with the lock held. */
static void queue_wait(struct gw_queue *queue, int timeout_ms)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)timeout_ms * 1000;
    while (!queue->head && !queue->closed) {
        int left_ms = timeout_ms < 0 ? 0 : gw_left_ms(deadline_us);
        if (timeout_ms < 0)
            pthread_cond_wait(&queue->can_pop, &queue->lock);
        else if (left_ms > 0)
            gw_cond_wait_ms(&queue->can_pop, &queue->lock, left_ms);
        else
            return;
    }
}

void *gw_queue_pop(struct gw_queue *queue, int timeout_ms, bool *closed)
{
    void *item = NULL;
    pthread_mutex_lock(&queue->lock);
    queue_wait(queue, timeout_ms);
    struct queue_item *first = queue->head;
    if (first) {
        queue->head = first->next;
        if (!queue->head)
            queue->tail = &queue->head;
        queue->bytes -= first->bytes;
        queue->count--;
        item = first->item;
        /* Producers wait for different sizes: any of them may fit now. */
        pthread_cond_broadcast(&queue->can_push);
    }
    if (closed)
        *closed = !first && queue->closed;
    pthread_mutex_unlock(&queue->lock);
    free(first);
    return item;
}

void gw_queue_close(struct gw_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    queue->closed = true;
    pthread_cond_broadcast(&queue->can_push);
    pthread_cond_broadcast(&queue->can_pop);
    pthread_mutex_unlock(&queue->lock);
}

size_t gw_queue_bytes(struct gw_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    size_t bytes = queue->bytes;
    pthread_mutex_unlock(&queue->lock);
    return bytes;
}
