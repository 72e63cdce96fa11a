/*
 * A queue between threads, bounded in bytes: a producer that is too fast waits, so no pipeline grows without end.
 * Items are opaque pointers; ownership passes to the queue on push and to the caller on pop.
 * An item larger than the bound passes alone (the queue must be empty). Thread-safe.
 */
#ifndef GW_BASE_QUEUE_H
#define GW_BASE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

struct gw_queue;

struct gw_queue *gw_queue_new(size_t max_bytes);
void gw_queue_free(struct gw_queue *queue, void (*free_item)(void *item)); /* no thread may be inside */
/* False when the queue is closed: the item stays the caller's. */
bool gw_queue_push(struct gw_queue *queue, void *item, size_t bytes);
/* timeout_ms < 0 waits without end. Returns NULL on timeout, or when closed and drained (then *closed is true). */
void *gw_queue_pop(struct gw_queue *queue, int timeout_ms, bool *closed);
/* No more pushes; those waiting wake. Items in it can still be popped. */
void gw_queue_close(struct gw_queue *queue);
size_t gw_queue_bytes(struct gw_queue *queue);

#endif
