#include "store/mysql/types.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define MOST_YEAR 2155     /* of a YEAR: by it the type is known again */
#define VARCHAR_MOST 16383 /* characters of utf8mb4 in a row of 65,535 bytes */

enum gw_kind gw_mysql_kind_of(const struct gw_mysql_form *form)
{
    switch (form->kind) {
    case GW_MYSQL_TINYINT:
    case GW_MYSQL_SMALLINT:
    case GW_MYSQL_MEDIUMINT:
    case GW_MYSQL_INT:
    case GW_MYSQL_BIGINT:
    case GW_MYSQL_YEAR:
        return form->is_unsigned ? GW_KIND_UINT64 : GW_KIND_INT64;
    case GW_MYSQL_DECIMAL:
        return GW_KIND_DECIMAL;
    case GW_MYSQL_FLOAT:
        return GW_KIND_FLOAT32;
    case GW_MYSQL_DOUBLE:
        return GW_KIND_FLOAT64;
    case GW_MYSQL_BIT:
        return GW_KIND_BITS;
    case GW_MYSQL_DATE:
        return GW_KIND_DATE;
    case GW_MYSQL_TIME:
        return GW_KIND_TIME;
    case GW_MYSQL_DATETIME:
        return GW_KIND_TIMESTAMP;
    case GW_MYSQL_TIMESTAMP:
        return GW_KIND_TIMESTAMPTZ;
    case GW_MYSQL_BINARY:
    case GW_MYSQL_VARBINARY:
    case GW_MYSQL_BLOB:
        return GW_KIND_BYTES;
    case GW_MYSQL_ENUM:
        return GW_KIND_ENUM;
    case GW_MYSQL_JSON:
        return GW_KIND_JSON;
    case GW_MYSQL_GEOMETRY:
        return GW_KIND_GEOMETRY;
    case GW_MYSQL_UUID:
        return GW_KIND_UUID;
    default:
        return form->is_json ? GW_KIND_JSON : GW_KIND_TEXT;
    }
}

/* ---- a column in words ------------------------------------------------------------------------------------------ */

static void describe_text(const struct gw_mysql_form *form, struct gw_type *type)
{
    const char *collation = form->collation;
    size_t len = strlen(collation);
    bool binary = (len > 4 && strcmp(collation + len - 4, "_bin") == 0) || strcmp(collation, "binary") == 0;
    if (form->kind == GW_MYSQL_TEXT)
        type->bytes = form->length;
    else if (form->kind != GW_MYSQL_ENUM && form->kind != GW_MYSQL_SET)
        type->length = form->length;
    type->fixed = form->kind == GW_MYSQL_CHAR;
    type->pads = !strstr(collation, "nopad") && !strstr(collation, "0900");
    type->ignores_case = !binary && !strstr(collation, "_cs") && !strstr(collation, "_as_cs");
    type->ignores_accents = !binary && !strstr(collation, "_as_");
    type->basic_plane = strcmp(form->charset, "utf8mb3") == 0 || strcmp(form->charset, "ucs2") == 0;
    type->collation = *collation ? gw_strdup(collation) : NULL;
}

static void describe_times(const struct gw_mysql_form *form, struct gw_type *type)
{
    const int64_t second = 1000000;
    type->scale = form->kind == GW_MYSQL_DATE ? 0 : (int)form->scale;
    type->zero_dates = form->kind != GW_MYSQL_TIME;
    if (form->kind == GW_MYSQL_DATE) {
        type->least = gw_days_from_civil(0, 1, 1);
        type->most = gw_days_from_civil(9999, 12, 31);
    } else if (form->kind == GW_MYSQL_TIME) {
        type->most = ((INT64_C(838) * 60 + 59) * 60 + 59) * second + 999999;
        type->least = -type->most;
    } else if (form->kind == GW_MYSQL_DATETIME) {
        type->least = gw_days_from_civil(0, 1, 1) * GW_DAY_US;
        type->most = gw_days_from_civil(10000, 1, 1) * GW_DAY_US - 1;
    } else {
        type->least = gw_days_from_civil(1970, 1, 1) * GW_DAY_US + second;
        type->most = gw_days_from_civil(1970, 1, 1) * GW_DAY_US + INT64_C(2147483648) * second - 1;
    }
}

static void take_labels(char *const *labels, size_t count, struct gw_type *type)
{
    type->label_count = count;
    type->labels = gw_calloc(count + 1, sizeof *type->labels);
    for (size_t i = 0; i < count; i++)
        type->labels[i] = gw_strdup(labels[i]);
}

static bool is_labelled(const struct gw_mysql_form *form, const char *label)
{
    for (size_t i = 0; i < form->label_count; i++)
        if (strcmp(form->labels[i], label) == 0)
            return true;
    return false;
}

