/* The calendar: days and civil dates, and their ISO texts. Years are astronomical: 0 is 1 BC, -44 is 45 BC. */
#include "model/datum.h"

#include <stdlib.h>
#include <string.h>

/* 400 years always have as many days. A year is counted from March on, so that the leap day is its last. */
#define ERA_YEARS 400
#define ERA_DAYS 146097
#define MARCH_2000 60 /* 2000-03-01 */
#define MOST_YEAR_DIGITS 9
#define MOST_HOUR_DIGITS 10

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US (60 * MINUTE_US)

static int64_t floor_divide(int64_t value, int64_t by, int64_t *rest)
{
    int64_t quotient = value / by;
    *rest = value % by;
    if (*rest < 0) {
        *rest += by;
        quotient--;
    }
    return quotient;
}

int64_t gw_days_from_civil(int64_t year, unsigned month, unsigned day)
{
    int64_t in_era;
    int64_t era = floor_divide(month <= 2 ? year - 1 : year, ERA_YEARS, &in_era) - 2000 / ERA_YEARS;
    unsigned since_march = month <= 2 ? month + 9 : month - 3;
    int64_t day_of_year = (int64_t)(153 * since_march + 2) / 5 + day - 1;
    int64_t day_of_era = in_era * 365 + in_era / 4 - in_era / 100 + day_of_year;
    return era * ERA_DAYS + day_of_era + MARCH_2000;
}

void gw_civil_from_days(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    int64_t day_of_era;
    int64_t era = floor_divide(days, ERA_DAYS, &day_of_era);
    day_of_era -= MARCH_2000;
    if (day_of_era < 0) {
        day_of_era += ERA_DAYS;
        era--;
    }
    uint32_t doe = (uint32_t)day_of_era;
    uint32_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint32_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    uint32_t since_march = (5 * doy + 2) / 153;
    *day = doy - (153 * since_march + 2) / 5 + 1;
    *month = since_march < 10 ? since_march + 3 : since_march - 9;
    *year = era * ERA_YEARS + 2000 + yoe + (*month <= 2 ? 1 : 0);
}

bool gw_civil_exists(int64_t year, unsigned month, unsigned day)
{
    static const unsigned char lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month < 1 || month > 12 || day < 1)
        return false;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return day <= lengths[month - 1] || (month == 2 && leap && day == 29);
}

/* ---- out ------------------------------------------------------------------------------------------------------------ */

static char *put_two(char *at, unsigned value)
{
    *at++ = (char)('0' + value / 10);
    *at++ = (char)('0' + value % 10);
    return at;
}

/* At least `width` digits. */
static char *put_number(char *at, uint64_t value, unsigned width)
{
    char digits[24];
    unsigned count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (count < width)
        digits[count++] = '0';
    while (count)
        *at++ = digits[--count];
    return at;
}

static char *put_date(char *at, int64_t days)
{
    int64_t year;
    unsigned month, day;
    gw_civil_from_days(days, &year, &month, &day);
    if (year < 0)
        *at++ = '-';
    if (year >= 0 && year <= 9999)
        at = put_two(put_two(at, (unsigned)year / 100), (unsigned)year % 100);
    else
        at = put_number(at, year < 0 ? -(uint64_t)year : (uint64_t)year, 4);
    *at++ = '-';
    at = put_two(at, month);
    *at++ = '-';
    return put_two(at, day);
}

static char *put_fraction(char *at, unsigned us, int digits)
{
    if (digits == 0 || (digits < 0 && us == 0))
        return at;
    *at++ = '.';
    char *last = put_number(at, us, 6);
    if (digits > 0)
        return at + (digits < 6 ? digits : 6);
    while (last[-1] == '0')
        last--;
    return last;
}

static char *put_clock(char *at, uint64_t us, int digits)
{
    uint64_t hours = us / (uint64_t)HOUR_US;
    unsigned minutes = (unsigned)(us / (uint64_t)MINUTE_US % 60);
    unsigned seconds = (unsigned)(us / (uint64_t)SECOND_US % 60);
    at = hours < 100 ? put_two(at, (unsigned)hours) : put_number(at, hours, 2);
    *at++ = ':';
    at = put_two(at, minutes);
    *at++ = ':';
    at = put_two(at, seconds);
    return put_fraction(at, (unsigned)(us % (uint64_t)SECOND_US), digits);
}

static bool print_forever(int64_t value, struct gw_buf *out)
{
    if (value != GW_DATUM_FOREVER && value != -GW_DATUM_FOREVER)
        return false;
    gw_buf_adds(out, value < 0 ? "-infinity" : "infinity");
    return true;
}

void gw_date_print(int64_t days, struct gw_buf *out)
{
    char text[64];
    if (!print_forever(days, out))
        gw_buf_add(out, text, (size_t)(put_date(text, days) - text));
}

