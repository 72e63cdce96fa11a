/* What is made is called as it was where that can be, and SQL of another dialect is taken over where it can only mean
 * one thing. */
#include "store/postgres/build.h"

#include "base/hash.h"
#include "base/mem.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LONGEST_NAME 63

const char *gw_pg_build_space(const char *space)
{
    return space && *space ? space : "public";
}

void gw_pg_build_table(struct gw_buf *out, const struct gw_table_definition *table)
{
    gw_pg_add_ident(out, gw_pg_build_space(table->space));
    gw_buf_addc(out, '.');
    gw_pg_add_ident(out, table->name);
}

void gw_pg_build_left(const struct gw_pg_building *b, const struct gw_table_definition *table, const char *format, ...)
{
    va_list args;
    if (!b->left)
        return;
    if (table)
        gw_buf_addf(b->left, "%s.%s: ", gw_pg_build_space(table->space), table->name);
    va_start(args, format);
    gw_buf_vaddf(b->left, format, args);
    va_end(args);
    gw_buf_addc(b->left, '\n');
}

void gw_pg_build_fit_name(struct gw_buf *name)
{
    if (name->len <= LONGEST_NAME)
        return;
    uint64_t hash = gw_hash64(name->data, name->len, 0);
    name->len = LONGEST_NAME - 9;
    while (name->len > 0 && ((unsigned char)name->data[name->len] & 0xc0) == 0x80)
        name->len--; /* no half of a character */
    gw_buf_addf(name, "_%08" PRIx32, (uint32_t)hash);
}

static bool is_taken(const struct gw_pg_building *b, const struct gw_table_definition *table, const char *name)
{
    const char *space = gw_pg_build_space(table->space);
    size_t uses = 0;
    for (size_t i = 0; i < b->definition->table_count; i++) {
        const struct gw_table_definition *other = &b->definition->tables[i];
        if (strcmp(gw_pg_build_space(other->space), space) != 0)
            continue;
        if (strcmp(other->name, name) == 0)
            return true;
        for (size_t k = 0; k < other->index_count; k++)
            uses += other->indexes[k].name && strcmp(other->indexes[k].name, name) == 0;
    }
    return uses > 1;
}

void gw_pg_build_index_name(const struct gw_pg_building *b, const struct gw_table_definition *table,
                            const struct gw_index_definition *index, struct gw_buf *out)
{
    bool generic = !index->name || !*index->name || strcasecmp(index->name, "primary") == 0 ||
                   strncmp(index->name, "sqlite_autoindex_", 17) == 0;
    if (!generic && !is_taken(b, table, index->name)) {
        gw_buf_adds(out, index->name);
    } else {
        gw_buf_addf(out, "%s_", table->name);
        if (index->kind == GW_INDEX_PRIMARY)
            gw_buf_adds(out, "pkey");
        else if (!generic)
            gw_buf_adds(out, index->name);
        for (size_t i = 0; generic && index->kind != GW_INDEX_PRIMARY && i < index->part_count; i++)
            gw_buf_addf(out, "%s_", index->parts[i].column ? index->parts[i].column : "expr");
        if (generic && index->kind != GW_INDEX_PRIMARY)
            gw_buf_adds(out, index->kind == GW_INDEX_UNIQUE ? "key" : "idx");
    }
    gw_pg_build_fit_name(out);
}

/* ---- conditions ----------------------------------------------------------------------------------------------------- */

static bool is_number_column(const struct gw_table_definition *table, const char *name, size_t len)
{
    for (size_t i = 0; i < table->column_count; i++) {
        const struct gw_column_definition *c = &table->columns[i];
        enum gw_kind kind = c->type.kind;
        if (strlen(c->name) == len && memcmp(c->name, name, len) == 0)
            return kind == GW_KIND_INT64 || kind == GW_KIND_UINT64 || kind == GW_KIND_DECIMAL;
    }
    return false;
}

static bool take_word(const struct gw_table_definition *table, const char **at, struct gw_buf *out)
{
    static const char *const words[] = {"and", "or", "not", "between", "in", "is", "null"};
    const char *from = *at;
    char quote = *from == '`' || *from == '"' ? *from : 0;
    size_t len = 0;
    from += quote != 0;
    while (from[len] && (quote ? from[len] != quote : isalnum((unsigned char)from[len]) || from[len] == '_'))
        len++;
    if (len == 0 || (quote && from[len] != quote))
        return false;
    *at = from + len + (quote != 0);
    for (size_t i = 0; !quote && i < sizeof words / sizeof *words; i++)
        if (strlen(words[i]) == len && strncasecmp(words[i], from, len) == 0) {
            gw_buf_addf(out, "%s ", words[i]);
            return true;
        }
    if (!is_number_column(table, from, len))
        return false;
    gw_autofree char *name = gw_strndup(from, len);
    gw_pg_add_ident(out, name);
    gw_buf_addc(out, ' ');
    return true;
}

bool gw_pg_build_condition(const struct gw_pg_building *b, const struct gw_table_definition *table, const char *sql,
                           struct gw_buf *out)
{
    static const char *const operators[] = {"<=>", "<=", ">=", "<>", "!=", "<", ">", "=", "(", ")", ","};
    gw_autobuf struct gw_buf text = {0};
    if (b->own) {
        gw_buf_adds(out, sql);
        return true;
    }
    for (const char *at = sql; *at;) {
        if (isspace((unsigned char)*at)) {
            at++;
            continue;
        }
        size_t digits = strspn(at + (*at == '-'), "0123456789.");
        if (digits) {
            gw_buf_add(&text, at, digits + (*at == '-'));
            gw_buf_addc(&text, ' ');
            at += digits + (*at == '-');
            continue;
        }
        size_t i = 0, count = sizeof operators / sizeof *operators;
        while (i < count && strncmp(at, operators[i], strlen(operators[i])) != 0)
            i++;
        if (i == 0 || (i == count && !take_word(table, &at, &text)))
            return false;
        if (i < count) {
            gw_buf_addf(&text, "%s ", operators[i]);
            at += strlen(operators[i]);
        }
    }
    gw_buf_add(out, text.data, text.len);
    return text.len > 0;
}
