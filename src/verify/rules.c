/* What has to hold among the rows of the target: see rules.h. */
#include "verify/rules.h"

#include "base/clock.h"
#include "base/mem.h"
#include "verify/cause.h"
#include "verify/definitions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 5 /* rows named where a rule is broken */
#define LOOKS 3 /* at a live pair, before it is believed */
#define WAIT_MS 10000

enum { SOURCE, TARGET };

struct rules {
    const struct gw_rules_options *options;
    struct gw_verify_report *report;
    struct gw_definition there; /* the target as it is */
    size_t place;               /* of the collection at hand */
};

static struct gw_store *side_of(const struct rules *rules, int side)
{
    return side == SOURCE ? rules->options->source : rules->options->target;
}

static struct gw_verify_rule *add_rule(struct rules *rules, enum gw_rule_kind kind,
                                       const struct gw_table_definition *table, const char *name)
{
    struct gw_verify_report *report = rules->report;
    report->rules = gw_realloc(report->rules, (report->rule_count + 1) * sizeof *report->rules);
    struct gw_verify_rule *rule = &report->rules[report->rule_count++];
    *rule = (struct gw_verify_rule){.kind = kind,
                                    .place = rules->place,
                                    .collection = table->space && *table->space
                                                      ? gw_asprintf("%s.%s", table->space, table->name)
                                                      : gw_strdup(table->name),
                                    .name = gw_strdup(name),
                                    .verdict = GW_VERDICT_EQUAL,
                                    .broken = {GW_RULE_NOT_COUNTED, GW_RULE_NOT_COUNTED},
                                    .what = gw_strdup("")};
    return rule;
}

static void decide(struct gw_verify_rule *rule, enum gw_verdict verdict, char *what)
{
    rule->verdict = verdict;
    free(rule->what);
    rule->what = what;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static bool take_count(void *arg, const struct gw_query_row *row, struct gw_error *err)
{
    (void)err;
    *(uint64_t *)arg = row->count && row->values[0] ? strtoull(row->values[0], NULL, 10) : 0;
    return true;
}

/* "id=4, tenant=7; id=9, tenant=7" */
struct named_rows {
    const struct gw_mask *mask;
    struct gw_buf *out;
};

static bool take_row(void *arg, const struct gw_query_row *row, struct gw_error *err)
{
    const struct named_rows *named = arg;
    struct gw_buf *out = named->out;
    (void)err;
    gw_buf_adds(out, out->len ? "; " : "");
    for (size_t i = 0; i < row->count; i++) {
        gw_buf_addf(out, "%s%s=", i ? ", " : "", row->names[i]);
        if (row->values[i])
            gw_mask_shown(named->mask, true, row->values[i], row->lens[i], out);
        else
            gw_buf_adds(out, "NULL");
    }
    return true;
}

static bool count_rows(const struct rules *rules, int side, const char *from, uint64_t *count, struct gw_error *err)
{
    struct gw_store *store = side_of(rules, side);
    struct gw_query_limits limits = {.timeout_ms = rules->options->timeout_ms, .rows = 1};
    gw_autofree char *sql = gw_asprintf("SELECT count(*)%s", from);
    return store->type->query->run(store, sql, &limits, take_count, count, NULL, err);
}

/* The key of the table, or what is asked about where it has none. */
static void add_shown_columns(const struct gw_store *store, const struct gw_table_definition *table,
                              const struct gw_verify_rule *rule, char *const *columns, size_t count, struct gw_buf *out)
{
    const struct gw_index_definition *key = NULL;
    for (size_t i = 0; i < table->index_count && rule->kind != GW_RULE_UNIQUE; i++)
        if (table->indexes[i].kind == GW_INDEX_PRIMARY)
            key = &table->indexes[i];
    size_t written = 0;
    for (size_t i = 0; key && i < key->part_count; i++)
        if (key->parts[i].column) {
            gw_buf_adds(out, written++ ? ", c." : "c.");
            store->type->query->add_name(out, NULL, key->parts[i].column);
        }
    for (size_t i = 0; i < count; i++) {
        bool twice = false;
        for (size_t k = 0; key && k < key->part_count; k++)
            twice |= key->parts[k].column && strcmp(key->parts[k].column, columns[i]) == 0;
        if (twice)
            continue;
        gw_buf_adds(out, written++ ? ", c." : "c.");
        store->type->query->add_name(out, NULL, columns[i]);
    }
    if (rule->kind == GW_RULE_UNIQUE)
        gw_buf_adds(out, ", c.times");
    else if (!written)
        gw_buf_adds(out, "c.*");
}

static bool name_rows(const struct rules *rules, const struct gw_table_definition *table,
                      const struct gw_verify_rule *rule, char *const *columns, size_t count, const char *from,
                      struct gw_buf *out, struct gw_error *err)
{
    struct gw_store *store = side_of(rules, TARGET);
    struct gw_query_limits limits = {.timeout_ms = rules->options->timeout_ms, .rows = SHOWN};
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "SELECT ");
    add_shown_columns(store, table, rule, columns, count, &sql);
    gw_buf_addf(&sql, "%s LIMIT %d", from, SHOWN);
    struct named_rows named = {rules->options->verify->mask, out};
    return store->type->query->run(store, gw_buf_text(&sql), &limits, take_row, &named, NULL, err);
}

