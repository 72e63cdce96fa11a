/* Any bytes as logical replication messages: decoded or refused. Input: messages, each behind its length (16 bits). */
#include "base/buf.h"
#include "store/postgres/pgoutput.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t key[1];
static struct gw_column columns_t[] = {{.name = "id", .type = "integer", .key_position = 1},
                                       {.name = "name", .type = "text"},
                                       {.name = "g", .type = "integer", .generated = true},
                                       {.name = "big", .type = "text"}};
static struct gw_column columns_k[] = {{.name = "a", .type = "integer"}, {.name = "b", .type = "text"}};
static struct gw_collection collections[] = {
    {.id = 0, .space = "public", .name = "k", .column_count = 2, .columns = columns_k, .key_kind = GW_KEY_NONE},
    {.id = 1, .space = "public", .name = "t", .column_count = 4, .columns = columns_t, .key_count = 1, .key = key},
};
static const struct gw_schema schema = {.count = 2, .collections = collections};

static unsigned sum;

/* Reads what was handed out, for the sanitizers to see, and holds the promises of the header. */
static void look(const struct gw_row *row, const struct gw_pgoutput_relation *relation)
{
    size_t width = relation->collection ? relation->collection->column_count : relation->column_count;
    if (row->count != 0 && row->count != width)
        abort();
    for (uint32_t i = 0; i < row->count; i++) {
        const struct gw_value *v = &row->values[i];
        if ((v->kind == GW_VALUE_TEXT || v->kind == GW_VALUE_BINARY) != (v->bytes != NULL))
            abort();
        for (uint32_t b = 0; b < v->len; b++)
            sum += v->bytes[b];
    }
}

static void look_at_relation(const struct gw_pgoutput_relation *relation)
{
    static const char *names[GW_PGOUTPUT_MAX_COLUMNS];
    gw_autobuf struct gw_buf words = {0};
    for (uint16_t i = 0; i < relation->column_count; i++)
        names[i] = relation->columns[i].type_id == 23 ? "integer" : "text";
    if (gw_pgoutput_same(relation, names, &words) != (words.len == 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_pgoutput *decoder = gw_pgoutput_new(&schema);
    struct gw_cursor in = gw_cursor_of(data, size);
    while (gw_cursor_left(&in) >= 2) {
        struct gw_pgoutput_message m;
        struct gw_error err;
        size_t len = gw_cursor_u16(&in);
        if (len > gw_cursor_left(&in))
            len = gw_cursor_left(&in);
        const unsigned char *bytes = gw_cursor_bytes(&in, len);
        if (!gw_pgoutput_decode(decoder, bytes, len, &m, &err))
            continue;
        if (m.kind == GW_PGOUTPUT_RELATION)
            look_at_relation(m.relation);
        else if (m.relation) {
            look(&m.old, m.relation);
            look(&m.row, m.relation);
        }
        for (uint32_t i = 0; i < m.truncate_count; i++)
            sum += gw_pgoutput_find(decoder, m.truncate_ids[i]) != NULL;
    }
    gw_pgoutput_free(decoder);
    return 0;
}
