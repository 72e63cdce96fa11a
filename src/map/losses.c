/* Losses in words: what may not fit when one type becomes another. */
#include "base/mem.h"
#include "map/internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

void gw_map_add_loss(struct gw_map_losses *losses, uint32_t collection, int column, enum gw_map_loss_id id,
                     enum gw_map_policy policy, const char *format, ...)
{
    gw_autobuf struct gw_buf what = {0};
    va_list args;
    va_start(args, format);
    gw_buf_vaddf(&what, format, args);
    va_end(args);
    if (losses->count == losses->capacity)
        losses->items = gw_grow(losses->items, &losses->capacity, losses->count, sizeof *losses->items);
    losses->items[losses->count++] = (struct gw_map_loss){
        .collection = collection,
        .column = column,
        .id = gw_strdup(gw_map_loss_name(id)),
        .what = gw_buf_detach(&what),
        .counts_rows = column >= 0 && id < GW_LOSS_COLLATION,
        .policy = policy,
    };
}

struct gw_map_loss *gw_map_last_loss(struct gw_map_losses *losses)
{
    return &losses->items[losses->count - 1];
}

void gw_map_losses_release(struct gw_map_losses *losses)
{
    for (size_t i = 0; i < losses->count; i++) {
        free(losses->items[i].id);
        free(losses->items[i].what);
    }
    free(losses->items);
    *losses = (struct gw_map_losses){0};
}

/* ---- what is told once for many columns --------------------------------------------------------------------------- */

bool gw_map_loss_is_shared(const struct gw_map_loss *loss)
{
    return loss->sentence && loss->column >= 0 && !loss->counts_rows && !loss->blocks && !loss->breaks_way_back;
}

size_t gw_map_loss_first(const struct gw_map_losses *losses, size_t i)
{
    const struct gw_map_loss *loss = &losses->items[i];
    for (size_t j = 0; j < i; j++) {
        const struct gw_map_loss *other = &losses->items[j];
        if (gw_map_loss_is_shared(other) && strcmp(other->id, loss->id) == 0 &&
            strcmp(other->what + other->sentence, loss->what + loss->sentence) == 0)
            return j;
    }
    return i;
}

void gw_map_write_legend(const struct gw_map_losses *losses, const char *lead, struct gw_buf *out)
{
    for (size_t i = 0; i < losses->count; i++) {
        const struct gw_map_loss *loss = &losses->items[i];
        if (gw_map_loss_is_shared(loss) && gw_map_loss_first(losses, i) == i)
            gw_buf_addf(out, "%s%s: %s\n", lead, loss->id, loss->what + loss->sentence);
    }
}

/* ---- of a type ---------------------------------------------------------------------------------------------------- */

struct adder {
    struct gw_map_losses *losses;
    uint32_t collection;
    int column;
    const struct gw_type *from, *to;
    enum gw_map_policy policy;
    struct gw_buf words; /* "text up to 300 characters becomes varchar(255)" */
};

static void add(struct adder *a, enum gw_map_loss_id id, const char *more)
{
    gw_map_add_loss(a->losses, a->collection, a->column, id, a->policy, "%s: %s", gw_buf_text(&a->words), more);
    gw_map_last_loss(a->losses)->sentence = a->words.len + 2;
}

static bool is_integer(enum gw_kind kind)
{
    return kind == GW_KIND_INT64 || kind == GW_KIND_UINT64;
}

static bool is_text(enum gw_kind kind)
{
    return kind == GW_KIND_TEXT || kind == GW_KIND_ENUM;
}

static bool is_moment(enum gw_kind kind)
{
    return kind == GW_KIND_DATE || kind == GW_KIND_TIMESTAMP || kind == GW_KIND_TIMESTAMPTZ;
}

static unsigned bits_of(const struct gw_type *type)
{
    return type->bits ? type->bits : 64;
}

