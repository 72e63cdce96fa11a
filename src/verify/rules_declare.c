/* A foreign key that is declared in the migration file alone: "orders(user_id) -> users(id)". */
#include "verify/rules.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct half { /* "schema.table(a, b)" */
    char *space, *table;
    char **columns;
    size_t count;
};

static void release_half(struct half *half)
{
    for (size_t i = 0; i < half->count; i++)
        free(half->columns[i]);
    free(half->columns);
    free(half->space);
    free(half->table);
}

static char *trimmed(const char *text, size_t len)
{
    while (len && *text == ' ') {
        text++;
        len--;
    }
    while (len && text[len - 1] == ' ')
        len--;
    return gw_strndup(text, len);
}

/* False for what is not of that form. */
static bool read_half(const char *text, size_t len, const char *default_space, struct half *out)
{
    gw_autofree char *whole = trimmed(text, len);
    char *open = strchr(whole, '('), *close = strrchr(whole, ')');
    if (!open || !close || close[1] || close < open)
        return false;
    gw_autofree char *name = trimmed(whole, (size_t)(open - whole));
    char *dot = strchr(name, '.');
    out->space = dot ? gw_strndup(name, (size_t)(dot - name)) : gw_strdup(default_space);
    out->table = gw_strdup(dot ? dot + 1 : name);
    for (const char *at = open + 1; at <= close; at += strcspn(at, ",)") + 1) {
        char *column = trimmed(at, strcspn(at, ",)"));
        out->columns = gw_realloc(out->columns, (out->count + 1) * sizeof(char *));
        out->columns[out->count++] = column;
        if (!*column)
            return false;
    }
    return *out->table != 0 && out->count > 0;
}

static bool find_half(const struct half *half, const struct gw_definition *definition,
                      struct gw_table_definition **table, struct gw_error *err)
{
    *table = gw_definition_find(definition, half->space, half->table);
    if (!*table)
        return gw_fail(err, GW_ERR_USER, "there is no table %s%s%s among those that move", half->space,
                       *half->space ? "." : "", half->table);
    for (size_t i = 0; i < half->count; i++)
        if (gw_table_column(*table, half->columns[i]) < 0)
            return gw_fail(err, GW_ERR_USER, "the table %s has no column %s", half->table, half->columns[i]);
    return true;
}

static void add_key(struct gw_table_definition *table, struct half *from, struct half *to)
{
    struct gw_foreign_key *key = gw_table_add_foreign_key(table);
    gw_autobuf struct gw_buf name = {0};
    for (size_t i = 0; i < from->count; i++)
        gw_buf_addf(&name, "%s%s", i ? ", " : "", from->columns[i]);
    gw_buf_addf(&name, " -> %s", to->table);
    *key = (struct gw_foreign_key){.name = gw_buf_detach(&name),
                                   .column_count = from->count,
                                   .columns = from->columns,
                                   .references = to->columns,
                                   .space = gw_strdup(to->space),
                                   .table = gw_strdup(to->table),
                                   .not_valid = true};
    from->columns = to->columns = NULL;
    from->count = to->count = 0;
}

static bool declare(const char *text, struct half halves[2], const char *default_space, struct gw_definition *blue,
                    struct gw_error *err)
{
    const char *arrow = strstr(text, "->");
    struct gw_table_definition *tables[2];
    bool readable = arrow && read_half(text, (size_t)(arrow - text), default_space, &halves[0]) &&
                    read_half(arrow + 2, strlen(arrow + 2), default_space, &halves[1]) &&
                    halves[0].count == halves[1].count;
    if (!readable)
        return gw_fail(err, GW_ERR_USER, "it is not written as one");
    if (!find_half(&halves[0], blue, &tables[0], err) || !find_half(&halves[1], blue, &tables[1], err))
        return false;
    add_key(tables[0], &halves[0], &halves[1]);
    return true;
}

bool gw_rules_declare(const char *text, const char *default_space, struct gw_definition *blue, struct gw_error *err)
{
    struct half halves[2] = {{0}, {0}};
    bool ok = declare(text, halves, default_space, blue, err);
    release_half(&halves[0]);
    release_half(&halves[1]);
    if (ok)
        return true;
    gw_error_prefix(err, "the reference \"%.120s\"", text);
    return gw_error_hint(err, "write it as orders(user_id) -> users(id), with the names of blue");
}
