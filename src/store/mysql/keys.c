#include "store/mysql/keys.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define AS_THEY_ARE_BYTES 256

size_t gw_mysql_add_columns(struct gw_buf *out, const struct gw_collection *c)
{
    size_t count = 0;
    for (size_t i = 0; i < c->column_count; i++) {
        if (c->columns[i].generated)
            continue;
        if (count++ > 0)
            gw_buf_addc(out, ',');
        gw_mysql_add_ident(out, c->columns[i].name);
    }
    return count;
}

/* FLOAT prints six digits; times one it is a double, which prints all. FLOAT(m,d) and DOUBLE(m,d) print d digits. */
static bool needs_all_digits(const struct gw_mysql_form *form)
{
    return form->kind == GW_MYSQL_FLOAT || (form->kind == GW_MYSQL_DOUBLE && form->fixed_point);
}

void gw_mysql_add_select(struct gw_buf *out, const struct gw_collection *c, const struct gw_mysql_form *forms)
{
    size_t count = 0;
    for (size_t i = 0; i < c->column_count; i++) {
        if (c->columns[i].generated)
            continue;
        if (count++ > 0)
            gw_buf_addc(out, ',');
        gw_mysql_add_ident(out, c->columns[i].name);
        if (needs_all_digits(&forms[i]))
            gw_buf_adds(out, "*1e0");
    }
}

void gw_mysql_add_key(struct gw_buf *out, const struct gw_collection *c)
{
    for (size_t i = 0; i < c->key_count; i++) {
        if (i > 0)
            gw_buf_addc(out, ',');
        gw_mysql_add_ident(out, c->columns[c->key[i]].name);
    }
}

static bool compares_as_number(const struct gw_mysql_form *form)
{
    return form->kind == GW_MYSQL_ENUM || form->kind == GW_MYSQL_SET || form->kind == GW_MYSQL_BIT;
}

static bool is_bytes(const struct gw_mysql_form *form)
{
    return form->value_kind == GW_VALUE_BINARY && form->kind != GW_MYSQL_BIT;
}

void gw_mysql_add_comparable(struct gw_buf *out, const struct gw_column *column, const struct gw_mysql_form *form)
{
    gw_mysql_add_ident(out, column->name);
    if (compares_as_number(form))
        gw_buf_adds(out, "+0");
}

void gw_mysql_add_key_texts(struct gw_buf *out, const struct gw_collection *c, const struct gw_mysql_form *forms)
{
    for (size_t i = 0; i < c->key_count; i++) {
        const struct gw_mysql_form *form = &forms[c->key[i]];
        if (i > 0)
            gw_buf_addc(out, ',');
        if (is_bytes(form))
            gw_buf_adds(out, "LOWER(HEX(");
        gw_mysql_add_comparable(out, &c->columns[c->key[i]], form);
        gw_buf_adds(out, is_bytes(form) ? "))" : needs_all_digits(form) ? "*1e0" : "");
    }
}

static char *hex_of(const char *prefix, const unsigned char *bytes, size_t len)
{
    gw_autobuf struct gw_buf out = {0};
    gw_buf_adds(&out, prefix);
    for (size_t i = 0; i < len; i++)
        gw_buf_addf(&out, "%02x", bytes[i]);
    return gw_buf_detach(&out);
}

char *gw_mysql_bound_text(const struct gw_mysql_form *form, const char *text, size_t len)
{
    if (!is_bytes(form) && (memchr(text, 0, len) || (len >= 4 && memcmp(text, "hex:", 4) == 0)))
        return hex_of("hex:", (const unsigned char *)text, len);
    if (form->zerofill && gw_mysql_is_number(form))
        while (len > 1 && *text == '0' && text[1] >= '0' && text[1] <= '9')
            text++, len--;
    return gw_strndup(text, len);
}

static uint64_t number_of_label(const struct gw_mysql_form *form, const char *text, size_t len)
{
    for (size_t i = 0; i < form->label_count; i++)
        if (strlen(form->labels[i]) == len && memcmp(form->labels[i], text, len) == 0)
            return i + 1;
    return 0;
}

