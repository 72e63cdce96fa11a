#include "map/zone.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "model/datum.h"

#include <ctype.h>
#include <string.h>

#define ZONE_BYTES_MAX ((size_t)1 << 20)
#define UNIX_TO_2000 INT64_C(946684800)

struct change {
    int64_t at;     /* seconds since 2000-01-01 UTC */
    int32_t offset; /* seconds east of UTC from then on */
};

struct rule { /* of a POSIX TZ: Mm.w.d/time */
    int month, week, day;
    int32_t seconds;
};

struct gw_zone {
    char *name;
    int32_t first; /* before the first change */
    size_t count;
    struct change *changes;
    /* beyond the last change */
    int32_t standard, summer;
    bool has_rules;
    struct rule begins, ends; /* of summer, in local time */
};

/* ---- POSIX TZ: "CET-1CEST,M3.5.0,M10.5.0/3" ---- */

static bool skip_name(const char **p)
{
    const char *from = *p;
    if (**p == '<') {
        *p += strcspn(*p, ">");
        if (!**p)
            return false;
        ++*p;
        return true;
    }
    while (isalpha((unsigned char)**p))
        ++*p;
    return *p > from;
}

/* [+-]h[h][:mm[:ss]] in seconds. */
static bool read_hours(const char **p, int32_t *seconds)
{
    int sign = 1;
    long parts[3] = {0};
    if (**p == '-' || **p == '+')
        sign = *(*p)++ == '-' ? -1 : 1;
    for (int i = 0; i < 3; i++) {
        char *end;
        if (!isdigit((unsigned char)**p))
            return false;
        parts[i] = strtol(*p, &end, 10);
        *p = end;
        if (parts[i] > 200 || **p != ':')
            break;
        ++*p;
    }
    *seconds = (int32_t)(sign * (parts[0] * 3600 + parts[1] * 60 + parts[2]));
    return parts[0] <= 200 && parts[1] < 60 && parts[2] < 60;
}

static bool read_rule(const char **p, struct rule *rule)
{
    int used = 0;
    rule->seconds = 7200;
    if (sscanf(*p, ",M%2d.%1d.%1d%n", &rule->month, &rule->week, &rule->day, &used) != 3 || !used)
        return false;
    *p += used;
    if (rule->month < 1 || rule->month > 12 || rule->week < 1 || rule->week > 5 || rule->day > 6)
        return false;
    if (**p != '/')
        return true;
    ++*p;
    return read_hours(p, &rule->seconds);
}

static bool read_posix(struct gw_zone *zone, const char *text)
{
    const char *p = text;
    int32_t west;
    if (!skip_name(&p) || !read_hours(&p, &west))
        return false;
    zone->standard = -west;
    if (!*p)
        return true;
    if (!skip_name(&p))
        return false;
    zone->summer = zone->standard + 3600;
    if (*p && *p != ',') {
        if (!read_hours(&p, &west))
            return false;
        zone->summer = -west;
    }
    zone->has_rules = true;
    return read_rule(&p, &zone->begins) && read_rule(&p, &zone->ends) && !*p;
}

/* Local seconds since 2000 at which the rule strikes in a year. */
static int64_t strikes(const struct rule *rule, int64_t year)
{
    int64_t first = gw_days_from_civil(year, (unsigned)rule->month, 1);
    int weekday = (int)(((first + 6) % 7 + 7) % 7); /* 2000-01-01 was a Saturday */
    int64_t day = first + (rule->day - weekday + 7) % 7 + ((int64_t)rule->week - 1) * 7;
    int64_t next =
        rule->month == 12 ? gw_days_from_civil(year + 1, 1, 1) : gw_days_from_civil(year, (unsigned)rule->month + 1, 1);
    while (day >= next)
        day -= 7;
    return day * 86400 + rule->seconds;
}

static int32_t offset_by_rules(const struct gw_zone *zone, int64_t utc)
{
    int64_t year;
    unsigned month;
    unsigned day;
    if (!zone->has_rules)
        return zone->standard;
    int64_t local = utc + zone->standard;
    gw_civil_from_days(local / 86400 - (local % 86400 < 0), &year, &month, &day);
    int64_t begins = strikes(&zone->begins, year) - zone->standard;
    int64_t ends = strikes(&zone->ends, year) - zone->summer;
    bool summer = begins < ends ? utc >= begins && utc < ends : utc >= begins || utc < ends;
    return summer ? zone->summer : zone->standard;
}

/* ---- TZif ---- */

struct counts {
    uint32_t is_utc, is_standard, leaps, times, types, characters;
};

static bool read_header(struct gw_cursor *in, struct counts *n)
{
    const unsigned char *magic = gw_cursor_bytes(in, 20);
    if (!magic || memcmp(magic, "TZif", 4) != 0)
        return false;
    n->is_utc = gw_cursor_u32(in);
    n->is_standard = gw_cursor_u32(in);
    n->leaps = gw_cursor_u32(in);
    n->times = gw_cursor_u32(in);
    n->types = gw_cursor_u32(in);
    n->characters = gw_cursor_u32(in);
    return !in->bad && n->types > 0 && n->types < 256 && n->times < 10000 && n->characters < 1000 && n->leaps < 1000 &&
           n->is_utc < 256 && n->is_standard < 256;
}

static void skip_data(struct gw_cursor *in, const struct counts *n, size_t time_bytes)
{
    (void)gw_cursor_bytes(in, n->times * time_bytes + n->times + n->types * 6 + n->characters +
                                  n->leaps * (time_bytes + 4) + n->is_standard + n->is_utc);
}

