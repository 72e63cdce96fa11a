/* What tables are on both sides: see definitions.h. */
#include "verify/definitions.h"

#include "base/mem.h"
#include "verify/cause.h"

#include <stdlib.h>
#include <string.h>

enum { SOURCE, TARGET };

struct diff {
    const struct gw_rules_options *options;
    struct gw_verify_report *report;
    size_t place;
    const struct gw_table_definition *wanted, *there;
    bool one_engine; /* both sides' words are of one engine, and unmapped */
    bool one_version;
    size_t found; /* of the table at hand */
};

static const char *or_none(const char *text)
{
    return text && *text ? text : "none";
}

static struct gw_verify_rule *add_rule(struct diff *diff, const struct gw_table_definition *table, const char *name,
                                       bool harms, const char *wanted, const char *there)
{
    struct gw_verify_report *report = diff->report;
    report->rules = gw_realloc(report->rules, (report->rule_count + 1) * sizeof *report->rules);
    struct gw_verify_rule *rule = &report->rules[report->rule_count++];
    *rule = (struct gw_verify_rule){.kind = GW_RULE_DEFINITION,
                                    .place = diff->place,
                                    .collection = *table->space ? gw_asprintf("%s.%s", table->space, table->name)
                                                                : gw_strdup(table->name),
                                    .name = gw_strdup(name),
                                    .verdict = harms ? GW_VERDICT_DIFFERENT : GW_VERDICT_EQUAL,
                                    .broken = {GW_RULE_NOT_COUNTED, GW_RULE_NOT_COUNTED},
                                    .on = {gw_strdup(or_none(wanted)), gw_strdup(or_none(there))}};
    rule->what = wanted || there ? gw_asprintf("%s on the source, %s on the target", rule->on[SOURCE], rule->on[TARGET])
                                 : gw_strdup("");
    return rule;
}

static void say(struct diff *diff, const char *column, const char *aspect, bool harms, const char *wanted,
                const char *there)
{
    gw_autofree char *name = *column ? gw_asprintf("%s: %s", column, aspect) : gw_strdup(aspect);
    diff->found++;
    (void)add_rule(diff, diff->wanted, name, harms, or_none(wanted), there);
}

