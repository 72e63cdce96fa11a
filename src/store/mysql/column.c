#include "store/mysql/column.h"

#include "base/mem.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

struct type_name {
    const char *name;
    enum gw_mysql_kind kind;
    uint64_t most; /* TEXT, BLOB */
};
static const struct type_name type_names[] = {
    {"tinyint", GW_MYSQL_TINYINT, 0},
    {"smallint", GW_MYSQL_SMALLINT, 0},
    {"mediumint", GW_MYSQL_MEDIUMINT, 0},
    {"int", GW_MYSQL_INT, 0},
    {"bigint", GW_MYSQL_BIGINT, 0},
    {"decimal", GW_MYSQL_DECIMAL, 0},
    {"float", GW_MYSQL_FLOAT, 0},
    {"double", GW_MYSQL_DOUBLE, 0},
    {"bit", GW_MYSQL_BIT, 0},
    {"year", GW_MYSQL_YEAR, 0},
    {"date", GW_MYSQL_DATE, 0},
    {"time", GW_MYSQL_TIME, 0},
    {"datetime", GW_MYSQL_DATETIME, 0},
    {"timestamp", GW_MYSQL_TIMESTAMP, 0},
    {"char", GW_MYSQL_CHAR, 0},
    {"varchar", GW_MYSQL_VARCHAR, 0},
    {"tinytext", GW_MYSQL_TEXT, 255},
    {"text", GW_MYSQL_TEXT, 65535},
    {"mediumtext", GW_MYSQL_TEXT, 16777215},
    {"longtext", GW_MYSQL_TEXT, 4294967295},
    {"binary", GW_MYSQL_BINARY, 0},
    {"varbinary", GW_MYSQL_VARBINARY, 0},
    {"tinyblob", GW_MYSQL_BLOB, 255},
    {"blob", GW_MYSQL_BLOB, 65535},
    {"mediumblob", GW_MYSQL_BLOB, 16777215},
    {"longblob", GW_MYSQL_BLOB, 4294967295},
    {"enum", GW_MYSQL_ENUM, 0},
    {"set", GW_MYSQL_SET, 0},
    {"json", GW_MYSQL_JSON, 0},
    {"geometry", GW_MYSQL_GEOMETRY, 0},
    {"point", GW_MYSQL_GEOMETRY, 0},
    {"linestring", GW_MYSQL_GEOMETRY, 0},
    {"polygon", GW_MYSQL_GEOMETRY, 0},
    {"multipoint", GW_MYSQL_GEOMETRY, 0},
    {"multilinestring", GW_MYSQL_GEOMETRY, 0},
    {"multipolygon", GW_MYSQL_GEOMETRY, 0},
    {"geometrycollection", GW_MYSQL_GEOMETRY, 0},
    {"geomcollection", GW_MYSQL_GEOMETRY, 0},
    {"uuid", GW_MYSQL_UUID, 0},
    {"inet4", GW_MYSQL_INET4, 0},
    {"inet6", GW_MYSQL_INET6, 0},
};

/* 'it''s','b') ...: what stands behind the ')'. */
static const char *take_labels(const char *p, struct gw_mysql_form *form)
{
    size_t capacity = 0;
    while (*p == '\'') {
        gw_autobuf struct gw_buf label = {0};
        for (p++; *p && !(*p == '\'' && p[1] != '\''); p++) {
            if (*p == '\'')
                p++;
            gw_buf_addc(&label, *p);
        }
        form->labels = gw_grow(form->labels, &capacity, form->label_count, sizeof *form->labels);
        form->labels[form->label_count++] = gw_buf_detach(&label);
        p += *p == '\'';
        p += *p == ',';
    }
    return *p == ')' ? p + 1 : p;
}

static const char *take_numbers(const char *p, struct gw_mysql_form *form)
{
    char *end;
    unsigned long first = strtoul(p, &end, 10), second = 0;
    bool both = *end == ',';
    if (both)
        second = strtoul(end + 1, &end, 10);
    switch (form->kind) {
    case GW_MYSQL_TIME:
    case GW_MYSQL_DATETIME:
    case GW_MYSQL_TIMESTAMP:
        form->scale = (unsigned)first;
        break;
    case GW_MYSQL_CHAR:
    case GW_MYSQL_VARCHAR:
    case GW_MYSQL_BINARY:
    case GW_MYSQL_VARBINARY:
    case GW_MYSQL_BIT:
        form->length = first;
        break;
    default:
        form->precision = (unsigned)first;
        form->scale = (unsigned)second;
        form->fixed_point = both && form->kind != GW_MYSQL_DECIMAL;
    }
    return *end == ')' ? end + 1 : end;
}

static void take_word(const char **at, char *out, size_t size)
{
    size_t len = strcspn(*at, " ");
    snprintf(out, size, "%.*s", (int)len, *at);
    *at += len;
}