void gw_time_print(int64_t us, int digits, struct gw_buf *out)
{
    char text[64], *at = text;
    if (us < 0)
        *at++ = '-';
    at = put_clock(at, us < 0 ? -(uint64_t)us : (uint64_t)us, digits);
    gw_buf_add(out, text, (size_t)(at - text));
}

void gw_timestamp_print(int64_t us, char separator, int digits, struct gw_buf *out)
{
    char text[96];
    int64_t of_day;
    if (print_forever(us, out))
        return;
    int64_t days = floor_divide(us, GW_DAY_US, &of_day);
    char *at = put_date(text, days);
    *at++ = separator;
    at = put_clock(at, (uint64_t)of_day, digits);
    gw_buf_add(out, text, (size_t)(at - text));
}

/* ---- in ------------------------------------------------------------------------------------------------------------- */

static bool take_two(const char **at, const char *end, unsigned *value)
{
    const char *p = *at;
    if (end - p < 2 || (unsigned char)(p[0] - '0') > 9 || (unsigned char)(p[1] - '0') > 9)
        return false;
    *value = (unsigned)(p[0] - '0') * 10 + (unsigned)(p[1] - '0');
    *at = p + 2;
    return true;
}

static bool take_char(const char **at, const char *end, char wanted)
{
    if (*at == end || **at != wanted)
        return false;
    ++*at;
    return true;
}

static bool take_number(const char **at, const char *end, unsigned least, unsigned most, int64_t *value)
{
    unsigned count = 0;
    *value = 0;
    for (; *at < end && (unsigned char)(**at - '0') <= 9; ++*at, count++) {
        if (count == most)
            return false;
        *value = *value * 10 + (**at - '0');
    }
    return count >= least;
}

static bool take_date(const char **at, const char *end, int64_t *days)
{
    int64_t year;
    unsigned month, day;
    bool negative = take_char(at, end, '-');
    if (!negative)
        take_char(at, end, '+');
    if (!take_number(at, end, 4, MOST_YEAR_DIGITS, &year) || !take_char(at, end, '-') || !take_two(at, end, &month) ||
        !take_char(at, end, '-') || !take_two(at, end, &day))
        return false;
    if (negative)
        year = -year;
    if (!gw_civil_exists(year, month, day))
        return false;
    *days = gw_days_from_civil(year, month, day);
    return true;
}

static bool take_fraction(const char **at, const char *end, int64_t *us)
{
    static const int64_t scale[] = {0, 100000, 10000, 1000, 100, 10, 1};
    int64_t number;
    *us = 0;
    if (!take_char(at, end, '.'))
        return true;
    const char *from = *at;
    if (!take_number(at, end, 1, 6, &number))
        return false;
    *us = number * scale[*at - from];
    return true;
}

static bool take_clock(const char **at, const char *end, unsigned most_hour_digits, int64_t *us)
{
    int64_t hours, fraction;
    unsigned minutes, seconds;
    if (!take_number(at, end, most_hour_digits == 2 ? 2 : 1, most_hour_digits, &hours) || !take_char(at, end, ':') ||
        !take_two(at, end, &minutes) || !take_char(at, end, ':') || !take_two(at, end, &seconds) ||
        !take_fraction(at, end, &fraction) || minutes > 59 || seconds > 59)
        return false;
    return !__builtin_mul_overflow(hours, HOUR_US, &hours) &&
           !__builtin_add_overflow(hours, minutes * MINUTE_US + seconds * SECOND_US + fraction, us);
}

bool gw_date_parse(const char *text, size_t len, int64_t *days)
{
    const char *at = text;
    int64_t parsed;
    if (!take_date(&at, text + len, &parsed) || at != text + len)
        return false;
    *days = parsed;
    return true;
}

bool gw_time_parse(const char *text, size_t len, int64_t *us)
{
    const char *at = text, *end = text + len;
    int64_t parsed;
    bool negative = take_char(&at, end, '-');
    if (!take_clock(&at, end, MOST_HOUR_DIGITS, &parsed) || at != end)
        return false;
    *us = negative ? -parsed : parsed;
    return true;
}

bool gw_timestamp_parse(const char *text, size_t len, int64_t *us)
{
    const char *at = text, *end = text + len;
    int64_t days, of_day, whole;
    if (!take_date(&at, end, &days) || (!take_char(&at, end, ' ') && !take_char(&at, end, 'T')) ||
        !take_clock(&at, end, 2, &of_day) || at != end || of_day >= GW_DAY_US)
        return false;
    if (__builtin_mul_overflow(days, GW_DAY_US, &whole) || __builtin_add_overflow(whole, of_day, &whole))
        return false;
    *us = whole;
    return true;
}
