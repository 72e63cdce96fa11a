/* The audit as plain text: aligned tables, the longest cut. */
#include "audit/audit.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MOST = 16, CELL_MOST = 60, ROWS_MOST = 40 };

/* UTF-8: continuation bytes take no place. */
static size_t shown_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/* One line, at most CELL_MOST wide. */
static void clean(struct gw_buf *cell)
{
    size_t width = 0;
    for (size_t i = 0; i < cell->len; i++) {
        if ((unsigned char)cell->data[i] < 0x20)
            cell->data[i] = ' ';
        width += ((unsigned char)cell->data[i] & 0xc0) != 0x80;
        if (width > CELL_MOST) {
            cell->len = i;
            gw_buf_adds(cell, "...");
            return;
        }
    }
}

static void print_table(const json_t *rows, struct gw_buf *out)
{
    const json_t *first = json_array_get(rows, 0);
    const char *keys[COLUMNS_MOST];
    size_t widths[COLUMNS_MOST], columns = 0, count = json_array_size(rows);
    size_t shown = count < ROWS_MOST ? count : ROWS_MOST;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)first, key, value)
    {
        if (columns < COLUMNS_MOST)
            keys[columns++] = key;
    }
    for (size_t c = 0; c < columns; c++) {
        widths[c] = shown_width(keys[c]);
        for (size_t i = 0; i < shown; i++) {
            gw_autobuf struct gw_buf cell = {0};
            gw_audit_cell(keys[c], json_object_get(json_array_get(rows, i), keys[c]), &cell);
            clean(&cell);
            size_t width = shown_width(gw_buf_text(&cell));
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
    for (size_t i = 0; i < shown + 1; i++) {
        for (size_t c = 0; c < columns; c++) {
            gw_autobuf struct gw_buf cell = {0};
            if (i == 0)
                gw_buf_adds(&cell, keys[c]);
            else
                gw_audit_cell(keys[c], json_object_get(json_array_get(rows, i - 1), keys[c]), &cell);
            clean(&cell);
            bool last = c + 1 == columns;
            size_t pad = last ? 0 : widths[c] - shown_width(gw_buf_text(&cell));
            gw_buf_addf(out, "%s%s%*s%s", c ? "  " : "  ", gw_buf_text(&cell), (int)pad, "", last ? "\n" : "");
        }
    }
    if (count > shown)
        gw_buf_addf(out, "  ... and %zu more (--format json has all)\n", count - shown);
}

void gw_audit_text(const json_t *report, struct gw_buf *out)
{
    const json_t *server = json_object_get(report, "server");
    const char *section;
    json_t *rows;
    gw_buf_addf(
        out, "%s   %s   %s at %s   %s\n", json_string_value(json_object_get(report, "migration")),
        json_string_value(json_object_get(report, "side")), json_string_value(json_object_get(server, "product")),
        json_string_value(json_object_get(server, "address")), json_string_value(json_object_get(report, "taken_at")));
    json_object_foreach(json_object_get(report, "sections"), section, rows)
    {
        size_t count = json_array_size(rows);
        if (count == 0)
            continue;
        gw_buf_addc(out, '\n');
        gw_audit_title(section, out);
        gw_buf_addf(out, " (%zu)\n", count);
        print_table(rows, out);
    }
    gw_buf_adds(out, "\nnothing found:");
    json_object_foreach(json_object_get(report, "sections"), section, rows)
    {
        if (json_array_size(rows) == 0)
            gw_buf_addf(out, " %s", section);
    }
    gw_buf_addc(out, '\n');
}
