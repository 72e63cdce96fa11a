/*
 * One value into the type that a column of the other side has: exactly, or by a named loss.
 *
 * What is accepted is what comes back equal: "007" is no integer, since 7 comes back. With a policy that rounds or
 * truncates, the nearest value is taken instead, where there is one; an integer out of range has none.
 */
#ifndef GW_MAP_CONVERT_H
#define GW_MAP_CONVERT_H

#include "map/map.h"
#include "map/zone.h"

enum gw_map_loss_id {
    GW_LOSS_NONE,
    GW_LOSS_LENGTH,     /* text or bytes too long */
    GW_LOSS_SCALE,      /* digits behind the point */
    GW_LOSS_RANGE,      /* number too large for the type */
    GW_LOSS_UNSIGNED,   /* negative where there is none */
    GW_LOSS_FLOAT,      /* not exactly a binary float */
    GW_LOSS_BOOLEAN,    /* neither 0 nor 1 */
    GW_LOSS_FORM,       /* a text that is no value of the type */
    GW_LOSS_ENCODING,   /* bytes that are no UTF-8 */
    GW_LOSS_NUL,        /* NUL byte in text */
    GW_LOSS_PLANE,      /* character above U+FFFF */
    GW_LOSS_ENUM,       /* none of the labels */
    GW_LOSS_ZERO_DATE,  /* not in the calendar */
    GW_LOSS_INFINITY,   /* infinity, NaN */
    GW_LOSS_DATE_RANGE, /* date or time out of what the type holds */
    GW_LOSS_TIME,       /* the time of day of a date */
    GW_LOSS_ZONE,       /* no such local time, or twice */
    GW_LOSS_INTERVAL,   /* months and days in a time */
    GW_LOSS_BITS,       /* bits too many */
    GW_LOSS_JSON,       /* not JSON */
    GW_LOSS_UUID,       /* not a UUID, or not as it comes back */
    GW_LOSS_ARRAY,      /* lower bounds, element that does not fit */
    GW_LOSS_KIND,       /* no way from the one kind to the other */
    GW_LOSS_LOOKUP,     /* not in the lookup, or cannot be told apart on the way back */
    GW_LOSS_LOOSE,      /* another kind of value than the column says */
    GW_LOSS_LUA,        /* its function ended with an error */
    /* of definitions, never of a value */
    GW_LOSS_COLLATION,
    GW_LOSS_CASE,
    GW_LOSS_ACCENTS,
    GW_LOSS_PADS,
    GW_LOSS_PREFIX,
    GW_LOSS_NAME,
    GW_LOSS_DEFAULT,
    GW_LOSS_CHECK,
    GW_LOSS_GENERATED,
    GW_LOSS_INDEX,
    GW_LOSS_FOREIGN_KEY,
    GW_LOSS_FILTER,
    GW_LOSS_DROP,
    GW_LOSS_ADDED,
    GW_LOSS_NO_INVERSE,
    GW_LOSS_OBJECT,
    GW_LOSS_TYPE,
    GW_LOSS_WIDER, /* green takes what blue cannot: matters on the way back */
    GW_LOSS_COUNT,
};
const char *gw_map_loss_name(enum gw_map_loss_id id);

struct gw_convert {
    const struct gw_type *to;
    const struct gw_zone *zone; /* NULL: UTC */
    enum gw_map_policy policy;
    struct gw_arena *arena;
    enum gw_map_loss_id loss; /* set where something is lost, also where the policy settled it */
};

/* True: *out is the value, NULL, UNCHANGED and ABSENT as they were. It borrows from `in` and the arena. */
bool gw_map_convert(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out);
/* A value as text that comes back equal; false for what has none (arrays, geometry). */
bool gw_map_text_of(const struct gw_datum *in, struct gw_arena *arena, struct gw_datum *out);
/* "P1Y2M3DT4H5M6.7S" and back. */
void gw_map_interval_print(const struct gw_datum *in, struct gw_buf *out);
bool gw_map_interval_parse(const char *text, size_t len, struct gw_datum *out);
/* By the target's kind; convert.c hands them the value. */
bool gw_convert_number(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out);
bool gw_convert_text(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out);
bool gw_convert_time(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out);
bool gw_convert_json(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out);
bool gw_convert_array(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out);
bool gw_convert_lose(struct gw_convert *convert, enum gw_map_loss_id loss);                   /* false */
bool gw_convert_is_label(const struct gw_type *type, const unsigned char *bytes, size_t len); /* or there are none */
/* The same, and true where the policy takes the nearest value. */
bool gw_convert_bend(struct gw_convert *convert, enum gw_map_loss_id loss);

#endif