/* Characters a value may have; 0: any number. */
static uint64_t most_characters(const struct gw_type *from)
{
    uint64_t most = 0;
    if (from->kind == GW_KIND_TEXT)
        return from->length;
    if (from->kind == GW_KIND_ENUM) {
        for (size_t i = 0; i < from->label_count; i++) {
            uint64_t len = strlen(from->labels[i]);
            most = from->is_set ? most + len + (i > 0) : len > most ? len : most;
        }
        return most;
    }
    return from->kind == GW_KIND_BOOL       ? 5
           : is_integer(from->kind)         ? 20
           : is_moment(from->kind)          ? 40
           : from->kind == GW_KIND_INTERVAL ? 100
           : from->kind == GW_KIND_UUID     ? 36
                                            : 0;
}

static void text_losses(struct adder *a)
{
    /* Where any kind of value may stand nothing keeps to what is declared. */
    uint64_t most = a->from->loose ? 0 : most_characters(a->from);
    bool text = a->from->kind == GW_KIND_TEXT || a->from->kind == GW_KIND_JSON;
    /* No engine hands out values larger than this. */
    uint64_t bytes = a->to->bytes >= UINT64_C(1) << 30 ? 0 : a->to->bytes;
    if (a->to->length && (most == 0 || most > a->to->length))
        add(a, GW_LOSS_LENGTH, "longer values do not fit");
    else if (bytes && (a->from->bytes == 0 || a->from->bytes > bytes) &&
             (most == 0 || most * (a->from->basic_plane ? 3 : 4) > bytes))
        add(a, GW_LOSS_LENGTH, "values of more bytes do not fit");
    if (a->to->no_nul && !a->from->no_nul && (text || a->from->kind == GW_KIND_BYTES))
        add(a, GW_LOSS_NUL, "NUL bytes in text are refused");
    if (a->to->basic_plane && !a->from->basic_plane && (text || a->from->kind == GW_KIND_ENUM))
        add(a, GW_LOSS_PLANE, "characters above U+FFFF (emoji) are refused");
    if (a->from->kind == GW_KIND_BYTES)
        add(a, GW_LOSS_ENCODING, "bytes that are not UTF-8 are refused");
}

static void number_losses(struct adder *a)
{
    const struct gw_type *from = a->from;
    const struct gw_type *to = a->to;
    if (is_integer(from->kind) && is_integer(to->kind)) {
        unsigned room = bits_of(to) - (to->kind == GW_KIND_INT64);
        unsigned need = bits_of(from) - (from->kind == GW_KIND_INT64);
        if (need > room)
            add(a, GW_LOSS_RANGE, "numbers out of its range do not fit");
        if (from->kind == GW_KIND_INT64 && to->kind == GW_KIND_UINT64)
            add(a, GW_LOSS_UNSIGNED, "negative numbers do not fit");
        return;
    }
    if (is_integer(to->kind)) {
        if (from->kind == GW_KIND_BOOL || (from->kind == GW_KIND_BITS && from->length && from->length < bits_of(to)))
            return;
        bool whole = from->kind == GW_KIND_DECIMAL && from->scale == 0 && from->precision && from->precision < 19 &&
                     bits_of(to) == 64 && to->kind == GW_KIND_INT64;
        if (!whole)
            add(a,
                is_text(from->kind)             ? GW_LOSS_FORM
                : from->kind == GW_KIND_DECIMAL ? GW_LOSS_RANGE
                                                : GW_LOSS_SCALE,
                "what is no whole number of that size does not fit");
        if (from->kind == GW_KIND_DECIMAL && from->scale != 0)
            add(a, GW_LOSS_SCALE, "digits behind the point do not fit");
        return;
    }
    if (to->kind == GW_KIND_DECIMAL) {
        static const unsigned digits[] = {3, 5, 8, 10, 20};
        unsigned whole = from->kind == GW_KIND_DECIMAL && from->precision
                             ? from->precision - (unsigned)(from->scale > 0 ? from->scale : 0)
                         : is_integer(from->kind)     ? digits[bits_of(from) <= 8    ? 0
                                                               : bits_of(from) <= 16 ? 1
                                                               : bits_of(from) <= 24 ? 2
                                                               : bits_of(from) <= 32 ? 3
                                                                                     : 4]
                         : from->kind == GW_KIND_BOOL ? 1
                                                      : 0;
        unsigned room = to->precision - (unsigned)(to->scale > 0 ? to->scale : 0);
        if (is_text(from->kind))
            add(a, GW_LOSS_FORM, "texts that are no number are refused");
        if (to->precision && (whole == 0 || whole > room))
            add(a, GW_LOSS_RANGE, "larger numbers do not fit");
        bool fractions = from->kind == GW_KIND_DECIMAL || from->kind == GW_KIND_FLOAT32 ||
                         from->kind == GW_KIND_FLOAT64 || is_text(from->kind);
        if (fractions && to->precision &&
            (from->kind != GW_KIND_DECIMAL || (from->precision == 0 && from->scale <= 0) || from->scale < 0 ||
             from->scale > to->scale))
            add(a, GW_LOSS_SCALE, "more digits behind the point do not fit");
        if (!to->infinities && (from->infinities || from->kind == GW_KIND_FLOAT32 || from->kind == GW_KIND_FLOAT64))
            add(a, GW_LOSS_INFINITY, "NaN and infinities are refused");
        return;
    }
    bool exact = from->kind == GW_KIND_FLOAT32 || from->kind == GW_KIND_BOOL ||
                 (is_integer(from->kind) && bits_of(from) <= (to->kind == GW_KIND_FLOAT64 ? 32 : 16));
    if (is_text(from->kind))
        add(a, GW_LOSS_FORM, "texts that are no number are refused");
    else if (!exact)
        add(a, GW_LOSS_FLOAT, "numbers that no binary float holds exactly are refused");
}

