/* One text for all JSON texts that mean the same. Written as it is read: only the members of objects are moved. */
#include "io/json.h"

#include "base/mem.h"
#include "io/utf8.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MOST_DEPTH 4096
#define EXPONENT_DIGITS 15
#define PLAIN_BELOW (-6) /* 0.0000001 and 1e21 are the first to be written with an exponent */
#define PLAIN_ABOVE 21

struct member { /* places in `out`: "key":value without anything around */
    size_t at, key_len, len;
};

struct reader {
    const char *text, *at, *end;
    struct gw_buf *out;
    struct gw_buf moved; /* scratch */
    struct member *members;
    size_t member_count, member_capacity; /* of all objects that are open, innermost last */
    unsigned depth;
};

static bool read_value(struct reader *r, struct gw_error *err);

static bool refuse(const struct reader *r, const char *what, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_CONFLICT, "not a JSON text: %s at byte %zu of %zu", what, (size_t)(r->at - r->text),
                   (size_t)(r->end - r->text));
}

static void skip_space(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
        r->at++;
}

static bool take(struct reader *r, char wanted)
{
    if (r->at == r->end || *r->at != wanted)
        return false;
    r->at++;
    return true;
}

/* ---- strings -------------------------------------------------------------------------------------------------------- */

static bool take_hex(struct reader *r, unsigned *unit)
{
    *unit = 0;
    if (r->end - r->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = *r->at++;
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (unsigned)(c - 'A') + 10;
        else
            return false;
        *unit = *unit << 4 | digit;
    }
    return true;
}

static void put_character(struct gw_buf *out, unsigned code)
{
    char bytes[4];
    size_t len;
    if (code < 0x20 || (code >= 0xd800 && code <= 0xdfff)) { /* a half of a pair is nothing in UTF-8 */
        gw_buf_addf(out, "\\u%04x", code);
        return;
    }
    if (code < 0x80) {
        if (code == '"' || code == '\\')
            gw_buf_addc(out, '\\');
        gw_buf_addc(out, (char)code);
        return;
    }
    if (code < 0x800) {
        bytes[0] = (char)(0xc0 | code >> 6);
        len = 2;
    } else if (code < 0x10000) {
        bytes[0] = (char)(0xe0 | code >> 12);
        len = 3;
    } else {
        bytes[0] = (char)(0xf0 | code >> 18);
        len = 4;
    }
    for (size_t i = 1; i < len; i++)
        bytes[i] = (char)(0x80 | (code >> (6 * (len - 1 - i)) & 0x3f));
    gw_buf_add(out, bytes, len);
}

static bool take_escape(struct reader *r, struct gw_error *err)
{
    static const char names[] = "\"\\/bfnrt", codes[] = "\"\\/\b\f\n\r\t";
    unsigned unit, low;
    if (r->at == r->end)
        return refuse(r, "a string has no end", err);
    char c = *r->at++;
    const char *name = c ? strchr(names, c) : NULL;
    if (name) {
        put_character(r->out, (unsigned char)codes[name - names]);
        return true;
    }
    if (c != 'u' || !take_hex(r, &unit))
        return refuse(r, "an escape that is none", err);
    const char *behind = r->at;
    if (unit >= 0xd800 && unit <= 0xdbff && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u') {
        r->at += 2;
        if (take_hex(r, &low) && low >= 0xdc00 && low <= 0xdfff)
            unit = 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
        else
            r->at = behind;
    }
    put_character(r->out, unit);
    return true;
}

static bool read_string(struct reader *r, struct gw_error *err)
{
    if (!take(r, '"'))
        return refuse(r, "a string was due", err);
    gw_buf_addc(r->out, '"');
    for (;;) {
        const char *from = r->at;
        while (r->at < r->end && *r->at != '"' && *r->at != '\\' && (unsigned char)*r->at >= 0x20)
            r->at++;
        gw_buf_add(r->out, from, (size_t)(r->at - from));
        if (r->at == r->end)
            return refuse(r, "a string has no end", err);
        if (take(r, '"'))
            break;
        if (!take(r, '\\'))
            return refuse(r, "a control character in a string", err);
        if (!take_escape(r, err))
            return false;
    }
    gw_buf_addc(r->out, '"');
    return true;
}