void gw_mysql_type_of(const struct gw_mysql_form *form, struct gw_type *out)
{
    static const unsigned bits[] = {[GW_MYSQL_TINYINT] = 8,
                                    [GW_MYSQL_SMALLINT] = 16,
                                    [GW_MYSQL_MEDIUMINT] = 24,
                                    [GW_MYSQL_INT] = 32,
                                    [GW_MYSQL_BIGINT] = 64};
    struct gw_type type = {.kind = gw_mysql_kind_of(form)};
    if (gw_mysql_is_integer(form))
        type.bits = bits[form->kind];
    switch (form->kind) {
    case GW_MYSQL_YEAR:
        type.bits = 16;
        type.most = MOST_YEAR;
        break;
    case GW_MYSQL_FLOAT:
    case GW_MYSQL_DOUBLE:
        type.no_minus_zero = true; /* as MariaDB; MySQL would keep it */
        break;
    case GW_MYSQL_DECIMAL:
        type.precision = form->precision;
        type.scale = (int)form->scale;
        break;
    case GW_MYSQL_BIT:
    case GW_MYSQL_BINARY:
    case GW_MYSQL_VARBINARY:
    case GW_MYSQL_BLOB:
        type.length = form->length < UINT32_MAX ? form->length : 0;
        type.fixed = form->kind != GW_MYSQL_VARBINARY && form->kind != GW_MYSQL_BLOB;
        break;
    case GW_MYSQL_DATE:
    case GW_MYSQL_TIME:
    case GW_MYSQL_DATETIME:
    case GW_MYSQL_TIMESTAMP:
        describe_times(form, &type);
        break;
    case GW_MYSQL_ENUM:
    case GW_MYSQL_SET:
        type.kind = GW_KIND_ENUM;
        type.is_set = form->kind == GW_MYSQL_SET;
        take_labels(form->labels, form->label_count, &type);
        type.error_value = !type.is_set && !is_labelled(form, "");
        describe_text(form, &type);
        break;
    case GW_MYSQL_CHAR:
    case GW_MYSQL_VARCHAR:
    case GW_MYSQL_TEXT:
        describe_text(form, &type);
        break;
    case GW_MYSQL_UUID:
    case GW_MYSQL_INET4:
    case GW_MYSQL_INET6:
    case GW_MYSQL_OTHER:
        type.foreign = gw_strdup(form->base);
        break;
    default:
        break;
    }
    *out = type;
}

/* ---- words as a column ------------------------------------------------------------------------------------------ */

/* A collation of ours is kept; of another engine's only what it does is. */
static void add_collation(const struct gw_type *wanted, struct gw_buf *sql)
{
    static const char *const sets[] = {
        "utf8mb4", "utf8mb3", "utf8",    "latin1", "latin2", "ascii",   "ucs2",   "utf16",    "utf32",  "cp1250",
        "cp1251",  "cp1252",  "cp1256",  "cp1257", "greek",  "hebrew",  "big5",   "gbk",      "gb2312", "sjis",
        "cp932",   "ujis",    "eucjpms", "euckr",  "koi8r",  "koi8u",   "latin5", "latin7",   "tis620", "armscii8",
        "cp850",   "cp852",   "cp866",   "dec8",   "hp8",    "keybcs2", "macce",  "macroman", "swe7",   "geostd8"};
    const char *end = wanted->collation ? strchr(wanted->collation, '_') : NULL;
    for (size_t i = 0; end && i < sizeof sets / sizeof sets[0]; i++)
        if (strlen(sets[i]) == (size_t)(end - wanted->collation) &&
            strncmp(sets[i], wanted->collation, strlen(sets[i])) == 0) {
            gw_buf_addf(sql, " character set %s collate %s", sets[i], wanted->collation);
            return;
        }
    gw_buf_addf(sql, " character set utf8mb4 collate %s",
                !wanted->ignores_case     ? "utf8mb4_bin"
                : wanted->ignores_accents ? "utf8mb4_unicode_ci"
                                          : "utf8mb4_unicode_ci");
}

static void add_text(const struct gw_type *wanted, struct gw_buf *sql)
{
    if (wanted->fixed && wanted->length > 0 && wanted->length <= 255)
        gw_buf_addf(sql, "char(%llu)", (unsigned long long)wanted->length);
    else if (wanted->length > 0 && wanted->length <= VARCHAR_MOST)
        gw_buf_addf(sql, "varchar(%llu)", (unsigned long long)wanted->length);
    else if (wanted->bytes > 0 && wanted->bytes <= 255)
        gw_buf_adds(sql, "tinytext");
    else if (wanted->bytes > 0 && wanted->bytes <= 65535)
        gw_buf_adds(sql, "text");
    else if (wanted->bytes > 0 && wanted->bytes <= 16777215)
        gw_buf_adds(sql, "mediumtext");
    else
        gw_buf_adds(sql, "longtext");
    add_collation(wanted, sql);
}

static void add_bytes(const struct gw_type *wanted, struct gw_buf *sql)
{
    unsigned long long length = wanted->length;
    if (wanted->fixed && length > 0 && length <= 255)
        gw_buf_addf(sql, "binary(%llu)", length);
    else if (length == 16777215)
        gw_buf_adds(sql, "mediumblob");
    else if (length == 65535)
        gw_buf_adds(sql, "blob");
    else if (length > 0 && length <= VARCHAR_MOST)
        gw_buf_addf(sql, "varbinary(%llu)", length);
    else
        gw_buf_adds(sql, "longblob");
}

