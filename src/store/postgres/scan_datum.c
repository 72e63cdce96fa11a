#include "store/postgres/scan_datum.h"

#include "base/mem.h"
#include "store/postgres/scan_form.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- types ---------------------------------------------------------------------------------------------------------- */

struct gw_pg_meaning {
    uint32_t type_id;
    char *sql_type;
    struct gw_pg_coding *coding; /* owned, and never moved: it is handed out */
};

void gw_pg_meanings_release(struct gw_pg_meanings *m)
{
    for (size_t i = 0; i < m->count; i++) {
        free(m->items[i].sql_type);
        gw_pg_coding_release(m->items[i].coding);
        free(m->items[i].coding);
    }
    free(m->items);
    *m = (struct gw_pg_meanings){0};
}

bool gw_pg_meaning_find(struct gw_pg_meanings *m, struct gw_pg_store *store, const struct gw_column *column,
                        const struct gw_pg_coding **out, struct gw_error *err)
{
    struct gw_pg_types *types = NULL;
    for (size_t i = 0; i < m->count; i++)
        if (m->items[i].type_id == column->type_id && strcmp(m->items[i].sql_type, column->type) == 0) {
            *out = m->items[i].coding;
            return true;
        }
    if (!gw_pg_type_is_known(column->type_id)) {
        gw_autofree char *oids = gw_asprintf("{%" PRIu32 "}", column->type_id);
        PGconn *conn;
        if (!gw_pg_borrow(store, &conn, err))
            return false;
        bool fine = gw_pg_types_load(store, conn, oids, &types, err);
        gw_pg_return(store, conn, !fine);
        if (!fine)
            return false;
    }
    m->items = gw_realloc(m->items, (m->count + 1) * sizeof *m->items);
    struct gw_pg_meaning *item = &m->items[m->count++];
    *item = (struct gw_pg_meaning){
        .type_id = column->type_id, .sql_type = gw_strdup(column->type), .coding = gw_zalloc(sizeof *item->coding)};
    gw_pg_coding_make(item->coding, types, column->type_id, column->type);
    gw_pg_types_free(types);
    *out = item->coding;
    return true;
}

static bool odd(const struct gw_column *column, struct gw_error *err)
{
    return gw_fail(err, GW_ERR_CONFLICT, "column %s: a value that verify cannot read as %s", column->name,
                   column->type);
}

static struct gw_datum kept(enum gw_kind kind, const struct gw_buf *text, struct gw_arena *arena)
{
    return gw_datum_of_bytes(kind, gw_arena_dup(arena, text->data, text->len), text->len);
}

/* ---- from the binary form ------------------------------------------------------------------------------------------- */

/* Digit by digit, as the number is written on paper: the groups of four from the highest weight down. */
static bool numeric_datum(struct gw_cursor in, struct gw_arena *arena, struct gw_datum *out)
{
    gw_autobuf struct gw_buf digits = {0};
    int groups = gw_cursor_u16(&in), weight = (int16_t)gw_cursor_u16(&in);
    unsigned sign = gw_cursor_u16(&in), scale = gw_cursor_u16(&in);
    if (sign >= 0xC000) {
        *out = gw_datum_text(sign == 0xC000 ? "NaN" : sign == 0xD000 ? "Infinity" : "-Infinity");
        out->kind = GW_KIND_DECIMAL;
        return !in.bad;
    }
    for (int w = weight; w >= 0 || (-w - 1) * 4 < (int)scale; w--) {
        int index = weight - w;
        char four[8];
        snprintf(four, sizeof four, "%04u", index < groups ? gw_cursor_u16(&in) % 10000u : 0u);
        if (w == -1)
            gw_buf_addc(&digits, '.');
        gw_buf_adds(&digits, four);
    }
    /* A number below one has no group before the point, and a small one none behind it for a while. */
    gw_autobuf struct gw_buf whole = {0};
    if (weight < 0) {
        gw_buf_adds(&whole, "0");
        if (scale) {
            gw_buf_addc(&whole, '.');
            for (int w = -1; w > weight; w--)
                gw_buf_adds(&whole, "0000");
        }
    }
    gw_buf_add(&whole, weight == -1 && digits.len ? digits.data + 1 : digits.data,
               weight == -1 && digits.len ? digits.len - 1 : digits.len);
    const char *text = gw_buf_text(&whole), *point = strchr(text, '.');
    size_t end = point ? (size_t)(point - text) + 1 + scale : whole.len;
    if (end > whole.len) { /* zeros that need no group */
        while (whole.len < end)
            gw_buf_addc(&whole, '0');
        text = gw_buf_text(&whole);
    }
    size_t from = strspn(text, "0");
    if (from && (text[from] == '.' || !text[from] || from >= end))
        from--;
    gw_autobuf struct gw_buf result = {0};
    gw_buf_adds(&result, sign ? "-" : "");
    gw_buf_add(&result, text + from, end - from);
    *out = kept(GW_KIND_DECIMAL, &result, arena);
    return !in.bad;
}

