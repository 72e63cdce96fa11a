#include "map/decimal.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static size_t digits_of(const char *p, const char *end)
{
    size_t len = 0;
    while (p + len < end && isdigit((unsigned char)p[len]))
        len++;
    return len;
}

bool gw_decimal_parse(const char *text, size_t len, struct gw_decimal *out)
{
    const char *p = text;
    const char *end = text + len;
    *out = (struct gw_decimal){.negative = len > 0 && *p == '-'};
    p += out->negative;
    out->whole = p;
    out->whole_len = digits_of(p, end);
    p += out->whole_len;
    bool any = out->whole_len > 0;
    while (out->whole_len > 0 && *out->whole == '0') {
        out->whole++;
        out->whole_len--;
    }
    out->fraction = p;
    if (p < end && *p == '.') {
        out->fraction = p + 1;
        out->fraction_len = digits_of(p + 1, end);
        p += 1 + out->fraction_len;
        any = any && out->fraction_len > 0;
    }
    return any && p == end;
}

bool gw_decimal_is_zero(const struct gw_decimal *d)
{
    for (size_t i = 0; i < d->fraction_len; i++)
        if (d->fraction[i] != '0')
            return false;
    return d->whole_len == 0;
}

/* Sign, digits with the point `scale` from the right; leading zeros go, and the sign of a zero. */
static void add_digits(bool negative, const char *digits, size_t count, size_t scale, struct gw_buf *out)
{
    bool zero = true;
    for (size_t i = 0; i < count; i++)
        zero = zero && digits[i] == '0';
    if (negative && !zero)
        gw_buf_addc(out, '-');
    size_t whole = count > scale ? count - scale : 0;
    size_t skip = 0;
    while (skip < whole && digits[skip] == '0')
        skip++;
    if (skip == whole)
        gw_buf_addc(out, '0');
    else
        gw_buf_add(out, digits + skip, whole - skip);
    if (scale == 0)
        return;
    gw_buf_addc(out, '.');
    for (size_t i = count; i < scale; i++)
        gw_buf_addc(out, '0');
    gw_buf_add(out, digits + whole, count - whole);
}

void gw_decimal_rescale(const struct gw_decimal *d, size_t scale, bool round, struct gw_buf *out, bool *lost)
{
    size_t kept = d->fraction_len < scale ? d->fraction_len : scale;
    size_t count = 1 + d->whole_len + scale; /* one place for what is carried */
    gw_autofree char *digits = gw_alloc(count + 1);
    digits[0] = '0';
    memcpy(digits + 1, d->whole, d->whole_len);
    memcpy(digits + 1 + d->whole_len, d->fraction, kept);
    memset(digits + 1 + d->whole_len + kept, '0', scale - kept);
    *lost = false;
    for (size_t i = kept; i < d->fraction_len; i++)
        *lost = *lost || d->fraction[i] != '0';
    if (round && d->fraction_len > scale && d->fraction[scale] >= '5') {
        size_t i = count - 1;
        for (; digits[i] == '9'; i--)
            digits[i] = '0';
        digits[i]++;
    }
    add_digits(d->negative, digits, count, scale, out);
}

static int compare_size(const struct gw_decimal *a, const struct gw_decimal *b)
{
    if (a->whole_len != b->whole_len)
        return a->whole_len < b->whole_len ? -1 : 1;
    int order = memcmp(a->whole, b->whole, a->whole_len);
    if (order)
        return order;
    for (size_t i = 0; i < a->fraction_len || i < b->fraction_len; i++) {
        char x = i < a->fraction_len ? a->fraction[i] : '0';
        char y = i < b->fraction_len ? b->fraction[i] : '0';
        if (x != y)
            return x < y ? -1 : 1;
    }
    return 0;
}

int gw_decimal_compare(const struct gw_decimal *a, const struct gw_decimal *b)
{
    bool a_negative = a->negative && !gw_decimal_is_zero(a);
    bool b_negative = b->negative && !gw_decimal_is_zero(b);
    if (a_negative != b_negative)
        return a_negative ? -1 : 1;
    return a_negative ? compare_size(b, a) : compare_size(a, b);
}

