/* Tables that are not, or no longer, as planned; and what a column holds that an INSERT did not name. */
#include "store/mysql/changes_stream.h"

#include "base/mem.h"
#include "store/mysql/column.h"

#include <stdlib.h>
#include <string.h>

bool gw_mysql_shape_now(struct gw_mysql_store *store, const struct gw_collection *planned, struct gw_schema *now,
                        const struct gw_collection **found, struct gw_error *err)
{
    static const struct gw_filter all;
    *now = (struct gw_schema){0};
    if (!store->base.type->catalog->list(&store->base, &all, now, err))
        return false;
    *found = gw_schema_find(now, planned->space, planned->name);
    return true;
}

bool gw_mysql_shape_carries(const struct gw_collection *planned, const struct gw_collection *now)
{
    if (!now || now->key_count != planned->key_count)
        return false;
    for (size_t k = 0; k < planned->key_count; k++)
        if (strcmp(planned->columns[planned->key[k]].name, now->columns[now->key[k]].name) != 0)
            return false;
    for (size_t i = 0; i < planned->column_count; i++) {
        const struct gw_column *one = &planned->columns[i];
        bool there = false;
        for (size_t k = 0; k < now->column_count; k++)
            there |= strcmp(now->columns[k].name, one->name) == 0 && strcmp(now->columns[k].type, one->type) == 0 &&
                     now->columns[k].generated == one->generated;
        if (!there)
            return false;
    }
    return true;
}

/* ---- defaults -------------------------------------------------------------------------------------------------- */

static bool learn_defaults(struct gw_mysql_store *store, const struct gw_collection *c, const struct gw_row *row,
                           struct gw_mysql_default *defaults, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    struct gw_mysql_conn *conn;
    MYSQL_RES *r = NULL;
    gw_buf_adds(&sql, "SELECT 1");
    for (size_t i = 0; i < row->count; i++)
        if (row->values[i].kind == GW_VALUE_UNCHANGED && !defaults[i].known) {
            gw_buf_adds(&sql, ", DEFAULT(t.");
            gw_mysql_add_ident(&sql, c->columns[i].name);
            gw_buf_addc(&sql, ')');
        }
    gw_buf_adds(&sql, " FROM (SELECT 1) one LEFT JOIN ");
    gw_mysql_add_table(&sql, c);
    gw_buf_adds(&sql, " t ON FALSE");
    if (!gw_mysql_borrow(store, &conn, err))
        return false;
    bool fine = gw_mysql_query(conn, gw_buf_text(&sql), &r, err);
    MYSQL_ROW one = fine ? mysql_fetch_row(r) : NULL;
    unsigned long *lengths = one ? mysql_fetch_lengths(r) : NULL;
    for (size_t i = 0, at = 1; one && i < row->count; i++)
        if (row->values[i].kind == GW_VALUE_UNCHANGED && !defaults[i].known) {
            defaults[i] = (struct gw_mysql_default){.known = true, .null = !one[at], .len = (uint32_t)lengths[at]};
            if (one[at])
                defaults[i].bytes = gw_memdup(one[at], lengths[at] + 1);
            at++;
        }
    mysql_free_result(r);
    gw_mysql_return(conn, !fine);
    if (!fine && err->kind == GW_ERR_CONFLICT) {
        gw_fail(err, GW_ERR_UNSUPPORTED, "a row of %s came without columns that have no default now",
                gw_collection_label(c));
        gw_error_hint(err, "set global binlog_row_image = FULL on the source, let its clients connect anew, and begin"
                           " again: godwit abort, godwit copy");
    }
    return fine;
}

bool gw_mysql_fill_defaults(struct gw_mysql_store *store, const struct gw_collection *c,
                            struct gw_mysql_default *defaults, struct gw_row *row, struct gw_error *err)
{
    bool all_known = true;
    for (size_t i = 0; i < row->count; i++)
        all_known = all_known && (row->values[i].kind != GW_VALUE_UNCHANGED || defaults[i].known);
    if (!all_known && !learn_defaults(store, c, row, defaults, err))
        return false;
    for (size_t i = 0; i < row->count; i++) {
        struct gw_value *value = &row->values[i];
        if (value->kind != GW_VALUE_UNCHANGED)
            continue;
        struct gw_mysql_form form;
        gw_mysql_form_parse(c->columns[i].type, &form);
        *value = (struct gw_value){.kind = defaults[i].null ? GW_VALUE_NULL : form.value_kind,
                                   .len = defaults[i].null ? 0 : defaults[i].len,
                                   .bytes = (const unsigned char *)defaults[i].bytes};
        gw_mysql_form_release(&form);
    }
    return true;
}

void gw_mysql_forget_defaults(struct gw_mysql_default *defaults, size_t count)
{
    for (size_t i = 0; defaults && i < count; i++) {
        free(defaults[i].bytes);
        defaults[i] = (struct gw_mysql_default){0};
    }
}
