/*
 * Columns, keys and ranges in SQL, shared by reader, load, apply, locate and scan.
 *
 * A key compares as the server keeps it in its index: numbers as numbers, ENUM, SET and BIT by their number, texts by the
 * column's own collation (a literal gives way to the column's), binary strings as bytes. Rows are compared column by
 * column, (a > 1 OR (a = 1 AND b >= 2)), which the range optimizer takes for what it is; row constructors it scans.
 *
 * The text of a key value in a bound: digits for numbers, ENUM, SET and BIT; "00ff" for binary strings; the text itself
 * for all else, or "hex:00ff" where it holds a NUL byte or begins with "hex:".
 */
#ifndef GW_STORE_MYSQL_KEYS_H
#define GW_STORE_MYSQL_KEYS_H

#include "model/range.h"
#include "store/mysql/column.h"
#include "store/mysql/conn.h"

/* `a`,`b`: the columns that are written, without generated ones. Returns how many. */
size_t gw_mysql_add_columns(struct gw_buf *, const struct gw_collection *);
/* The same as the reader selects them: such that their text is exact. */
void gw_mysql_add_select(struct gw_buf *, const struct gw_collection *, const struct gw_mysql_form *forms);
/* The key columns in key order, as ORDER BY takes them. */
void gw_mysql_add_key(struct gw_buf *, const struct gw_collection *);
/* The key columns as expressions whose text is that of a bound (but for "hex:", see gw_mysql_bound_text). */
void gw_mysql_add_key_texts(struct gw_buf *, const struct gw_collection *, const struct gw_mysql_form *forms);
/* A key value as it was selected by that: owned. */
char *gw_mysql_bound_text(const struct gw_mysql_form *form, const char *text, size_t len);
/* A key value of the log or of a row: owned. Labels become numbers. */
char *gw_mysql_bound_of_value(const struct gw_mysql_form *form, const struct gw_value *value);
/* A bound's text as an SQL literal, to be compared with gw_mysql_add_comparable. GW_ERR_USER when it is none. */
GW_MUST_CHECK bool gw_mysql_add_bound(struct gw_buf *, const struct gw_mysql_form *form, const char *text,
                                      struct gw_error *err);
/* The column as it is compared: `e`+0 for an ENUM. */
void gw_mysql_add_comparable(struct gw_buf *, const struct gw_column *, const struct gw_mysql_form *form);
/* The condition of a range; "1" when it is open. */
GW_MUST_CHECK bool gw_mysql_add_range(struct gw_buf *, const struct gw_collection *, const struct gw_mysql_form *forms,
                                      const struct gw_range *range, struct gw_error *err);
/* FORCE INDEX (`key`), or nothing. */
void gw_mysql_add_force(struct gw_buf *, const struct gw_collection *);
/* A value of a row as an SQL literal for this column. */
void gw_mysql_add_value(struct gw_buf *, const struct gw_mysql_form *form, const struct gw_value *value);
/* A condition that holds for a column while it has exactly this value. */
void gw_mysql_add_is(struct gw_buf *, const char *column, const struct gw_mysql_form *, const struct gw_value *);

#endif