static uint64_t number_of_set(const struct gw_mysql_form *form, const char *text, size_t len)
{
    uint64_t bits = 0;
    for (const char *end = text + len; text < end;) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        size_t part = (size_t)((comma ? comma : end) - text);
        uint64_t number = number_of_label(form, text, part);
        if (number > 0)
            bits |= UINT64_C(1) << (number - 1);
        text += part + 1;
    }
    return bits;
}

char *gw_mysql_bound_of_value(const struct gw_mysql_form *form, const struct gw_value *value)
{
    const char *text = (const char *)value->bytes;
    uint64_t number = 0;
    switch (form->kind) {
    case GW_MYSQL_FLOAT: { /* compares as the double it is, not as the one its digits are */
        gw_autofree char *digits = gw_strndup(text, value->len);
        return gw_asprintf("%.17g", (double)strtof(digits, NULL));
    }
    case GW_MYSQL_ENUM:
        return gw_asprintf("%llu", (unsigned long long)number_of_label(form, text, value->len));
    case GW_MYSQL_SET:
        return gw_asprintf("%llu", (unsigned long long)number_of_set(form, text, value->len));
    case GW_MYSQL_BIT:
        for (uint32_t i = 0; i < value->len; i++)
            number = number << 8 | value->bytes[i];
        return gw_asprintf("%llu", (unsigned long long)number);
    default:
        return is_bytes(form) ? hex_of("", value->bytes, value->len)
                              : gw_mysql_bound_text(form, value->len ? text : "", value->len);
    }
}

static bool is_hex(const char *text)
{
    size_t len = strspn(text, "0123456789abcdefABCDEF");
    return text[len] == 0 && len % 2 == 0;
}

bool gw_mysql_add_bound(struct gw_buf *out, const struct gw_mysql_form *form, const char *text, struct gw_error *err)
{
    if (compares_as_number(form) || gw_mysql_is_number(form)) {
        if (!*text || text[strspn(text, "0123456789+-.e")])
            return gw_fail(err, GW_ERR_USER, "\"%s\" is no number, but bounds a chunk by one", text);
        gw_buf_adds(out, text);
        return true;
    }
    if (is_bytes(form)) {
        if (!is_hex(text))
            return gw_fail(err, GW_ERR_USER, "\"%s\" is not hexadecimal, but bounds a chunk by bytes", text);
        gw_buf_addf(out, "X'%s'", text);
        return true;
    }
    if (strncmp(text, "hex:", 4) == 0 && is_hex(text + 4))
        gw_buf_addf(out, "CONVERT(X'%s' USING utf8mb4)", text + 4);
    else
        gw_mysql_add_literal(out, text);
    return true;
}

/* The nested comparison from key column i on. `last`: the operator behind equal columns; `strict`: that of the others. */
static bool add_comparison(struct gw_buf *out, const struct gw_collection *c, const struct gw_mysql_form *forms,
                           const struct gw_bound *bound, uint32_t i, char strict, const char *last,
                           struct gw_error *err)
{
    const struct gw_column *column = &c->columns[c->key[i]];
    const struct gw_mysql_form *form = &forms[c->key[i]];
    gw_autobuf struct gw_buf value = {0};
    if (!gw_mysql_add_bound(&value, form, bound->texts[i], err))
        return false;
    if (i + 1 == bound->count) {
        gw_mysql_add_comparable(out, column, form);
        gw_buf_addf(out, "%s%s", last, gw_buf_text(&value));
        return true;
    }
    gw_buf_addc(out, '(');
    gw_mysql_add_comparable(out, column, form);
    gw_buf_addf(out, "%c", strict);
    gw_buf_add(out, value.data, value.len);
    gw_buf_adds(out, " OR (");
    gw_mysql_add_comparable(out, column, form);
    gw_buf_addc(out, '=');
    gw_buf_add(out, value.data, value.len);
    gw_buf_adds(out, " AND ");
    if (!add_comparison(out, c, forms, bound, i + 1, strict, last, err))
        return false;
    gw_buf_adds(out, "))");
    return true;
}

