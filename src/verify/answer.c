/* What a query answered on each side, and whether it is the same. */
#include "base/mem.h"
#include "map/decimal.h"
#include "model/datum.h"
#include "verify/cause.h"
#include "verify/queries.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HELD_BYTES ((uint64_t)8 << 20) /* of one answer */
#define VALUE_COST 16

void gw_answer_release(struct gw_answer *answer)
{
    gw_arena_release(&answer->arena);
    free(answer->values);
    *answer = (struct gw_answer){0};
}

bool gw_answer_take(void *arg, const struct gw_query_row *row, struct gw_error *err)
{
    struct gw_answer *answer = arg;
    if (answer->rows == 0) {
        answer->columns = row->count;
        answer->names = gw_arena_zalloc(&answer->arena, (row->count + 1) * sizeof(char *));
        for (size_t i = 0; i < row->count; i++)
            answer->names[i] = gw_arena_strdup(&answer->arena, row->names[i]);
    }
    if ((answer->rows + 1) * row->count > answer->capacity) {
        answer->capacity = (answer->rows + 1) * row->count * 2;
        answer->values = gw_realloc(answer->values, (answer->capacity + 1) * sizeof *answer->values);
    }
    for (size_t i = 0; i < row->count; i++) {
        struct gw_answer_value *value = &answer->values[answer->rows * row->count + i];
        *value = (struct gw_answer_value){0};
        answer->bytes += VALUE_COST + row->lens[i];
        if (row->values[i])
            *value = (struct gw_answer_value){gw_arena_dup(&answer->arena, row->values[i], row->lens[i]), row->lens[i]};
    }
    answer->rows++;
    if (answer->bytes <= HELD_BYTES)
        return true;
    gw_fail(err, GW_ERR_RESOURCE, "it answers more than %llu MiB", (unsigned long long)(HELD_BYTES >> 20));
    return gw_error_hint(err, "let it count or sum, or give it a LIMIT; verify compares the rows of tables by itself");
}

static int compare_values(const struct gw_answer_value *a, const struct gw_answer_value *b)
{
    if (!a->text || !b->text)
        return (a->text != NULL) - (b->text != NULL);
    int order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

/* ---- what a text means ------------------------------------------------------------------------------------------- */

/* Without what says nothing: the zeros around it, a minus before zero. False for what is no plain number. */
static bool plain_number(const char *text, size_t len, struct gw_buf *out)
{
    struct gw_decimal number;
    if (!gw_decimal_parse(text, len, &number))
        return false;
    size_t fraction = number.fraction_len;
    while (fraction && number.fraction[fraction - 1] == '0')
        fraction--;
    gw_buf_adds(out, number.negative && !gw_decimal_is_zero(&number) ? "-" : "");
    gw_buf_add(out, number.whole_len ? number.whole : "0", number.whole_len ? number.whole_len : 1);
    if (fraction)
        gw_buf_addc(out, '.');
    gw_buf_add(out, number.fraction, fraction);
    return true;
}

static bool moment(const char *text, size_t len, int64_t *us)
{
    static const char *const zones[] = {"+00:00", "+00", "Z"};
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        size_t zone = strlen(zones[i]);
        if (len > zone && memcmp(text + len - zone, zones[i], zone) == 0) {
            len -= zone;
            break;
        }
    }
    return gw_timestamp_parse(text, len, us);
}

/* One text for all the ways in which engines write the same. */
static struct gw_answer_value meaning(struct gw_arena *arena, const struct gw_answer_value *value)
{
    gw_autobuf struct gw_buf text = {0};
    int64_t us;
    if (!value->text)
        return *value;
    if (!strcmp(value->text, "t") || !strcmp(value->text, "true"))
        gw_buf_addc(&text, '1');
    else if (!strcmp(value->text, "f") || !strcmp(value->text, "false"))
        gw_buf_addc(&text, '0');
    else if (moment(value->text, value->len, &us))
        gw_timestamp_print(us, ' ', -1, &text);
    else if (strlen(value->text) != value->len || !plain_number(value->text, value->len, &text))
        return *value;
    return (struct gw_answer_value){gw_arena_dup(arena, gw_buf_text(&text), text.len), text.len};
}

static bool number_of(const struct gw_answer_value *value, double *number)
{
    char *end;
    int64_t us;
    if (moment(value->text, value->len, &us)) {
        *number = (double)us / 1e6;
        return true;
    }
    if (!isdigit((unsigned char)*value->text) && !strchr("-+.", *value->text))
        return false;
    *number = strtod(value->text, &end);
    return end != value->text && *end == 0;
}

