/*
 * Columns and key ranges in SQL, shared by reader, load, apply, locate and scan.
 */
#ifndef GW_STORE_POSTGRES_KEYS_H
#define GW_STORE_POSTGRES_KEYS_H

#include "store/postgres/conn.h"

/* "a","b",...: the columns that are written, without generated ones. Returns how many. */
size_t gw_pg_add_columns(struct gw_buf *, const struct gw_collection *);
/* "k1","k2": the key columns in key order, each with `prefix` before it ("" or "t."). */
void gw_pg_add_key(struct gw_buf *, const struct gw_collection *, const char *prefix);
/* 'text'::type, for a value of that column. */
void gw_pg_add_value(struct gw_buf *, const struct gw_column *, const char *text);
/* Row-wise comparison with the bounds: ("k1","k2") >= ('1'::integer,'x'::text) AND (...) < (...); "true" when open. */
void gw_pg_add_range(struct gw_buf *, const struct gw_collection *, const struct gw_range *);
/* Comparison operators are found by search_path, which is empty. A key of a type that is not built in (citext) would
 * be compared as what it can be cast to: in another order than its index has. To be called in a transaction, before
 * the first range or key comparison; sets search_path for it. Free of cost for built-in types. */
GW_MUST_CHECK bool gw_pg_enter_key_schemas(struct gw_pg_store *, PGconn *, const struct gw_collection *,
                                           struct gw_error *);

#endif