static int64_t forever_or(int64_t value, int64_t least, int64_t most)
{
    return value == most ? GW_DATUM_FOREVER : value == least ? -GW_DATUM_FOREVER : value;
}

static void number_datum(const struct gw_pg_coding *coding, struct gw_cursor *in, uint32_t len, struct gw_datum *out)
{
    uint64_t number = 0;
    for (uint32_t i = 0; i < len && i < 8; i++)
        number = number << 8 | gw_cursor_u8(in);
    switch (coding->code) {
    case GW_PG_CODE_BOOL:
        out->boolean = number & 1;
        break;
    case GW_PG_CODE_FLOAT4: {
        uint32_t half = (uint32_t)number;
        memcpy(&out->f32, &half, sizeof half);
        break;
    }
    case GW_PG_CODE_DATE:
        out->i64 = forever_or((int32_t)(uint32_t)number, INT32_MIN, INT32_MAX);
        break;
    case GW_PG_CODE_TIMESTAMP:
        out->i64 = forever_or((int64_t)number, INT64_MIN, INT64_MAX);
        break;
    case GW_PG_CODE_INT:
        out->i64 = len == 2 ? (int16_t)(uint16_t)number : len == 4 ? (int32_t)(uint32_t)number : (int64_t)number;
        break;
    default:
        out->u64 = number;
    }
}

static void address_text(struct gw_cursor *in, struct gw_buf *out)
{
    unsigned family = gw_cursor_u8(in), bits = gw_cursor_u8(in), block = gw_cursor_u8(in), size = gw_cursor_u8(in);
    char text[64] = "";
    const unsigned char *bytes = gw_cursor_bytes(in, size);
    if (!bytes || (size != 4 && size != 16) || !inet_ntop(family == 2 ? AF_INET : AF_INET6, bytes, text, sizeof text))
        in->bad = 1;
    gw_buf_adds(out, text);
    if (block || bits < size * 8)
        gw_buf_addf(out, "/%u", bits);
}

static void double_text(struct gw_cursor *in, struct gw_buf *out)
{
    uint64_t bits = gw_cursor_u64(in);
    double value;
    memcpy(&value, &bits, sizeof value);
    gw_pg_add_float(out, value, false);
}

/* ( a , b ) and the like: the letters of `pattern` as they are, # a number. */
static void shape_text(const char *pattern, struct gw_cursor *in, struct gw_buf *out)
{
    for (; *pattern; pattern++)
        if (*pattern == '#')
            double_text(in, out);
        else
            gw_buf_addc(out, *pattern);
}

static void timetz_text(struct gw_cursor *in, struct gw_buf *out)
{
    gw_time_print((int64_t)gw_cursor_u64(in), -1, out);
    int east_s = -(int32_t)gw_cursor_u32(in), s = abs(east_s);
    gw_buf_addf(out,
                s % 60     ? "%c%02d:%02d:%02d"
                : s % 3600 ? "%c%02d:%02d"
                           : "%c%02d",
                east_s < 0 ? '-' : '+', s / 3600, s / 60 % 60, s % 60);
}