/* All that the source has now is on the target when this returns true with *reached. */
static bool catch_up(const struct rules *rules, bool *reached, struct gw_error *err)
{
    const struct gw_verify_options *verify = rules->options->verify;
    struct gw_position at;
    *reached = true;
    if (!verify->wait_applied)
        return true;
    return rules->options->source->type->changes->horizon(rules->options->source, &at, err) &&
           verify->wait_applied(verify->wait_arg, &at, WAIT_MS, reached, err);
}

struct question {
    const struct gw_table_definition *tables[2]; /* the source's may be NULL: not known there */
    char *const *columns;                        /* on the target: what is shown of a row */
    size_t column_count;
    struct gw_buf from[2];
    const char *noun, *broken; /* "row", "whose user_id is in no row of users(id)" */
};

static void say_broken(const struct question *q, struct gw_verify_rule *rule, const char *shown, bool reached)
{
    gw_autobuf struct gw_buf what = {0};
    uint64_t source = rule->broken[SOURCE], target = rule->broken[TARGET];
    gw_cause_add_count(&what, target);
    gw_buf_addf(&what, " %s%s %s", q->noun, target == 1 ? "" : "s", q->broken);
    if (*shown)
        gw_buf_addf(&what, ": %s%s", shown, target > SHOWN ? "; ..." : "");
    if (source == GW_RULE_NOT_COUNTED) {
        gw_buf_adds(&what, " (the source was not asked)");
    } else if (source >= target) {
        gw_buf_adds(&what, " (on the source, too: it came along as it was)");
    } else {
        gw_buf_adds(&what, " (on the source: ");
        gw_cause_add_count(&what, source);
        gw_buf_addc(&what, ')');
    }
    enum gw_verdict verdict = source != GW_RULE_NOT_COUNTED && source >= target ? GW_VERDICT_EQUAL
                              : reached                                         ? GW_VERDICT_DIFFERENT
                                                                                : GW_VERDICT_UNRESOLVED;
    decide(rule, verdict, gw_buf_detach(&what));
}

/* The target first: where it breaks nothing, the source is spared. */
static bool ask_sides(const struct rules *rules, const struct question *q, struct gw_verify_rule *rule, bool *reached,
                      struct gw_error *err)
{
    *reached = true;
    for (int look = 0; look < LOOKS; look++) {
        if (!count_rows(rules, TARGET, gw_buf_text(&q->from[TARGET]), &rule->broken[TARGET], err))
            return false;
        if (rule->broken[TARGET] == 0 || !q->tables[SOURCE])
            return true;
        if (!count_rows(rules, SOURCE, gw_buf_text(&q->from[SOURCE]), &rule->broken[SOURCE], err))
            return false;
        if (rule->broken[SOURCE] >= rule->broken[TARGET])
            return true;
        if (look + 1 < LOOKS && !catch_up(rules, reached, err))
            return false;
    }
    return true;
}

