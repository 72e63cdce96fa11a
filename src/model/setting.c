#include "model/setting.h"

#include <errno.h>
#include <strings.h>

const struct gw_setting *gw_setting_find(const char *path)
{
    for (size_t i = 0; i < gw_settings_count; i++)
        if (strcmp(gw_settings[i].path, path) == 0)
            return &gw_settings[i];
    return NULL;
}

static bool is_below(const char *path, const char *group)
{
    size_t len = strlen(group);
    return len == 0 || (strncmp(path, group, len) == 0 && path[len] == '.');
}

bool gw_setting_is_group(const char *path)
{
    for (size_t i = 0; i < gw_settings_count; i++)
        if (*path && is_below(gw_settings[i].path, path))
            return true;
    return false;
}

/* Words are short, so a small table will do. */
unsigned gw_setting_distance(const char *a, const char *b)
{
    enum { MAX = 48 };
    unsigned rows[3][MAX + 1];
    size_t la = strlen(a);
    size_t lb = strlen(b);
    if (la > MAX || lb > MAX)
        return MAX;
    for (size_t j = 0; j <= lb; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned *row = rows[i % 3];
        const unsigned *above = rows[(i + 2) % 3];
        const unsigned *two_above = rows[(i + 1) % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two_above[j - 2] + 1 < best)
                best = two_above[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[la % 3][lb];
}

const char *gw_setting_suggest(const char *group, const char *wrong, char out[64])
{
    size_t skip = *group ? strlen(group) + 1 : 0;
    /* Up to a third of the letters wrong, at least one: "jbos" is jobs, "x" is nothing. */
    unsigned best = (unsigned)(strlen(wrong) / 3) + 1;
    bool found = false;
    for (size_t i = 0; i < gw_settings_count; i++) {
        const char *path = gw_settings[i].path;
        if (!is_below(path, group))
            continue;
        char key[64];
        snprintf(key, sizeof key, "%.*s", (int)strcspn(path + skip, "."), path + skip);
        unsigned edits = gw_setting_distance(wrong, key);
        if (strcmp(key, "*") != 0 && edits < strlen(key) && (edits < best || (!found && edits == best))) {
            best = edits;
            found = true;
            snprintf(out, 64, "%s", key);
        }
    }
    return found ? out : NULL;
}

const char *gw_setting_elsewhere(const char *key)
{
    for (size_t i = 0; i < gw_settings_count; i++) {
        const char *dot = strrchr(gw_settings[i].path, '.');
        if (strcmp(dot ? dot + 1 : gw_settings[i].path, key) == 0)
            return gw_settings[i].path;
    }
    return NULL;
}

/* Digits with an optional fraction; *rest is what is behind, without blanks. No exponent, no sign, no locale. */
static bool parse_amount(const char *text, int64_t *whole, int64_t *millionths, const char **rest)
{
    const char *p = text;
    *whole = 0;
    *millionths = 0;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(*whole, 10, whole) || __builtin_add_overflow(*whole, *p - '0', whole))
            return false;
    if (*p == '.') {
        int64_t weight = 100000;
        if (p[1] < '0' || p[1] > '9')
            return false;
        for (p++; *p >= '0' && *p <= '9'; p++, weight /= 10)
            *millionths += weight * (*p - '0');
    }
    while (*p == ' ')
        p++;
    *rest = p;
    return true;
}

static bool scale(int64_t whole, int64_t millionths, int64_t unit, int64_t *out)
{
    int64_t part = (int64_t)((__int128)millionths * unit / 1000000);
    return !__builtin_mul_overflow(whole, unit, out) && !__builtin_add_overflow(*out, part, out);
}

bool gw_setting_parse_duration_us(const char *text, int64_t *us, struct gw_error *err)
{
    static const struct {
        const char *name;
        int64_t us;
    } units[] = {
        {"us", 1},       {"ms", 1000},        {"s", 1000000},       {"min", 60000000},
        {"m", 60000000}, {"h", 3600000000LL}, {"d", 86400000000LL},
    };
    int64_t whole;
    int64_t millionths;
    const char *rest;
    if (parse_amount(text, &whole, &millionths, &rest)) {
        if (!*rest && whole == 0 && millionths == 0) {
            *us = 0;
            return true;
        }
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
            if (strcmp(rest, units[i].name) == 0 && scale(whole, millionths, units[i].us, us))
                return true;
    }
    gw_fail(err, GW_ERR_USER, "\"%s\" is not a duration", text);
    return gw_error_hint(err, "write a number and a unit: 250ms, 30s, 5m, 2h, 30d");
}

bool gw_setting_parse_bytes(const char *text, int64_t *bytes, struct gw_error *err)
{
    static const struct {
        const char *name;
        int64_t bytes;
    } units[] = {
        {"B", 1},
        {"kB", 1000},
        {"MB", 1000000},
        {"GB", 1000000000},
        {"TB", 1000000000000},
        {"KiB", 1024},
        {"MiB", 1024 * 1024},
        {"GiB", 1024 * 1024 * 1024},
        {"TiB", 1024LL * 1024 * 1024 * 1024},
    };
    int64_t whole;
    int64_t millionths;
    const char *rest;
    if (parse_amount(text, &whole, &millionths, &rest)) {
        if (!*rest && whole == 0 && millionths == 0) {
            *bytes = 0;
            return true;
        }
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
            if (strcasecmp(rest, units[i].name) == 0 && scale(whole, millionths, units[i].bytes, bytes))
                return true;
    }
    gw_fail(err, GW_ERR_USER, "\"%s\" is not a size", text);
    return gw_error_hint(err, "write a number and a unit: 512kB, 64MB, 50GB, 1GiB");
}

bool gw_setting_parse_int(const char *text, int64_t *value, struct gw_error *err)
{
    char *end;
    errno = 0;
    long long parsed = strtoll(text, &end, 10);
    /* strtoll alone would take " +7". */
    bool begins = (*text >= '0' && *text <= '9') || (*text == '-' && text[1] >= '0' && text[1] <= '9');
    if (!begins || *end || errno) {
        gw_fail(err, GW_ERR_USER, "\"%s\" is not a whole number", text);
        return gw_error_hint(err, "write digits only, such as 4 or 25000");
    }
    *value = parsed;
    return true;
}
