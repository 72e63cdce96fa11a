#include "verify/cause.h"

#include "base/mem.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void gw_cause_init(struct gw_cause *cause, size_t columns)
{
    *cause = (struct gw_cause){.count = columns, .columns = gw_calloc(columns + 1, sizeof *cause->columns)};
}

void gw_cause_release(struct gw_cause *cause)
{
    free(cause->columns);
    *cause = (struct gw_cause){0};
}

/* ---- reading the texts ----------------------------------------------------------------------------------------- */

static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
}

/* "2024-02-29 23:59:59.123456+00", "2024-02-29", "23:59:59": microseconds. */
static bool read_time(const char *text, int64_t *us)
{
    int year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0, used = 0;
    bool date = sscanf(text, "%4d-%2d-%2d%n", &year, &month, &day, &used) == 3 && used >= 8;
    const char *rest = date ? text + used : text;
    if (date && (*rest == ' ' || *rest == 'T'))
        rest++;
    bool clock = *rest && sscanf(rest, "%2d:%2d:%2d%n", &hour, &minute, &second, &used) == 3;
    if ((!date && !clock) || (date && *rest && !clock))
        return false;
    int64_t fraction_us = 0;
    rest = clock ? rest + used : rest;
    if (*rest == '.')
        for (int64_t unit = 100000; rest++, isdigit((unsigned char)*rest); unit /= 10)
            fraction_us += unit * (*rest - '0');
    if (*rest && strcmp(rest, "+00") != 0 && strcmp(rest, "Z") != 0)
        return false;
    *us = (days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second) * 1000000 + fraction_us;
    return true;
}

static bool read_number(const char *text, long double *number)
{
    char *end;
    if (!isdigit((unsigned char)*text) && *text != '-' && *text != '.')
        return false;
    *number = strtold(text, &end);
    return end != text && *end == 0 && isfinite(*number);
}

static size_t trimmed(const char *text)
{
    size_t len = strlen(text);
    while (len > 0 && text[len - 1] == ' ')
        len--;
    return len;
}

static bool same_without_trailing_space(const char *a, const char *b)
{
    size_t len = trimmed(a);
    return len == trimmed(b) && memcmp(a, b, len) == 0;
}

/* '?' (one or more) stands where the source has bytes beyond ASCII, all else is equal. */
static bool has_question_marks(const char *source, const char *target)
{
    bool any = false;
    while (*source && *target) {
        if ((unsigned char)*source < 0x80) {
            if (*source++ != *target++)
                return false;
            continue;
        }
        if (*target != '?')
            return false;
        any = true;
        while ((unsigned char)*source >= 0x80)
            source++;
        while (*target == '?')
            target++;
    }
    return any && !*source && !*target;
}

static bool same_bytes_reordered(const char *a, const char *b)
{
    int64_t counts[256] = {0};
    size_t len = strlen(a);
    if (len != strlen(b) || len < 8)
        return false;
    for (size_t i = 0; i < len; i++) {
        counts[(unsigned char)a[i]]++;
        counts[(unsigned char)b[i]]--;
    }
    for (size_t i = 0; i < 256; i++)
        if (counts[i])
            return false;
    return true;
}

/* ---- judging --------------------------------------------------------------------------------------------------- */

static enum gw_cause_kind judge_nulls(const char *source, const char *target)
{
    const char *value = source ? source : target;
    if (value && !*value)
        return GW_CAUSE_EMPTY_OR_NULL;
    return source ? GW_CAUSE_NULL_ON_TARGET : GW_CAUSE_NULL_ON_SOURCE;
}

static bool went_through_float4(long double a, long double b)
{
    return (float)a == (float)b && ((long double)(float)a == a || (long double)(float)b == b ||
                                    (double)(float)a == (double)a || (double)(float)b == (double)b);
}

static enum gw_cause_kind judge(const char *source, const char *target, double *shift)
{
    int64_t source_us, target_us;
    long double source_number, target_number;
    if (!source || !target)
        return judge_nulls(source, target);
    if (read_time(source, &source_us) && read_time(target, &target_us)) {
        *shift = (double)(target_us - source_us) / 1e6;
        return llabs(source_us - target_us) < 1000000 ? GW_CAUSE_PRECISION : GW_CAUSE_TIME_SHIFT;
    }
    if (read_number(source, &source_number) && read_number(target, &target_number)) {
        *shift = (double)(target_number - source_number);
        if (*shift != 0 && went_through_float4(source_number, target_number))
            return GW_CAUSE_FLOAT4;
        return *shift == 0 ? GW_CAUSE_SCALE : GW_CAUSE_NUMBER_SHIFT;
    }
    if (same_without_trailing_space(source, target))
        return GW_CAUSE_TRAILING_SPACE;
    if (strcasecmp(source, target) == 0)
        return GW_CAUSE_CASE;
    if (has_question_marks(source, target))
        return GW_CAUSE_QUESTION_MARKS;
    if (*target && strncmp(source, target, strlen(target)) == 0)
        return GW_CAUSE_CUT_OFF;
    return same_bytes_reordered(source, target) ? GW_CAUSE_ORDER : GW_CAUSE_OTHER;
}