static char *not_asked(const struct rules *rules, const struct gw_error *why)
{
    struct gw_buf words = {0};
    gw_buf_adds(&words, "could not be asked: ");
    gw_mask_words(rules->options->verify->mask, why->message, &words);
    return gw_buf_detach(&words);
}

/* What cannot be asked is unresolved; only what concerns all of it ends the run. */
static bool ask(const struct rules *rules, const struct question *q, struct gw_verify_rule *rule, struct gw_error *err)
{
    gw_autobuf struct gw_buf shown = {0};
    struct gw_error why;
    bool reached = true;
    bool ok = ask_sides(rules, q, rule, &reached, &why);
    if (ok && rule->broken[TARGET] == 0)
        return true;
    ok = ok && name_rows(rules, q->tables[TARGET], rule, q->columns, q->column_count, gw_buf_text(&q->from[TARGET]),
                         &shown, &why);
    if (ok) {
        say_broken(q, rule, gw_buf_text(&shown), reached);
        return true;
    }
    if (why.kind == GW_ERR_CANCELLED) {
        *err = why;
        return false;
    }
    decide(rule, GW_VERDICT_UNRESOLVED, not_asked(rules, &why));
    return true;
}

static void release_question(struct question *q)
{
    gw_buf_release(&q->from[SOURCE]);
    gw_buf_release(&q->from[TARGET]);
}

/* ---- foreign keys ------------------------------------------------------------------------------------------------ */

static const struct gw_foreign_key *find_foreign_key(const struct gw_table_definition *table, const char *name)
{
    for (size_t i = 0; i < table->foreign_key_count; i++)
        if (name && table->foreign_keys[i].name && strcmp(table->foreign_keys[i].name, name) == 0)
            return &table->foreign_keys[i];
    return NULL;
}

static void add_names(struct gw_buf *out, char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        gw_buf_addf(out, "%s%s", i ? ", " : "", names[i]);
}

static bool ask_reference(struct rules *rules, const struct gw_table_definition *tables[2],
                          const struct gw_foreign_key *key, struct gw_error *err)
{
    gw_autobuf struct gw_buf broken = {0}, name = {0};
    const struct gw_foreign_key *on_source = find_foreign_key(tables[SOURCE], key->name);
    struct question q = {.tables = {on_source ? tables[SOURCE] : NULL, tables[TARGET]},
                         .columns = key->columns,
                         .column_count = key->column_count};
    gw_rules_orphans_sql(rules->options->target, tables[TARGET], key, &q.from[TARGET]);
    if (on_source)
        gw_rules_orphans_sql(rules->options->source, tables[SOURCE], on_source, &q.from[SOURCE]);
    gw_buf_adds(&broken, "whose ");
    add_names(&broken, key->columns, key->column_count);
    gw_buf_addf(&broken, " is in no row of %s(", key->table);
    add_names(&broken, key->references, key->column_count);
    gw_buf_addc(&broken, ')');
    q.noun = "row";
    q.broken = gw_buf_text(&broken);
    if (!key->name) {
        add_names(&name, key->columns, key->column_count);
        gw_buf_addf(&name, " -> %s", key->table);
    }
    struct gw_verify_rule *rule =
        add_rule(rules, GW_RULE_REFERENCE, tables[TARGET], key->name ? key->name : gw_buf_text(&name));
    bool ok = ask(rules, &q, rule, err);
    release_question(&q);
    return ok;
}

/* ---- unique ------------------------------------------------------------------------------------------------------ */

static bool same_parts(const struct gw_index_definition *a, const struct gw_index_definition *b)
{
    if (a->part_count != b->part_count)
        return false;
    for (size_t i = 0; i < a->part_count; i++) {
        const char *x = a->parts[i].column, *y = b->parts[i].column;
        if (!x != !y || (x && strcmp(x, y) != 0))
            return false;
        x = a->parts[i].expression;
        y = b->parts[i].expression;
        if (!x != !y || a->parts[i].prefix != b->parts[i].prefix)
            return false;
    }
    return !a->where == !b->where;
}

