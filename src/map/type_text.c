/* Types in the words of the rules: "decimal(10,2)", "varchar(80)". */
#include "map/internal.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct word {
    const char *name;
    enum gw_kind kind;
    unsigned bits;
    bool fixed, length;
    int arguments; /* at most */
};

static const struct word words[] = {
    {"bool", GW_KIND_BOOL, 0, false, false, 0},
    {"boolean", GW_KIND_BOOL, 0, false, false, 0},
    {"int", GW_KIND_INT64, 32, false, false, 1},
    {"integer", GW_KIND_INT64, 32, false, false, 1},
    {"smallint", GW_KIND_INT64, 16, false, false, 0},
    {"bigint", GW_KIND_INT64, 64, false, false, 0},
    {"unsigned", GW_KIND_UINT64, 32, false, false, 1},
    {"decimal", GW_KIND_DECIMAL, 0, false, false, 2},
    {"numeric", GW_KIND_DECIMAL, 0, false, false, 2},
    {"float", GW_KIND_FLOAT32, 0, false, false, 0},
    {"real", GW_KIND_FLOAT32, 0, false, false, 0},
    {"double", GW_KIND_FLOAT64, 0, false, false, 0},
    {"text", GW_KIND_TEXT, 0, false, true, 1},
    {"varchar", GW_KIND_TEXT, 0, false, true, 1},
    {"char", GW_KIND_TEXT, 0, true, true, 1},
    {"bytes", GW_KIND_BYTES, 0, false, true, 1},
    {"date", GW_KIND_DATE, 0, false, false, 0},
    {"time", GW_KIND_TIME, 0, false, false, 1},
    {"timestamp", GW_KIND_TIMESTAMP, 0, false, false, 1},
    {"timestamptz", GW_KIND_TIMESTAMPTZ, 0, false, false, 1},
    {"interval", GW_KIND_INTERVAL, 0, false, false, 0},
    {"uuid", GW_KIND_UUID, 0, false, false, 0},
    {"json", GW_KIND_JSON, 0, false, false, 0},
    {"bits", GW_KIND_BITS, 0, true, true, 1},
};

/* "(10,2)" or nothing; -1 on anything else. */
static int read_arguments(const char *p, int64_t out[2])
{
    int count = 0;
    while (*p == ' ')
        p++;
    if (!*p)
        return 0;
    if (*p++ != '(')
        return -1;
    for (;;) {
        char *end;
        while (*p == ' ')
            p++;
        if (!isdigit((unsigned char)*p) || count == 2)
            return -1;
        out[count++] = strtoll(p, &end, 10);
        for (p = end; *p == ' ';)
            p++;
        if (*p == ')')
            break;
        if (*p++ != ',')
            return -1;
    }
    for (p++; *p == ' ';)
        p++;
    return *p ? -1 : count;
}

static bool take_arguments(const struct word *word, int count, const int64_t n[2], struct gw_type *out)
{
    bool moment = out->kind == GW_KIND_TIME || out->kind == GW_KIND_TIMESTAMP || out->kind == GW_KIND_TIMESTAMPTZ;
    out->scale = moment ? 6 : -1;
    out->bits = word->bits;
    out->fixed = word->fixed;
    if (word->fixed)
        out->length = 1;
    out->pads = word->fixed && out->kind == GW_KIND_TEXT;
    if (count == 0)
        return strcmp(word->name, "varchar") != 0;
    if (word->length) {
        out->length = (uint64_t)n[0];
        return n[0] > 0 && n[0] <= 1000000000;
    }
    if (moment) {
        out->scale = (int)n[0];
        return n[0] <= 6;
    }
    if (out->kind == GW_KIND_DECIMAL) {
        out->precision = (unsigned)n[0];
        out->scale = count > 1 ? (int)n[1] : 0;
        return n[0] > 0 && n[0] <= 1000 && (count < 2 || n[1] <= n[0]);
    }
    out->bits = (unsigned)n[0];
    return n[0] == 8 || n[0] == 16 || n[0] == 24 || n[0] == 32 || n[0] == 64;
}

bool gw_map_parse_type(const char *text, struct gw_type *out, struct gw_error *err)
{
    size_t len = strcspn(text, " (");
    int64_t n[2] = {0};
    int count = read_arguments(text + len, n);
    *out = (struct gw_type){0};
    for (size_t i = 0; count >= 0 && i < sizeof words / sizeof words[0]; i++) {
        if (strlen(words[i].name) != len || strncasecmp(words[i].name, text, len) != 0 || count > words[i].arguments)
            continue;
        out->kind = words[i].kind;
        if (take_arguments(&words[i], count, n, out))
            return true;
        break;
    }
    *out = (struct gw_type){0};
    gw_fail(err, GW_ERR_USER, "\"%.80s\" is not a type", text);
    return gw_error_hint(err, "known: bool, int, int(8|16|32|64), bigint, unsigned(32), decimal(10,2), float, double, "
                              "text, varchar(80), char(2), bytes, bytes(16), date, time(6), timestamp(6), "
                              "timestamptz(6), interval, uuid, json, bits(8)");
}
