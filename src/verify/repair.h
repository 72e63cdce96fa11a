/*
 * SQL that makes the rows of the target what they are to be, and the SQL that undoes it: an UPDATE, INSERT or DELETE for
 * each row that differs, with the row as it was found in its WHERE: it holds as long as nobody else changed the row. For
 * the side that is not the owner, never for the owner.
 *
 * Rows are read anew for it, by their keys and as the copy reads them: the source, the target once it has applied what
 * the source had, the source again. A row that moved meanwhile is left alone, and so is one that has become the same.
 *
 * Threads: gw_repair_note from any (it is found_row of gw_verify_options); all else from one.
 */
#ifndef GW_VERIFY_REPAIR_H
#define GW_VERIFY_REPAIR_H

#include "map/map.h"
#include "verify/verify.h"

struct gw_repair_options {
    struct gw_store *source, *target;       /* the sides themselves, no faces */
    const struct gw_schema *schemas[2];     /* of the source, of the target, each in its own terms */
    const struct gw_map *map;               /* NULL: none */
    const struct gw_verify_options *verify; /* wait_applied */
};

struct gw_repair;
GW_MUST_CHECK bool gw_repair_open(const struct gw_repair_options *, struct gw_repair **out, struct gw_error *err);
void gw_repair_close(struct gw_repair *); /* NULL is fine */
void gw_repair_note(void *repair, uint32_t collection, const struct gw_datum *key, size_t count);
/* Reads the rows that were noted and makes the statements. */
GW_MUST_CHECK bool gw_repair_make(struct gw_repair *, struct gw_error *err);
/* Into the file, and what undoes it into FILE.undo; readable for its owner alone. */
GW_MUST_CHECK bool gw_repair_write(const struct gw_repair *, const char *path, struct gw_error *err);
/* Runs them on the target, in transactions of some rows each. GW_ERR_CONFLICT when the target owns the data. */
GW_MUST_CHECK bool gw_repair_apply(struct gw_repair *, struct gw_error *err);
/* {"statements","applied","left_alone":[{"collection","key","why"}]}; owned. */
json_t *gw_repair_json(const struct gw_repair *);
void gw_repair_text(const struct gw_repair *, const char *path, struct gw_buf *out);

#endif
