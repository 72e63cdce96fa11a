/*
 * Canonical values of SQLite's: a value becomes a datum of its column's kind where that holds it exactly, such that
 * encoding gives the very same value again; and of its storage class (INT64, FLOAT64, TEXT, BYTES) where it does not.
 *
 *   BOOL         the integers 0 and 1
 *   DECIMAL      an integer or a real that the column's scale prints exactly; in a column of TEXT affinity its text
 *   DATE, TIME, TIMESTAMP, TIMESTAMPTZ   the texts 2024-02-29, 12:30:00[.123456], 2024-02-29 12:30:00[.123456] and the
 *                same with +00:00 behind it; other forms (a T, fewer digits, numbers of seconds) stay what they are
 *   UUID         its 36 characters in small letters
 *   JSON         a text that is JSON; an integer or a real in a column of NUMERIC affinity, which makes those of texts
 * A text that is not UTF-8 is BYTES.
 */
#ifndef GW_STORE_SQLITE_CODEC_H
#define GW_STORE_SQLITE_CODEC_H

#include "store/sqlite/rows.h"
#include "store/sqlite/types.h"

struct gw_lite_form { /* what a column's values are taken for */
    struct gw_type type;
    enum gw_lite_affinity affinity;
};
void gw_lite_form_of(const char *declared, struct gw_lite_form *out);

/* Borrows from the cell or the arena. */
struct gw_datum gw_lite_cell_to_datum(const struct gw_lite_form *, const struct gw_lite_cell *, struct gw_arena *);
GW_MUST_CHECK bool gw_lite_datum_to_cell(const struct gw_lite_form *, const char *column, const struct gw_datum *,
                                         struct gw_arena *, struct gw_lite_cell *out, struct gw_error *);
/* Shortest decimal text that is this double; no exponent, false where that would be long. */
bool gw_lite_print_real(double, int scale, char out[64]);

#endif
