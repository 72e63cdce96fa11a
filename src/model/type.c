#include "model/type.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void gw_type_release(struct gw_type *type)
{
    for (size_t i = 0; i < type->label_count; i++)
        free(type->labels[i]);
    free(type->labels);
    if (type->element)
        gw_type_release(type->element);
    free(type->element);
    free(type->collation);
    free(type->foreign);
    *type = (struct gw_type){0};
}

void gw_type_copy(struct gw_type *to, const struct gw_type *from)
{
    *to = *from;
    to->labels = from->label_count ? gw_calloc(from->label_count, sizeof *to->labels) : NULL;
    for (size_t i = 0; i < from->label_count; i++)
        to->labels[i] = gw_strdup(from->labels[i]);
    to->element = NULL;
    if (from->element) {
        to->element = gw_zalloc(sizeof *to->element);
        gw_type_copy(to->element, from->element);
    }
    to->collation = from->collation ? gw_strdup(from->collation) : NULL;
    to->foreign = from->foreign ? gw_strdup(from->foreign) : NULL;
}

/* ---- in words ------------------------------------------------------------------------------------------------------- */

static void print_decimal(const struct gw_type *type, struct gw_buf *out)
{
    gw_buf_adds(out, "decimal");
    if (type->precision && type->scale >= 0)
        gw_buf_addf(out, "(%u,%d)", type->precision, type->scale);
    else if (type->precision)
        gw_buf_addf(out, " of up to %u digits", type->precision);
    else if (type->scale >= 0)
        gw_buf_addf(out, " with %d digits behind the point", type->scale);
}

static void print_labels(const struct gw_type *type, struct gw_buf *out)
{
    gw_buf_adds(out, type->is_set ? "set" : "enum");
    if (type->label_count == 0)
        return;
    gw_buf_addc(out, '(');
    for (size_t i = 0; i < type->label_count; i++)
        gw_buf_addf(out, "%s'%s'", i ? "," : "", type->labels[i]);
    gw_buf_addc(out, ')');
}

static void print_length(const struct gw_type *type, const char *unit, struct gw_buf *out)
{
    if (type->length == 0)
        return;
    gw_buf_addf(out, " %s %" PRIu64 " %s%s", type->fixed ? "of" : "up to", type->length, unit,
                type->length == 1 ? "" : "s");
}

static void print_moment(const struct gw_type *type, struct gw_buf *out)
{
    gw_buf_adds(out, gw_kind_name(type->kind));
    if (type->kind != GW_KIND_DATE && type->kind != GW_KIND_INTERVAL && type->scale >= 0)
        gw_buf_addf(out, "(%d)", type->scale);
}

static void print_kind(const struct gw_type *type, struct gw_buf *out)
{
    switch (type->kind) {
    case GW_KIND_NULL:
        gw_buf_adds(out, "unknown");
        break;
    case GW_KIND_INT64:
    case GW_KIND_UINT64:
        gw_buf_addf(out, "%s%u", type->kind == GW_KIND_INT64 ? "int" : "uint", type->bits ? type->bits : 64);
        break;
    case GW_KIND_DECIMAL:
        print_decimal(type, out);
        break;
    case GW_KIND_TEXT:
    case GW_KIND_JSON:
        gw_buf_adds(out, gw_kind_name(type->kind));
        print_length(type, "character", out);
        if (type->bytes)
            gw_buf_addf(out, " up to %" PRIu64 " bytes", type->bytes);
        break;
    case GW_KIND_BYTES:
        gw_buf_adds(out, "bytes");
        print_length(type, "byte", out);
        break;
    case GW_KIND_BITS:
        gw_buf_adds(out, "bits");
        print_length(type, "bit", out);
        break;
    case GW_KIND_ENUM:
        print_labels(type, out);
        break;
    case GW_KIND_ARRAY:
        gw_buf_adds(out, "array of ");
        if (type->element)
            gw_type_print(type->element, out);
        else
            gw_buf_adds(out, "unknown");
        break;
    case GW_KIND_DATE:
    case GW_KIND_TIME:
    case GW_KIND_TIMESTAMP:
    case GW_KIND_TIMESTAMPTZ:
    case GW_KIND_INTERVAL:
        print_moment(type, out);
        break;
    default:
        gw_buf_adds(out, gw_kind_name(type->kind));
    }
}

void gw_type_print(const struct gw_type *type, struct gw_buf *out)
{
    if (type->foreign) {
        gw_buf_addf(out, "text in the form of %s", type->foreign);
        return;
    }
    print_kind(type, out);
    if (type->pads)
        gw_buf_adds(out, ", trailing spaces do not count");
    if (type->ignores_case)
        gw_buf_adds(out, ", ignores case");
    if (type->ignores_accents)
        gw_buf_adds(out, ", ignores accents");
    if (type->basic_plane)
        gw_buf_adds(out, ", no character above U+FFFF");
    if (type->zero_dates)
        gw_buf_adds(out, ", with dates of no calendar");
    if (type->loose)
        gw_buf_adds(out, ", may hold any kind");
}