/* ---- columns ----------------------------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static void add_default(const struct gw_column_definition *column, struct gw_buf *out)
{
    switch (column->default_kind) {
    case GW_DEFAULT_NONE:
        gw_buf_adds(out, column->counts ? "the next number" : "");
        break;
    case GW_DEFAULT_VALUE:
        if (column->default_value.kind == GW_KIND_NULL) {
            gw_buf_adds(out, "NULL");
            break;
        }
        gw_buf_addc(out, '\'');
        gw_datum_print(&column->default_value, out);
        gw_buf_addc(out, '\'');
        break;
    case GW_DEFAULT_NOW:
        gw_buf_adds(out, "the time");
        break;
    case GW_DEFAULT_NOW_UTC:
        gw_buf_adds(out, "the time in UTC");
        break;
    case GW_DEFAULT_UUID:
        gw_buf_adds(out, "a random uuid");
        break;
    case GW_DEFAULT_SQL:
        gw_buf_adds(out, column->counts ? "the next number" : column->default_sql ? column->default_sql : "");
        break;
    }
}

static bool is_unique(const struct gw_table_definition *table, const char *column)
{
    for (size_t i = 0; i < table->index_count; i++)
        for (size_t p = 0; p < table->indexes[i].part_count; p++)
            if (table->indexes[i].kind <= GW_INDEX_UNIQUE && same_text(table->indexes[i].parts[p].column, column))
                return true;
    return false;
}

static void diff_computed(struct diff *diff, const struct gw_column_definition *wanted,
                          const struct gw_column_definition *there)
{
    if (wanted->generated != there->generated)
        say(diff, wanted->name, "computed", true, wanted->generated ? or_none(wanted->generated_sql) : "no",
            there->generated ? or_none(there->generated_sql) : "no");
    else if (wanted->generated && diff->one_engine && !same_text(wanted->generated_sql, there->generated_sql))
        say(diff, wanted->name, "computed", diff->one_version, wanted->generated_sql, there->generated_sql);
}

static void diff_column(struct diff *diff, const struct gw_column_definition *wanted,
                        const struct gw_column_definition *there)
{
    gw_autobuf struct gw_buf a = {0}, b = {0};
    if (diff->one_engine && !same_text(wanted->sql_type, there->sql_type))
        say(diff, wanted->name, "type", true, wanted->sql_type, there->sql_type);
    if (wanted->not_null != there->not_null)
        say(diff, wanted->name, "NULL", diff->one_engine || there->not_null, wanted->not_null ? "refused" : "taken",
            there->not_null ? "refused" : "taken");
    diff_computed(diff, wanted, there);
    if (wanted->generated || there->generated)
        return;
    add_default(wanted, &a);
    add_default(there, &b);
    if (!same_text(gw_buf_text(&a), gw_buf_text(&b)))
        say(diff, wanted->name, "default", diff->one_engine && diff->one_version, gw_buf_text(&a), gw_buf_text(&b));
    if (diff->one_engine && !same_text(wanted->type.collation, there->type.collation))
        say(diff, wanted->name, "collation", is_unique(diff->wanted, wanted->name), wanted->type.collation,
            there->type.collation);
}

static void diff_columns(struct diff *diff)
{
    for (size_t i = 0; i < diff->wanted->column_count; i++) {
        const struct gw_column_definition *wanted = &diff->wanted->columns[i];
        int place = gw_table_column(diff->there, wanted->name);
        if (place < 0)
            say(diff, wanted->name, "column", true, wanted->sql_type ? wanted->sql_type : "there", "");
        else
            diff_column(diff, wanted, &diff->there->columns[place]);
    }
    for (size_t i = 0; i < diff->there->column_count; i++)
        if (gw_table_column(diff->wanted, diff->there->columns[i].name) < 0)
            say(diff, diff->there->columns[i].name, "column",
                diff->there->columns[i].not_null && diff->there->columns[i].default_kind == GW_DEFAULT_NONE &&
                    !diff->there->columns[i].generated,
                "", diff->there->columns[i].sql_type);
}

/* ---- owners and grants ------------------------------------------------------------------------------------------- */

struct right {
    char *space, *table, *kind, *role, *words;
};

struct rights {
    size_t count;
    struct right *items;
};

static bool take_right(void *arg, const struct gw_query_row *row, struct gw_error *err)
{
    struct rights *rights = arg;
    (void)err;
    if (row->count < 5)
        return true;
    char *texts[5];
    for (size_t i = 0; i < 5; i++)
        texts[i] = gw_strdup(row->values[i] ? row->values[i] : "");
    rights->items = gw_realloc(rights->items, (rights->count + 1) * sizeof *rights->items);
    rights->items[rights->count++] = (struct right){texts[0], texts[1], texts[2], texts[3], texts[4]};
    return true;
}

static void release_rights(struct rights *rights)
{
    for (size_t i = 0; i < rights->count; i++) {
        free(rights->items[i].space);
        free(rights->items[i].table);
        free(rights->items[i].kind);
        free(rights->items[i].role);
        free(rights->items[i].words);
    }
    free(rights->items);
}

/* role NULL: any. */
static const struct right *find_right(const struct rights *rights, const struct gw_table_definition *table,
                                      const char *kind, const char *role)
{
    for (size_t i = 0; i < rights->count; i++) {
        const struct right *right = &rights->items[i];
        if (strcmp(right->kind, kind) == 0 && (!role || strcmp(right->role, role) == 0) &&
            (!table || (strcmp(right->space, table->space) == 0 && strcmp(right->table, table->name) == 0)))
            return right;
    }
    return NULL;
}