/* The digit `place` places left of the last of `scale`, '0' where there is none. */
static int digit_at(const struct gw_decimal *d, size_t scale, size_t place)
{
    size_t missing = scale - d->fraction_len;
    if (place < missing)
        return 0;
    place -= missing;
    if (place < d->fraction_len)
        return d->fraction[d->fraction_len - 1 - place] - '0';
    place -= d->fraction_len;
    return place < d->whole_len ? d->whole[d->whole_len - 1 - place] - '0' : 0;
}

void gw_decimal_add(const struct gw_decimal *a, const struct gw_decimal *b, bool subtract, struct gw_buf *out)
{
    size_t scale = a->fraction_len > b->fraction_len ? a->fraction_len : b->fraction_len;
    size_t whole = a->whole_len > b->whole_len ? a->whole_len : b->whole_len;
    size_t count = whole + scale + 1;
    bool b_negative = b->negative != subtract;
    bool less = compare_size(a, b) < 0;
    const struct gw_decimal *large = less ? b : a;
    const struct gw_decimal *small = less ? a : b;
    int sign = a->negative == b_negative ? 1 : -1;
    gw_autofree char *digits = gw_alloc(count);
    int carry = 0;
    for (size_t i = 0; i < count; i++) {
        int sum = digit_at(large, scale, i) + sign * digit_at(small, scale, i) + carry;
        carry = sum > 9 ? 1 : sum < 0 ? -1 : 0;
        digits[count - 1 - i] = (char)('0' + sum - 10 * carry);
    }
    add_digits(less ? b_negative : a->negative, digits, count, scale, out);
}

void gw_decimal_multiply(const struct gw_decimal *a, const struct gw_decimal *b, struct gw_buf *out)
{
    size_t scale = a->fraction_len + b->fraction_len;
    size_t a_len = a->whole_len + a->fraction_len;
    size_t b_len = b->whole_len + b->fraction_len;
    size_t count = a_len + b_len + 1;
    gw_autofree unsigned *sums = gw_calloc(count, sizeof *sums);
    gw_autofree char *digits = gw_alloc(count);
    for (size_t i = 0; i < a_len; i++)
        for (size_t j = 0; j < b_len; j++)
            sums[i + j] += (unsigned)(digit_at(a, a->fraction_len, i) * digit_at(b, b->fraction_len, j));
    unsigned carry = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned sum = sums[i] + carry;
        digits[count - 1 - i] = (char)('0' + sum % 10);
        carry = sum / 10;
    }
    add_digits(a->negative != b->negative, digits, count, scale, out);
}

/* "-1.2345e-07" without its exponent. */
static void add_plain(const char *scientific, struct gw_buf *out)
{
    char digits[32];
    size_t count = 0;
    const char *p = scientific;
    bool negative = *p == '-';
    for (p += negative; *p != 'e'; p++)
        if (*p != '.')
            digits[count++] = *p;
    long exponent = strtol(p + 1, NULL, 10);
    long scale = (long)count - 1 - exponent;
    while (scale > 0 && count > 1 && digits[count - 1] == '0') {
        count--;
        scale--;
    }
    if (scale > 0) {
        add_digits(negative, digits, count, (size_t)scale, out);
        return;
    }
    gw_autofree char *padded = gw_alloc(count + (size_t)-scale);
    memcpy(padded, digits, count);
    memset(padded + count, '0', (size_t)-scale);
    add_digits(negative, padded, count + (size_t)-scale, 0, out);
}

void gw_decimal_of_double(double value, struct gw_buf *out)
{
    char text[40];
    for (int digits = 0; digits <= 16; digits++) {
        snprintf(text, sizeof text, "%.*e", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    add_plain(text, out);
}

void gw_decimal_of_float(float value, struct gw_buf *out)
{
    char text[40];
    for (int digits = 0; digits <= 8; digits++) {
        snprintf(text, sizeof text, "%.*e", digits, (double)value);
        if (strtof(text, NULL) == value)
            break;
    }
    add_plain(text, out);
}