static bool keeps_unique(const struct gw_index_definition *index)
{
    return index->kind == GW_INDEX_PRIMARY || index->kind == GW_INDEX_UNIQUE;
}

/* Only what is listed is valid: an engine leaves out what is not. */
static const struct gw_index_definition *find_index(const struct gw_table_definition *table,
                                                    const struct gw_index_definition *wanted)
{
    for (size_t i = 0; table && i < table->index_count; i++) {
        const struct gw_index_definition *index = &table->indexes[i];
        if (same_parts(index, wanted) && (!keeps_unique(wanted) || keeps_unique(index)))
            return index;
    }
    return NULL;
}

/* An index that says in columns alone what it holds: another engine has it as it is, or it is missing. */
static bool is_plain(const struct gw_index_definition *index)
{
    if (index->where || index->method || index->kind > GW_INDEX_PLAIN || index->part_count == 0)
        return false;
    for (size_t i = 0; i < index->part_count; i++)
        if (!index->parts[i].column)
            return false;
    return true;
}

static bool has_prefix(const struct gw_index_definition *index)
{
    for (size_t i = 0; i < index->part_count; i++)
        if (index->parts[i].prefix)
            return true;
    return false;
}

static bool ask_twice(struct rules *rules, const struct gw_table_definition *tables[2],
                      const struct gw_index_definition *index, struct gw_error *err)
{
    char **columns = gw_calloc(index->part_count + 1, sizeof(char *));
    struct question q = {.tables = {NULL, tables[TARGET]},
                         .columns = columns,
                         .column_count = index->part_count,
                         .noun = "key",
                         .broken = "found more than once"};
    for (size_t i = 0; i < index->part_count; i++)
        columns[i] = index->parts[i].column;
    gw_rules_twice_sql(rules->options->target, tables[TARGET], index, &q.from[TARGET]);
    struct gw_verify_rule *rule = add_rule(rules, GW_RULE_UNIQUE, tables[TARGET], index->name ? index->name : "key");
    rule->broken[SOURCE] = 0; /* its index keeps it so */
    bool ok = ask(rules, &q, rule, err);
    release_question(&q);
    free(columns);
    return ok;
}

static bool look_at_index(struct rules *rules, const struct gw_table_definition *tables[2],
                          const struct gw_index_definition *index, const struct gw_table_definition *there,
                          struct gw_error *err)
{
    if (!is_plain(index) || !there)
        return true;
    struct gw_verify_rule *rule = add_rule(rules, GW_RULE_INDEX, tables[TARGET], index->name ? index->name : "key");
    if (find_index(there, index))
        return true; /* the server keeps it */
    gw_autobuf struct gw_buf columns = {0};
    for (size_t i = 0; i < index->part_count; i++)
        gw_buf_addf(&columns, "%s%s", i ? ", " : "", index->parts[i].column);
    decide(rule, GW_VERDICT_DIFFERENT,
           gw_asprintf("%s index on (%s) is missing on the target, or not valid",
                       keeps_unique(index) ? "the unique" : "the", gw_buf_text(&columns)));
    return !keeps_unique(index) || has_prefix(index) || ask_twice(rules, tables, index, err);
}

/* ---- conditions -------------------------------------------------------------------------------------------------- */

static bool has_check(const struct gw_table_definition *table, const char *name)
{
    for (size_t i = 0; table && i < table->check_count; i++)
        if (name && table->checks[i].name && strcmp(table->checks[i].name, name) == 0)
            return true;
    return false;
}

/* Where the target has it, the server keeps it: of rows that are written, and of all where it is valid. So every row is
 * asked only where it has none. */
static bool look_at_condition(struct rules *rules, const struct gw_table_definition *tables[2],
                              const struct gw_check_definition *check, const struct gw_table_definition *there,
                              struct gw_error *err)
{
    struct question q = {.tables = {tables[SOURCE], tables[TARGET]}, .noun = "row", .broken = "against the condition"};
    struct gw_verify_rule *rule =
        add_rule(rules, GW_RULE_CONDITION, tables[TARGET], check->name ? check->name : check->sql);
    if (has_check(there, check->name))
        return true;
    gw_rules_condition_sql(rules->options->target, tables[TARGET], check, &q.from[TARGET]);
    gw_rules_condition_sql(rules->options->source, tables[SOURCE], check, &q.from[SOURCE]);
    bool ok = ask(rules, &q, rule, err);
    release_question(&q);
    return ok;
}