static bool is_float(enum gw_kind kind)
{
    return kind == GW_KIND_FLOAT32 || kind == GW_KIND_FLOAT64;
}

/* Where it may not stand, or could not be written again. */
static void label_losses(struct adder *a)
{
    bool labels = a->to->kind == GW_KIND_ENUM || (a->to->kind == GW_KIND_TEXT && a->to->label_count);
    if (a->from->kind == GW_KIND_ENUM && a->from->error_value && labels && !a->to->is_set)
        add(a, GW_LOSS_ENUM, "'' where it is none of the labels (the error value, index 0) is refused");
}

/* Of any value in a column of floats, also where other kinds may stand in it. */
static void float_losses(struct adder *a)
{
    const struct gw_type *from = a->from;
    const struct gw_type *to = a->to;
    if (!is_float(from->kind) || !is_float(to->kind))
        return;
    if (from->infinities && !to->infinities)
        add(a, GW_LOSS_INFINITY, from->no_nan ? "infinities are refused" : "NaN and infinities are refused");
    else if (from->infinities && to->no_nan && !from->no_nan)
        add(a, GW_LOSS_INFINITY, "NaN is refused");
    if (to->no_minus_zero && !from->no_minus_zero)
        add(a, GW_LOSS_FLOAT, "-0.0 is refused");
}

static void time_losses(struct adder *a)
{
    const struct gw_type *from = a->from;
    const struct gw_type *to = a->to;
    if (is_text(from->kind)) {
        add(a, GW_LOSS_FORM, "texts of another form are refused");
        return;
    }
    if (to->kind != GW_KIND_DATE && from->kind != GW_KIND_DATE && to->scale >= 0 && to->scale < 6 &&
        (from->scale < 0 || from->scale > to->scale))
        add(a, GW_LOSS_SCALE, "finer fractions of a second do not fit");
    if (from->kind != GW_KIND_DATE && is_moment(from->kind) && to->kind == GW_KIND_DATE)
        add(a, GW_LOSS_TIME, "a time of day other than midnight does not fit");
    if ((from->kind == GW_KIND_TIMESTAMPTZ) != (to->kind == GW_KIND_TIMESTAMPTZ) && is_moment(to->kind))
        add(a, GW_LOSS_ZONE,
            "by the rule's zone, or UTC; local times that do not exist or are there twice are refused");
    if (from->zero_dates && !to->zero_dates)
        add(a, GW_LOSS_ZERO_DATE, "dates of no calendar (0000-00-00) are refused");
    if (is_moment(from->kind) && from->infinities && !to->infinities)
        add(a, GW_LOSS_INFINITY, "infinity is refused");
    if (from->kind == to->kind && (to->least || to->most) &&
        ((!from->least && !from->most) || from->least < to->least || from->most > to->most))
        add(a, GW_LOSS_DATE_RANGE,
            to->kind == GW_KIND_TIME ? "times below zero or past a day are refused"
                                     : "dates out of its range are refused");
    else if (from->kind != to->kind && (to->least || to->most))
        add(a, GW_LOSS_DATE_RANGE, "values out of its range are refused");
    if (from->kind == GW_KIND_INTERVAL && to->kind == GW_KIND_TIME)
        add(a, GW_LOSS_INTERVAL, "intervals of days and months do not fit");
}

