#include "store/mysql/binlog_charset.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum kind {
    UTF8,
    UTF16, /* and ucs2 */
    UTF16LE,
    UTF32,
    BY_TABLE, /* to be learned, then known */
};

/* How many bytes a character has, by its first one, where it is not one. */
enum lead {
    SINGLE, /* always one */
    PAIRS,  /* two from 0x80 on */
    SJIS,   /* two, but for half-width katakana */
    EUC,    /* two, three behind 0x8f */
};

static const struct known {
    const char *name;
    enum kind kind;
    enum lead lead;
    unsigned width;
} known[] = {
    {"utf8mb4", UTF8, SINGLE, 4},  {"utf8mb3", UTF8, SINGLE, 3},    {"utf8", UTF8, SINGLE, 3},
    {"ascii", UTF8, SINGLE, 1},    {"", UTF8, SINGLE, 4},           {"ucs2", UTF16, SINGLE, 2},
    {"utf16", UTF16, SINGLE, 4},   {"utf16le", UTF16LE, SINGLE, 4}, {"utf32", UTF32, SINGLE, 4},
    {"big5", BY_TABLE, PAIRS, 2},  {"gbk", BY_TABLE, PAIRS, 2},     {"gb2312", BY_TABLE, PAIRS, 2},
    {"euckr", BY_TABLE, PAIRS, 2}, {"sjis", BY_TABLE, SJIS, 2},     {"cp932", BY_TABLE, SJIS, 2},
    {"ujis", BY_TABLE, EUC, 3},    {"eucjpms", BY_TABLE, EUC, 3},
};

struct letter { /* UTF-8 of a character; len 0: there is none */
    unsigned char len;
    char bytes[4];
};

struct gw_binlog_charset {
    struct gw_binlog_charset *next;
    char name[40];
    enum kind kind;
    enum lead lead;
    unsigned width;
    bool learned, hopeless;
    struct letter single[256];
    struct letter *pairs;  /* 65536, by both bytes */
    struct letter *behind; /* EUC: the same, behind 0x8f */
};

struct gw_binlog_charsets {
    struct gw_binlog_charset *all;
    struct gw_binlog_charset *asked;
    struct gw_buf question;
};

struct gw_binlog_charsets *gw_binlog_charsets_new(void)
{
    return gw_zalloc(sizeof(struct gw_binlog_charsets));
}

void gw_binlog_charsets_free(struct gw_binlog_charsets *sets)
{
    if (!sets)
        return;
    while (sets->all) {
        struct gw_binlog_charset *next = sets->all->next;
        free(sets->all->pairs);
        free(sets->all->behind);
        free(sets->all);
        sets->all = next;
    }
    gw_buf_release(&sets->question);
    free(sets);
}

static unsigned put_utf8(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

/* The server's latin1 is Windows-1252 in which all bytes mean something. */
static void know_latin1(struct gw_binlog_charset *set)
{
    static const uint16_t windows[32] = {0x20ac, 0x81,   0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
                                         0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x8d,   0x017d, 0x8f,
                                         0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                         0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x9d,   0x017e, 0x0178};
    for (uint32_t c = 0; c < 256; c++)
        set->single[c].len =
            (unsigned char)put_utf8(c >= 0x80 && c < 0xa0 ? windows[c - 0x80] : c, set->single[c].bytes);
    set->learned = true;
}

const struct gw_binlog_charset *gw_binlog_charset_get(struct gw_binlog_charsets *sets, const char *name)
{
    for (struct gw_binlog_charset *set = sets->all; set; set = set->next)
        if (strcmp(set->name, name) == 0)
            return set;
    struct gw_binlog_charset *set = gw_zalloc(sizeof *set);
    snprintf(set->name, sizeof set->name, "%s", name);
    set->kind = BY_TABLE;
    set->width = 1;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(name, known[i].name) == 0) {
            set->kind = known[i].kind;
            set->lead = known[i].lead;
            set->width = known[i].width;
        }
    if (strcmp(name, "latin1") == 0)
        know_latin1(set);
    set->next = sets->all;
    sets->all = set;
    return set;
}

