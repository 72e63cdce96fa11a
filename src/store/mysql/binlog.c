/* Places, events and their contents apart from rows. */
#include "store/mysql/binlog_decoder.h"

#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define POS_BITS 40
#define QUERY_HEADER_LEN 13
#define UNPACKED_MAX ((uint64_t)1 << 31)
#define CHECKSUM_CRC32 1
#define IN_USE 0x01

enum { STATUS_FLAGS = 0, STATUS_SQL_MODE = 1 };
#define MODE_ANSI_QUOTES UINT64_C(0x4)
#define MODE_NO_BACKSLASH_ESCAPES UINT64_C(0x100000)

/* ---- places ---- */

uint32_t gw_binlog_file_number(const char *file)
{
    const char *dot = strrchr(file, '.');
    char *end;
    if (!dot || dot[1] < '0' || dot[1] > '9')
        return 0;
    unsigned long number = strtoul(dot + 1, &end, 10);
    return *end || number >= 1u << (64 - POS_BITS) ? 0 : (uint32_t)number;
}

uint64_t gw_binlog_order(const char *file, uint64_t pos)
{
    return (uint64_t)gw_binlog_file_number(file) << POS_BITS | (pos & ((UINT64_C(1) << POS_BITS) - 1));
}

void gw_binlog_place_format(const struct gw_binlog_place *place, struct gw_position *out)
{
    *out = (struct gw_position){0};
    if (!*place->file)
        return;
    out->order = gw_binlog_order(place->file, place->pos);
    int len = snprintf(out->text, sizeof out->text, "%s:%" PRIu64, place->file, place->pos);
    if (place->made)
        len += snprintf(out->text + len, sizeof out->text - (size_t)len, " made=%" PRIu32, place->made);
    if (*place->prepared)
        snprintf(out->text + len, sizeof out->text - (size_t)len, " xa=%s:%" PRIu64, place->prepared,
                 place->prepared_pos);
}

static bool parse_at(const char *text, size_t len, char file[GW_BINLOG_FILE_MAX], uint64_t *pos)
{
    const char *colon = memrchr(text, ':', len);
    char digits[24];
    char *end;
    if (!colon || colon == text || (size_t)(colon - text) >= GW_BINLOG_FILE_MAX)
        return false;
    size_t digits_len = len - (size_t)(colon - text) - 1;
    if (digits_len == 0 || digits_len >= sizeof digits || colon[1] < '0' || colon[1] > '9')
        return false;
    memcpy(digits, colon + 1, digits_len);
    digits[digits_len] = 0;
    *pos = strtoull(digits, &end, 10);
    memcpy(file, text, (size_t)(colon - text));
    file[colon - text] = 0;
    return *end == 0 && gw_binlog_file_number(file) > 0;
}

bool gw_binlog_place_parse(const char *text, struct gw_binlog_place *out)
{
    struct gw_binlog_place place = {0};
    size_t len = strcspn(text, " ");
    if (!parse_at(text, len, place.file, &place.pos))
        return false;
    for (text += len; *text == ' '; text += len) {
        text++;
        len = strcspn(text, " ");
        if (strncmp(text, "made=", 5) == 0)
            place.made = (uint32_t)strtoul(text + 5, NULL, 10);
        else if (strncmp(text, "xa=", 3) != 0 || !parse_at(text + 3, len - 3, place.prepared, &place.prepared_pos))
            return false;
    }
    *out = place;
    return *text == 0;
}

/* ---- the decoder ---- */

struct gw_binlog *gw_binlog_new(const struct gw_schema *schema, const char *database)
{
    struct gw_binlog *b = gw_zalloc(sizeof *b);
    b->schema = schema;
    b->database = gw_strdup(database);
    b->table_id_len = 6;
    b->forms = gw_calloc(schema->count ? schema->count : 1, sizeof *b->forms);
    for (size_t i = 0; i < schema->count; i++)
        b->forms[i] = gw_mysql_forms_of(&schema->collections[i]);
    b->charsets = gw_binlog_charsets_new();
    return b;
}