bool gw_mysql_add_range(struct gw_buf *out, const struct gw_collection *c, const struct gw_mysql_form *forms,
                        const struct gw_range *range, struct gw_error *err)
{
    if (range->low.count > c->key_count || range->high.count > c->key_count)
        return gw_fail(err, GW_ERR_BUG, "a range of %s has more columns than its key", gw_collection_label(c));
    if (range->low.count > 0 && !add_comparison(out, c, forms, &range->low, 0, '>', ">=", err))
        return false;
    if (range->low.count > 0 && range->high.count > 0)
        gw_buf_adds(out, " AND ");
    if (range->high.count > 0 && !add_comparison(out, c, forms, &range->high, 0, '<', "<", err))
        return false;
    if (range->low.count == 0 && range->high.count == 0)
        gw_buf_addc(out, '1');
    return true;
}

void gw_mysql_add_force(struct gw_buf *out, const struct gw_collection *c)
{
    if (c->key_kind == GW_KEY_NONE || !c->key_index)
        return;
    gw_buf_adds(out, " FORCE INDEX (");
    gw_mysql_add_ident(out, c->key_index);
    gw_buf_addc(out, ')');
}

/* Long ones as they are, in half the room: only quotes are special (NO_BACKSLASH_ESCAPES), and no byte of a character of
 * more than one byte is a quote (utf8mb4). Short ones as digits: BIT takes those alone. */
static void add_bytes(struct gw_buf *out, const struct gw_value *value)
{
    if (value->len < AS_THEY_ARE_BYTES) {
        gw_mysql_add_hex(out, value->bytes, value->len);
        return;
    }
    gw_buf_adds(out, "_binary");
    gw_mysql_add_text(out, value->bytes, value->len);
}

void gw_mysql_add_value(struct gw_buf *out, const struct gw_mysql_form *form, const struct gw_value *value)
{
    bool bare = gw_mysql_is_number(form) && value->len > 0;
    for (uint32_t i = 0; bare && i < value->len; i++)
        bare = strchr("0123456789+-.e", value->bytes[i]) != NULL && value->bytes[i];
    if (value->kind == GW_VALUE_NULL)
        gw_buf_adds(out, "NULL");
    else if (value->kind == GW_VALUE_BINARY)
        add_bytes(out, value);
    else if (bare)
        gw_buf_add(out, value->bytes, value->len);
    else
        gw_mysql_add_text(out, value->len ? (const char *)value->bytes : "", value->len);
}

/* FLOAT compares with what its digits are as a double, BIT and geometry with nothing as it is: by their bytes. */
void gw_mysql_add_is(struct gw_buf *sql, const char *name, const struct gw_mysql_form *form,
                     const struct gw_value *value)
{
    if (value->kind == GW_VALUE_NULL) {
        gw_mysql_add_ident(sql, name);
        gw_buf_adds(sql, " IS NULL");
        return;
    }
    if (form->kind == GW_MYSQL_FLOAT) {
        gw_mysql_add_ident(sql, name);
        gw_autofree char *text = gw_strndup((const char *)value->bytes, value->len);
        gw_buf_addf(sql, " = %.17ge0", (double)strtof(text, NULL));
        return;
    }
    bool exact = gw_mysql_is_number(form) || (form->kind >= GW_MYSQL_YEAR && form->kind <= GW_MYSQL_TIMESTAMP) ||
                 form->kind >= GW_MYSQL_UUID;
    if (exact) {
        gw_mysql_add_ident(sql, name);
        gw_buf_addc(sql, '=');
        gw_mysql_add_value(sql, form, value);
        return;
    }
    bool text = value->kind == GW_VALUE_TEXT;
    gw_buf_adds(sql, text ? "HEX(CONVERT(" : "HEX(CAST(");
    gw_mysql_add_ident(sql, name);
    gw_buf_adds(sql, text ? " USING utf8mb4)) = HEX(" : " AS BINARY)) = HEX(");
    gw_mysql_add_hex(sql, value->bytes, value->len);
    gw_buf_addc(sql, ')');
}
