#include "store/mysql/binlog_sql.h"

#include <ctype.h>
#include <string.h>

enum kind { END, WORD, NAME, TEXT, SIGN }; /* NAME: quoted as one */

struct scanner {
    const char *at, *end;
    bool ansi_quotes, no_backslash_escapes;
    unsigned inside; /* version comments that are open */
    enum kind kind;
    char text[256]; /* of the token, cut; quotes taken off */
    size_t len;     /* of it, uncut */
};

static struct scanner scan(const struct gw_binlog_query *q)
{
    return (struct scanner){.at = q->sql,
                            .end = q->sql + q->sql_len,
                            .ansi_quotes = q->ansi_quotes,
                            .no_backslash_escapes = q->no_backslash_escapes};
}

static char peek(const struct scanner *s, size_t ahead)
{
    return (size_t)(s->end - s->at) > ahead ? s->at[ahead] : 0;
}

static void skip_line(struct scanner *s)
{
    const char *line_end = memchr(s->at, '\n', (size_t)(s->end - s->at));
    s->at = line_end ? line_end + 1 : s->end;
}

static void skip_comment(struct scanner *s)
{
    const char *close = memmem(s->at + 2, (size_t)(s->end - s->at) - 2, "*/", 2);
    s->at = close ? close + 2 : s->end;
}

/* True: one was passed over. What stands in a version comment is read like everything else. */
static bool skip_blank(struct scanner *s)
{
    char c = peek(s, 0), next = peek(s, 1);
    if (s->at >= s->end)
        return false;
    if (isspace((unsigned char)c) || c == 0) {
        s->at++;
    } else if (c == '#' || (c == '-' && next == '-' && (s->end - s->at == 2 || (unsigned char)s->at[2] <= ' '))) {
        skip_line(s);
    } else if (c == '/' && next == '*' && (peek(s, 2) == '!' || (peek(s, 2) == 'M' && peek(s, 3) == '!'))) {
        s->at += peek(s, 2) == '!' ? 3 : 4;
        while (isdigit((unsigned char)peek(s, 0)))
            s->at++;
        s->inside++;
    } else if (c == '*' && next == '/' && s->inside > 0) {
        s->at += 2;
        s->inside--;
    } else if (c == '/' && next == '*') {
        skip_comment(s);
    } else {
        return false;
    }
    return true;
}

static void add(struct scanner *s, char c)
{
    if (s->len < sizeof s->text - 1)
        s->text[s->len] = c;
    s->len++;
}