static void free_tables(struct gw_binlog *b)
{
    while (b->tables) {
        struct gw_binlog_table *next = b->tables->next;
        free(b->tables->columns);
        free(b->tables->names);
        free(b->tables);
        b->tables = next;
    }
}

void gw_binlog_free(struct gw_binlog *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->schema->count; i++)
        gw_mysql_forms_free(b->forms[i], b->schema->collections[i].column_count);
    gw_binlog_charsets_free(b->charsets);
    free_tables(b);
    free(b->forms);
    free(b->numbers);
    free(b->before.values);
    free(b->before.room);
    free(b->after.values);
    free(b->after.room);
    gw_buf_release(&b->unpacked);
    gw_arena_release(&b->arena);
    free(b->database);
    free(b);
}

bool gw_binlog_is_mariadb(const struct gw_binlog *b)
{
    return b->mariadb;
}

bool gw_binlog_bad(struct gw_error *err, const char *what)
{
    return gw_fail(err, GW_ERR_CONFLICT, "the binlog has a malformed event: %s", what);
}

/* ---- header and checksum ---- */

static bool checksum_fits(const unsigned char *bytes, size_t len)
{
    size_t covered = len - GW_BINLOG_CHECKSUM_LEN;
    return crc32(crc32(0, NULL, 0), bytes, (uInt)covered) == gw_le32(bytes + covered);
}

/* binlog version u16, server version 50 bytes, made u32, header length u8, a length for each type; then, by servers that
 * know checksums, the kind of checksum and always one. The flag "in use" was not set when that was summed up. */
static bool take_description(struct gw_binlog *b, const unsigned char *bytes, size_t len, struct gw_error *err)
{
    const size_t fixed = 2 + 50 + 4 + 1;
    if (len < GW_BINLOG_HEADER_LEN + fixed + GW_BINLOG_TABLE_MAP + 1 + GW_BINLOG_CHECKSUM_LEN)
        return gw_binlog_bad(err, "format description");
    const unsigned char *body = bytes + GW_BINLOG_HEADER_LEN;
    if (gw_le16(body) != 4)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "the binlog is of version %u, not 4", gw_le16(body));
    if (body[fixed - 1] != GW_BINLOG_HEADER_LEN)
        return gw_binlog_bad(err, "header length");
    char version[51] = {0};
    memcpy(version, body + 2, 50);
    uint8_t kind = bytes[len - GW_BINLOG_CHECKSUM_LEN - 1];
    if (kind > CHECKSUM_CRC32)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "the binlog's checksums are of kind %u, which is not known", kind);
    if (kind == CHECKSUM_CRC32) {
        unsigned char *copy = gw_memdup(bytes, len);
        copy[17] = (unsigned char)(copy[17] & ~IN_USE);
        bool fits = checksum_fits(copy, len);
        free(copy);
        if (!fits)
            return gw_fail(err, GW_ERR_CONFLICT, "the binlog's format description does not match its checksum");
    }
    b->checksummed = kind == CHECKSUM_CRC32;
    b->mariadb = strstr(version, "MariaDB") != NULL;
    b->table_id_len = body[fixed + GW_BINLOG_TABLE_MAP - 1] == 6 ? 4 : 6;
    b->described = true;
    b->number_count = 0; /* numbers of tables begin anew with a restart */
    return true;
}

/* What the server makes up for this stream it sums up or not, as it goes. */
static bool is_made_up(const struct gw_binlog_event *e)
{
    return e->type == GW_BINLOG_HEARTBEAT || e->type == GW_BINLOG_HEARTBEAT_V2 ||
           (e->type == GW_BINLOG_ROTATE && (e->flags & GW_BINLOG_ARTIFICIAL || e->log_pos == 0));
}

