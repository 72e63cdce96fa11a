/*
 * Time zones by which timestamps without a zone become such with one, and back: "UTC", "+02:00", or a name of the tz
 * database ("Europe/Berlin"), read from the TZif files (RFC 8536) of this machine. Read-only once open; any thread.
 */
#ifndef GW_MAP_ZONE_H
#define GW_MAP_ZONE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct gw_zone;

GW_MUST_CHECK bool gw_zone_open(const char *name, struct gw_zone **out, struct gw_error *err);
void gw_zone_free(struct gw_zone *zone); /* NULL is fine */
const char *gw_zone_name(const struct gw_zone *zone);

/* Microseconds since 2000-01-01 on both sides. NULL is UTC. False: the local time does not exist (a gap) or is there
 * twice; *utc_us then is by the offset before the change. */
bool gw_zone_to_utc(const struct gw_zone *zone, int64_t local_us, int64_t *utc_us);
int64_t gw_zone_to_local(const struct gw_zone *zone, int64_t utc_us);

#endif