/* Every privilege of `wanted` is among those of `there`: "INSERT, SELECT". */
static bool may_as_much(const char *wanted, const char *there)
{
    for (const char *at = wanted; *at; at += strspn(at, ", ")) {
        size_t len = strcspn(at, ",");
        bool found = false;
        for (const char *other = there; *other && !found; other += strspn(other, ", ")) {
            size_t other_len = strcspn(other, ",");
            found = other_len == len && memcmp(at, other, len) == 0;
            other += other_len;
        }
        if (!found)
            return false;
        at += len;
    }
    return true;
}

static void diff_rights(struct diff *diff, const struct gw_table_definition *source, const struct rights rights[2])
{
    const struct right *owners[2] = {find_right(&rights[SOURCE], source, "owner", NULL),
                                     find_right(&rights[TARGET], diff->wanted, "owner", NULL)};
    if (owners[SOURCE] && owners[TARGET] && strcmp(owners[SOURCE]->role, owners[TARGET]->role) != 0)
        say(diff, "", "owner", false, owners[SOURCE]->role, owners[TARGET]->role);
    for (size_t i = 0; i < rights[SOURCE].count; i++) {
        const struct right *right = &rights[SOURCE].items[i];
        if (strcmp(right->kind, "grant") != 0 || strcmp(right->space, source->space) != 0 ||
            strcmp(right->table, source->name) != 0)
            continue;
        const struct right *there = find_right(&rights[TARGET], diff->wanted, "grant", right->role);
        bool owns = owners[TARGET] && strcmp(owners[TARGET]->role, right->role) == 0;
        if (owns || (there && may_as_much(right->words, there->words)))
            continue;
        gw_autofree char *name = gw_asprintf("grant to %s", right->role);
        say(diff, "", name, !diff->options->mapped && find_right(&rights[TARGET], NULL, "role", right->role),
            right->words, there ? there->words : "");
    }
}

/* What may not be seen is not compared. */
static bool read_rights(const struct gw_rules_options *options, struct rights rights[2], struct gw_error *err)
{
    struct gw_store *const stores[] = {options->source, options->target};
    if (options->source->type != options->target->type || !options->source->type->query->rights)
        return true;
    for (int side = SOURCE; side <= TARGET; side++) {
        struct gw_error why;
        if (stores[side]->type->query->rights(stores[side], take_right, &rights[side], &why))
            continue;
        release_rights(&rights[SOURCE]);
        release_rights(&rights[TARGET]);
        rights[SOURCE] = rights[TARGET] = (struct rights){0};
        if (why.kind != GW_ERR_CANCELLED)
            return true;
        *err = why;
        return false;
    }
    return true;
}

bool gw_definitions_diff(const struct gw_rules_options *options, const struct gw_definition *there,
                         struct gw_verify_report *report, struct gw_error *err)
{
    struct rights rights[2] = {{0}, {0}};
    struct diff diff = {.options = options,
                        .report = report,
                        .one_engine = options->source->type == options->target->type && !options->mapped,
                        .one_version = options->source->identity.version == options->target->identity.version};
    if (!read_rights(options, rights, err))
        return false;
    for (; diff.place < options->wanted[TARGET]->table_count; diff.place++) {
        diff.wanted = &options->wanted[TARGET]->tables[diff.place];
        diff.there = gw_definition_find(there, diff.wanted->space, diff.wanted->name);
        diff.found = 0;
        if (!diff.there)
            continue; /* the comparison of rows has said so */
        diff_columns(&diff);
        diff_rights(&diff, &options->wanted[SOURCE]->tables[diff.place], rights);
        if (!diff.found)
            (void)add_rule(&diff, diff.wanted, "definition", false, NULL, NULL);
    }
    release_rights(&rights[SOURCE]);
    release_rights(&rights[TARGET]);
    return true;
}