static bool foreign_text(uint32_t oid, struct gw_cursor *in, struct gw_buf *out)
{
    size_t octets = gw_cursor_left(in);
    int64_t cents;
    switch (oid) {
    case 28:
        gw_buf_addf(out, "%" PRIu32, gw_cursor_u32(in));
        return true;
    case 5069:
        gw_buf_addf(out, "%" PRIu64, gw_cursor_u64(in));
        return true;
    case 3220:
        gw_buf_addf(out, "%X", gw_cursor_u32(in));
        gw_buf_addf(out, "/%X", gw_cursor_u32(in));
        return true;
    case 790:
        cents = (int64_t)gw_cursor_u64(in);
        gw_buf_addf(out, "%s%" PRIu64 ".%02u", cents < 0 ? "-" : "",
                    (cents < 0 ? -(uint64_t)cents : (uint64_t)cents) / 100,
                    (unsigned)((cents < 0 ? -(uint64_t)cents : (uint64_t)cents) % 100));
        return true;
    case 1266:
        timetz_text(in, out);
        return true;
    case 869:
    case 650:
        address_text(in, out);
        return true;
    case 829:
    case 774:
        for (size_t i = 0; i < octets; i++)
            gw_buf_addf(out, i ? ":%02x" : "%02x", gw_cursor_u8(in));
        return true;
    case 600:
        shape_text("(#,#)", in, out);
        return true;
    case 601:
        shape_text("[(#,#),(#,#)]", in, out);
        return true;
    case 603:
        shape_text("(#,#),(#,#)", in, out);
        return true;
    case 628:
        shape_text("{#,#,#}", in, out);
        return true;
    case 718:
        shape_text("<(#,#),#>", in, out);
        return true;
    default:
        return false;
    }
}

static bool binary_datum(const struct gw_pg_coding *coding, const struct gw_value *value, struct gw_arena *arena,
                         struct gw_datum *out)
{
    struct gw_cursor in = gw_cursor_of(value->bytes, value->len);
    gw_autobuf struct gw_buf text = {0};
    *out = (struct gw_datum){.kind = coding->type.kind};
    switch (coding->code) {
    case GW_PG_CODE_NUMERIC:
        return numeric_datum(in, arena, out);
    case GW_PG_CODE_BYTEA:
    case GW_PG_CODE_UUID:
        *out = gw_datum_of_bytes(coding->type.kind, value->bytes, value->len);
        return coding->code == GW_PG_CODE_BYTEA || value->len == 16;
    case GW_PG_CODE_INTERVAL:
        out->interval.us = (int64_t)gw_cursor_u64(&in);
        out->interval.days = (int32_t)gw_cursor_u32(&in);
        out->interval.months = (int32_t)gw_cursor_u32(&in);
        return !in.bad;
    case GW_PG_CODE_FOREIGN:
        if (!foreign_text(coding->type_id, &in, &text) || in.bad || gw_cursor_left(&in))
            return false;
        *out = kept(GW_KIND_TEXT, &text, arena);
        return true;
    default:
        number_datum(coding, &in, value->len, out);
        return !in.bad && value->len <= 8;
    }
}

/* ---- from the text form --------------------------------------------------------------------------------------------- */

static bool text_datum(const struct gw_pg_coding *coding, const char *text, struct gw_arena *arena,
                       struct gw_datum *out);

/* "0044-03-15 12:00:00.5+00 BC": by the numbers in it. */
static bool moment_datum(const char *text, bool clock, int64_t *out)
{
    long long year;
    unsigned month, day, hour = 0, minute = 0, second = 0;
    int at = 0, more = 0, scale = 100000;
    int64_t us = 0;
    if (strcmp(text, "infinity") == 0 || strcmp(text, "-infinity") == 0) {
        *out = *text == '-' ? -GW_DATUM_FOREVER : GW_DATUM_FOREVER;
        return true;
    }
    if (sscanf(text, "%lld-%u-%u%n", &year, &month, &day, &at) != 3)
        return false;
    if (strstr(text, " BC"))
        year = 1 - year;
    if (clock && sscanf(text + at, " %u:%u:%u%n", &hour, &minute, &second, &more) != 3)
        return false;
    if (clock && text[at + more] == '.')
        for (const char *p = text + at + more + 1; *p >= '0' && *p <= '9'; p++, scale /= 10)
            us += (*p - '0') * scale;
    int64_t days = gw_days_from_civil(year, month, day);
    *out = clock ? days * GW_DAY_US + ((int64_t)hour * 3600 + minute * 60 + second) * 1000000 + us : days;
    return gw_civil_exists(year, month, day);
}