void gw_cause_note(struct gw_cause *cause, size_t column, const char *source, const char *target)
{
    struct gw_cause_column *c = &cause->columns[column];
    double shift = 0;
    enum gw_cause_kind kind = judge(source, target, &shift);
    if (c->rows == 0)
        c->shift = shift;
    else if (fabs(c->shift - shift) > 1e-9)
        c->shift_varies = true;
    c->rows++;
    c->kinds[kind]++;
}

/* ---- words ----------------------------------------------------------------------------------------------------- */

void gw_cause_add_count(struct gw_buf *out, uint64_t n)
{
    if (n >= 1000) {
        gw_cause_add_count(out, n / 1000);
        gw_buf_addf(out, ",%03" PRIu64, n % 1000);
    } else {
        gw_buf_addf(out, "%" PRIu64, n);
    }
}

static void add_time_shift(struct gw_buf *out, double seconds)
{
    double size = fabs(seconds);
    char sign = seconds < 0 ? '-' : '+';
    if (fmod(size, 86400) == 0)
        gw_buf_addf(out, "%c%.0f d", sign, size / 86400);
    else if (fmod(size, 3600) == 0)
        gw_buf_addf(out, "%c%.0f h", sign, size / 3600);
    else if (fmod(size, 60) == 0)
        gw_buf_addf(out, "%c%.0f min", sign, size / 60);
    else
        gw_buf_addf(out, "%c%g s", sign, size);
    if (fmod(size, 900) == 0 && size <= 14 * 3600)
        gw_buf_adds(out, ": time zone");
}

/* What all of the column's pairs have in common; NULL: nothing. */
static const char *common_words(const struct gw_cause_column *c)
{
    static const char *const words[GW_CAUSE_KINDS] = {
        [GW_CAUSE_PRECISION] = " in fractions of a second: precision",
        [GW_CAUSE_FLOAT4] = " as a float of 4 bytes does from one of 8: float4 widened or narrowed",
        [GW_CAUSE_SCALE] = " in the scale only (1.0 and 1.00)",
        [GW_CAUSE_TRAILING_SPACE] = " in trailing spaces only",
        [GW_CAUSE_CASE] = " in upper and lower case only",
        [GW_CAUSE_EMPTY_OR_NULL] = ": empty text on one side, NULL on the other",
        [GW_CAUSE_NULL_ON_TARGET] = ": NULL on the target",
        [GW_CAUSE_NULL_ON_SOURCE] = ": NULL on the source",
        [GW_CAUSE_CUT_OFF] = ": cut off on the target",
        [GW_CAUSE_QUESTION_MARKS] = ": question marks on the target, encoding",
        [GW_CAUSE_ORDER] = ": the same characters in another order",
    };
    for (unsigned kind = 0; kind < GW_CAUSE_KINDS; kind++)
        if (c->kinds[kind] == c->rows)
            return words[kind];
    return NULL;
}

bool gw_cause_words(const struct gw_cause *cause, size_t column, const char *name, uint64_t rows_compared,
                    bool at_least, struct gw_buf *out)
{
    const struct gw_cause_column *c = &cause->columns[column];
    if (c->rows == 0)
        return false;
    gw_buf_adds(out, at_least ? "at least " : c->rows == rows_compared ? "all " : "");
    gw_cause_add_count(out, c->rows);
    gw_buf_addf(out, " row%s %s in %s", c->rows == 1 ? "" : "s", c->rows == 1 ? "differs" : "differ", name);
    const char *words = common_words(c);
    bool constant = !c->shift_varies && (c->rows > 1 || rows_compared == 1);
    if (words) {
        gw_buf_adds(out, words);
    } else if (constant && c->kinds[GW_CAUSE_TIME_SHIFT] == c->rows) {
        gw_buf_adds(out, " by ");
        add_time_shift(out, c->shift);
    } else if (constant && !cause->masked && c->kinds[GW_CAUSE_NUMBER_SHIFT] == c->rows) {
        gw_buf_addf(out, " by %+.15g", c->shift);
    }
    return true;
}