static void take_attributes(const char *p, struct gw_mysql_form *form)
{
    while (*p) {
        char word[32];
        p += strspn(p, " ");
        take_word(&p, word, sizeof word);
        if (strcmp(word, "unsigned") == 0)
            form->is_unsigned = true;
        else if (strcmp(word, "zerofill") == 0)
            form->zerofill = form->is_unsigned = true;
        else if (strcmp(word, "json") == 0)
            form->is_json = true;
        else if (strcmp(word, "character") == 0 && strncmp(p, " set ", 5) == 0) {
            p += 5;
            take_word(&p, form->charset, sizeof form->charset);
            if (strcmp(form->charset, "utf8") == 0)
                snprintf(form->charset, sizeof form->charset, "utf8mb3");
        } else if (strcmp(word, "collate") == 0) {
            p += strspn(p, " ");
            take_word(&p, form->collation, sizeof form->collation);
        }
    }
}

void gw_mysql_form_parse(const char *type, struct gw_mysql_form *out)
{
    struct gw_mysql_form form = {.kind = GW_MYSQL_OTHER, .value_kind = GW_VALUE_TEXT};
    size_t len = strcspn(type, "( ");
    snprintf(form.base, sizeof form.base, "%.*s", (int)len, type);
    for (size_t i = 0; i < sizeof type_names / sizeof type_names[0]; i++)
        if (strcasecmp(form.base, type_names[i].name) == 0) {
            form.kind = type_names[i].kind;
            form.length = type_names[i].most;
        }
    if (form.kind == GW_MYSQL_BIT || form.kind == GW_MYSQL_CHAR || form.kind == GW_MYSQL_BINARY)
        form.length = 1;
    if (form.kind == GW_MYSQL_DECIMAL)
        form.precision = 10;
    const char *p = type + len;
    if (*p == '(') {
        p++;
        p = form.kind == GW_MYSQL_ENUM || form.kind == GW_MYSQL_SET ? take_labels(p, &form) : take_numbers(p, &form);
    }
    take_attributes(p, &form);
    switch (form.kind) {
    case GW_MYSQL_BINARY:
    case GW_MYSQL_VARBINARY:
    case GW_MYSQL_BLOB:
    case GW_MYSQL_BIT:
    case GW_MYSQL_GEOMETRY:
        form.value_kind = GW_VALUE_BINARY;
        break;
    default:
        break;
    }
    *out = form;
}

void gw_mysql_form_release(struct gw_mysql_form *form)
{
    for (size_t i = 0; i < form->label_count; i++)
        free(form->labels[i]);
    free(form->labels);
    *form = (struct gw_mysql_form){0};
}

struct gw_mysql_form *gw_mysql_forms_of(const struct gw_collection *collection)
{
    struct gw_mysql_form *forms = gw_calloc(collection->column_count + 1, sizeof *forms);
    for (size_t i = 0; i < collection->column_count; i++)
        gw_mysql_form_parse(collection->columns[i].type, &forms[i]);
    return forms;
}

void gw_mysql_forms_free(struct gw_mysql_form *forms, size_t count)
{
    for (size_t i = 0; forms && i < count; i++)
        gw_mysql_form_release(&forms[i]);
    free(forms);
}

bool gw_mysql_is_integer(const struct gw_mysql_form *form)
{
    return form->kind >= GW_MYSQL_TINYINT && form->kind <= GW_MYSQL_BIGINT;
}

bool gw_mysql_is_number(const struct gw_mysql_form *form)
{
    return gw_mysql_is_integer(form) || form->kind == GW_MYSQL_DECIMAL || form->kind == GW_MYSQL_FLOAT ||
           form->kind == GW_MYSQL_DOUBLE || form->kind == GW_MYSQL_YEAR;
}

/* The server reads a double, refuses it where it is above the greatest float, and makes it a float. */
size_t gw_mysql_float_text(float value, char out[32])
{
    static const int digits[] = {6, 7, 8, 9, 17};
    int len = 0;
    for (size_t i = 0; i < sizeof digits / sizeof digits[0]; i++) {
        len = snprintf(out, 32, "%.*g", digits[i], (double)value);
        double back = strtod(out, NULL);
        if ((float)back == value && fabs(back) <= (double)FLT_MAX)
            break;
    }
    return (size_t)len;
}

/* Few digits behind the point, as most numbers have: a quotient of whole numbers below 2^53 is rounded once, so that
 * its digits give the number again. 0: it is none of those. */
static size_t short_decimal(double value, char out[32])
{
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
    double size = fabs(value);
    if (!(size >= 0.001 && size < 1e9))
        return 0;
    for (int places = 0; places <= 6; places++) {
        double whole = size * powers[places];
        uint64_t digits = (uint64_t)(whole + 0.5); /* the product was rounded, by less than a quarter */
        if ((double)digits / powers[places] != size)
            continue;
        char *p = out + 31;
        size_t len = 0;
        for (int i = 0; i < places || digits > 0 || i == places; i++, digits /= 10) {
            if (places > 0 && i == places)
                p[-(ptrdiff_t)++len] = '.';
            p[-(ptrdiff_t)++len] = (char)('0' + digits % 10);
        }
        if (value < 0)
            p[-(ptrdiff_t)++len] = '-';
        memmove(out, p - len, len);
        out[len] = 0;
        return len;
    }
    return 0;
}

size_t gw_mysql_double_text(double value, char out[32])
{
    int len = (int)short_decimal(value, out);
    if (len > 0)
        return (size_t)len;
    for (int digits = 15; digits <= 17; digits++) {
        len = snprintf(out, 32, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    return (size_t)len;
}
