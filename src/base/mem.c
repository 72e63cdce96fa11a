#include "base/mem.h"

#include "base/error.h"

#include <stdarg.h>
#include <stdint.h>
#include <unistd.h>

static void __attribute__((noreturn)) out_of_memory(size_t bytes)
{
    /* Plain write(2): stdio may want memory too. */
    char line[128];
    int len =
        snprintf(line, sizeof line, "godwit: out of memory (asked for %zu bytes); start again to resume\n", bytes);
    if (len > 0 && write(STDERR_FILENO, line, (size_t)len) < 0)
        _exit(GW_EXIT_BUG);
    _exit(GW_EXIT_BUG);
}

void *gw_alloc(size_t bytes)
{
    void *p = malloc(bytes ? bytes : 1);
    if (!p)
        out_of_memory(bytes);
    return p;
}

void *gw_zalloc(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);
    if (!p)
        out_of_memory(bytes);
    return p;
}

void *gw_realloc(void *p, size_t bytes)
{
    void *q = realloc(p, bytes ? bytes : 1);
    if (!q)
        out_of_memory(bytes);
    return q;
}

void *gw_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        out_of_memory(SIZE_MAX);
    return gw_zalloc(bytes);
}

void *gw_grow(void *array, size_t *capacity, size_t wanted_index, size_t size)
{
    if (array && *capacity > wanted_index)
        return array;
    size_t next = *capacity < 8 ? 8 : *capacity;
    while (next <= wanted_index) {
        if (next > SIZE_MAX / 2)
            out_of_memory(SIZE_MAX);
        next *= 2;
    }
    size_t bytes;
    if (__builtin_mul_overflow(next, size, &bytes))
        out_of_memory(SIZE_MAX);
    array = gw_realloc(array, bytes);
    *capacity = next;
    return array;
}

char *gw_strdup(const char *s)
{
    return gw_strndup(s, strlen(s));
}

char *gw_strndup(const char *s, size_t len)
{
    len = strnlen(s, len);
    char *copy = gw_alloc(len + 1);
    memcpy(copy, s, len);
    copy[len] = 0;
    return copy;
}

void *gw_memdup(const void *p, size_t len)
{
    void *copy = gw_alloc(len);
    if (len)
        memcpy(copy, p, len);
    return copy;
}

char *gw_asprintf(const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0 || !text)
        out_of_memory(0);
    return text;
}

void gw_cleanup_free(void *pp)
{
    void **p = pp;
    free(*p);
    *p = NULL;
}