/* ---- counters ---------------------------------------------------------------------------------------------------- */

struct highest {
    int64_t value;
    bool found;
};

static bool take_highest(void *arg, const struct gw_query_row *row, struct gw_error *err)
{
    struct highest *highest = arg;
    (void)err;
    highest->found = row->count && row->values[0];
    highest->value = highest->found ? strtoll(row->values[0], NULL, 10) : 0;
    return true;
}

static bool highest_of(const struct rules *rules, int side, const struct gw_counter *counter, int64_t *value,
                       bool *found, struct gw_error *err)
{
    struct gw_store *store = side_of(rules, side);
    const struct gw_collection *c = &rules->options->schemas[side]->collections[counter->collection];
    struct gw_query_limits limits = {.timeout_ms = rules->options->timeout_ms, .rows = 1};
    struct highest highest = {0};
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "SELECT max(");
    store->type->query->add_name(&sql, NULL, c->columns[counter->column].name);
    gw_buf_adds(&sql, ") FROM ");
    store->type->query->add_name(&sql, c->space, c->name);
    if (!store->type->query->run(store, gw_buf_text(&sql), &limits, take_highest, &highest, NULL, err))
        return false;
    *value = highest.value;
    *found = highest.found;
    return true;
}

static const struct gw_counter *find_counter(const struct gw_counter *counters, size_t count, uint32_t collection)
{
    for (size_t i = 0; i < count; i++)
        if (counters[i].collection == collection)
            return &counters[i];
    return NULL;
}

/* Behind keys that were there before it was read: on a live side a counter that is read first is soon outrun. */
static bool reread_counter(const struct rules *rules, const struct gw_counter *counter, int64_t *next,
                           struct gw_error *err)
{
    struct gw_store *store = side_of(rules, SOURCE);
    struct gw_counter *now = NULL;
    size_t count;
    if (!store->type->schema->counters(store, rules->options->schemas[SOURCE], &now, &count, err))
        return false;
    const struct gw_counter *found = find_counter(now, count, counter->collection);
    *next = found ? found->next : counter->next;
    free(now);
    return true;
}

static const char *number_text(const struct gw_mask *mask, int64_t number, char text[24])
{
    if (mask && mask->hides && mask->hides_keys)
        return "(held back)";
    snprintf(text, 24, "%lld", (long long)number);
    return text;
}

/* The owner's counter is behind its keys, while the other side's is further on: numbers were lost at the switch. */
static bool look_at_counter(struct rules *rules, const struct gw_counter *counter, const struct gw_counter *other,
                            struct gw_error *err)
{
    int64_t next = counter->next;
    const struct gw_table_definition *table = &rules->options->wanted[SOURCE]->tables[counter->collection];
    const struct gw_collection *c = &rules->options->schemas[SOURCE]->collections[counter->collection];
    struct gw_error why;
    int64_t highest;
    bool found;
    char numbers[2][24];
    struct gw_verify_rule *rule = add_rule(rules, GW_RULE_COUNTER, table, c->columns[counter->column].name);
    if (!highest_of(rules, SOURCE, counter, &highest, &found, &why) ||
        (found && next <= highest && !reread_counter(rules, counter, &next, &why))) {
        if (why.kind == GW_ERR_CANCELLED) {
            *err = why;
            return false;
        }
        decide(rule, GW_VERDICT_UNRESOLVED, not_asked(rules, &why));
        return true;
    }
    if (!found || next > highest)
        return true;
    bool lost = other && !other->follows_rows && other->next > next;
    const struct gw_mask *mask = rules->options->verify->mask;
    decide(rule, lost ? GW_VERDICT_DIFFERENT : GW_VERDICT_EQUAL,
           gw_asprintf("the owner's next number is %s, and its highest key %s%s", number_text(mask, next, numbers[0]),
                       number_text(mask, highest, numbers[1]),
                       lost ? ": the other side is further on"
                            : ": a row without a number of its own will meet one that is there"));
    return true;
}

