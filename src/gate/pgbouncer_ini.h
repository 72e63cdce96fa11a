/*
 * PgBouncer's ini file: where a database's line is, what it says, and the same file with that line leading elsewhere.
 *
 * Everything but the values of host, port and dbname on that one line is kept byte for byte. Pure functions over
 * bytes, except for gw_pgb_ini_locate (reads, and follows %include) and gw_pgb_ini_stage and _commit (put the new file in place).
 * Format: pgbouncer(5): sections, `name = key=value key='quoted ''value'''`, comment lines with ; or #, %include.
 */
#ifndef GW_GATE_PGBOUNCER_INI_H
#define GW_GATE_PGBOUNCER_INI_H

#include "base/buf.h"
#include "base/error.h"
#include "gate/address.h"

#include <stdbool.h>
#include <stddef.h>

struct gw_pgb_entry {
    char *path;         /* owned; the file that holds the line, symbolic links resolved */
    int line;           /* 1.. */
    size_t value_at;    /* offset of the connection string in the file */
    size_t value_bytes; /* its length, without the end of line */
    struct gw_gate_address address;
};
void gw_pgb_entry_release(struct gw_pgb_entry *entry);

/* Called for each %include, in the order of the file: PgBouncer carries the section into the included file and back
 * out of it, and so does *in_databases. */
typedef bool gw_pgb_ini_include(void *arg, const char *path, bool *in_databases, struct gw_error *err);

/* Finds the line of `database` under [databases] in `text`; *count says how many there are (the last one is what
 * PgBouncer takes, and what *out describes, without path). *in_databases: the section the text begins and ends in.
 * GW_ERR_USER for a line PgBouncer would not understand. */
GW_MUST_CHECK bool gw_pgb_ini_find(const char *text, size_t len, const char *database, bool *in_databases,
                                   gw_pgb_ini_include *include, void *arg, struct gw_pgb_entry *out, int *count,
                                   struct gw_error *err);
/* The same in the file and the files it includes. GW_ERR_USER when there is no line, or more than one. *out owned. */
GW_MUST_CHECK bool gw_pgb_ini_locate(const char *path, const char *database, struct gw_pgb_entry *out,
                                     struct gw_error *err);
/* A value of the entry's line, "" when it is not there or too long. False when it is not there. */
bool gw_pgb_ini_value(const char *text, const struct gw_pgb_entry *entry, const char *key, char *out, size_t size);
/* The file's text with the entry's line leading to `address`. */
GW_MUST_CHECK bool gw_pgb_ini_rewrite(const char *text, size_t len, const struct gw_pgb_entry *entry,
                                      const struct gw_gate_address *address, struct gw_buf *out, struct gw_error *err);
/* Puts a new text beside the file, durably, with its mode, owner and extended attributes. *staged is owned: the
 * sibling's path, for gw_pgb_ini_commit, or to be unlinked. Slow (it waits for the disk): before the pause. */
GW_MUST_CHECK bool gw_pgb_ini_stage(const char *path, const void *bytes, size_t len, char **staged,
                                    struct gw_error *err);
/* Renames the sibling over the file. Fast; durable once the folder is synced too. */
GW_MUST_CHECK bool gw_pgb_ini_commit(const char *path, const char *staged, struct gw_error *err);
/* Would gw_pgb_ini_stage work? Tries, and removes what it made. */
GW_MUST_CHECK bool gw_pgb_ini_may_stage(const char *path, struct gw_error *err);
GW_MUST_CHECK bool gw_pgb_ini_sync(const char *path, struct gw_error *err);

#endif