static bool interval_datum(const char *text, struct gw_datum *out)
{
    char unit[16];
    long long number;
    int at;
    out->interval.months = out->interval.days = 0;
    out->interval.us = 0;
    if (strcmp(text, "infinity") == 0 || strcmp(text, "-infinity") == 0) {
        bool negative = *text == '-';
        out->interval.months = out->interval.days = negative ? INT32_MIN : INT32_MAX;
        out->interval.us = negative ? INT64_MIN : INT64_MAX;
        return true;
    }
    while (!strchr(text, ':') || strchr(text, ' ')) {
        if (sscanf(text, "%lld %15[a-z]%n", &number, unit, &at) != 2)
            return false;
        if (*unit == 'd')
            out->interval.days = (int32_t)number;
        else
            out->interval.months += (int32_t)(*unit == 'y' ? number * 12 : number);
        text += at;
        text += *text == ' ';
        if (!*text)
            return true;
    }
    bool negative = *text == '-';
    long long hours, minutes, seconds;
    int64_t us = 0;
    if (sscanf(text + (negative || *text == '+'), "%lld:%lld:%lld%n", &hours, &minutes, &seconds, &at) != 3)
        return false;
    const char *point = strchr(text, '.');
    for (int scale = 100000; point && point[1]; point++, scale /= 10)
        us += (point[1] - '0') * scale;
    uint64_t all = (uint64_t)((hours * 60 + minutes) * 60 + seconds) * 1000000 + (uint64_t)us;
    out->interval.us = (int64_t)(negative ? 0 - all : all);
    return true;
}

static bool hex_datum(enum gw_kind kind, const char *text, struct gw_arena *arena, struct gw_datum *out)
{
    gw_autobuf struct gw_buf bytes = {0};
    unsigned byte;
    for (; *text; text += 2) {
        if (*text == '-' && kind == GW_KIND_UUID)
            text++;
        if (sscanf(text, "%2x", &byte) != 1 || !text[1])
            return false;
        gw_buf_addc(&bytes, (char)byte);
    }
    *out = kept(kind, &bytes, arena);
    return kind != GW_KIND_UUID || bytes.len == 16;
}

/* ---- arrays --------------------------------------------------------------------------------------------------------- */

struct array_reading {
    const struct gw_pg_coding *coding;
    struct gw_arena *arena;
    struct gw_buf elements, word;
    uint32_t lengths[8], counts[8];
    int32_t lowers[8];
    uint32_t depth, deepest;
    bool fine;
};

static void end_element(struct array_reading *a, bool quoted, bool any)
{
    struct gw_datum datum = gw_datum_null();
    if (!quoted && !any)
        return;
    if (quoted || strcasecmp(gw_buf_text(&a->word), "NULL") != 0) {
        const char *own = gw_arena_dup(a->arena, a->word.data, a->word.len);
        a->fine = a->fine && text_datum(a->coding->element, own, a->arena, &datum);
    }
    gw_datum_write(&a->elements, &datum);
    a->counts[a->depth]++;
    gw_buf_clear(&a->word);
}

/* One pass by a machine of states: depth, and whether in quotes. */
static void walk_array(struct array_reading *a, const char *text)
{
    bool in_quotes = false, quoted = false, any = false;
    for (; *text && a->fine; text++) {
        char c = *text;
        if (c == '\\') {
            gw_buf_addc(&a->word, *++text);
            any = true;
        } else if (c == '"') {
            in_quotes = !in_quotes;
            quoted = true;
        } else if (in_quotes || (c != '{' && c != '}' && c != a->coding->delimiter)) {
            gw_buf_addc(&a->word, c);
            any = true;
        } else if (c == '{') {
            a->fine = ++a->depth <= 6;
            a->counts[a->depth] = 0;
            if (a->depth > a->deepest)
                a->deepest = a->depth;
        } else {
            end_element(a, quoted, any);
            quoted = any = false;
            if (c == '}') {
                a->lengths[a->depth] = a->counts[a->depth];
                a->fine = a->fine && a->depth > 0;
                a->counts[--a->depth]++;
            }
        }
    }
}