/* ---- numbers -------------------------------------------------------------------------------------------------------- */

/* 0.DIGITS times ten to the power of `exponent`; digits has neither leading nor trailing zeros. */
static void put_number(struct gw_buf *out, const char *digits, size_t count, int64_t exponent)
{
    if (exponent > PLAIN_ABOVE || exponent <= PLAIN_BELOW) {
        gw_buf_addc(out, digits[0]);
        if (count > 1) {
            gw_buf_addc(out, '.');
            gw_buf_add(out, digits + 1, count - 1);
        }
        gw_buf_addf(out, "e%" PRId64, exponent - 1);
        return;
    }
    if (exponent <= 0)
        gw_buf_adds(out, "0.");
    for (int64_t i = exponent; i < 0; i++)
        gw_buf_addc(out, '0');
    size_t whole = exponent <= 0 ? 0 : (size_t)exponent < count ? (size_t)exponent : count;
    gw_buf_add(out, digits, whole);
    for (int64_t i = (int64_t)whole; i < exponent; i++)
        gw_buf_addc(out, '0');
    if (exponent > 0 && whole < count)
        gw_buf_addc(out, '.');
    gw_buf_add(out, digits + whole, count - whole);
}

static size_t take_digits(struct reader *r, struct gw_buf *digits)
{
    const char *from = r->at;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    gw_buf_add(digits, from, (size_t)(r->at - from));
    return (size_t)(r->at - from);
}

static bool take_exponent(struct reader *r, int64_t *exponent, struct gw_error *err)
{
    gw_autobuf struct gw_buf digits = {0};
    bool negative = false;
    *exponent = 0;
    if (r->at == r->end || (*r->at != 'e' && *r->at != 'E'))
        return true;
    r->at++;
    if (take(r, '-'))
        negative = true;
    else
        (void)take(r, '+');
    if (take_digits(r, &digits) == 0)
        return refuse(r, "a number has an empty exponent", err);
    const char *first = gw_buf_text(&digits);
    first += strspn(first, "0");
    if (strlen(first) > EXPONENT_DIGITS)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "a number in a JSON text has an exponent of more than %d digits",
                       EXPONENT_DIGITS);
    *exponent = negative ? -strtoll(first, NULL, 10) : strtoll(first, NULL, 10);
    return true;
}

static bool read_number(struct reader *r, struct gw_error *err)
{
    gw_autobuf struct gw_buf digits = {0};
    int64_t exponent;
    bool negative = take(r, '-');
    bool zero_first = r->at < r->end && *r->at == '0';
    size_t whole = take_digits(r, &digits);
    if (whole == 0 || (zero_first && whole > 1))
        return refuse(r, "a value that is none", err);
    if (take(r, '.') && take_digits(r, &digits) == 0)
        return refuse(r, "a number ends in a point", err);
    if (!take_exponent(r, &exponent, err))
        return false;
    const char *first = digits.data + strspn(digits.data, "0");
    size_t count = digits.len - (size_t)(first - digits.data);
    while (count && first[count - 1] == '0')
        count--;
    if (count == 0) { /* -0, too: where numbers are kept as numbers, it is 0 */
        gw_buf_addc(r->out, '0');
        return true;
    }
    if (negative)
        gw_buf_addc(r->out, '-');
    exponent += (int64_t)whole - (first - digits.data);
    put_number(r->out, first, count, exponent);
    return true;
}

/* ---- arrays and objects --------------------------------------------------------------------------------------------- */

static bool read_array(struct reader *r, struct gw_error *err)
{
    r->at++;
    gw_buf_addc(r->out, '[');
    skip_space(r);
    for (bool first = true; !take(r, ']'); first = false) {
        if (!first && !take(r, ','))
            return refuse(r, "\",\" or \"]\" was due", err);
        if (!first)
            gw_buf_addc(r->out, ',');
        if (!read_value(r, err))
            return false;
    }
    gw_buf_addc(r->out, ']');
    return true;
}