bool gw_binlog_event(struct gw_binlog *b, const void *data, size_t len, struct gw_binlog_event *out,
                     struct gw_error *err)
{
    const unsigned char *bytes = data;
    if (len < GW_BINLOG_HEADER_LEN || len > UINT32_MAX || gw_le32(bytes + 9) != len)
        return gw_binlog_bad(err, "its length");
    struct gw_binlog_event e = {.timestamp = gw_le32(bytes),
                                .type = bytes[4],
                                .server_id = gw_le32(bytes + 5),
                                .length = (uint32_t)len,
                                .log_pos = gw_le32(bytes + 13),
                                .flags = gw_le16(bytes + 17),
                                .body = bytes + GW_BINLOG_HEADER_LEN,
                                .body_len = len - GW_BINLOG_HEADER_LEN};
    if (e.type == GW_BINLOG_FORMAT_DESCRIPTION) {
        if (!take_description(b, bytes, len, err))
            return false;
        e.body_len -= GW_BINLOG_CHECKSUM_LEN;
    } else if (is_made_up(&e)) {
        if (e.body_len >= GW_BINLOG_CHECKSUM_LEN && checksum_fits(bytes, len))
            e.body_len -= GW_BINLOG_CHECKSUM_LEN;
    } else if (b->checksummed) {
        if (e.body_len < GW_BINLOG_CHECKSUM_LEN)
            return gw_binlog_bad(err, "no room for its checksum");
        if (!checksum_fits(bytes, len)) {
            gw_fail(err, GW_ERR_CONFLICT, "an event of the binlog (type %u, %zu bytes) does not match its checksum",
                    e.type, len);
            return gw_error_hint(err, "its file on the source's disk is damaged, or what came over the network");
        }
        e.body_len -= GW_BINLOG_CHECKSUM_LEN;
    }
    *out = e;
    return true;
}

/* ---- contents ---- */

bool gw_binlog_rotate(const struct gw_binlog_event *e, struct gw_binlog_place *out, struct gw_error *err)
{
    if (e->body_len <= 8 || e->body_len - 8 >= sizeof out->file)
        return gw_binlog_bad(err, "rotate");
    *out = (struct gw_binlog_place){.pos = gw_le64(e->body)};
    memcpy(out->file, e->body + 8, e->body_len - 8);
    if (gw_binlog_file_number(out->file) == 0)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "the binlog goes on in a file \"%s\", whose name has no number",
                       out->file);
    return true;
}

static bool take_xid(struct gw_cursor *in, uint32_t format, uint64_t gtrid_len, uint64_t bqual_len,
                     struct gw_binlog_xid *out)
{
    if (gtrid_len > 64 || bqual_len > 64)
        return false;
    const unsigned char *data = gw_take(in, (size_t)(gtrid_len + bqual_len));
    if (!data)
        return false;
    *out = (struct gw_binlog_xid){.format = format, .gtrid_len = (uint8_t)gtrid_len, .bqual_len = (uint8_t)bqual_len};
    memcpy(out->data, data, (size_t)(gtrid_len + bqual_len));
    return true;
}

bool gw_binlog_maria_gtid(const struct gw_binlog_event *e, uint8_t *flags, struct gw_binlog_xid *xid,
                          struct gw_error *err)
{
    enum { GROUP_COMMIT = 0x02 };
    struct gw_cursor in = gw_cursor_of(e->body, e->body_len);
    gw_take(&in, 12); /* sequence number, domain */
    uint8_t all = (uint8_t)gw_take_le(&in, 1);
    if (all & GROUP_COMMIT)
        gw_take(&in, 8);
    *xid = (struct gw_binlog_xid){0};
    if (all & (GW_BINLOG_PREPARED_XA | GW_BINLOG_COMPLETED_XA)) {
        uint32_t format = (uint32_t)gw_take_le(&in, 4);
        uint64_t gtrid_len = gw_take_le(&in, 1), bqual_len = gw_take_le(&in, 1);
        if (!take_xid(&in, format, gtrid_len, bqual_len, xid))
            return gw_binlog_bad(err, "XA in GTID");
    }
    *flags = all;
    return !in.bad || gw_binlog_bad(err, "GTID");
}

