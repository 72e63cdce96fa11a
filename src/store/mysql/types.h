/* Types in words that no engine owns, and back: for catalog->describe and codec->type_for. */
#ifndef GW_STORE_MYSQL_TYPES_H
#define GW_STORE_MYSQL_TYPES_H

#include "model/type.h"
#include "store/mysql/column.h"

/* What a column of this form may hold; the caller's to release. */
void gw_mysql_type_of(const struct gw_mysql_form *form, struct gw_type *out);
/* The kind its values have as data. */
enum gw_kind gw_mysql_kind_of(const struct gw_mysql_form *form);
GW_MUST_CHECK bool gw_mysql_type_for(const struct gw_type *wanted, struct gw_buf *sql_type, struct gw_type *got,
                                     struct gw_error *);

#endif