static bool look_at_counters(struct rules *rules, struct gw_error *err)
{
    struct gw_counter *counters[2] = {NULL, NULL};
    size_t counts[2] = {0, 0};
    bool ok = true;
    for (int side = SOURCE; ok && side <= TARGET; side++) {
        struct gw_store *store = side_of(rules, side);
        if (!store->type->schema || !store->type->schema->counters)
            goto done;
        ok = store->type->schema->counters(store, rules->options->schemas[side], &counters[side], &counts[side], err);
    }
    for (size_t i = 0; ok && i < counts[SOURCE]; i++) {
        rules->place = counters[SOURCE][i].collection;
        ok = look_at_counter(rules, &counters[SOURCE][i],
                             find_counter(counters[TARGET], counts[TARGET], counters[SOURCE][i].collection), err);
    }
done:
    free(counters[SOURCE]);
    free(counters[TARGET]);
    return ok;
}

/* ---- all --------------------------------------------------------------------------------------------------------- */

static bool look_at_table(struct rules *rules, size_t place, struct gw_error *err)
{
    const struct gw_definition *const *wanted = rules->options->wanted;
    const struct gw_table_definition *tables[2] = {&wanted[SOURCE]->tables[place], &wanted[TARGET]->tables[place]};
    const struct gw_table_definition *table = tables[TARGET];
    const struct gw_table_definition *there = gw_definition_find(&rules->there, table->space, table->name);
    bool same_words = strcmp(wanted[SOURCE]->sql_of, wanted[TARGET]->sql_of) == 0;
    bool ok = true;
    for (size_t i = 0; ok && i < table->index_count; i++)
        ok = look_at_index(rules, tables, &table->indexes[i], there, err);
    for (size_t i = 0; ok && i < table->foreign_key_count; i++)
        ok = ask_reference(rules, tables, &table->foreign_keys[i], err);
    for (size_t i = 0; ok && same_words && i < table->check_count; i++)
        ok = look_at_condition(rules, tables, &table->checks[i], there, err);
    return ok;
}

static bool is_worse(enum gw_verdict verdict, enum gw_verdict than)
{
    return verdict == GW_VERDICT_DIFFERENT    ? than != GW_VERDICT_DIFFERENT
           : verdict == GW_VERDICT_UNRESOLVED ? than == GW_VERDICT_EQUAL
                                              : false;
}

/* A collection is as good as the worst that was found of it. */
static void take_into_verdict(const struct rules *rules, const struct gw_verify_rule *rule)
{
    struct gw_verify_report *report = rules->report;
    if (is_worse(rule->verdict, report->verdict))
        report->verdict = rule->verdict;
    if (rule->place >= report->count)
        return;
    struct gw_verify_collection *collection = &report->collections[rule->place];
    if (!is_worse(rule->verdict, collection->verdict))
        return;
    collection->verdict = rule->verdict;
    free(collection->reason);
    collection->reason = gw_asprintf("%s: %s", rule->name, rule->what);
}

bool gw_rules_run(const struct gw_rules_options *options, struct gw_verify_report *report, struct gw_error *err)
{
    const struct gw_filter everything = {0};
    struct gw_store *target = options->target;
    struct rules rules = {.options = options, .report = report};
    int64_t began_us = gw_mono_us();
    if (!options->source->type->query || !target->type->query || !target->type->catalog->describe)
        return true;
    bool ok = target->type->catalog->describe(target, &everything, &rules.there, err);
    for (; ok && rules.place < options->wanted[TARGET]->table_count; rules.place++)
        ok = look_at_table(&rules, rules.place, err);
    ok = ok && look_at_counters(&rules, err) && gw_definitions_diff(options, &rules.there, report, err);
    for (size_t i = 0; ok && i < report->rule_count; i++)
        take_into_verdict(&rules, &report->rules[i]);
    gw_definition_release(&rules.there);
    report->elapsed_us += gw_mono_us() - began_us;
    return ok;
}