static void add_integer(const struct gw_type *wanted, struct gw_buf *sql)
{
    unsigned bits = wanted->bits ? wanted->bits : 64;
    gw_buf_adds(sql, bits <= 8    ? "tinyint"
                     : bits <= 16 ? "smallint"
                     : bits <= 24 ? "mediumint"
                     : bits <= 32 ? "int"
                                  : "bigint");
    gw_buf_adds(sql, wanted->kind == GW_KIND_UINT64 ? " unsigned" : "");
}

static void add_decimal(const struct gw_type *wanted, struct gw_buf *sql)
{
    unsigned scale = wanted->scale < 0 ? 30 : wanted->scale > 38 ? 38 : (unsigned)wanted->scale;
    unsigned precision = wanted->precision == 0 || wanted->precision > 65 ? 65 : wanted->precision;
    gw_buf_addf(sql, "decimal(%u,%u)", precision < scale ? scale : precision, scale);
}

static void add_labels(const struct gw_type *wanted, struct gw_buf *sql)
{
    gw_buf_adds(sql, wanted->is_set ? "set(" : "enum(");
    for (size_t i = 0; i < wanted->label_count; i++) {
        gw_buf_adds(sql, i ? ",'" : "'");
        for (const char *p = wanted->labels[i]; *p; p++) {
            gw_buf_adds(sql, *p == '\'' ? "'" : "");
            gw_buf_addc(sql, *p);
        }
        gw_buf_addc(sql, '\'');
    }
    gw_buf_addc(sql, ')');
    add_collation(wanted, sql);
}

static void add_time(const char *name, const struct gw_type *wanted, struct gw_buf *sql)
{
    gw_buf_adds(sql, name);
    if (wanted->scale != 0)
        gw_buf_addf(sql, "(%d)", wanted->scale < 0 || wanted->scale > 6 ? 6 : wanted->scale);
}

/* TIMESTAMP where what is wanted ends in 2038 (it is one of ours), else a DATETIME in UTC. */
static bool is_timestamp(const struct gw_type *wanted)
{
    return wanted->most != 0 && wanted->most <= gw_days_from_civil(2039, 1, 1) * GW_DAY_US;
}

bool gw_mysql_type_for(const struct gw_type *wanted, struct gw_buf *sql, struct gw_type *got, struct gw_error *err)
{
    size_t from = sql->len;
    (void)err;
    switch (wanted->kind) {
    case GW_KIND_BOOL:
        gw_buf_adds(sql, "tinyint(1)");
        break;
    case GW_KIND_INT64:
    case GW_KIND_UINT64:
        if (wanted->bits == 16 && wanted->most == MOST_YEAR)
            gw_buf_adds(sql, "year(4)");
        else
            add_integer(wanted, sql);
        break;
    case GW_KIND_DECIMAL:
        add_decimal(wanted, sql);
        break;
    case GW_KIND_FLOAT32:
        gw_buf_adds(sql, "float");
        break;
    case GW_KIND_FLOAT64:
        gw_buf_adds(sql, "double");
        break;
    case GW_KIND_BYTES:
        add_bytes(wanted, sql);
        break;
    case GW_KIND_DATE:
        gw_buf_adds(sql, "date");
        break;
    case GW_KIND_TIME:
        add_time("time", wanted, sql);
        break;
    case GW_KIND_TIMESTAMP:
        add_time("datetime", wanted, sql);
        break;
    case GW_KIND_TIMESTAMPTZ:
        add_time(is_timestamp(wanted) ? "timestamp" : "datetime", wanted, sql);
        break;
    case GW_KIND_UUID:
        gw_buf_adds(sql, wanted->foreign ? "uuid" : "char(36) character set ascii collate ascii_bin");
        break;
    case GW_KIND_JSON:
        gw_buf_adds(sql, "json");
        break;
    case GW_KIND_ENUM:
        if (wanted->label_count > 0 && wanted->label_count <= (wanted->is_set ? 64 : 65535))
            add_labels(wanted, sql);
        else
            gw_buf_adds(sql, "longtext character set utf8mb4 collate utf8mb4_bin");
        break;
    case GW_KIND_BITS:
        if (wanted->fixed && wanted->length > 0 && wanted->length <= 64)
            gw_buf_addf(sql, "bit(%llu)", (unsigned long long)wanted->length);
        else
            gw_buf_adds(sql, "longtext character set ascii collate ascii_bin");
        break;
    case GW_KIND_GEOMETRY:
        gw_buf_adds(sql, "geometry");
        break;
    case GW_KIND_TEXT:
        if (wanted->foreign && (strcmp(wanted->foreign, "inet6") == 0 || strcmp(wanted->foreign, "inet4") == 0))
            gw_buf_adds(sql, wanted->foreign);
        else
            add_text(wanted, sql);
        break;
    default: /* INTERVAL, ARRAY: as text */
        gw_buf_adds(sql, "longtext character set utf8mb4 collate utf8mb4_bin");
    }
    struct gw_mysql_form form;
    gw_mysql_form_parse(sql->data + from, &form);
    gw_mysql_type_of(&form, got);
    gw_mysql_form_release(&form);
    return true;
}
