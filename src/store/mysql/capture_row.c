/* Images that triggers wrote, as changes. The format: capture_sql.c. */
#include "store/mysql/capture.h"

#include "base/mem.h"
#include "store/mysql/reader.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- layouts ------------------------------------------------------------------------------------------------------ */

bool gw_mysql_layout_open(struct gw_mysql_layout *out, const struct gw_schema *schema, uint32_t rel, const char *name,
                          const char *columns, struct gw_error *err)
{
    json_t *names = json_loads(columns, 0, NULL), *one;
    size_t i;
    *out = (struct gw_mysql_layout){.rel = rel, .collection = gw_schema_find(schema, "", name)};
    if (!names)
        return gw_fail(err, GW_ERR_CONFLICT, "the columns of %s in godwit_capture_table cannot be read", name);
    const struct gw_collection *c = out->collection;
    out->column_count = json_array_size(names);
    out->columns = gw_calloc(out->column_count + 1, sizeof *out->columns);
    json_array_foreach(names, i, one)
    {
        out->columns[i] = -1;
        for (size_t k = 0; c && k < c->column_count; k++)
            if (strcmp(c->columns[k].name, json_string_value(one)) == 0)
                out->columns[i] = (int)k;
    }
    json_decref(names);
    if (c) {
        out->forms = gw_mysql_forms_of(c);
        out->values = gw_calloc(c->column_count + 1, sizeof *out->values);
        out->old_values = gw_calloc(c->column_count + 1, sizeof *out->old_values);
    }
    return true;
}

void gw_mysql_layout_release(struct gw_mysql_layout *layout)
{
    if (layout->forms)
        gw_mysql_forms_free(layout->forms, layout->collection->column_count);
    free(layout->columns);
    free(layout->values);
    free(layout->old_values);
    *layout = (struct gw_mysql_layout){0};
}

/* ---- values ------------------------------------------------------------------------------------------------------- */

/* Seconds of the epoch as what the server shows in UTC. */
static bool take_timestamp(const struct gw_mysql_form *form, const char *text, size_t len, struct gw_arena *arena,
                           struct gw_value *out)
{
    char digits[40], shown[64];
    struct tm tm;
    if (len >= sizeof digits)
        return false;
    memcpy(digits, text, len);
    digits[len] = 0;
    char *end;
    time_t seconds = (time_t)strtoll(digits, &end, 10);
    const char *fraction = *end == '.' ? end + 1 : "";
    if (end == digits || !gmtime_r(&seconds, &tm))
        return false;
    size_t length = strftime(shown, sizeof shown, "%Y-%m-%d %H:%M:%S", &tm);
    if (strcmp(digits, "0") == 0)
        length = (size_t)snprintf(shown, sizeof shown, "0000-00-00 00:00:00");
    if (form->scale > 0)
        length += (size_t)snprintf(shown + length, sizeof shown - length, ".%.*s", (int)form->scale, fraction);
    for (size_t have = strlen(fraction); have < form->scale && length < sizeof shown - 1; have++)
        shown[length++] = '0';
    *out =
        (struct gw_value){.kind = GW_VALUE_TEXT, .len = (uint32_t)length, .bytes = gw_arena_dup(arena, shown, length)};
    return true;
}

static bool take_text(const struct gw_mysql_form *form, const unsigned char *bytes, size_t len, struct gw_arena *arena,
                      struct gw_value *out)
{
    char number[32];
    const char *text = (const char *)bytes;
    if (form->kind == GW_MYSQL_TIMESTAMP)
        return take_timestamp(form, text, len, arena, out);
    gw_mysql_native(form, &text, &len, number); /* a number's digits end at the comma */
    if (text == number)
        text = gw_arena_dup(arena, number, len);
    *out = (struct gw_value){.kind = form->value_kind, .len = (uint32_t)len, .bytes = (const unsigned char *)text};
    return true;
}

/* "12," and "~,": up to the comma. "5:abcde": its length before it. */
static bool take_value(struct gw_cursor *in, const struct gw_mysql_form *form, struct gw_arena *arena,
                       struct gw_value *out)
{
    size_t left = gw_cursor_left(in);
    bool plain = gw_mysql_capture_is_plain(form), null = left > 0 && *in->at == '~';
    const unsigned char *end = memchr(in->at, plain || null ? ',' : ':', left);
    if (!end)
        return false;
    const unsigned char *bytes = in->at;
    size_t len = (size_t)(end - in->at);
    (void)gw_cursor_bytes(in, len + 1);
    if (null) {
        *out = (struct gw_value){.kind = GW_VALUE_NULL};
        return len == 1;
    }
    if (!plain) {
        len = 0;
        for (; bytes < end; bytes++) {
            if (*bytes < '0' || *bytes > '9')
                return false;
            len = len * 10 + (size_t)(*bytes - '0');
        }
        bytes = gw_cursor_bytes(in, len);
        if (!bytes)
            return false;
    }
    return take_text(form, bytes, len, arena, out);
}

/* A column of the image that is not planned cannot be: images hold what was planned. */
static bool take_image(struct gw_mysql_layout *l, struct gw_cursor in, struct gw_arena *arena, struct gw_value *values)
{
    for (size_t i = 0; i < l->collection->column_count; i++)
        values[i] = (struct gw_value){.kind = GW_VALUE_ABSENT};
    for (size_t i = 0; i < l->column_count; i++)
        if (l->columns[i] < 0 || !take_value(&in, &l->forms[l->columns[i]], arena, &values[l->columns[i]]))
            return false;
    return gw_cursor_left(&in) == 0;
}

static bool take_key(struct gw_mysql_layout *l, struct gw_cursor in, struct gw_arena *arena, struct gw_value *values)
{
    const struct gw_collection *c = l->collection;
    for (size_t i = 0; i < c->column_count; i++)
        values[i] = (struct gw_value){.kind = GW_VALUE_ABSENT};
    for (size_t k = 0; k < c->key_count; k++)
        if (!take_value(&in, &l->forms[c->key[k]], arena, &values[c->key[k]]))
            return false;
    return gw_cursor_left(&in) == 0;
}

bool gw_mysql_layout_row(struct gw_mysql_layout *l, char op, struct gw_cursor was, struct gw_cursor image,
                         struct gw_arena *arena, struct gw_change *change)
{
    const struct gw_collection *c = l->collection;
    bool has_old = op != 'I' && gw_cursor_left(&was) > 0, has_new = op != 'D';
    *change = (struct gw_change){.kind = op == 'I'   ? GW_CHANGE_INSERT
                                         : op == 'U' ? GW_CHANGE_UPDATE
                                                     : GW_CHANGE_DELETE,
                                 .collection = c->id};
    if (op == 'D' && !has_old)
        return false;
    if (has_old && !(c->key_count ? take_key(l, was, arena, l->old_values) : take_image(l, was, arena, l->old_values)))
        return false;
    if (has_new && !take_image(l, image, arena, l->values))
        return false;
    if (has_old)
        change->old = (struct gw_row){.count = (uint32_t)c->column_count, .values = l->old_values};
    if (has_new)
        change->row = (struct gw_row){.count = (uint32_t)c->column_count, .values = l->values};
    return true;
}
