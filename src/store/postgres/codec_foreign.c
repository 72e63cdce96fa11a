/* Types that no kind fits, in the text that their output functions write. They are read in the binary form where a
 * collection passes in it, and written as text always: the server reads that itself. */
#include "store/postgres/codec.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHAR = 18,
    TID = 27,
    XID = 28,
    CID = 29,
    POINT = 600,
    LSEG = 601,
    PATH = 602,
    BOX = 603,
    POLYGON = 604,
    LINE = 628,
    CIDR = 650,
    CIRCLE = 718,
    MACADDR8 = 774,
    MONEY = 790,
    MACADDR = 829,
    INET = 869,
    TIMETZ = 1266,
    TXID_SNAPSHOT = 2970,
    PG_LSN = 3220,
    TSVECTOR = 3614,
    TSQUERY = 3615,
    JSONPATH = 4072,
    PG_SNAPSHOT = 5038,
    XID8 = 5069,
};

bool gw_pg_foreign_is_readable(uint32_t oid)
{
    static const uint32_t known[] = {CHAR,    TID,           XID,    CID,      POINT,    LSEG,     PATH,        BOX,
                                     POLYGON, LINE,          CIDR,   CIRCLE,   MACADDR8, MONEY,    MACADDR,     INET,
                                     TIMETZ,  TXID_SNAPSHOT, PG_LSN, TSVECTOR, TSQUERY,  JSONPATH, PG_SNAPSHOT, XID8};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i] == oid)
            return true;
    return false;
}

/* ---- numbers and geometry ------------------------------------------------------------------------------------------- */

/* The fewest digits that read back, then written as the server writes them: with an exponent below 1e-4 and from 1e15
 * (1e6 of a float4) on. */