unsigned gw_binlog_charset_width(const struct gw_binlog_charset *set)
{
    return *set->name ? set->width : 0;
}

bool gw_binlog_charset_is_utf8(const struct gw_binlog_charset *set)
{
    return set->kind == UTF8;
}

/* ---- learning ---- */

/* Every character, each with a line feed behind it, as one text in that character set. A name is the server's own word
 * and has letters and digits only. */
bool gw_binlog_charsets_ask(struct gw_binlog_charsets *sets, const char **question)
{
    struct gw_binlog_charset *set = sets->all;
    while (set && (set->kind != BY_TABLE || set->learned || set->hopeless))
        set = set->next;
    if (!set)
        return false;
    struct gw_buf *q = &sets->question;
    gw_buf_clear(q);
    gw_buf_adds(q, "SELECT CONVERT(CAST(CONCAT(X''");
    for (unsigned lead = 0; lead < 256; lead++)
        gw_buf_addf(q, "%s%02x0a", lead ? "" : ",X'", lead);
    gw_buf_addc(q, '\'');
    for (unsigned lead = 0x80; lead < 256 && set->lead != SINGLE; lead++) {
        gw_buf_adds(q, ",X'");
        for (unsigned trail = 0x40; trail < 256; trail++)
            gw_buf_addf(q, "%02x%02x0a", lead, trail);
        gw_buf_addc(q, '\'');
    }
    for (unsigned lead = 0xa1; lead < 255 && set->lead == EUC; lead++) {
        gw_buf_adds(q, ",X'");
        for (unsigned trail = 0xa1; trail < 255; trail++)
            gw_buf_addf(q, "8f%02x%02x0a", lead, trail);
        gw_buf_addc(q, '\'');
    }
    /* As bytes first, then taken for text: what is no character in it becomes question marks. */
    gw_buf_addf(q, ") AS BINARY) USING %s)", set->name);
    sets->asked = set;
    *question = gw_buf_text(q);
    return true;
}

struct lines {
    const char *at, *end;
};

/* The next line is one character (the line feed is one, too), or there is none. */
static struct letter take_letter(struct lines *in, bool line_feed)
{
    struct letter letter = {0};
    const char *at = in->at;
    if (line_feed && at < in->end && *at == '\n') {
        in->at = at + 2 <= in->end ? at + 2 : in->end;
        return (struct letter){.len = 1, .bytes = "\n"};
    }
    const char *end = memchr(at, '\n', (size_t)(in->end - at));
    if (!end)
        end = in->end;
    size_t len = (size_t)(end - at);
    unsigned char first = len ? (unsigned char)*at : 0;
    size_t whole = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (len == whole) {
        letter.len = (unsigned char)len;
        memcpy(letter.bytes, at, len);
    }
    in->at = end < in->end ? end + 1 : end;
    return letter;
}

static void drop_question_mark(struct letter *letter)
{
    if (letter->len == 1 && *letter->bytes == '?')
        letter->len = 0;
}

