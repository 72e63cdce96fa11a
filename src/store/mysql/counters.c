/*
 * AUTO_INCREMENT columns and MariaDB's sequences. The next number is never behind what was handed out, nor behind what is
 * in the table. Raising AUTO_INCREMENT is a statement of DDL that neither copies nor looks at rows; it goes into the log
 * with the comment "godwit" in front, by which its reader knows it.
 */
#include "base/mem.h"
#include "store/mysql/schema.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct counter {
    char *table, *column; /* column "": a sequence */
    uint64_t next;
    int64_t sequence_next;
};
struct counter_list {
    size_t count, capacity;
    struct counter *items;
};

static void counters_release(struct counter_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].table);
        free(list->items[i].column);
    }
    free(list->items);
    *list = (struct counter_list){0};
}

static struct counter *counter_add(struct counter_list *list, const char *table, const char *column)
{
    list->items = gw_grow(list->items, &list->capacity, list->count, sizeof *list->items);
    struct counter *item = &list->items[list->count++];
    *item = (struct counter){.table = gw_strdup(table), .column = gw_strdup(column)};
    return item;
}

static bool one_number(struct gw_mysql_conn *conn, const char *select, const char *what, const char *table,
                       struct gw_buf *text, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, select);
    if (what) {
        gw_mysql_add_ident(&sql, what);
        gw_buf_adds(&sql, ")");
    }
    gw_buf_adds(&sql, " FROM ");
    gw_mysql_add_ident(&sql, table);
    return gw_mysql_query_text(conn, gw_buf_text(&sql), text, NULL, err);
}

static bool list_columns(struct gw_mysql_conn *conn, struct counter_list *list, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    bool fine = gw_mysql_query(conn,
                               "SELECT t.TABLE_NAME, c.COLUMN_NAME, t.AUTO_INCREMENT FROM information_schema.COLUMNS c"
                               " JOIN information_schema.TABLES t USING (TABLE_SCHEMA, TABLE_NAME)"
                               " WHERE t.TABLE_SCHEMA = DATABASE() AND c.EXTRA LIKE '%auto_increment%'"
                               " AND t.TABLE_NAME NOT LIKE 'godwit|_%' ESCAPE '|' ORDER BY 1",
                               &r, err);
    if (!fine)
        return false;
    while (fine && (row = mysql_fetch_row(r))) {
        gw_autobuf struct gw_buf most = {0};
        struct counter *item = counter_add(list, row[0], row[1]);
        item->next = row[2] ? strtoull(row[2], NULL, 10) : 1;
        fine = one_number(conn, "SELECT MAX(", row[1], row[0], &most, err);
        if (fine && most.len > 0 && *gw_buf_text(&most) != '-') {
            uint64_t in_table = strtoull(gw_buf_text(&most), NULL, 10);
            if (in_table >= item->next && in_table < UINT64_MAX)
                item->next = in_table + 1;
        }
    }
    mysql_free_result(r);
    return fine;
}

static bool list_sequences(struct gw_mysql_conn *conn, struct counter_list *list, struct gw_error *err)
{
    MYSQL_RES *r;
    MYSQL_ROW row;
    if (!conn->store->is_mariadb)
        return true;
    bool fine = gw_mysql_query(conn,
                               "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
                               " AND TABLE_TYPE = 'SEQUENCE' AND TABLE_NAME NOT LIKE 'godwit|_%' ESCAPE '|' ORDER BY 1",
                               &r, err);
    if (!fine)
        return false;
    while (fine && (row = mysql_fetch_row(r))) {
        gw_autobuf struct gw_buf next = {0};
        fine = one_number(conn, "SELECT next_not_cached_value", NULL, row[0], &next, err);
        counter_add(list, row[0], "")->sequence_next = strtoll(gw_buf_text(&next), NULL, 10);
    }
    mysql_free_result(r);
    return fine;
}

/* A sequence is only ever moved on; the server itself refuses to set it back. */
static bool set_one(struct gw_mysql_conn *conn, const struct counter *counter, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    if (*counter->column) {
        gw_buf_adds(&sql, "/* godwit */ ALTER TABLE ");
        gw_mysql_add_ident(&sql, counter->table);
        gw_buf_addf(&sql, " AUTO_INCREMENT = %" PRIu64, counter->next);
    } else {
        gw_buf_adds(&sql, "DO SETVAL(");
        gw_mysql_add_ident(&sql, counter->table);
        gw_buf_addf(&sql, ", %" PRId64 ", 0)", counter->sequence_next);
    }
    return gw_mysql_exec_buf(conn, &sql, err) || gw_error_place(err, "%s", counter->table);
}

