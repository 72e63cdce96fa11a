/*
 * Small and capital letters of UTF-8: each character by Unicode's simple mapping, wherever it stands and whatever the
 * language: "STRASSE" and "straße" stay different, "İ" becomes "i". No locale has a say.
 */
#ifndef GW_MAP_CASE_H
#define GW_MAP_CASE_H

#include "base/arena.h"
#include "model/datum.h"

/* Bytes that are no UTF-8 stay. Borrows from `in` where nothing changes. */
void gw_case_map(const struct gw_datum *in, bool upper, struct gw_arena *arena, struct gw_datum *out);

#endif
