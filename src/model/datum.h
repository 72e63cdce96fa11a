/*
 * Canonical values: what a value means, whichever engine it came from. Where both sides run one engine and no rule
 * changes a row, values stay in the engine's own form (value.h) and never come here.
 *
 * Exact both ways: an engine's codec makes a datum of each of its values and from the datum the same value again.
 *
 *   kind         holds                                                  limits
 *   BOOL         boolean
 *   INT64        i64                                                    all signed integers of any width
 *   UINT64       u64                                                    unsigned integers
 *   DECIMAL      bytes: "-123.4500", with the scale it has; "NaN",      as many digits as the engine gives
 *                "Infinity", "-Infinity"; no exponent, no "+"
 *   FLOAT32/64   f32, f64: bits are kept, also of NaN and -0
 *   TEXT         bytes: UTF-8; may hold NUL bytes where the engine's can
 *   BYTES        bytes
 *   DATE         i64: days since 2000-01-01 in the proleptic Gregorian calendar; GW_DATUM_FOREVER and its negative
 *                are infinity and -infinity
 *   TIME         i64: microseconds since midnight; MySQL's may be negative or past a day (838:59:59)
 *   TIMESTAMP    i64: microseconds since 2000-01-01 00:00:00 of a clock without zone; infinities as DATE
 *   TIMESTAMPTZ  i64: microseconds since 2000-01-01 00:00:00 UTC; infinities as DATE
 *   INTERVAL     months, days, us
 *   UUID         bytes: 16
 *   JSON         bytes: the text as the engine gives it; gw_json_canonical (io/json.h) makes equal ones equal bytes
 *   ARRAY        bytes: see gw_datum_array_*
 *   ENUM         bytes: the label, UTF-8
 *   BITS         bytes: one character, '0' or '1', for each bit, most significant first
 *   GEOMETRY     bytes: SRID as 4 bytes big-endian, then WKB
 *
 * A DATE, TIMESTAMP or TIMESTAMPTZ whose `len` is not 0 is none of the calendar ("0000-00-00", "2024-02-31"): `bytes` holds
 * it as the engine writes it. What no kind fits (network addresses, ranges, ...) is TEXT in the engine's own text form, and its
 * type says so (gw_type.foreign).
 *
 * A datum borrows its bytes; who hands it out says for how long.
 */
#ifndef GW_MODEL_DATUM_H
#define GW_MODEL_DATUM_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum gw_kind {
    GW_KIND_NULL = 0,
    GW_KIND_BOOL = 1,
    GW_KIND_INT64 = 2,
    GW_KIND_UINT64 = 3,
    GW_KIND_DECIMAL = 4,
    GW_KIND_FLOAT32 = 5,
    GW_KIND_FLOAT64 = 6,
    GW_KIND_TEXT = 7,
    GW_KIND_BYTES = 8,
    GW_KIND_DATE = 9,
    GW_KIND_TIME = 10,
    GW_KIND_TIMESTAMP = 11,
    GW_KIND_TIMESTAMPTZ = 12,
    GW_KIND_INTERVAL = 13,
    GW_KIND_UUID = 14,
    GW_KIND_JSON = 15,
    GW_KIND_ARRAY = 16,
    GW_KIND_ENUM = 17,
    GW_KIND_BITS = 18,
    GW_KIND_GEOMETRY = 19,
    GW_KIND_UNCHANGED = 30, /* as GW_VALUE_UNCHANGED: an update's log did not carry it */
    GW_KIND_ABSENT = 31,    /* as GW_VALUE_ABSENT: not part of this row at all */
};

#define GW_DATUM_FOREVER INT64_MAX

struct gw_datum {
    enum gw_kind kind;
    uint32_t len; /* of bytes; DATE, TIMESTAMP: see above */
    union {
        bool boolean;
        int64_t i64;
        uint64_t u64;
        float f32;
        double f64;
        const unsigned char *bytes;
        struct {
            int32_t months, days;
            int64_t us;
        } interval;
    };
};

const char *gw_kind_name(enum gw_kind kind); /* "int64", as in the migration file */
bool gw_kind_has_bytes(enum gw_kind kind);

struct gw_datum gw_datum_null(void);
struct gw_datum gw_datum_text(const char *text); /* borrows; NULL gives NULL */
struct gw_datum gw_datum_of_bytes(enum gw_kind kind, const void *bytes, size_t len);

/* Same kind and same value; floats by their bits, decimals and JSON by their bytes. */
bool gw_datum_equal(const struct gw_datum *a, const struct gw_datum *b);
struct gw_datum gw_datum_copy(struct gw_arena *arena, const struct gw_datum *datum);

/* Flat form: kind, then the payload (integers big-endian, bytes with a u32 length). Equal data have equal bytes. Reading
 * borrows from the cursor's bytes; what is malformed sets cursor->bad. */
void gw_datum_write(struct gw_buf *out, const struct gw_datum *datum);
struct gw_datum gw_datum_read(struct gw_cursor *in);

/* In words for a person: as SQL would write it, without quotes. Appends. */
void gw_datum_print(const struct gw_datum *datum, struct gw_buf *out);

/* ---- calendar ---- */
/* Days since 2000-01-01; any year; month 1..12, day 1..31 (not checked against the month). */
int64_t gw_days_from_civil(int64_t year, unsigned month, unsigned day);
void gw_civil_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day);
bool gw_civil_exists(int64_t year, unsigned month, unsigned day);
#define GW_DAY_US INT64_C(86400000000)
/* ISO texts, "-0044-03-15" for years before 1; `digits` of the fraction 0..6, -1: as many as needed. Append. */
void gw_date_print(int64_t days, struct gw_buf *out);
void gw_time_print(int64_t us, int digits, struct gw_buf *out); /* "-838:59:59.000001" */
void gw_timestamp_print(int64_t us, char separator, int digits, struct gw_buf *out);
/* "2024-02-29", "2024-02-29 12:30:00.123456" (' ' or 'T'); false when it is not one of the calendar. */
bool gw_date_parse(const char *text, size_t len, int64_t *days);
bool gw_time_parse(const char *text, size_t len, int64_t *us);
bool gw_timestamp_parse(const char *text, size_t len, int64_t *us);

/* ---- arrays: ndim u32, per dimension length u32 and lower bound i32, then each element by gw_datum_write ---- */
struct gw_datum_array {
    uint32_t dimensions;
    uint32_t lengths[6];
    int32_t lowers[6];
    uint64_t count;
    struct gw_cursor elements; /* gw_datum_read, `count` times */
};
GW_MUST_CHECK bool gw_datum_array_open(const struct gw_datum *datum, struct gw_datum_array *out, struct gw_error *err);
void gw_datum_array_begin(struct gw_buf *out, uint32_t dimensions, const uint32_t *lengths, const int32_t *lowers);

#endif
