#include "store/sqlite/types.h"

#include "base/mem.h"

#include <ctype.h>

#define EXACT_DIGITS 15 /* a double keeps so many digits of any decimal */

/* "DECIMAL (10, 2) " as "decimal", 10 and 2. */
struct declared {
    char name[80];
    unsigned args[2];
    unsigned arg_count;
};

static void take_apart(const char *text, struct declared *out)
{
    size_t len = 0;
    *out = (struct declared){0};
    for (; *text && *text != '('; text++) {
        bool space = isspace((unsigned char)*text) != 0;
        if (len + 1 < sizeof out->name && !(space && (len == 0 || out->name[len - 1] == ' ')))
            out->name[len++] = space ? ' ' : (char)tolower((unsigned char)*text);
    }
    while (len > 0 && out->name[len - 1] == ' ')
        len--;
    out->name[len] = 0;
    while (*text && *text != ')' && out->arg_count < 2) {
        text += strcspn(text, "0123456789)");
        if (*text == ')' || !*text)
            break;
        char *end = NULL;
        out->args[out->arg_count++] = (unsigned)strtoul(text, &end, 10);
        text = end;
    }
    /* "timestamp(6) with time zone" */
    if (*text == ')' && strcasestr(text, "with time zone"))
        snprintf(out->name + len, sizeof out->name - len, " with time zone");
}

static const struct {
    const char *name;
    enum gw_kind kind;
} meanings[] = {
    {"boolean", GW_KIND_BOOL},
    {"bool", GW_KIND_BOOL},
    {"date", GW_KIND_DATE},
    {"datetime", GW_KIND_TIMESTAMP},
    {"timestamp", GW_KIND_TIMESTAMP},
    {"timestamp without time zone", GW_KIND_TIMESTAMP},
    {"timestamptz", GW_KIND_TIMESTAMPTZ},
    {"timestamp with time zone", GW_KIND_TIMESTAMPTZ},
    {"time", GW_KIND_TIME},
    {"decimal", GW_KIND_DECIMAL},
    {"numeric", GW_KIND_DECIMAL},
    {"decimal text", GW_KIND_DECIMAL},
    {"json", GW_KIND_JSON},
    {"json text", GW_KIND_JSON},
    {"uuid", GW_KIND_UUID},
};

static enum gw_kind kind_by_affinity(const struct declared *declared)
{
    if (!*declared->name || strcmp(declared->name, "any") == 0)
        return GW_KIND_NULL;
    switch (gw_lite_affinity_of(declared->name)) {
    case GW_LITE_INTEGER:
        return GW_KIND_INT64;
    case GW_LITE_REAL:
        return GW_KIND_FLOAT64;
    case GW_LITE_TEXT:
        return GW_KIND_TEXT;
    case GW_LITE_BLOB:
        return GW_KIND_BYTES;
    default:
        return GW_KIND_NULL;
    }
}

void gw_lite_type_of(const char *text, struct gw_type *out)
{
    struct declared declared;
    take_apart(text, &declared);
    *out = (struct gw_type){.kind = kind_by_affinity(&declared), .loose = true};
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (strcmp(declared.name, meanings[i].name) == 0)
            out->kind = meanings[i].kind;
    switch (out->kind) {
    case GW_KIND_INT64:
        out->bits = 64; /* whatever the name says: every integer fits */
        break;
    case GW_KIND_FLOAT64:
        out->infinities = out->no_nan = out->no_minus_zero = true;
        break;
    case GW_KIND_TEXT:
        out->length = declared.arg_count > 0 ? declared.args[0] : 0;
        break;
    case GW_KIND_DECIMAL:
        out->precision = declared.arg_count > 0 ? declared.args[0] : 0;
        out->scale = declared.arg_count > 1 ? (int)declared.args[1] : declared.arg_count > 0 ? 0 : -1;
        break;
    case GW_KIND_TIME:
    case GW_KIND_TIMESTAMP:
    case GW_KIND_TIMESTAMPTZ:
        out->scale = 6;
        break;
    default:
        break;
    }
}

/* ---- for another engine's type --------------------------------------------------------------------------------- */

/* A NUMERIC column keeps a decimal as a double: what a double does not keep goes into a column of TEXT affinity, whose
 * name still says what it is. */
static void add_decimal(const struct gw_type *wanted, struct gw_buf *sql)
{
    bool exact = wanted->precision > 0 && wanted->precision <= EXACT_DIGITS && wanted->scale >= 0;
    gw_buf_adds(sql, exact ? "DECIMAL" : "DECIMAL TEXT");
    if (wanted->precision > 0 && wanted->scale >= 0)
        gw_buf_addf(sql, "(%u,%d)", wanted->precision, wanted->scale);
}

bool gw_lite_type_for(const struct gw_type *wanted, struct gw_buf *sql, struct gw_type *got, struct gw_error *err)
{
    (void)err;
    gw_autobuf struct gw_buf type = {0};
    switch (wanted->kind) {
    case GW_KIND_BOOL:
        gw_buf_adds(&type, "BOOLEAN");
        break;
    case GW_KIND_INT64:
        gw_buf_adds(&type, wanted->bits > 0 && wanted->bits <= 16 ? "SMALLINT"
                           : wanted->bits == 64                   ? "BIGINT"
                                                                  : "INTEGER");
        break;
    case GW_KIND_UINT64:
        gw_buf_adds(&type, wanted->bits > 0 && wanted->bits < 64 ? "BIGINT" : "DECIMAL TEXT(20,0)");
        break;
    case GW_KIND_DECIMAL:
        add_decimal(wanted, &type);
        break;
    case GW_KIND_FLOAT32:
    case GW_KIND_FLOAT64:
        gw_buf_adds(&type, "DOUBLE");
        break;
    case GW_KIND_BYTES:
    case GW_KIND_GEOMETRY:
    case GW_KIND_NULL:
        gw_buf_adds(&type, "BLOB");
        break;
    case GW_KIND_DATE:
        gw_buf_adds(&type, "DATE");
        break;
    case GW_KIND_TIME:
        gw_buf_adds(&type, "TIME");
        break;
    case GW_KIND_TIMESTAMP:
        gw_buf_adds(&type, "DATETIME");
        break;
    case GW_KIND_TIMESTAMPTZ:
        gw_buf_adds(&type, "TIMESTAMPTZ");
        break;
    case GW_KIND_UUID:
        gw_buf_adds(&type, "UUID");
        break;
    case GW_KIND_JSON:
        gw_buf_adds(&type, "JSON TEXT");
        break;
    default:
        if (wanted->length > 0 && wanted->length < UINT32_MAX)
            gw_buf_addf(&type, "VARCHAR(%llu)", (unsigned long long)wanted->length);
        else
            gw_buf_adds(&type, "TEXT");
    }
    gw_lite_type_of(gw_buf_text(&type), got);
    if (wanted->kind == GW_KIND_TEXT && wanted->ignores_case) {
        gw_buf_adds(&type, " COLLATE NOCASE"); /* of ASCII letters alone: the collation says so */
        got->collation = gw_strdup("NOCASE");
        got->ignores_case = true;
    }
    gw_buf_adds(sql, gw_buf_text(&type));
    return true;
}