static int by_key(const void *a, const void *b, void *arg)
{
    const struct member *x = a, *y = b;
    const char *text = arg;
    int order = memcmp(text + x->at, text + y->at, x->key_len < y->key_len ? x->key_len : y->key_len);
    if (order == 0)
        order = (x->key_len > y->key_len) - (x->key_len < y->key_len);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

static bool same_key(const struct reader *r, const struct member *a, const struct member *b)
{
    return a->key_len == b->key_len && memcmp(r->out->data + a->at, r->out->data + b->at, a->key_len) == 0;
}

/* What stands in `out` from `from` on, once in order; of members of one name the last. */
static void put_members(struct reader *r, size_t from, struct member *members, size_t count)
{
    if (count < 2) {
        gw_buf_addc(r->out, '}');
        return;
    }
    gw_buf_clear(&r->moved);
    qsort_r(members, count, sizeof *members, by_key, r->out->data);
    for (size_t i = 0; i < count; i++) {
        if (i + 1 < count && same_key(r, &members[i], &members[i + 1]))
            continue;
        if (r->moved.len)
            gw_buf_addc(&r->moved, ',');
        gw_buf_add(&r->moved, r->out->data + members[i].at, members[i].len);
    }
    r->out->len = from;
    gw_buf_add(r->out, r->moved.data, r->moved.len);
    gw_buf_addc(r->out, '}');
}

static bool read_member(struct reader *r, struct gw_error *err)
{
    struct member member = {.at = r->out->len};
    skip_space(r);
    if (!read_string(r, err))
        return false;
    member.key_len = r->out->len - member.at;
    skip_space(r);
    if (!take(r, ':'))
        return refuse(r, "\":\" was due", err);
    gw_buf_addc(r->out, ':');
    if (!read_value(r, err))
        return false;
    member.len = r->out->len - member.at;
    r->members = gw_grow(r->members, &r->member_capacity, r->member_count, sizeof *r->members);
    r->members[r->member_count++] = member;
    return true;
}

static bool read_object(struct reader *r, struct gw_error *err)
{
    size_t before = r->member_count;
    r->at++;
    gw_buf_addc(r->out, '{');
    size_t from = r->out->len;
    skip_space(r);
    for (bool first = true; !take(r, '}'); first = false) {
        if (!first && !take(r, ','))
            return refuse(r, "\",\" or \"}\" was due", err);
        if (!read_member(r, err))
            return false;
    }
    if (r->member_count == before)
        gw_buf_addc(r->out, '}');
    else
        put_members(r, from, r->members + before, r->member_count - before);
    r->member_count = before;
    return true;
}

/* ---- values --------------------------------------------------------------------------------------------------------- */

static bool read_word(struct reader *r, struct gw_error *err)
{
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i]);
        if ((size_t)(r->end - r->at) >= len && memcmp(r->at, words[i], len) == 0) {
            r->at += len;
            gw_buf_add(r->out, words[i], len);
            return true;
        }
    }
    return refuse(r, "a value that is none", err);
}

/* And the space on both sides of it. */
static bool read_value(struct reader *r, struct gw_error *err)
{
    bool fine;
    skip_space(r);
    if (r->at == r->end)
        return refuse(r, "a value was due", err);
    if (r->depth == MOST_DEPTH)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "a JSON text is nested deeper than %d", MOST_DEPTH);
    r->depth++;
    if (*r->at == '{')
        fine = read_object(r, err);
    else if (*r->at == '[')
        fine = read_array(r, err);
    else if (*r->at == '"')
        fine = read_string(r, err);
    else if (*r->at == '-' || (*r->at >= '0' && *r->at <= '9'))
        fine = read_number(r, err);
    else
        fine = read_word(r, err);
    r->depth--;
    skip_space(r);
    return fine;
}

bool gw_json_canonical(const char *text, size_t len, struct gw_buf *out, struct gw_error *err)
{
    struct reader r = {.text = text, .at = text, .end = text + len, .out = out};
    size_t before = out->len;
    size_t valid = gw_utf8_valid_prefix(text, len);
    if (valid != len)
        return gw_fail(err, GW_ERR_CONFLICT, "not a JSON text: byte %zu of %zu is not UTF-8", valid, len);
    gw_buf_reserve(out, len);
    bool fine = read_value(&r, err) && (r.at == r.end || refuse(&r, "something behind the value", err));
    free(r.members);
    gw_buf_release(&r.moved);
    if (fine)
        return true;
    out->len = before;
    if (out->data)
        out->data[before] = 0;
    return false;
}