static void take_quoted(struct scanner *s, char quote)
{
    bool escapes = quote != '`' && !s->no_backslash_escapes && !(quote == '"' && s->ansi_quotes);
    for (s->at++; s->at < s->end; s->at++) {
        if (*s->at == '\\' && escapes && s->at + 1 < s->end)
            s->at++;
        else if (*s->at == quote && peek(s, 1) == quote)
            s->at++;
        else if (*s->at == quote)
            break;
        add(s, *s->at);
    }
    if (s->at < s->end)
        s->at++;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static enum kind next(struct scanner *s)
{
    while (skip_blank(s))
        ;
    s->len = 0;
    char c = peek(s, 0);
    if (s->at >= s->end) {
        s->kind = END;
    } else if (c == '`' || c == '"' || c == '\'') {
        s->kind = c == '`' || (c == '"' && s->ansi_quotes) ? NAME : TEXT;
        take_quoted(s, c);
    } else if (is_word(c)) {
        s->kind = WORD;
        while (s->at < s->end && is_word(*s->at))
            add(s, *s->at++);
    } else {
        s->kind = SIGN;
        add(s, c);
        s->at++;
    }
    s->text[s->len < sizeof s->text ? s->len : sizeof s->text - 1] = 0;
    return s->kind;
}

static bool is(const struct scanner *s, const char *word)
{
    return s->kind == WORD && strcasecmp(s->text, word) == 0;
}

static bool is_one(const struct scanner *s, const char *const *words)
{
    for (; *words; words++)
        if (is(s, *words))
            return true;
    return false;
}

static bool is_sign(const struct scanner *s, char c)
{
    return s->kind == SIGN && s->text[0] == c;
}

bool gw_binlog_mentions(const struct gw_binlog_query *q, const char *name)
{
    struct scanner s = scan(q);
    while (next(&s) != END)
        if (s.kind != SIGN && strcasecmp(s.text, name) == 0)
            return true;
    return false;
}

/* ---- names and XA ---- */

/* [database.]table, the first of it at hand; leaves what stands behind at hand. */
static void take_table(struct scanner *s, struct gw_binlog_statement *out)
{
    if (s->kind == END || s->kind == SIGN)
        return;
    snprintf(out->table, sizeof out->table, "%s", s->text);
    next(s);
    if (!is_sign(s, '.'))
        return;
    next(s);
    memcpy(out->database, out->table, sizeof out->database);
    snprintf(out->table, sizeof out->table, "%s", s->text);
    next(s);
}

static unsigned hex(char c)
{
    return isdigit((unsigned char)c) ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a' + 10) & 15;
}

/* X'6162' as the log writes it, or 'ab'. */
static bool take_part(struct scanner *s, unsigned char *out, uint8_t *len)
{
    bool as_hex = is(s, "x");
    if (as_hex)
        next(s);
    if (s->kind != TEXT || s->len > 128 || (!as_hex && s->len > 64) ||
        (as_hex && strspn(s->text, "0123456789abcdefABCDEF") != s->len))
        return false;
    size_t bytes = as_hex ? s->len / 2 : s->len;
    for (size_t i = 0; i < bytes; i++)
        out[i] =
            as_hex ? (unsigned char)(hex(s->text[2 * i]) << 4 | hex(s->text[2 * i + 1])) : (unsigned char)s->text[i];
    *len = (uint8_t)bytes;
    next(s);
    return true;
}

static void take_xid(struct scanner *s, struct gw_binlog_xid *out)
{
    struct gw_binlog_xid xid = {.format = 1};
    if (!take_part(s, xid.data, &xid.gtrid_len))
        return;
    if (is_sign(s, ',')) {
        next(s);
        if (!take_part(s, xid.data + xid.gtrid_len, &xid.bqual_len))
            return;
    }
    if (is_sign(s, ',') && next(s) == WORD)
        xid.format = (uint32_t)strtoul(s->text, NULL, 10);
    *out = xid;
}

static enum gw_binlog_verb parse_xa(struct scanner *s, struct gw_binlog_statement *out)
{
    next(s);
    enum gw_binlog_verb verb = is(s, "commit")     ? GW_BINLOG_VERB_XA_COMMIT
                               : is(s, "rollback") ? GW_BINLOG_VERB_XA_ROLLBACK
                                                   : GW_BINLOG_VERB_XA_START;
    next(s);
    take_xid(s, &out->xid);
    return verb;
}

/* ---- definitions ---- */

static enum gw_binlog_verb parse_truncate(struct scanner *s, struct gw_binlog_statement *out)
{
    next(s);
    if (is(s, "table"))
        next(s);
    take_table(s, out);
    return GW_BINLOG_VERB_TRUNCATE;
}

static enum gw_binlog_verb parse_create(struct scanner *s, struct gw_binlog_statement *out)
{
    bool replace = false, started = false;
    next(s);
    if (is(s, "or")) {
        replace = next(s) == WORD && is(s, "replace");
        next(s);
    }
    bool table = is(s, "table");
    while (next(s) != END) {
        out->opens = started && is(s, "transaction");
        started = is(s, "start");
    }
    return replace && table ? GW_BINLOG_VERB_REPLACED : GW_BINLOG_VERB_DEFINE;
}

static enum gw_binlog_verb parse_drop(struct scanner *s, struct gw_binlog_statement *out)
{
    static const char *const things[] = {"table", "tables", "database", "schema", NULL};
    next(s);
    if (is(s, "temporary"))
        return GW_BINLOG_VERB_OTHER;
    out->whole_database = is(s, "database") || is(s, "schema");
    return is_one(s, things) ? GW_BINLOG_VERB_REPLACED : GW_BINLOG_VERB_DEFINE;
}

/* ALTER TABLE: rows go with a partition, or come with a tablespace; and it can give the table another name. */
static enum gw_binlog_verb parse_alter(struct scanner *s)
{
    static const char *const takes[] = {"truncate", "drop", "exchange", NULL};
    static const char *const things[] = {"column", "index", "key", "constraint", NULL};
    bool taking = false, renaming = false;
    while (next(s) != END) {
        if ((taking && is(s, "partition")) || is(s, "tablespace"))
            return GW_BINLOG_VERB_REPLACED;
        if (renaming && !is_one(s, things))
            return GW_BINLOG_VERB_REPLACED;
        taking = is_one(s, takes);
        renaming = is(s, "rename");
    }
    return GW_BINLOG_VERB_DEFINE;
}

static enum gw_binlog_verb parse_delete(struct scanner *s, struct gw_binlog_statement *out)
{
    if (next(s) != WORD || !is(s, "from"))
        return GW_BINLOG_VERB_WRITE;
    next(s);
    take_table(s, out);
    return s->kind == END ? GW_BINLOG_VERB_CLEAR : GW_BINLOG_VERB_WRITE;
}

static enum gw_binlog_verb parse_rollback(struct scanner *s, struct gw_binlog_statement *out)
{
    next(s);
    if (is(s, "work"))
        next(s);
    if (!is(s, "to"))
        return GW_BINLOG_VERB_ROLLBACK;
    next(s);
    if (is(s, "savepoint"))
        next(s);
    snprintf(out->savepoint, sizeof out->savepoint, "%s", s->text);
    return GW_BINLOG_VERB_ROLLBACK_TO;
}

static enum gw_binlog_verb parse_rename(struct scanner *s)
{
    next(s);
    return is(s, "table") || is(s, "tables") ? GW_BINLOG_VERB_REPLACED : GW_BINLOG_VERB_OTHER;
}

void gw_binlog_statement_parse(const struct gw_binlog_query *q, struct gw_binlog_statement *out)
{
    static const char *const writes[] = {"insert", "update", "replace", "load",   "call", "do",
                                         "select", "with",   "execute", "values", NULL};
    struct scanner s = scan(q);
    *out = (struct gw_binlog_statement){.verb = GW_BINLOG_VERB_OTHER};
    next(&s);
    while (is_sign(&s, '('))
        next(&s);
    if (is(&s, "begin") || is(&s, "start"))
        out->verb = GW_BINLOG_VERB_BEGIN;
    else if (is(&s, "commit"))
        out->verb = GW_BINLOG_VERB_COMMIT;
    else if (is(&s, "rollback"))
        out->verb = parse_rollback(&s, out);
    else if (is(&s, "savepoint")) {
        next(&s);
        snprintf(out->savepoint, sizeof out->savepoint, "%s", s.text);
        out->verb = GW_BINLOG_VERB_SAVEPOINT;
    } else if (is(&s, "xa"))
        out->verb = parse_xa(&s, out);
    else if (is(&s, "truncate"))
        out->verb = parse_truncate(&s, out);
    else if (is(&s, "create"))
        out->verb = parse_create(&s, out);
    else if (is(&s, "drop"))
        out->verb = parse_drop(&s, out);
    else if (is(&s, "alter"))
        out->verb = parse_alter(&s);
    else if (is(&s, "rename"))
        out->verb = parse_rename(&s);
    else if (is(&s, "delete"))
        out->verb = parse_delete(&s, out);
    else if (is_one(&s, writes))
        out->verb = GW_BINLOG_VERB_WRITE;
}