bool gw_binlog_charsets_answer(struct gw_binlog_charsets *sets, const char *answer, size_t len, struct gw_error *err)
{
    struct gw_binlog_charset *set = sets->asked;
    struct lines in = {answer, answer + len};
    for (unsigned c = 0; c < 256; c++) {
        set->single[c] = take_letter(&in, c == '\n');
        if (c != '?')
            drop_question_mark(&set->single[c]);
    }
    if (set->lead != SINGLE)
        set->pairs = gw_calloc(65536, sizeof *set->pairs);
    for (unsigned lead = 0x80; lead < 256 && set->pairs; lead++)
        for (unsigned trail = 0x40; trail < 256; trail++) {
            set->pairs[lead << 8 | trail] = take_letter(&in, false);
            drop_question_mark(&set->pairs[lead << 8 | trail]);
        }
    if (set->lead == EUC)
        set->behind = gw_calloc(65536, sizeof *set->behind);
    for (unsigned lead = 0xa1; lead < 255 && set->behind; lead++)
        for (unsigned trail = 0xa1; trail < 255; trail++) {
            set->behind[lead << 8 | trail] = take_letter(&in, false);
            drop_question_mark(&set->behind[lead << 8 | trail]);
        }
    set->learned = in.at == in.end && set->single['a'].len == 1 && set->single['a'].bytes[0] == 'a';
    set->hopeless = !set->learned;
    if (set->learned)
        return true;
    return gw_fail(err, GW_ERR_UNSUPPORTED, "the server does not tell how the character set %s reads in UTF-8",
                   set->name);
}

/* ---- converting ---- */

static size_t take_wide(enum kind kind, const unsigned char *at, size_t left, uint32_t *c)
{
    if (kind == UTF32) {
        *c = left >= 4 ? gw_get32(at) : '?';
        return left >= 4 ? 4 : left;
    }
    if (left < 2) {
        *c = '?';
        return left;
    }
    bool little = kind == UTF16LE;
    uint32_t high = little ? (uint32_t)(at[1] << 8 | at[0]) : gw_get16(at);
    *c = high;
    if (high < 0xd800 || high > 0xdfff)
        return 2;
    *c = '?';
    if (high > 0xdbff || left < 4)
        return 2;
    uint32_t low = little ? (uint32_t)(at[3] << 8 | at[2]) : gw_get16(at + 2);
    if (low < 0xdc00 || low > 0xdfff)
        return 2;
    *c = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    return 4;
}

static size_t convert_wide(enum kind kind, const unsigned char *bytes, size_t len, char *out)
{
    size_t got = 0;
    for (size_t i = 0; i < len;) {
        uint32_t c;
        i += take_wide(kind, bytes + i, len - i, &c);
        got += put_utf8(c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? '?' : c, out + got);
    }
    return got;
}

static const struct letter *find_letter(const struct gw_binlog_charset *set, const unsigned char *at, size_t left,
                                        size_t *took)
{
    static const struct letter unknown = {.len = 1, .bytes = "?"};
    const struct letter *letter = &set->single[*at];
    *took = 1;
    if (set->lead != SINGLE && *at >= 0x80 && !(set->lead == SJIS && *at >= 0xa1 && *at <= 0xdf) && left >= 2) {
        bool three = set->lead == EUC && *at == 0x8f && left >= 3;
        letter = three ? &set->behind[at[1] << 8 | at[2]] : &set->pairs[at[0] << 8 | at[1]];
        *took = three ? 3 : 2;
    }
    return letter->len ? letter : &unknown;
}

bool gw_binlog_charset_convert(const struct gw_binlog_charset *set, const unsigned char *bytes, size_t len,
                               struct gw_arena *arena, struct gw_value *out, struct gw_error *err)
{
    size_t got = 0;
    if (len > UINT32_MAX / 4)
        return gw_fail(err, GW_ERR_RESOURCE, "a text of %zu bytes in %s is too large to be converted", len, set->name);
    if (set->kind == BY_TABLE && !set->learned)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "the character set %s is not known", set->name);
    /* A byte becomes three at the most, four wide ones become four. */
    char *text = gw_arena_alloc(arena, len * 3 + 4);
    if (set->kind != BY_TABLE)
        got = convert_wide(set->kind, bytes, len, text);
    else
        for (size_t i = 0, took; i < len; i += took) {
            const struct letter *letter = find_letter(set, bytes + i, len - i, &took);
            memcpy(text + got, letter->bytes, 4);
            got += letter->len;
        }
    *out = (struct gw_value){.kind = GW_VALUE_TEXT, .len = (uint32_t)got, .bytes = (const unsigned char *)text};
    return true;
}