void gw_pg_add_float(struct gw_buf *out, double value, bool single)
{
    char text[40], digits[24];
    if (isnan(value) || isinf(value)) {
        gw_buf_adds(out, isnan(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity");
        return;
    }
    for (int precision = 0; precision < 18; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, value);
        if (single ? strtof(text, NULL) == (float)value : strtod(text, NULL) == value)
            break;
    }
    const char *at = text;
    if (*at == '-')
        gw_buf_addc(out, *at++);
    size_t count = 0;
    for (; *at && *at != 'e'; at++)
        if (*at != '.')
            digits[count++] = *at;
    int exponent = (int)strtol(at + 1, NULL, 10);
    while (count > 1 && digits[count - 1] == '0')
        count--;
    if (exponent < -4 || exponent >= (single ? 6 : 15)) {
        gw_buf_addc(out, digits[0]);
        if (count > 1)
            gw_buf_addc(out, '.');
        gw_buf_add(out, digits + 1, count - 1);
        gw_buf_addf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    if (exponent < 0) {
        gw_buf_adds(out, "0.");
        for (int i = -1; i > exponent; i--)
            gw_buf_addc(out, '0');
        gw_buf_add(out, digits, count);
        return;
    }
    for (size_t i = 0; i <= (size_t)exponent || i < count; i++) {
        if (i == (size_t)exponent + 1)
            gw_buf_addc(out, '.');
        gw_buf_addc(out, i < count ? digits[i] : '0');
    }
}

static void add_double(struct gw_cursor *in, struct gw_buf *out)
{
    uint64_t bits = gw_cursor_u64(in);
    double value;
    memcpy(&value, &bits, sizeof value);
    gw_pg_add_float(out, value, false);
}

static void add_point(struct gw_cursor *in, struct gw_buf *out)
{
    gw_buf_addc(out, '(');
    add_double(in, out);
    gw_buf_addc(out, ',');
    add_double(in, out);
    gw_buf_addc(out, ')');
}

static void add_points(struct gw_cursor *in, uint32_t count, struct gw_buf *out)
{
    for (uint32_t i = 0; i < count && !in->bad; i++) {
        if (i)
            gw_buf_addc(out, ',');
        add_point(in, out);
    }
}

static void add_shape(uint32_t oid, struct gw_cursor *in, struct gw_buf *out)
{
    static const char opening[] = "[(", closing[] = "])";
    bool closed = true;
    switch (oid) {
    case POINT:
        add_point(in, out);
        break;
    case BOX:
        add_points(in, 2, out);
        break;
    case LSEG:
        gw_buf_addc(out, '[');
        add_points(in, 2, out);
        gw_buf_addc(out, ']');
        break;
    case LINE:
        gw_buf_addc(out, '{');
        add_double(in, out);
        gw_buf_addc(out, ',');
        add_double(in, out);
        gw_buf_addc(out, ',');
        add_double(in, out);
        gw_buf_addc(out, '}');
        break;
    case CIRCLE:
        gw_buf_addc(out, '<');
        add_point(in, out);
        gw_buf_addc(out, ',');
        add_double(in, out);
        gw_buf_addc(out, '>');
        break;
    default: /* PATH, POLYGON */
        if (oid == PATH)
            closed = gw_cursor_u8(in) != 0;
        gw_buf_addc(out, opening[closed]);
        add_points(in, gw_cursor_u32(in), out);
        gw_buf_addc(out, closing[closed]);
    }
}

/* In the smallest unit: two digits under lc_monetary C, which every session of ours has. */
static void add_money(struct gw_cursor *in, struct gw_buf *out)
{
    int64_t cents = (int64_t)gw_cursor_u64(in);
    uint64_t size = cents < 0 ? -(uint64_t)cents : (uint64_t)cents;
    gw_buf_addf(out, "%s%" PRIu64 ".%02" PRIu64, cents < 0 ? "-" : "", size / 100, size % 100);
}

/* ---- addresses ------------------------------------------------------------------------------------------------------ */

static void add_address(struct gw_cursor *in, struct gw_buf *out)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t family = gw_cursor_u8(in), bits = gw_cursor_u8(in), is_cidr = gw_cursor_u8(in), len = gw_cursor_u8(in);
    const unsigned char *bytes = gw_cursor_bytes(in, len);
    bool six = family == 3;
    if (!bytes || (family != 2 && family != 3) || len != (six ? 16 : 4) ||
        !inet_ntop(six ? AF_INET6 : AF_INET, bytes, text, sizeof text)) {
        in->bad = 1;
        return;
    }
    gw_buf_adds(out, text);
    if (is_cidr || bits != (six ? 128 : 32))
        gw_buf_addf(out, "/%u", bits);
}

static void add_mac(struct gw_cursor *in, unsigned count, struct gw_buf *out)
{
    for (unsigned i = 0; i < count; i++)
        gw_buf_addf(out, "%s%02x", i ? ":" : "", gw_cursor_u8(in));
}

/* ---- times and ranges ----------------------------------------------------------------------------------------------- */

static void add_timetz(struct gw_cursor *in, struct gw_buf *out)
{
    gw_time_print((int64_t)gw_cursor_u64(in), -1, out);
    int32_t west_s = (int32_t)gw_cursor_u32(in), size_s = abs(west_s);
    gw_buf_addf(out, "%c%02d", west_s > 0 ? '-' : '+', size_s / 3600);
    if (size_s % 3600)
        gw_buf_addf(out, ":%02d", size_s / 60 % 60);
    if (size_s % 60)
        gw_buf_addf(out, ":%02d", size_s % 60);
}

/* The server's years count from 1: year 0 is 1 BC. */
static bool civil_of(int64_t days, int64_t *shown, unsigned *month, unsigned *day)
{
    gw_civil_from_days(days, shown, month, day);
    if (*shown > 0)
        return false;
    *shown = 1 - *shown;
    return true;
}

void gw_pg_add_date(struct gw_buf *out, int64_t days)
{
    int64_t year;
    unsigned month, day;
    if (days == GW_DATUM_FOREVER || days == -GW_DATUM_FOREVER) {
        gw_buf_adds(out, days < 0 ? "-infinity" : "infinity");
        return;
    }
    bool before_christ = civil_of(days, &year, &month, &day);
    gw_buf_addf(out, "%04" PRId64 "-%02u-%02u", year, month, day);
    if (before_christ)
        gw_buf_adds(out, " BC");
}

void gw_pg_add_timestamp(struct gw_buf *out, int64_t us, bool zone)
{
    int64_t year;
    unsigned month, day;
    if (us == GW_DATUM_FOREVER || us == -GW_DATUM_FOREVER) {
        gw_buf_adds(out, us < 0 ? "-infinity" : "infinity");
        return;
    }
    int64_t days = us / GW_DAY_US, of_day = us % GW_DAY_US;
    if (of_day < 0) {
        of_day += GW_DAY_US;
        days--;
    }
    bool before_christ = civil_of(days, &year, &month, &day);
    if (!before_christ && year <= 9999)
        gw_date_print(days, out);
    else
        gw_buf_addf(out, "%04" PRId64 "-%02u-%02u", year, month, day);
    gw_buf_addc(out, ' ');
    gw_time_print(of_day, -1, out);
    if (zone)
        gw_buf_adds(out, "+00");
    if (before_christ)
        gw_buf_adds(out, " BC");
}

#define RANGE_EMPTY 0x01
#define RANGE_LOW_INCLUSIVE 0x02
#define RANGE_HIGH_INCLUSIVE 0x04
#define RANGE_LOW_INFINITE 0x08
#define RANGE_HIGH_INFINITE 0x10

/* As range_out quotes: what would mean something, and what would not be seen. */
static void add_bound_text(const struct gw_buf *text, struct gw_buf *out)
{
    const char *words = gw_buf_text(text);
    bool quote = text->len == 0 || strpbrk(words, "\"\\()[], \t\n\r\v\f") != NULL;
    if (quote)
        gw_buf_addc(out, '"');
    for (size_t i = 0; i < text->len; i++) {
        if (words[i] == '"' || words[i] == '\\')
            gw_buf_addc(out, words[i]);
        gw_buf_addc(out, words[i]);
    }
    if (quote)
        gw_buf_addc(out, '"');
}

static bool add_bound(const struct gw_pg_coding *bounds, struct gw_cursor *in, struct gw_buf *out, struct gw_error *err)
{
    struct gw_arena arena = {0};
    struct gw_datum datum;
    gw_autobuf struct gw_buf text = {0};
    uint32_t len = gw_cursor_u32(in);
    const unsigned char *bytes = gw_cursor_bytes(in, len);
    if (!bytes)
        return gw_pg_refuse(bounds, "a range that is cut", err);
    bool fine =
        gw_pg_read_binary(bounds, bytes, len, &arena, &datum, err) && gw_pg_write_text(bounds, &datum, &text, err);
    gw_arena_release(&arena);
    if (fine)
        add_bound_text(&text, out);
    return fine;
}

static bool add_range(const struct gw_pg_coding *bounds, struct gw_cursor *in, struct gw_buf *out, struct gw_error *err)
{
    uint8_t flags = gw_cursor_u8(in);
    if (flags & RANGE_EMPTY) {
        gw_buf_adds(out, "empty");
        return true;
    }
    gw_buf_addc(out, flags & RANGE_LOW_INCLUSIVE ? '[' : '(');
    if (!(flags & RANGE_LOW_INFINITE) && !add_bound(bounds, in, out, err))
        return false;
    gw_buf_addc(out, ',');
    if (!(flags & RANGE_HIGH_INFINITE) && !add_bound(bounds, in, out, err))
        return false;
    gw_buf_addc(out, flags & RANGE_HIGH_INCLUSIVE ? ']' : ')');
    return true;
}

static bool add_multirange(const struct gw_pg_coding *bounds, struct gw_cursor *in, struct gw_buf *out,
                           struct gw_error *err)
{
    uint32_t count = gw_cursor_u32(in);
    gw_buf_addc(out, '{');
    for (uint32_t i = 0; i < count; i++) {
        uint32_t len = gw_cursor_u32(in);
        const unsigned char *bytes = gw_cursor_bytes(in, len);
        if (!bytes)
            return gw_pg_refuse(bounds, "a multirange that is cut", err);
        struct gw_cursor one = gw_cursor_of(bytes, len);
        if (i)
            gw_buf_addc(out, ',');
        if (!add_range(bounds, &one, out, err))
            return false;
    }
    gw_buf_addc(out, '}');
    return true;
}

/* ---- the rest ------------------------------------------------------------------------------------------------------- */

static void add_lexeme(const char *word, struct gw_buf *out)
{
    gw_buf_addc(out, '\'');
    for (; word && *word; word++) {
        if (*word == '\'' || *word == '\\')
            gw_buf_addc(out, *word);
        gw_buf_addc(out, *word);
    }
    gw_buf_addc(out, '\'');
}

/* 'lexeme':1A,2 'other' */
static void add_tsvector(struct gw_cursor *in, struct gw_buf *out)
{
    uint32_t count = gw_cursor_u32(in);
    for (uint32_t i = 0; i < count && !in->bad; i++) {
        const char *word = gw_cursor_cstr(in);
        uint16_t places = gw_cursor_u16(in);
        gw_buf_adds(out, i ? " " : "");
        add_lexeme(word, out);
        for (uint16_t p = 0; p < places && !in->bad; p++) {
            uint16_t place = gw_cursor_u16(in);
            gw_buf_addf(out, "%c%u", p ? ',' : ':', place & 0x3fffu);
            if (place >> 14)
                gw_buf_addc(out, "DCBA"[place >> 14]);
        }
    }
}

enum { NOT = 1, AND = 2, OR = 3, PHRASE = 4, MOST_QUERY_DEPTH = 1000 };

static void add_query_word(struct gw_cursor *in, struct gw_buf *out)
{
    uint8_t weights = gw_cursor_u8(in), prefix = gw_cursor_u8(in);
    add_lexeme(gw_cursor_cstr(in), out);
    if (weights || prefix)
        gw_buf_adds(out, prefix ? ":*" : ":");
    for (int bit = 3; bit >= 0; bit--)
        if (weights & 1u << bit)
            gw_buf_addc(out, "DCBA"[bit]);
}

/* Operators come before their operands, of two the right one first. */
static void add_query(struct gw_cursor *in, int outer, bool right_of_phrase, int depth, struct gw_buf *out)
{
    static const int ranks[] = {[NOT] = 4, [AND] = 2, [OR] = 1, [PHRASE] = 3};
    gw_autobuf struct gw_buf right = {0};
    if (gw_cursor_u8(in) == 1) {
        add_query_word(in, out);
        return;
    }
    uint8_t op = gw_cursor_u8(in);
    unsigned distance = op == PHRASE ? gw_cursor_u16(in) : 0;
    if (in->bad || op < NOT || op > PHRASE || depth > MOST_QUERY_DEPTH) {
        in->bad = 1;
        return;
    }
    int rank = ranks[op];
    bool closed = rank < outer || (op == PHRASE && right_of_phrase);
    gw_buf_adds(out, closed ? "( " : "");
    if (op == NOT) {
        gw_buf_addc(out, '!');
        add_query(in, rank, false, depth + 1, out);
    } else {
        add_query(in, rank, op == PHRASE, depth + 1, &right);
        add_query(in, rank, false, depth + 1, out);
        if (distance > 1 || (op == PHRASE && distance == 0))
            gw_buf_addf(out, " <%u> ", distance);
        else
            gw_buf_adds(out, op == PHRASE ? " <-> " : op == AND ? " & " : " | ");
        gw_buf_add(out, right.data, right.len);
    }
    gw_buf_adds(out, closed ? " )" : "");
}

static void add_snapshot(struct gw_cursor *in, struct gw_buf *out)
{
    uint32_t count = gw_cursor_u32(in);
    uint64_t from = gw_cursor_u64(in), to = gw_cursor_u64(in);
    gw_buf_addf(out, "%" PRIu64 ":%" PRIu64 ":", from, to);
    for (uint32_t i = 0; i < count && !in->bad; i++)
        gw_buf_addf(out, "%s%" PRIu64, i ? "," : "", gw_cursor_u64(in));
}

static void add_char(struct gw_cursor *in, struct gw_buf *out)
{
    uint8_t byte = gw_cursor_u8(in);
    if (byte >= 0x80)
        gw_buf_addf(out, "\\%03o", byte);
    else if (byte)
        gw_buf_addc(out, (char)byte);
}

static void add_plain(uint32_t oid, struct gw_cursor *in, struct gw_buf *out)
{
    switch (oid) {
    case CHAR:
        add_char(in, out);
        break;
    case TID:
        gw_buf_addf(out, "(%" PRIu32, gw_cursor_u32(in));
        gw_buf_addf(out, ",%u)", gw_cursor_u16(in));
        break;
    case XID:
    case CID:
        gw_buf_addf(out, "%" PRIu32, gw_cursor_u32(in));
        break;
    case XID8:
        gw_buf_addf(out, "%" PRIu64, gw_cursor_u64(in));
        break;
    case PG_LSN:
        gw_buf_addf(out, "%" PRIX32, gw_cursor_u32(in));
        gw_buf_addf(out, "/%" PRIX32, gw_cursor_u32(in));
        break;
    case CIDR:
    case INET:
        add_address(in, out);
        break;
    case MACADDR:
    case MACADDR8:
        add_mac(in, oid == MACADDR ? 6 : 8, out);
        break;
    case MONEY:
        add_money(in, out);
        break;
    case TIMETZ:
        add_timetz(in, out);
        break;
    case TXID_SNAPSHOT:
    case PG_SNAPSHOT:
        add_snapshot(in, out);
        break;
    case TSVECTOR:
        add_tsvector(in, out);
        break;
    case TSQUERY:
        if (gw_cursor_u32(in) > 0)
            add_query(in, 0, false, 0, out);
        break;
    case JSONPATH:
        if (gw_cursor_u8(in) != 1)
            in->bad = 1;
        gw_buf_add(out, in->at, gw_cursor_left(in));
        in->at = in->end;
        break;
    default:
        add_shape(oid, in, out);
    }
}

bool gw_pg_foreign_read(const struct gw_pg_coding *coding, const unsigned char *bytes, uint32_t len, struct gw_buf *out,
                        struct gw_error *err)
{
    struct gw_cursor in = gw_cursor_of(bytes, len);
    if (coding->multirange || coding->range) {
        bool fine = coding->multirange ? add_multirange(coding->element, &in, out, err)
                                       : add_range(coding->element, &in, out, err);
        if (!fine)
            return false;
    } else if (gw_pg_foreign_is_readable(coding->type_id)) {
        add_plain(coding->type_id, &in, out);
    } else {
        return gw_fail(err, GW_ERR_UNSUPPORTED, "column %s: %s is not read in its binary form",
                       coding->column ? coding->column : "?", coding->type.foreign ? coding->type.foreign : "its type");
    }
    return (!in.bad && gw_cursor_left(&in) == 0) || gw_pg_refuse(coding, "a value of an unknown form", err);
}