static bool within(const struct gw_answer_value *a, const struct gw_answer_value *b, double by)
{
    double x, y;
    return a->text && b->text && number_of(a, &x) && number_of(b, &y) && isfinite(x) && isfinite(y) &&
           fabs(x - y) <= by;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

struct column {
    size_t place;
    bool tolerant;
    double by;
};

struct row {
    const struct gw_answer_value *values;
    const struct column *order; /* exact columns first */
    size_t columns;
};

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    for (size_t i = 0; i < x->columns; i++) {
        const struct gw_answer_value *left = &x->values[x->order[i].place], *right = &y->values[x->order[i].place];
        double m, n;
        int order = x->order[i].tolerant && left->text && right->text && number_of(left, &m) && number_of(right, &n)
                        ? (m > n) - (m < n)
                        : compare_values(left, right);
        if (order)
            return order;
    }
    return 0;
}

static void order_columns(const struct gw_answer *answer, const struct gw_answer_form *form, struct column *out)
{
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < answer->columns; i++) {
            const struct gw_tolerance *found = NULL;
            for (size_t t = 0; t < form->tolerance_count && !found; t++)
                if (strcmp(form->tolerances[t].column, answer->names[i]) == 0)
                    found = &form->tolerances[t];
            if ((found != NULL) == pass)
                out[count++] = (struct column){i, found != NULL, found ? found->by : 0};
        }
}

static struct row *make_rows(struct gw_answer *answer, const struct gw_answer_form *form, const struct column *order)
{
    struct row *rows = gw_calloc(answer->rows + 1, sizeof *rows);
    for (size_t i = 0; !form->one_engine && i < answer->rows * answer->columns; i++)
        answer->values[i] = meaning(&answer->arena, &answer->values[i]);
    for (size_t i = 0; i < answer->rows; i++)
        rows[i] = (struct row){&answer->values[i * answer->columns], order, answer->columns};
    if (!form->ordered)
        qsort(rows, answer->rows, sizeof *rows, compare_rows);
    return rows;
}

static const struct column *first_difference(const struct row *a, const struct row *b)
{
    for (size_t i = 0; i < a->columns; i++) {
        const struct column *column = &a->order[i];
        const struct gw_answer_value *x = &a->values[column->place], *y = &b->values[column->place];
        if (compare_values(x, y) != 0 && !(column->tolerant && within(x, y, column->by)))
            return column;
    }
    return NULL;
}

static void add_value(struct gw_buf *out, const struct gw_mask *mask, const struct gw_answer_value *value)
{
    if (value->text)
        gw_mask_shown(mask, false, value->text, value->len, out);
    else
        gw_buf_adds(out, "NULL");
}

static void say_difference(const struct gw_answer *answer, const struct row *a, const struct row *b,
                           const struct column *column, size_t place, const struct gw_mask *mask, struct gw_buf *out)
{
    gw_buf_addf(out, "row %zu", place + 1);
    if (column->place != 0) {
        gw_buf_addf(out, " (%s=", answer->names[0]);
        add_value(out, mask, &a->values[0]);
        gw_buf_addc(out, ')');
    }
    gw_buf_addf(out, ": %s is ", answer->names[column->place]);
    add_value(out, mask, &a->values[column->place]);
    gw_buf_adds(out, " on the source, ");
    add_value(out, mask, &b->values[column->place]);
    gw_buf_adds(out, " on the target");
}

static bool compare_answers(const struct gw_answer *answer, const struct row *a, const struct row *b, size_t rows,
                            const struct gw_mask *mask, struct gw_buf *what)
{
    gw_autobuf struct gw_buf first = {0};
    size_t differing = 0;
    for (size_t i = 0; i < rows; i++) {
        const struct column *column = first_difference(&a[i], &b[i]);
        if (column && differing++ == 0)
            say_difference(answer, &a[i], &b[i], column, i, mask, &first);
    }
    if (!differing)
        return true;
    gw_cause_add_count(what, differing);
    gw_buf_adds(what, " of ");
    gw_cause_add_count(what, rows);
    gw_buf_addf(what, " row%s differ%s, %s", rows == 1 ? "" : "s", differing == 1 ? "s" : "", gw_buf_text(&first));
    return false;
}

bool gw_answer_same(struct gw_answer *source, struct gw_answer *target, const struct gw_answer_form *form,
                    struct gw_buf *what)
{
    if (source->rows != target->rows) {
        gw_cause_add_count(what, source->rows);
        gw_buf_addf(what, " row%s on the source, ", source->rows == 1 ? "" : "s");
        gw_cause_add_count(what, target->rows);
        gw_buf_adds(what, " on the target");
        return false;
    }
    if (source->rows && source->columns != target->columns) {
        gw_buf_addf(what, "%zu columns on the source, %zu on the target", source->columns, target->columns);
        return false;
    }
    struct column *order = gw_calloc(source->columns + 1, sizeof *order);
    order_columns(source, form, order);
    struct row *a = make_rows(source, form, order), *b = make_rows(target, form, order);
    bool same = compare_answers(source, a, b, source->rows, form->mask, what);
    free(a);
    free(b);
    free(order);
    return same;
}