static bool array_datum(const struct gw_pg_coding *coding, const char *text, struct gw_arena *arena,
                        struct gw_datum *out)
{
    struct array_reading a = {.coding = coding, .arena = arena, .fine = true};
    gw_autobuf struct gw_buf flat = {0};
    int at, low, high;
    for (int i = 0; i < 8; i++)
        a.lowers[i] = 1;
    for (int i = 1; i < 8 && sscanf(text, "[%d:%d]%n", &low, &high, &at) == 2; i++, text += at)
        a.lowers[i] = low;
    text += *text == '=';
    walk_array(&a, text);
    uint32_t dimensions = a.elements.len ? a.deepest : 0;
    gw_datum_array_begin(&flat, dimensions, a.lengths + 1, a.lowers + 1);
    gw_buf_add(&flat, a.elements.data, a.elements.len);
    *out = kept(GW_KIND_ARRAY, &flat, arena);
    gw_buf_release(&a.elements);
    gw_buf_release(&a.word);
    return a.fine && a.depth == 0;
}

/* ---- one text ------------------------------------------------------------------------------------------------------- */

static bool plain_number(const struct gw_pg_coding *coding, const char *text, struct gw_datum *out)
{
    char *end;
    if (coding->code == GW_PG_CODE_FLOAT4) {
        out->f32 = strtof(text, &end);
        if (strcmp(text, "NaN") == 0)
            out->f32 = __builtin_nanf("");
    } else if (coding->code == GW_PG_CODE_FLOAT8) {
        out->f64 = strcmp(text, "NaN") == 0 ? __builtin_nan("") : strtod(text, NULL);
        strtod(text, &end);
    } else if (coding->code == GW_PG_CODE_OID) {
        out->u64 = strtoull(text, &end, 10);
    } else {
        out->i64 = strtoll(text, &end, 10);
    }
    return end != text && !*end;
}

static struct gw_datum bytes_datum(const struct gw_pg_coding *coding, const char *text, size_t len)
{
    if (coding->code == GW_PG_CODE_TEXT && coding->type.fixed)
        while (len && text[len - 1] == ' ')
            len--;
    return gw_datum_of_bytes(coding->type.kind, text, len);
}

/* `text` ends in a NUL. */
static bool text_datum(const struct gw_pg_coding *coding, const char *text, struct gw_arena *arena,
                       struct gw_datum *out)
{
    gw_autobuf struct gw_buf plain = {0};
    *out = (struct gw_datum){.kind = coding->type.kind};
    switch (coding->code) {
    case GW_PG_CODE_BOOL:
        out->boolean = *text == 't';
        return *text == 't' || *text == 'f';
    case GW_PG_CODE_INT:
    case GW_PG_CODE_OID:
    case GW_PG_CODE_FLOAT4:
    case GW_PG_CODE_FLOAT8:
        return plain_number(coding, text, out);
    case GW_PG_CODE_DATE:
        return moment_datum(text, false, &out->i64);
    case GW_PG_CODE_TIMESTAMP:
        return moment_datum(text, true, &out->i64);
    case GW_PG_CODE_TIME:
        return gw_time_parse(text, strlen(text), &out->i64);
    case GW_PG_CODE_INTERVAL:
        return interval_datum(text, out);
    case GW_PG_CODE_BYTEA:
        return text[0] == '\\' && text[1] == 'x' && hex_datum(GW_KIND_BYTES, text + 2, arena, out);
    case GW_PG_CODE_UUID:
        return hex_datum(GW_KIND_UUID, text, arena, out);
    case GW_PG_CODE_ARRAY:
        return array_datum(coding, text, arena, out);
    case GW_PG_CODE_FOREIGN:
        if (coding->type_id == 18 && (unsigned char)*text >= 0x80) { /* "char": the byte itself */
            gw_buf_addf(&plain, "\\%03o", (unsigned char)*text);
            *out = kept(GW_KIND_TEXT, &plain, arena);
            return true;
        }
        if (coding->type_id != 790)
            break;
        for (; *text; text++)
            if (*text != '$' && *text != ',')
                gw_buf_addc(&plain, *text);
        *out = kept(GW_KIND_TEXT, &plain, arena);
        return true;
    case GW_PG_CODE_GEOMETRY: { /* EWKB: byte order, type with a bit for the SRID, SRID */
        struct gw_datum ewkb;
        if (!hex_datum(GW_KIND_BYTES, text, arena, &ewkb) || ewkb.len < 5)
            return false;
        bool little = ewkb.bytes[0] == 1, has_srid = ewkb.bytes[little ? 4 : 1] & 0x20;
        uint32_t srid = has_srid && ewkb.len >= 9 ? gw_get32(ewkb.bytes + 5) : 0;
        gw_buf_put32(&plain, little ? __builtin_bswap32(srid) : srid);
        gw_buf_add(&plain, ewkb.bytes, 5);
        plain.data[4 + (little ? 4 : 1)] &= ~0x20;
        gw_buf_add(&plain, ewkb.bytes + (has_srid ? 9 : 5), ewkb.len - (has_srid ? 9u : 5u));
        *out = kept(GW_KIND_GEOMETRY, &plain, arena);
        return true;
    }
    default:
        break;
    }
    *out = bytes_datum(coding, text, strlen(text));
    return true;
}

