/*
 * Decimals as text, of any length: the canonical form of model/datum.h. No locale, no floating point.
 */
#ifndef GW_MAP_DECIMAL_H
#define GW_MAP_DECIMAL_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GW_DECIMAL_DIGITS_MAX 4096 /* of what is calculated with */

struct gw_decimal { /* borrows from the text */
    bool negative;
    const char *whole, *fraction; /* digits; whole without leading zeros, may be empty */
    size_t whole_len, fraction_len;
};
bool gw_decimal_parse(const char *text, size_t len, struct gw_decimal *out); /* not NaN, not Infinity, no exponent */
bool gw_decimal_is_zero(const struct gw_decimal *d);
/* The text with `scale` digits behind the point, away from zero at halves where `round`, else cut. *lost: a digit that
 * is not 0 went. Appends. */
void gw_decimal_rescale(const struct gw_decimal *d, size_t scale, bool round, struct gw_buf *out, bool *lost);
int gw_decimal_compare(const struct gw_decimal *a, const struct gw_decimal *b);
/* Append. The numbers have at most GW_DECIMAL_DIGITS_MAX digits each. */
void gw_decimal_add(const struct gw_decimal *a, const struct gw_decimal *b, bool subtract, struct gw_buf *out);
void gw_decimal_multiply(const struct gw_decimal *a, const struct gw_decimal *b, struct gw_buf *out);
/* The shortest decimal that reads back as the same float; finite ones alone. Append. */
void gw_decimal_of_double(double value, struct gw_buf *out);
void gw_decimal_of_float(float value, struct gw_buf *out);

#endif
