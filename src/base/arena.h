/*
 * An arena: many small allocations, one reset. Used per chunk, per batch, per transaction.
 * Owned by one thread. Memory is valid until the next reset or release.
 */
#ifndef GW_BASE_ARENA_H
#define GW_BASE_ARENA_H

#include <stddef.h>

struct gw_arena_block;
struct gw_arena {
    struct gw_arena_block *blocks;
    size_t used_bytes; /* given out since the last reset; the bound batches are cut by */
};

void *gw_arena_alloc(struct gw_arena *arena, size_t bytes) __attribute__((returns_nonnull)); /* 16-byte aligned */
void *gw_arena_zalloc(struct gw_arena *arena, size_t bytes) __attribute__((returns_nonnull));
void *gw_arena_dup(struct gw_arena *arena, const void *p, size_t len) __attribute__((returns_nonnull)); /* adds a NUL */
char *gw_arena_strdup(struct gw_arena *arena, const char *s) __attribute__((returns_nonnull));
void gw_arena_reset(struct gw_arena *arena); /* keeps at most one block of 1 MiB */
void gw_arena_release(struct gw_arena *arena);

#endif