bool gw_pg_scan_datum(const struct gw_pg_coding *coding, const struct gw_column *column, const struct gw_value *value,
                      struct gw_arena *arena, struct gw_datum *out, struct gw_error *err)
{
    bool binary_form = gw_pg_form_of_type(column->type_id, 'b') == GW_FORM_BINARY;
    if (value->kind == GW_VALUE_NULL) {
        *out = gw_datum_null();
        return true;
    }
    if (gw_pg_form_is_hash(binary_form, value))
        return gw_fail(err, GW_ERR_BUG, "column %s: a value of more than %u bytes came as its hash", column->name,
                       GW_FORM_LARGE_BYTES);
    if (binary_form)
        return binary_datum(coding, value, arena, out) || odd(column, err);
    if (coding->code == GW_PG_CODE_TEXT || coding->code == GW_PG_CODE_JSON || coding->code == GW_PG_CODE_JSONB) {
        *out = bytes_datum(coding, (const char *)value->bytes, value->len);
        return true;
    }
    return text_datum(coding, gw_arena_dup(arena, value->bytes, value->len), arena, out) || odd(column, err);
}

/* ---- and back, for keys --------------------------------------------------------------------------------------------- */

static void add_number(struct gw_buf *out, uint64_t value, unsigned width)
{
    while (width--)
        gw_buf_addc(out, (char)(value >> (8 * width)));
}

/* From the decimal text, group by group. */
static bool add_numeric(struct gw_buf *out, const struct gw_datum *datum)
{
    const char *text = (const char *)datum->bytes, *end = text + datum->len;
    bool negative = datum->len && *text == '-', any = false;
    if (datum->len == 3 && memcmp(text, "NaN", 3) == 0) {
        add_number(out, UINT64_C(0x00000000C0000000), 8);
        return true;
    }
    text += negative;
    if (text == end || *text < '0' || *text > '9') {
        add_number(out, negative ? UINT64_C(0xF0000000) : UINT64_C(0xD0000000), 8);
        return memmem(datum->bytes, datum->len, "Infinity", 8) != NULL;
    }
    const char *point = memchr(text, '.', (size_t)(end - text));
    int whole = (int)((point ? point : end) - text), scale = point ? (int)(end - point) - 1 : 0;
    int first = (whole + 3) / 4 - 1, weight = 0, count = 0, last = 0;
    gw_autobuf struct gw_buf groups = {0};
    for (int w = first; w >= 0 || (-w - 1) * 4 < scale; w--) {
        unsigned group = 0;
        for (int d = 3; d >= 0; d--) {
            int place = w * 4 + d; /* power of ten */
            const char *digit = place >= 0 ? text + whole - 1 - place : point - place;
            bool there = place >= 0 ? place < whole : -place <= scale;
            group = group * 10 + (there ? (unsigned)(*digit - '0') : 0);
        }
        if (group && !any) {
            any = true;
            weight = w;
        }
        if (any) {
            add_number(&groups, group, 2);
            count++;
            if (group)
                last = count;
        }
    }
    add_number(out, (uint64_t)(unsigned)last, 2);
    add_number(out, (uint64_t)(uint16_t)(int16_t)weight, 2);
    add_number(out, negative && any ? 0x4000 : 0, 2);
    add_number(out, (uint64_t)(unsigned)scale, 2);
    gw_buf_add(out, groups.data, (size_t)last * 2);
    return true;
}