static bool labels_are_there(const struct gw_type *from, const struct gw_type *to)
{
    for (size_t i = 0; i < from->label_count; i++) {
        bool found = to->label_count == 0;
        for (size_t j = 0; !found && j < to->label_count; j++)
            found = strcmp(from->labels[i], to->labels[j]) == 0;
        if (!found)
            return false;
    }
    return from->kind == GW_KIND_ENUM && from->is_set == to->is_set;
}

static void value_losses(struct adder *a)
{
    const struct gw_type *from = a->from;
    const struct gw_type *to = a->to;
    switch (to->kind) {
    case GW_KIND_TEXT:
        text_losses(a);
        break;
    case GW_KIND_INT64:
    case GW_KIND_UINT64:
    case GW_KIND_DECIMAL:
    case GW_KIND_FLOAT32:
    case GW_KIND_FLOAT64:
        if (from->kind != to->kind || to->kind == GW_KIND_INT64 || to->kind == GW_KIND_UINT64 ||
            to->kind == GW_KIND_DECIMAL)
            number_losses(a);
        break;
    case GW_KIND_DATE:
    case GW_KIND_TIME:
    case GW_KIND_TIMESTAMP:
    case GW_KIND_TIMESTAMPTZ:
        time_losses(a);
        break;
    case GW_KIND_BOOL:
        if (from->kind != GW_KIND_BOOL && !(from->kind == GW_KIND_BITS && from->length == 1))
            add(a, GW_LOSS_BOOLEAN, "values other than 0 and 1 are refused");
        break;
    case GW_KIND_BYTES:
        if (to->length && (from->length == 0 || from->length > to->length) &&
            !(from->kind == GW_KIND_UUID && to->length >= 16))
            add(a, GW_LOSS_LENGTH, "longer values do not fit");
        break;
    case GW_KIND_UUID:
        if (from->kind != GW_KIND_UUID && !(from->kind == GW_KIND_BYTES && from->length == 16 && from->fixed))
            add(a, GW_LOSS_UUID, "what is no UUID in small letters with dashes is refused");
        break;
    case GW_KIND_JSON:
        if (from->kind == GW_KIND_TEXT)
            add(a, GW_LOSS_JSON, "texts that are not JSON are refused");
        if (to->no_nul && !from->no_nul && (from->kind == GW_KIND_JSON || from->kind == GW_KIND_TEXT))
            add(a, GW_LOSS_NUL, "NUL characters (\\u0000) are refused");
        break;
    case GW_KIND_ENUM:
        if (!labels_are_there(from, to))
            add(a, GW_LOSS_ENUM, "values that are none of the labels are refused");
        break;
    case GW_KIND_BITS:
        if (from->kind != GW_KIND_BITS || (to->length && (!from->length || from->length > to->length)))
            add(a, GW_LOSS_BITS, "more bits do not fit");
        break;
    default:
        break;
    }
}

/* What is lost in comparisons, whatever the values. */
static void collation_losses(struct adder *a)
{
    const struct gw_type *from = a->from;
    const struct gw_type *to = a->to;
    if (from->ignores_case != to->ignores_case)
        add(a, GW_LOSS_CASE,
            to->ignores_case ? "on green 'a' = 'A', in unique keys, too: values that differ in case alone clash"
                             : "on green 'a' and 'A' differ in comparisons and unique keys");
    if (from->ignores_accents != to->ignores_accents)
        add(a, GW_LOSS_ACCENTS,
            to->ignores_accents ? "on green accents do not count in comparisons and unique keys"
                                : "on green accents count in comparisons and unique keys");
    if (from->pads != to->pads)
        add(a, GW_LOSS_PADS,
            to->pads ? "on green trailing spaces do not count in comparisons"
                     : "on green trailing spaces count in comparisons");
    if (from->collation && to->collation && strcmp(from->collation, to->collation) != 0) {
        gw_autofree char *more =
            gw_asprintf("the order of texts changes from %s to %s", from->collation, to->collation);
        add(a, GW_LOSS_COLLATION, more);
    }
}

