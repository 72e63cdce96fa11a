/*
 * Any bytes as verify's COPY BINARY stream. The first byte says how many fields are expected, the second how the rest
 * is cut into messages. However it is cut, the same rows must come out with the same end; and each decoded value must
 * get through canonical form and printing.
 */
#include "base/hash.h"
#include "base/mem.h"
#include "store/postgres/scan_copy.h"
#include "store/postgres/scan_form.h"
#include "store/postgres/scan_print.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint32_t oids[] = {16, 17, 20, 23, 25, 700, 701, 1082, 1114, 1186, 1700, 2950, 869, 3802};
#define OIDS (sizeof oids / sizeof *oids)

static void use_row(const struct gw_pg_copy *copy, struct gw_arena *arena)
{
    struct gw_pg_form_column columns[8] = {{0}};
    struct gw_value values[8];
    struct gw_error err;
    for (unsigned i = 0; i < copy->field_count; i++)
        columns[i] =
            (struct gw_pg_form_column){.kind = gw_pg_form_of_type(oids[i % OIDS], 'b'), .bytea = oids[i % OIDS] == 17};
    const struct gw_pg_form form = {.count = copy->field_count, .columns = columns};
    if (!gw_pg_form_row(&form, false, copy->fields, values, arena, &err))
        return;
    for (unsigned i = 0; i < copy->field_count; i++) {
        gw_autobuf struct gw_buf text = {0};
        const struct gw_column column = {.type_id = oids[i % OIDS]};
        gw_pg_print(&column, &values[i], &text);
    }
}

/* The rows' fingerprint and how the stream ended. */
static uint64_t decode(const uint8_t *data, size_t size, uint16_t fields, size_t step, enum gw_pg_copy_step *last)
{
    struct gw_pg_copy copy = {0};
    struct gw_arena arena = {0};
    struct gw_error err;
    uint64_t print = 0;
    unsigned char *piece = NULL;
    size_t at = 0;
    gw_pg_copy_begin(&copy, fields);
    while ((*last = gw_pg_copy_next(&copy, &err)) == GW_PG_COPY_ROW || (*last == GW_PG_COPY_MORE && at < size)) {
        if (*last == GW_PG_COPY_MORE) {
            size_t len = size - at < step ? size - at : step;
            free(piece);
            piece = gw_memdup(data + at, len);
            gw_pg_copy_feed(&copy, piece, len);
            at += len;
            continue;
        }
        for (unsigned i = 0; i < fields; i++)
            print = gw_hash64(copy.fields[i].bytes, copy.fields[i].len, print * 31 + (copy.fields[i].bytes ? 1 : 0));
        use_row(&copy, &arena);
        gw_arena_reset(&arena);
    }
    free(piece);
    gw_arena_release(&arena);
    gw_pg_copy_release(&copy);
    return print;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    uint16_t fields = (uint16_t)(data[0] % 9 % 8);
    size_t step = (size_t)data[1] + 1;
    enum gw_pg_copy_step whole_end, cut_end;
    uint64_t whole = decode(data + 2, size - 2, fields, size, &whole_end);
    uint64_t cut = decode(data + 2, size - 2, fields, step, &cut_end);
    /* A trailer with bytes behind it is refused when they come in one message; cut off just there it is an end. */
    bool behind = (whole_end == GW_PG_COPY_BAD && cut_end == GW_PG_COPY_END);
    if (whole != cut || (whole_end != cut_end && !behind))
        abort();
    return 0;
}
