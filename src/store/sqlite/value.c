#include "store/sqlite/value.h"

#include "base/mem.h"
#include "io/utf8.h"

#include <errno.h>

static void put64(unsigned char *at, uint64_t v)
{
    for (int i = 7; i >= 0; i--, v >>= 8)
        at[i] = (unsigned char)v;
}

static struct gw_value tagged(enum gw_lite_class class, uint64_t bits, struct gw_arena *arena)
{
    unsigned char *bytes = gw_arena_alloc(arena, 9);
    bytes[0] = (unsigned char)class;
    put64(bytes + 1, bits);
    return (struct gw_value){.kind = GW_VALUE_BINARY, .len = 9, .bytes = bytes};
}

struct gw_value gw_lite_value_integer(int64_t v, struct gw_arena *arena)
{
    return tagged(GW_LITE_CLASS_INTEGER, (uint64_t)v, arena);
}

struct gw_value gw_lite_value_real(double v, struct gw_arena *arena)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return tagged(GW_LITE_CLASS_REAL, bits, arena);
}

struct gw_value gw_lite_value_blob(const void *bytes, size_t len, struct gw_arena *arena)
{
    unsigned char *copy = gw_arena_alloc(arena, len + 1);
    copy[0] = GW_LITE_CLASS_BLOB;
    if (len > 0)
        memcpy(copy + 1, bytes, len);
    return (struct gw_value){.kind = GW_VALUE_BINARY, .len = (uint32_t)len + 1, .bytes = copy};
}

struct gw_value gw_lite_value_of(sqlite3_stmt *statement, int column, struct gw_arena *arena)
{
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        return gw_lite_value_integer(sqlite3_column_int64(statement, column), arena);
    case SQLITE_FLOAT:
        return gw_lite_value_real(sqlite3_column_double(statement, column), arena);
    case SQLITE_BLOB: {
        const void *bytes = sqlite3_column_blob(statement, column);
        return gw_lite_value_blob(bytes, (size_t)sqlite3_column_bytes(statement, column), arena);
    }
    case SQLITE_TEXT: {
        const unsigned char *text = sqlite3_column_text(statement, column);
        size_t len = (size_t)sqlite3_column_bytes(statement, column);
        return (struct gw_value){.kind = GW_VALUE_TEXT,
                                 .len = (uint32_t)len,
                                 .bytes = gw_arena_dup(arena, text ? (const char *)text : "", len)};
    }
    default:
        return (struct gw_value){.kind = GW_VALUE_NULL};
    }
}

bool gw_lite_bind_value(sqlite3_stmt *statement, int place, const struct gw_value *value)
{
    if (value->kind == GW_VALUE_TEXT)
        return sqlite3_bind_text64(statement, place, value->len > 0 ? (const char *)value->bytes : "", value->len,
                                   SQLITE_STATIC, SQLITE_UTF8) == SQLITE_OK;
    if (value->kind != GW_VALUE_BINARY)
        return sqlite3_bind_null(statement, place) == SQLITE_OK;
    if (value->len == 0)
        return false;
    if (value->bytes[0] == GW_LITE_CLASS_BLOB)
        return sqlite3_bind_blob64(statement, place, value->bytes + 1, value->len - 1, SQLITE_STATIC) == SQLITE_OK;
    if (value->len != 9)
        return false;
    uint64_t bits = gw_get64(value->bytes + 1);
    if (value->bytes[0] == GW_LITE_CLASS_INTEGER)
        return sqlite3_bind_int64(statement, place, (int64_t)bits) == SQLITE_OK;
    double real;
    memcpy(&real, &bits, sizeof real);
    return value->bytes[0] == GW_LITE_CLASS_REAL && sqlite3_bind_double(statement, place, real) == SQLITE_OK;
}

/* ---- bounds ---------------------------------------------------------------------------------------------------- */

static char *hex_text(const char *prefix, const unsigned char *bytes, size_t len)
{
    static const char digits[] = "0123456789ABCDEF";
    struct gw_buf out = {0};
    gw_buf_adds(&out, prefix);
    gw_buf_addc(&out, '\'');
    for (size_t i = 0; i < len; i++) {
        gw_buf_addc(&out, digits[bytes[i] >> 4]);
        gw_buf_addc(&out, digits[bytes[i] & 15]);
    }
    gw_buf_addc(&out, '\'');
    return gw_buf_detach(&out);
}

char *gw_lite_bound_text(sqlite3_stmt *statement, int column)
{
    int type = sqlite3_column_type(statement, column);
    if (type == SQLITE_INTEGER)
        return gw_asprintf("%lld", (long long)sqlite3_column_int64(statement, column));
    if (type == SQLITE_FLOAT) {
        double real = sqlite3_column_double(statement, column);
        unsigned char bytes[8];
        uint64_t bits;
        memcpy(&bits, &real, sizeof bits);
        put64(bytes, bits);
        return hex_text("R", bytes, sizeof bytes);
    }
    if (type == SQLITE_BLOB) {
        const void *bytes = sqlite3_column_blob(statement, column);
        return hex_text("X", bytes, (size_t)sqlite3_column_bytes(statement, column));
    }
    const unsigned char *text = sqlite3_column_text(statement, column);
    size_t len = (size_t)sqlite3_column_bytes(statement, column);
    if (!text || memchr(text, 0, len) || gw_utf8_valid_prefix((const char *)text, len) != len)
        return hex_text("T", text, len);
    return gw_asprintf("'%s'", (const char *)text);
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool bind_hex(sqlite3_stmt *statement, int place, const char *text, size_t len)
{
    size_t count = (len - 3) / 2;
    gw_autofree unsigned char *bytes = gw_alloc(count + 1);
    for (size_t i = 0; i < count; i++) {
        int high = nibble(text[2 + 2 * i]), low = nibble(text[3 + 2 * i]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (unsigned char)(high << 4 | low);
    }
    if (text[0] == 'X')
        return sqlite3_bind_blob64(statement, place, bytes, count, SQLITE_TRANSIENT) == SQLITE_OK;
    if (text[0] == 'T')
        return sqlite3_bind_text64(statement, place, (char *)bytes, count, SQLITE_TRANSIENT, SQLITE_UTF8) == SQLITE_OK;
    uint64_t bits = count == 8 ? gw_get64(bytes) : 0;
    double real;
    memcpy(&real, &bits, sizeof real);
    return count == 8 && sqlite3_bind_double(statement, place, real) == SQLITE_OK;
}

bool gw_lite_bind_bound(sqlite3_stmt *statement, int place, const char *text, struct gw_error *err)
{
    size_t len = strlen(text);
    char *end = NULL;
    bool fine;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (len > 0 && *end == 0 && errno == 0 && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9')))
        fine = sqlite3_bind_int64(statement, place, number) == SQLITE_OK;
    else if (len >= 3 && strchr("RTX", text[0]) && text[1] == '\'' && text[len - 1] == '\'' && len % 2 == 1)
        fine = bind_hex(statement, place, text, len);
    else if (len >= 2 && text[0] == '\'' && text[len - 1] == '\'')
        fine = sqlite3_bind_text64(statement, place, text + 1, len - 2, SQLITE_TRANSIENT, SQLITE_UTF8) == SQLITE_OK;
    else
        fine = sqlite3_bind_text64(statement, place, text, len, SQLITE_TRANSIENT, SQLITE_UTF8) == SQLITE_OK;
    return fine || gw_fail(err, GW_ERR_BUG, "\"%s\" is no bound of a key", text);
}