static bool read_data(struct gw_zone *zone, struct gw_cursor *in, const struct counts *n)
{
    zone->changes = gw_calloc(n->times + 1, sizeof *zone->changes);
    zone->count = n->times;
    for (size_t i = 0; i < n->times; i++)
        zone->changes[i].at = (int64_t)gw_cursor_u64(in) - UNIX_TO_2000;
    const unsigned char *which = gw_cursor_bytes(in, n->times);
    const unsigned char *types = gw_cursor_bytes(in, (size_t)n->types * 6);
    (void)gw_cursor_bytes(in, n->characters + (size_t)n->leaps * 12 + n->is_standard + n->is_utc);
    if (in->bad || !types)
        return false;
    for (size_t i = 0; i < n->times; i++) {
        if (which[i] >= n->types)
            return false;
        zone->changes[i].offset = (int32_t)gw_get32(types + (size_t)which[i] * 6);
    }
    zone->first = (int32_t)gw_get32(types);
    zone->standard = n->times ? zone->changes[n->times - 1].offset : zone->first;
    return true;
}

static bool read_file(struct gw_zone *zone, const struct gw_buf *file)
{
    struct gw_cursor in = gw_cursor_of(file->data, file->len);
    struct counts n;
    if (!read_header(&in, &n) || file->data[4] < '2')
        return false;
    skip_data(&in, &n, 4);
    if (!read_header(&in, &n) || !read_data(zone, &in, &n))
        return false;
    const unsigned char *footer = gw_cursor_left(&in) > 2 ? in.at : NULL;
    if (!footer || *footer != '\n')
        return true;
    const unsigned char *end = memchr(footer + 1, '\n', gw_cursor_left(&in) - 1);
    if (!end || end == footer + 1)
        return end != NULL;
    gw_autofree char *posix = gw_strndup((const char *)footer + 1, (size_t)(end - footer - 1));
    return read_posix(zone, posix);
}

/* ---- opening ---- */

static bool read_offset(struct gw_zone *zone, const char *name)
{
    const char *p = name;
    if (strcmp(name, "UTC") == 0 || strcmp(name, "Z") == 0)
        return true;
    if ((*p != '+' && *p != '-') || !read_hours(&p, &zone->standard) || *p)
        return false;
    zone->first = zone->standard;
    return zone->standard >= -18 * 3600 && zone->standard <= 18 * 3600;
}

static bool is_name(const char *name)
{
    if (!isalpha((unsigned char)*name) || strstr(name, ".."))
        return false;
    for (const char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("/_+-", *p))
            return false;
    return strlen(name) < 64;
}

bool gw_zone_open(const char *name, struct gw_zone **out, struct gw_error *err)
{
    struct gw_zone *zone = gw_zalloc(sizeof *zone);
    zone->name = gw_strdup(name);
    bool fine = read_offset(zone, name);
    if (!fine && is_name(name)) {
        gw_autobuf struct gw_buf file = {0};
        struct gw_error ignored;
        gw_autofree char *path = gw_asprintf("/usr/share/zoneinfo/%s", name);
        fine = gw_file_read(path, ZONE_BYTES_MAX, &file, &ignored) && read_file(zone, &file);
    }
    if (fine) {
        *out = zone;
        return true;
    }
    gw_zone_free(zone);
    gw_fail(err, GW_ERR_USER, "\"%.60s\" is no time zone known here", name);
    return gw_error_hint(err, "write UTC, an offset such as +02:00, or a name such as Europe/Berlin (package tzdata)");
}

void gw_zone_free(struct gw_zone *zone)
{
    if (!zone)
        return;
    free(zone->changes);
    free(zone->name);
    free(zone);
}

const char *gw_zone_name(const struct gw_zone *zone)
{
    return zone ? zone->name : "UTC";
}

/* ---- asking ---- */

static int32_t offset_at(const struct gw_zone *zone, int64_t utc)
{
    size_t low = 0;
    size_t high = zone->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (zone->changes[middle].at <= utc)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == zone->count)
        return offset_by_rules(zone, utc);
    return low ? zone->changes[low - 1].offset : zone->first;
}

static int64_t seconds_of(int64_t us)
{
    return us / 1000000 - (us % 1000000 < 0);
}

int64_t gw_zone_to_local(const struct gw_zone *zone, int64_t utc_us)
{
    int64_t local;
    if (!zone || __builtin_add_overflow(utc_us, offset_at(zone, seconds_of(utc_us)) * INT64_C(1000000), &local))
        return utc_us;
    return local;
}

bool gw_zone_to_utc(const struct gw_zone *zone, int64_t local_us, int64_t *utc_us)
{
    *utc_us = local_us;
    if (!zone || local_us > INT64_MAX - GW_DAY_US || local_us < INT64_MIN + GW_DAY_US)
        return true;
    /* No zone changes twice within two days: the offsets of the day before and after are all there are. */
    int64_t seconds = seconds_of(local_us);
    int64_t early = local_us - offset_at(zone, seconds - 86400) * INT64_C(1000000);
    int64_t late = local_us - offset_at(zone, seconds + 86400) * INT64_C(1000000);
    bool early_is = gw_zone_to_local(zone, early) == local_us;
    bool late_is = gw_zone_to_local(zone, late) == local_us;
    *utc_us = early_is || !late_is ? early : late;
    return early == late || early_is != late_is;
}
