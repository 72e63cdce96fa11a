/* A canonical value (scan_form.h) in words for a person; long values are cut and their length said. */
#ifndef GW_STORE_POSTGRES_SCAN_PRINT_H
#define GW_STORE_POSTGRES_SCAN_PRINT_H

#include "model/schema.h"
#include "model/value.h"

void gw_pg_print(const struct gw_column *column, const struct gw_value *value, struct gw_buf *out);

#endif
