#include "base/arena.h"

#include "base/mem.h"

#include <stdint.h>

#define ARENA_BLOCK_BYTES ((size_t)64 << 10)
#define ARENA_KEEP_BYTES ((size_t)1 << 20)
#define ARENA_ALIGN ((size_t)16)

struct gw_arena_block {
    struct gw_arena_block *next;
    size_t size; /* bytes behind the header */
    size_t used;
    size_t pad_; /* keeps the payload 16-byte aligned */
    unsigned char bytes[];
};
_Static_assert(sizeof(struct gw_arena_block) % ARENA_ALIGN == 0, "payload must be aligned");

static struct gw_arena_block *block_new(size_t size)
{
    size_t total;
    if (__builtin_add_overflow(sizeof(struct gw_arena_block), size, &total))
        total = SIZE_MAX;
    struct gw_arena_block *block = gw_alloc(total);
    block->next = NULL;
    block->size = size;
    block->used = 0;
    return block;
}

void *gw_arena_alloc(struct gw_arena *arena, size_t bytes)
{
    size_t take = bytes ? bytes : 1;
    if (take > SIZE_MAX - ARENA_ALIGN)
        take = SIZE_MAX - ARENA_ALIGN; /* ends the process in gw_alloc */
    take = (take + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
    struct gw_arena_block *head = arena->blocks;
    if (!head || head->size - head->used < take) {
        size_t size = head ? head->size * 2 : ARENA_BLOCK_BYTES;
        if (size > ARENA_KEEP_BYTES || (head && head->size > ARENA_KEEP_BYTES))
            size = ARENA_KEEP_BYTES;
        struct gw_arena_block *block = block_new(take > size ? take : size);
        if (head && take > size) {
            /* A big one gets a block of its own behind the head, which still has room. */
            block->next = head->next;
            head->next = block;
        } else {
            block->next = head;
            arena->blocks = block;
        }
        head = block;
    }
    void *p = head->bytes + head->used;
    head->used += take;
    arena->used_bytes += take;
    return p;
}

void *gw_arena_zalloc(struct gw_arena *arena, size_t bytes)
{
    void *p = gw_arena_alloc(arena, bytes);
    memset(p, 0, bytes);
    return p;
}

void *gw_arena_dup(struct gw_arena *arena, const void *p, size_t len)
{
    char *copy = gw_arena_alloc(arena, len < SIZE_MAX ? len + 1 : len);
    if (len)
        memcpy(copy, p, len);
    copy[len] = 0;
    return copy;
}

char *gw_arena_strdup(struct gw_arena *arena, const char *s)
{
    return gw_arena_dup(arena, s, strlen(s));
}

void gw_arena_reset(struct gw_arena *arena)
{
    struct gw_arena_block *keep = NULL;
    struct gw_arena_block *block = arena->blocks;
    while (block) {
        struct gw_arena_block *next = block->next;
        if (block->size <= ARENA_KEEP_BYTES && (!keep || block->size > keep->size)) {
            free(keep);
            keep = block;
        } else {
            free(block);
        }
        block = next;
    }
    if (keep) {
        keep->next = NULL;
        keep->used = 0;
    }
    arena->blocks = keep;
    arena->used_bytes = 0;
}

void gw_arena_release(struct gw_arena *arena)
{
    struct gw_arena_block *block = arena->blocks;
    while (block) {
        struct gw_arena_block *next = block->next;
        free(block);
        block = next;
    }
    *arena = (struct gw_arena){0};
}