bool gw_binlog_xa_prepare(const struct gw_binlog_event *e, bool *one_phase, struct gw_binlog_xid *xid,
                          struct gw_error *err)
{
    struct gw_cursor in = gw_cursor_of(e->body, e->body_len);
    *one_phase = gw_take_le(&in, 1) != 0;
    uint32_t format = (uint32_t)gw_take_le(&in, 4);
    uint64_t gtrid_len = gw_take_le(&in, 4), bqual_len = gw_take_le(&in, 4);
    return take_xid(&in, format, gtrid_len, bqual_len, xid) || gw_binlog_bad(err, "XA PREPARE");
}

bool gw_binlog_unpack(struct gw_cursor *in, struct gw_buf *out, struct gw_error *err)
{
    unsigned head = (unsigned)gw_take_le(in, 1), bytes = head & 7;
    const unsigned char *p = gw_take(in, bytes);
    uint64_t len = p ? gw_be(p, bytes) : 0;
    size_t packed = gw_cursor_left(in);
    if (!p || (head & 0xf0) != 0x80 || len > UNPACKED_MAX)
        return gw_binlog_bad(err, "compressed");
    /* zlib packs at most 1032 to 1: a length that cannot be true takes no memory. */
    if (len / 1100 > packed)
        return gw_binlog_bad(err, "compressed length");
    gw_buf_clear(out);
    gw_buf_reserve(out, (size_t)len + 1);
    uLongf got = (uLongf)len;
    if (uncompress((Bytef *)out->data, &got, in->at, (uLong)packed) != Z_OK || got != len)
        return gw_binlog_bad(err, "compressed contents");
    out->len = (size_t)len;
    out->data[len] = 0;
    in->at = in->end;
    return true;
}

static void read_sql_mode(struct gw_cursor status, struct gw_binlog_query *out)
{
    unsigned code = (unsigned)gw_take_le(&status, 1);
    if (code == STATUS_FLAGS) {
        gw_take(&status, 4);
        code = (unsigned)gw_take_le(&status, 1);
    }
    if (code != STATUS_SQL_MODE)
        return;
    uint64_t mode = gw_take_le(&status, 8);
    out->ansi_quotes = mode & MODE_ANSI_QUOTES;
    out->no_backslash_escapes = mode & MODE_NO_BACKSLASH_ESCAPES;
}

bool gw_binlog_query(struct gw_binlog *b, const struct gw_binlog_event *e, struct gw_binlog_query *out,
                     struct gw_error *err)
{
    struct gw_cursor in = gw_cursor_of(e->body, e->body_len);
    const unsigned char *head = gw_take(&in, QUERY_HEADER_LEN);
    if (!head)
        return gw_binlog_bad(err, "statement");
    size_t database_len = head[8], status_len = gw_le16(head + 11);
    const unsigned char *status = gw_take(&in, status_len);
    const unsigned char *database = gw_take(&in, database_len + 1);
    if (in.bad)
        return gw_binlog_bad(err, "statement");
    *out = (struct gw_binlog_query){
        .database = (const char *)database, .database_len = database_len, .error = gw_le16(head + 9)};
    read_sql_mode(gw_cursor_of(status, status_len), out);
    out->sql = (const char *)in.at;
    out->sql_len = gw_cursor_left(&in);
    if (e->type != GW_BINLOG_MARIA_QUERY_COMPRESSED)
        return true;
    if (!gw_binlog_unpack(&in, &b->unpacked, err))
        return false;
    out->sql = gw_buf_text(&b->unpacked);
    out->sql_len = b->unpacked.len;
    return true;
}
