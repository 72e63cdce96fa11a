/* Into dates, times, timestamps, intervals. */
#include "map/convert.h"

#include <string.h>

static bool is_forever(const struct gw_datum *in)
{
    return in->i64 == GW_DATUM_FOREVER || in->i64 == -GW_DATUM_FOREVER;
}

static bool is_moment(enum gw_kind kind)
{
    return kind == GW_KIND_DATE || kind == GW_KIND_TIMESTAMP || kind == GW_KIND_TIMESTAMPTZ;
}

/* A day's or microsecond's number within what the type holds. */
static bool fit_range(struct gw_convert *convert, const struct gw_datum *value)
{
    const struct gw_type *to = convert->to;
    if ((to->least || to->most) && (value->i64 < to->least || value->i64 > to->most))
        return gw_convert_lose(convert, GW_LOSS_DATE_RANGE);
    return true;
}

/* Digits of the fraction that the type does not have. */
static bool fit_scale(struct gw_convert *convert, int64_t *us)
{
    static const int64_t units[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    int scale = convert->to->scale;
    if (scale < 0 || scale >= 6)
        return true;
    int64_t unit = units[scale];
    int64_t rest = *us % unit;
    if (rest == 0)
        return true;
    if (!gw_convert_bend(convert, GW_LOSS_SCALE))
        return false;
    int64_t size = rest < 0 ? -rest : rest;
    bool up = convert->policy == GW_MAP_ROUND && size * 2 >= unit;
    *us -= rest;
    /* Down is toward the past, also before 2000. */
    if (convert->policy == GW_MAP_TRUNCATE && rest < 0 && convert->to->kind != GW_KIND_TIME)
        *us -= unit;
    else if (up)
        *us += rest < 0 ? -unit : unit;
    return true;
}

/* A date and time with its offset: "2024-02-29 12:30:00+02", "...Z". */
static bool parse_with_offset(const char *text, size_t len, int64_t *us, bool *has_offset)
{
    size_t end = len;
    int64_t offset = 0;
    int hours = 0;
    int minutes = 0;
    *has_offset = false;
    if (len > 0 && text[len - 1] == 'Z') {
        end = len - 1;
        *has_offset = true;
    } else {
        for (size_t i = len; i-- > 11;) {
            if (text[i] != '+' && text[i] != '-')
                continue;
            char buf[8] = "";
            if (len - i - 1 >= sizeof buf)
                return false;
            memcpy(buf, text + i + 1, len - i - 1);
            if (sscanf(buf, "%2d:%2d", &hours, &minutes) < 1)
                return false;
            offset = ((int64_t)hours * 60 + minutes) * 60000000 * (text[i] == '-' ? -1 : 1);
            end = i;
            *has_offset = true;
            break;
        }
    }
    if (!gw_timestamp_parse(text, end, us))
        return false;
    *us -= offset;
    return true;
}

/* "2024-02-00", "0000-00-00 00:00:00[.000000]": a month or a day that is none, as an engine with such dates prints it. */
static bool is_of_no_calendar(const char *text, size_t len, bool date)
{
    static const char form[] = "dddd-dd-dd dd:dd:dd.dddddd";
    if (date ? len != 10 : len != 19 && (len < 21 || len > 26))
        return false;
    for (size_t i = 0; i < len; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    int month = (text[5] - '0') * 10 + text[6] - '0';
    int day = (text[8] - '0') * 10 + text[9] - '0';
    return month <= 12 && day <= 31 && (month == 0 || day == 0);
}

/* The words of a text as a moment of the wanted kind. */
static bool moment_of_text(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    const char *text = (const char *)in->bytes;
    bool has_offset = false;
    out->len = 0;
    out->kind = convert->to->kind;
    if (in->len == 8 && memcmp(text, "infinity", 8) == 0)
        out->i64 = GW_DATUM_FOREVER;
    else if (in->len == 9 && memcmp(text, "-infinity", 9) == 0)
        out->i64 = -GW_DATUM_FOREVER;
    else if (convert->to->zero_dates && is_of_no_calendar(text, in->len, out->kind == GW_KIND_DATE)) {
        out->bytes = in->bytes;
        out->len = in->len;
    } else if (out->kind == GW_KIND_DATE)
        return gw_date_parse(text, in->len, &out->i64) || gw_convert_lose(convert, GW_LOSS_FORM);
    else if (gw_timestamp_parse(text, in->len, &out->i64)) {
        if (out->kind == GW_KIND_TIMESTAMPTZ && !gw_zone_to_utc(convert->zone, out->i64, &out->i64))
            return gw_convert_bend(convert, GW_LOSS_ZONE);
    } else if (parse_with_offset(text, in->len, &out->i64, &has_offset) && has_offset) {
        if (out->kind == GW_KIND_TIMESTAMP)
            return gw_convert_lose(convert, GW_LOSS_FORM);
    } else
        return gw_convert_lose(convert, GW_LOSS_FORM);
    return true;
}

/* From one of date, timestamp, timestamptz to another. */
static bool moment_of_moment(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    enum gw_kind to = convert->to->kind;
    *out = *in;
    out->kind = to;
    if (in->len) { /* none of the calendar */
        if (convert->to->zero_dates)
            return true;
        return gw_convert_lose(convert, GW_LOSS_ZERO_DATE);
    }
    if (is_forever(in) || in->kind == to)
        return true;
    int64_t us = in->i64;
    if (in->kind == GW_KIND_DATE && __builtin_mul_overflow(us, GW_DAY_US, &us))
        return gw_convert_lose(convert, GW_LOSS_DATE_RANGE);
    if (in->kind == GW_KIND_TIMESTAMPTZ)
        us = gw_zone_to_local(convert->zone, us);
    if (to == GW_KIND_TIMESTAMPTZ && !gw_zone_to_utc(convert->zone, us, &us) && !gw_convert_bend(convert, GW_LOSS_ZONE))
        return false;
    out->i64 = us;
    if (to != GW_KIND_DATE)
        return true;
    int64_t days = us / GW_DAY_US - (us % GW_DAY_US < 0);
    out->i64 = days;
    return days * GW_DAY_US == us || gw_convert_bend(convert, GW_LOSS_TIME);
}

static bool to_moment(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    bool fine;
    if (is_moment(in->kind))
        fine = moment_of_moment(convert, in, out);
    else if (in->kind == GW_KIND_TEXT)
        fine = moment_of_text(convert, in, out);
    else
        return gw_convert_lose(convert, GW_LOSS_KIND);
    if (!fine || out->len)
        return fine;
    if (is_forever(out))
        return convert->to->infinities || gw_convert_lose(convert, GW_LOSS_INFINITY);
    if (out->kind != GW_KIND_DATE && !fit_scale(convert, &out->i64))
        return false;
    return fit_range(convert, out);
}

static bool to_time(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    *out = (struct gw_datum){.kind = GW_KIND_TIME};
    if (in->kind == GW_KIND_TIME) {
        out->i64 = in->i64;
    } else if (in->kind == GW_KIND_INTERVAL) {
        if (in->interval.months || in->interval.days)
            return gw_convert_lose(convert, GW_LOSS_INTERVAL);
        out->i64 = in->interval.us;
    } else if (in->kind == GW_KIND_TEXT) {
        if (!gw_time_parse((const char *)in->bytes, in->len, &out->i64))
            return gw_convert_lose(convert, GW_LOSS_FORM);
    } else {
        return gw_convert_lose(convert, GW_LOSS_KIND);
    }
    return fit_scale(convert, &out->i64) && fit_range(convert, out);
}

static bool to_interval(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    *out = (struct gw_datum){.kind = GW_KIND_INTERVAL};
    if (in->kind == GW_KIND_INTERVAL)
        *out = *in;
    else if (in->kind == GW_KIND_TIME)
        out->interval.us = in->i64;
    else if (in->kind == GW_KIND_TEXT)
        return gw_map_interval_parse((const char *)in->bytes, in->len, out) || gw_convert_lose(convert, GW_LOSS_FORM);
    else
        return gw_convert_lose(convert, GW_LOSS_KIND);
    return fit_scale(convert, &out->interval.us);
}

bool gw_convert_time(struct gw_convert *convert, const struct gw_datum *in, struct gw_datum *out)
{
    switch (convert->to->kind) {
    case GW_KIND_TIME:
        return to_time(convert, in, out);
    case GW_KIND_INTERVAL:
        return to_interval(convert, in, out);
    default:
        return to_moment(convert, in, out);
    }
}
