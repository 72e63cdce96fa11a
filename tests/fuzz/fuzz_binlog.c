/*
 * Any bytes as events of a binlog: decoded or refused. Input: events, each behind its length (16 bits, little-endian);
 * their headers' length and checksum are put right, so that what is behind them is reached.
 */
#include "binlog_tables.h"

#include "base/mem.h"
#include "store/mysql/binlog.h"
#include "store/mysql/binlog_sql.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEADER 19

static unsigned sum;

/* Reads what was handed out, for the sanitizers to see, and holds the promises of the header. */
static void look(const struct gw_row *row, const struct gw_collection *c)
{
    if (row->count != 0 && c && row->count != c->column_count)
        abort();
    for (uint32_t i = 0; i < row->count; i++) {
        const struct gw_value *v = &row->values[i];
        bool has_bytes = v->kind == GW_VALUE_TEXT || v->kind == GW_VALUE_BINARY;
        if (has_bytes && v->len > 0 && !v->bytes)
            abort();
        for (uint32_t b = 0; has_bytes && b < v->len; b++)
            sum += v->bytes[b];
    }
}

static void look_at_rows(struct gw_binlog *decoder, const struct gw_binlog_event *e)
{
    struct gw_error err;
    struct gw_binlog_table *table;
    struct gw_row old, row;
    bool got = true;
    if (!gw_binlog_rows(decoder, e, &table, &err))
        return;
    for (unsigned n = 0; got && n < 100000; n++) {
        if (!gw_binlog_row(decoder, &old, &row, &got, &err))
            return;
        if (got && !table)
            abort();
        if (!got)
            continue;
        look(&old, gw_binlog_table_collection(table));
        look(&row, gw_binlog_table_collection(table));
    }
}

static void look_at_table(struct gw_binlog *decoder, const struct gw_binlog_event *e)
{
    struct gw_error err;
    struct gw_binlog_table *table;
    gw_autobuf struct gw_buf difference = {0};
    if (!gw_binlog_table_map(decoder, e, &table, &err) || !table || gw_binlog_table_fit(table) != GW_BINLOG_UNKNOWN)
        return;
    gw_binlog_table_settle(decoder, table, gw_binlog_table_collection(table), &difference);
    if (gw_binlog_table_fit(table) == GW_BINLOG_UNKNOWN)
        abort();
}

static void look_at_statement(struct gw_binlog *decoder, const struct gw_binlog_event *e)
{
    struct gw_error err;
    struct gw_binlog_query query;
    struct gw_binlog_statement statement;
    if (!gw_binlog_query(decoder, e, &query, &err))
        return;
    gw_binlog_statement_parse(&query, &statement);
    sum += gw_binlog_mentions(&query, "t1");
    sum += (unsigned)strlen(statement.table) + (unsigned)strlen(statement.savepoint);
}

static void look_at_others(const struct gw_binlog_event *e)
{
    struct gw_error err;
    struct gw_binlog_place place;
    struct gw_binlog_xid xid;
    struct gw_position text;
    uint8_t flags;
    bool one_phase;
    if (e->type == GW_BINLOG_MARIA_GTID && gw_binlog_maria_gtid(e, &flags, &xid, &err))
        sum += xid.data[0];
    if (e->type == GW_BINLOG_XA_PREPARE && gw_binlog_xa_prepare(e, &one_phase, &xid, &err))
        sum += xid.data[0];
    if (e->type != GW_BINLOG_ROTATE || !gw_binlog_rotate(e, &place, &err))
        return;
    gw_binlog_place_format(&place, &text);
    if (place.pos < UINT64_C(1) << 40 && !strchr(place.file, ' ') && !gw_binlog_place_parse(text.text, &place))
        abort();
}

static void put32(unsigned char *at, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (unsigned char)(v >> (8 * i));
}

static void take(struct gw_binlog *decoder, const uint8_t *data, size_t len, bool summed)
{
    struct gw_error err;
    struct gw_binlog_event e;
    if (len < HEADER)
        return;
    unsigned char *bytes = gw_memdup(data, len); /* of its own, so that reading past it is seen */
    put32(bytes + 9, (uint32_t)len);
    if (len >= HEADER + 4 && summed)
        put32(bytes + len - 4, (uint32_t)crc32(0, bytes, (uInt)len - 4));
    if (gw_binlog_event(decoder, bytes, len, &e, &err)) {
        if (gw_binlog_rows_kind(e.type))
            look_at_rows(decoder, &e);
        else if (e.type == GW_BINLOG_TABLE_MAP)
            look_at_table(decoder, &e);
        else if (e.type == GW_BINLOG_QUERY || e.type == GW_BINLOG_MARIA_QUERY_COMPRESSED)
            look_at_statement(decoder, &e);
        else
            look_at_others(&e);
    }
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gw_binlog *decoder = gw_binlog_new(&recorded_schema, "d");
    bool summed = size > 0 && *data != 0;
    size_t at = 1;
    while (size - at < size && size - at >= 2) {
        size_t len = (size_t)data[at] | (size_t)data[at + 1] << 8;
        at += 2;
        if (len > size - at)
            len = size - at;
        take(decoder, data + at, len, summed);
        at += len;
    }
    gw_binlog_free(decoder);
    return 0;
}