/* What green takes and blue does not: nothing is lost on the way there, but the way back may stop. */
static void wider(struct adder *a)
{
    const struct gw_type *from = a->from;
    const struct gw_type *to = a->to;
    if (from->kind == GW_KIND_UINT64 && (to->kind == GW_KIND_INT64 || to->kind == GW_KIND_DECIMAL))
        add(a, GW_LOSS_UNSIGNED, "green takes negative numbers, which the way back would refuse");
    else if (from->kind == GW_KIND_BOOL && is_integer(to->kind))
        add(a, GW_LOSS_BOOLEAN, "green takes numbers other than 0 and 1, which the way back would refuse");
    else if (from->kind == GW_KIND_ENUM && to->kind == GW_KIND_TEXT && !to->label_count) /* else there is a check */
        add(a, GW_LOSS_ENUM, "green takes values that are none of the labels, which the way back would refuse");
    else
        return;
    gw_map_last_loss(a->losses)->counts_rows = false;
}

void gw_map_type_losses(struct gw_map_losses *losses, uint32_t collection, int column, const struct gw_type *from,
                        const struct gw_column_definition *to, enum gw_map_policy policy)
{
    struct adder a = {losses, collection, column, from, &to->type, policy, {0}};
    gw_type_print(from, &a.words);
    gw_buf_addf(&a.words, " becomes %s", to->sql_type ? to->sql_type : "");
    if (!to->sql_type)
        gw_type_print(&to->type, &a.words);
    if (from->loose && !to->type.loose)
        add(&a, GW_LOSS_LOOSE,
            "values of another kind than the column's are converted where that is exact, else refused");
    if (from->kind == GW_KIND_GEOMETRY && to->type.kind != GW_KIND_GEOMETRY)
        add(&a, GW_LOSS_TYPE, "on green it is bytes (SRID, then WKB), and no spatial function knows it");
    float_losses(&a);
    label_losses(&a);
    if (from->kind == GW_KIND_ARRAY && to->type.kind != GW_KIND_ARRAY)
        add(&a, GW_LOSS_ARRAY, "arrays with lower bounds other than 1 are refused");
    if (!to->type.loose) {
        value_losses(&a);
        wider(&a);
    }
    if (is_text(from->kind) && is_text(to->type.kind))
        collation_losses(&a);
    gw_buf_release(&a.words);
}

static bool same_labels(const struct gw_type *from, const struct gw_type *to)
{
    return labels_are_there(from, to);
}

bool gw_map_same_type(const struct gw_type *from, const struct gw_type *to)
{
    struct gw_map_losses losses = {0};
    struct adder a = {&losses, 0, 0, from, to, GW_MAP_FAIL, {0}};
    float_losses(&a);
    label_losses(&a);
    bool all_held = losses.count == 0;
    gw_map_losses_release(&losses);
    gw_buf_release(&a.words);
    if (!all_held)
        return false;
    if (to->loose)
        return from->loose || from->kind == to->kind || to->kind == GW_KIND_NULL;
    if (from->kind != to->kind || from->loose || from->kind == GW_KIND_NULL)
        return false;
    /* What is padded to a scale or width is no plain copy, though nothing is lost. */
    if (from->kind == GW_KIND_DECIMAL && (from->scale != to->scale || from->precision != to->precision))
        return false;
    if (from->kind == GW_KIND_BITS && (from->length != to->length || from->fixed != to->fixed))
        return false;
    if (from->kind == GW_KIND_ENUM && !same_labels(from, to))
        return false;
    if (from->kind == GW_KIND_ARRAY)
        return from->element && to->element && gw_map_same_type(from->element, to->element);
    value_losses(&a);
    gw_buf_release(&a.words);
    bool same = losses.count == 0;
    gw_map_losses_release(&losses);
    return same;
}
