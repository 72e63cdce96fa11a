/*
 * Memory that is there or the process is not. Running out of memory ends the process with a message and exit 70:
 * every step is resumable after kill -9, so dying is safer than half-handled failure paths nobody can test.
 * Bounds on memory are kept by bounded queues and batch limits, not by failing allocations.
 */
#ifndef GW_BASE_MEM_H
#define GW_BASE_MEM_H

#include <stddef.h>

void *gw_alloc(size_t bytes) __attribute__((malloc, returns_nonnull));  /* uninitialised */
void *gw_zalloc(size_t bytes) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *gw_realloc(void *p, size_t bytes) __attribute__((returns_nonnull));
void *gw_calloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull)); /* overflow checked, zeroed */
/* Grows an array of `size`-byte items so that *capacity > wanted_index; doubles. */
void *gw_grow(void *array, size_t *capacity, size_t wanted_index, size_t size) __attribute__((returns_nonnull));
char *gw_strdup(const char *s) __attribute__((malloc, returns_nonnull)); /* s must not be NULL */
char *gw_strndup(const char *s, size_t len) __attribute__((malloc, returns_nonnull));
void *gw_memdup(const void *p, size_t len) __attribute__((malloc, returns_nonnull));
char *gw_asprintf(const char *format, ...) __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));

/* Cleanup attributes: `gw_autofree char *s = ...;` frees at scope end. */
void gw_cleanup_free(void *pp);
#define gw_autofree __attribute__((cleanup(gw_cleanup_free)))

#endif