static const struct counter *find(const struct counter_list *list, const struct counter *wanted)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].table, wanted->table) == 0 && strcmp(list->items[i].column, wanted->column) == 0)
            return &list->items[i];
    return NULL;
}

static bool list_all(struct gw_store *base, struct counter_list *list, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine = list_columns(conn, list, err) && list_sequences(conn, list, err);
    gw_mysql_return(conn, !fine);
    return fine;
}

bool gw_mysql_sync_sequences(struct gw_store *from, struct gw_store *to, size_t *count, struct gw_error *err)
{
    struct counter_list there = {0}, here = {0};
    struct gw_mysql_conn *conn = NULL;
    size_t n = 0;
    bool fine =
        list_all(from, &there, err) && list_all(to, &here, err) && gw_mysql_borrow(gw_mysql_store_of(to), &conn, err);
    for (size_t i = 0; fine && i < there.count; i++) {
        const struct counter *target = find(&here, &there.items[i]);
        if (!target)
            continue;
        n++;
        if (*target->column ? target->next < there.items[i].next
                            : target->sequence_next != there.items[i].sequence_next)
            fine = set_one(conn, &there.items[i], err);
    }
    gw_mysql_return(conn, !fine);
    counters_release(&there);
    counters_release(&here);
    if (fine)
        *count = n;
    return fine;
}

bool gw_mysql_missing_sequences(struct gw_store *from, struct gw_store *to, struct gw_buf *lines, struct gw_error *err)
{
    struct counter_list there = {0}, here = {0};
    bool fine = list_all(from, &there, err) && list_all(to, &here, err);
    for (size_t i = 0; fine && i < there.count; i++)
        if (!find(&here, &there.items[i]))
            gw_buf_addf(lines, "%s%s%s\n", there.items[i].table, *there.items[i].column ? "." : "",
                        there.items[i].column);
    counters_release(&there);
    counters_release(&here);
    return fine;
}

static int column_of(const struct gw_collection *c, const char *name)
{
    for (size_t i = 0; i < c->column_count; i++)
        if (strcmp(c->columns[i].name, name) == 0)
            return (int)i;
    return -1;
}

bool gw_mysql_counters(struct gw_store *base, const struct gw_schema *schema, struct gw_counter **out, size_t *count,
                       struct gw_error *err)
{
    struct counter_list list = {0};
    size_t n = 0;
    if (!list_all(base, &list, err)) {
        counters_release(&list);
        return false;
    }
    struct gw_counter *counters = gw_calloc(list.count + 1, sizeof *counters);
    for (size_t i = 0; i < list.count; i++) {
        const struct gw_collection *c = gw_schema_find(schema, "", list.items[i].table);
        int column = c ? column_of(c, list.items[i].column) : -1;
        if (column >= 0)
            counters[n++] =
                (struct gw_counter){.collection = c->id,
                                    .column = (uint32_t)column,
                                    .follows_rows = true,
                                    .next = list.items[i].next > INT64_MAX ? INT64_MAX : (int64_t)list.items[i].next};
    }
    counters_release(&list);
    *out = counters;
    *count = n;
    return true;
}

bool gw_mysql_set_counters(struct gw_store *base, const struct gw_schema *schema, const struct gw_counter *counters,
                           size_t count, struct gw_error *err)
{
    struct counter_list list = {0};
    struct gw_mysql_conn *conn = NULL;
    bool fine = list_all(base, &list, err) && gw_mysql_borrow(gw_mysql_store_of(base), &conn, err);
    for (size_t i = 0; fine && i < count; i++) {
        const struct gw_collection *c = NULL;
        for (size_t k = 0; !c && k < schema->count; k++)
            if (schema->collections[k].id == counters[i].collection)
                c = &schema->collections[k];
        for (size_t k = 0; fine && c && k < list.count; k++) {
            struct counter *item = &list.items[k];
            if (strcmp(item->table, c->name) != 0 || column_of(c, item->column) != (int)counters[i].column ||
                counters[i].next <= 0 || (uint64_t)counters[i].next <= item->next)
                continue;
            item->next = (uint64_t)counters[i].next;
            fine = set_one(conn, item, err);
        }
    }
    gw_mysql_return(conn, !fine);
    counters_release(&list);
    return fine;
}