static bool add_binary(const struct gw_pg_coding *coding, const struct gw_datum *d, struct gw_buf *out)
{
    switch (coding->code) {
    case GW_PG_CODE_BOOL:
        gw_buf_addc(out, d->boolean);
        return true;
    case GW_PG_CODE_INT:
        add_number(out, d->u64, coding->width);
        return true;
    case GW_PG_CODE_OID:
        add_number(out, d->u64, 4);
        return true;
    case GW_PG_CODE_FLOAT4: {
        uint32_t bits;
        memcpy(&bits, &d->f32, sizeof bits);
        add_number(out, bits, 4);
        return true;
    }
    case GW_PG_CODE_DATE:
        add_number(out,
                   (uint64_t)(d->i64 == GW_DATUM_FOREVER    ? INT32_MAX
                              : d->i64 == -GW_DATUM_FOREVER ? INT32_MIN
                                                            : d->i64),
                   4);
        return true;
    case GW_PG_CODE_TIMESTAMP:
        add_number(out, d->i64 == -GW_DATUM_FOREVER ? (uint64_t)INT64_MIN : d->u64, 8);
        return true;
    case GW_PG_CODE_FLOAT8:
    case GW_PG_CODE_TIME:
        add_number(out, d->u64, 8);
        return true;
    case GW_PG_CODE_INTERVAL:
        add_number(out, (uint64_t)d->interval.us, 8);
        add_number(out, (uint64_t)d->interval.days, 4);
        add_number(out, (uint64_t)d->interval.months, 4);
        return true;
    case GW_PG_CODE_NUMERIC:
        return add_numeric(out, d);
    case GW_PG_CODE_BYTEA:
    case GW_PG_CODE_UUID:
        gw_buf_add(out, d->bytes, d->len);
        return true;
    default:
        return false;
    }
}

bool gw_pg_scan_value(const struct gw_pg_coding *coding, const struct gw_column *column, const struct gw_datum *datum,
                      struct gw_arena *arena, struct gw_value *out, struct gw_error *err)
{
    gw_autobuf struct gw_buf bytes = {0};
    struct gw_datum fitting;
    bool binary = gw_pg_form_of_type(column->type_id, 'b') == GW_FORM_BINARY;
    if (datum->kind == GW_KIND_NULL) {
        *out = (struct gw_value){.kind = GW_VALUE_NULL};
        return true;
    }
    if (!gw_pg_check_datum(coding, datum, arena, &fitting, err))
        return false;
    if (binary && !add_binary(coding, &fitting, &bytes)) /* an address, a shape: no key of another engine */
        return gw_fail(err, GW_ERR_UNSUPPORTED,
                       "column %s: rows cannot be looked up by a key of type %s from another"
                       " engine",
                       column->name, column->type);
    if (!binary && gw_kind_has_bytes(fitting.kind) && fitting.kind != GW_KIND_ARRAY)
        gw_buf_add(&bytes, fitting.bytes, fitting.len);
    else if (!binary)
        gw_datum_print(&fitting, &bytes);
    /* char(n) stands in canonical bytes with what fills it. */
    if (!binary && coding->code == GW_PG_CODE_TEXT && coding->type.fixed)
        for (size_t have = 0, i = 0; have < coding->type.length; have++) {
            while (i < bytes.len && ((unsigned char)bytes.data[i] & 0xc0) == 0x80)
                i++;
            if (i >= bytes.len)
                gw_buf_addc(&bytes, ' ');
            i++;
        }
    *out = (struct gw_value){.kind = binary ? GW_VALUE_BINARY : GW_VALUE_TEXT,
                             .len = (uint32_t)bytes.len,
                             .bytes = gw_arena_dup(arena, bytes.data, bytes.len)};
    return true;
}
