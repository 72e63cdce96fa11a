/*
 * Files that must survive power loss, and private folders for customers' rows (0700 and 0600).
 */
#ifndef GW_BASE_FILE_H
#define GW_BASE_FILE_H

#include "base/buf.h"
#include "base/error.h"

#include <stdint.h>

GW_MUST_CHECK bool gw_mkdir_private(const char *path, struct gw_error *err); /* with parents, 0700; fine if there */
/* Writes a temporary sibling (0600), fsyncs it, renames it over path and fsyncs the folder. */
GW_MUST_CHECK bool gw_file_replace(const char *path, const void *bytes, size_t len, struct gw_error *err);
/* Reads the whole file; more than max_bytes is GW_ERR_USER. A missing file is GW_ERR_USER, says which. */
GW_MUST_CHECK bool gw_file_read(const char *path, size_t max_bytes, struct gw_buf *out, struct gw_error *err);
GW_MUST_CHECK bool gw_sync_dir(const char *path, struct gw_error *err);
GW_MUST_CHECK bool gw_write_all(int fd, const void *bytes, size_t len, struct gw_error *err);
GW_MUST_CHECK bool gw_remove_tree(const char *path, struct gw_error *err); /* fine if not there; follows no symlink */
bool gw_file_exists(const char *path);
int64_t gw_disk_free_bytes(const char *path); /* for unprivileged users; -1 when unknown */
/* "1.1 GB", "12 kB": powers of 1000; out must hold 16 bytes. */
void gw_format_bytes(int64_t bytes, char out[16]);
/* "2h14m", "3.4 s", "12 ms"; out must hold 16 bytes. */
void gw_format_duration(int64_t us, char out[16]);

#endif
