#include "gate/pgbouncer_ini.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define INI_MAX_BYTES (16u << 20)
#define INCLUDE_MAX_DEPTH 10 /* as PgBouncer's */

void gw_pgb_entry_release(struct gw_pgb_entry *entry)
{
    free(entry->path);
    *entry = (struct gw_pgb_entry){0};
}

/* ---- one line's connection string -------------------------------------------------------------------------------- */

struct pair { /* offsets into the connection string */
    size_t key_at, key_len;
    size_t raw_at, raw_len; /* the value with its quotes */
};

static size_t skip_blanks(const char *s, size_t at, size_t len)
{
    while (at < len && isspace((unsigned char)s[at]))
        at++;
    return at;
}

/* The next key=value from *at; false at the end or, with *bad, where PgBouncer would complain. */
static bool next_pair(const char *s, size_t len, size_t *at, struct pair *out, bool *bad)
{
    size_t p = skip_blanks(s, *at, len);
    if (p >= len)
        return false;
    out->key_at = p;
    while (p < len && s[p] != '=' && !isspace((unsigned char)s[p]))
        p++;
    out->key_len = p - out->key_at;
    p = skip_blanks(s, p, len);
    if (p >= len || s[p] != '=' || out->key_len == 0) {
        *bad = true;
        return false;
    }
    p = skip_blanks(s, p + 1, len);
    out->raw_at = p;
    if (p < len && s[p] == '\'') {
        for (p++;; p++) {
            if (p >= len) {
                *bad = true;
                return false;
            }
            if (s[p] == '\'' && !(p + 1 < len && s[p + 1] == '\''))
                break;
            if (s[p] == '\'')
                p++;
        }
        p++;
    } else {
        while (p < len && !isspace((unsigned char)s[p]))
            p++;
    }
    out->raw_len = p - out->raw_at;
    *at = p;
    return true;
}

/* The value without quotes; false when it does not fit. */
static bool unquote(const char *raw, size_t raw_len, char *out, size_t size)
{
    size_t at = 0;
    size_t end = raw_len;
    size_t used = 0;
    bool quoted = raw_len >= 2 && raw[0] == '\'';
    if (quoted) {
        at = 1;
        end = raw_len - 1;
    }
    for (; at < end; at++) {
        if (used + 1 >= size)
            return false;
        out[used++] = raw[at];
        if (quoted && raw[at] == '\'')
            at++;
    }
    out[used] = 0;
    return true;
}

static bool key_is(const char *s, const struct pair *pair, const char *key)
{
    return strlen(key) == pair->key_len && memcmp(s + pair->key_at, key, pair->key_len) == 0;
}

static bool parse_address(const char *value, size_t len, const char *database, int line, struct gw_gate_address *out,
                          struct gw_error *err)
{
    struct pair pair;
    size_t at = 0;
    bool bad = false;
    bool fits = strlen(database) < sizeof out->dbname;
    *out = (struct gw_gate_address){.port = "5432"};
    snprintf(out->dbname, sizeof out->dbname, "%s", database);
    while (fits && next_pair(value, len, &at, &pair, &bad)) {
        const char *raw = value + pair.raw_at;
        if (key_is(value, &pair, "host"))
            fits = unquote(raw, pair.raw_len, out->host, sizeof out->host);
        else if (key_is(value, &pair, "port"))
            fits = unquote(raw, pair.raw_len, out->port, sizeof out->port);
        else if (key_is(value, &pair, "dbname"))
            fits = unquote(raw, pair.raw_len, out->dbname, sizeof out->dbname);
    }
    if (bad || !fits) {
        (void)gw_fail(err, GW_ERR_USER, "line %d: the connection string of database \"%s\" is %s", line, database,
                      bad ? "not key=value pairs" : "too long");
        return gw_error_hint(err, "write it as pgbouncer(5) says: name = host=... port=... dbname=...");
    }
    return true;
}

bool gw_pgb_ini_value(const char *text, const struct gw_pgb_entry *entry, const char *key, char *out, size_t size)
{
    const char *value = text + entry->value_at;
    struct pair pair;
    size_t at = 0;
    bool bad = false;
    out[0] = 0;
    while (next_pair(value, entry->value_bytes, &at, &pair, &bad)) {
        if (!key_is(value, &pair, key))
            continue;
        if (unquote(value + pair.raw_at, pair.raw_len, out, size))
            return true;
        out[0] = 0;
    }
    return false;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

struct line {
    const char *text;
    size_t len; /* without the end of line and trailing blanks */
};

/* Reads the name before '=' of an entry, quoted as an SQL identifier or bare; *at ends behind it. */
static bool parse_name(const struct line *line, size_t *at, struct gw_buf *name)
{
    size_t p = *at;
    if (p < line->len && line->text[p] == '"') {
        for (p++; p < line->len; p++) {
            if (line->text[p] == '"') {
                if (p + 1 < line->len && line->text[p + 1] == '"')
                    p++;
                else
                    break;
            }
            gw_buf_addc(name, line->text[p]);
        }
        if (p >= line->len)
            return false;
        p++;
    } else {
        while (p < line->len && (isalnum((unsigned char)line->text[p]) || strchr("_.-*", line->text[p])))
            gw_buf_addc(name, line->text[p++]);
    }
    p = skip_blanks(line->text, p, line->len);
    if (p >= line->len || line->text[p] != '=' || name->len == 0)
        return false;
    *at = skip_blanks(line->text, p + 1, line->len);
    return true;
}

static bool take_line(const char *text, const struct line *line, int number, const char *database,
                      struct gw_pgb_entry *out, int *count, struct gw_error *err)
{
    gw_autobuf struct gw_buf name = {0};
    size_t at = skip_blanks(line->text, 0, line->len);
    if (!parse_name(line, &at, &name))
        return gw_fail(err, GW_ERR_USER, "line %d under [databases] is not name = connection string", number);
    if (strcmp(gw_buf_text(&name), database) != 0)
        return true;
    struct gw_gate_address address;
    if (!parse_address(line->text + at, line->len - at, database, number, &address, err))
        return false;
    out->line = number;
    out->value_at = (size_t)(line->text - text) + at;
    out->value_bytes = line->len - at;
    out->address = address;
    (*count)++;
    return true;
}

static const char *next_line(const char *at, const char *end, struct line *out)
{
    const char *eol = memchr(at, '\n', (size_t)(end - at));
    const char *stop = eol ? eol : end;
    out->text = at;
    out->len = (size_t)(stop - at);
    while (out->len && isspace((unsigned char)at[out->len - 1]))
        out->len--;
    return eol ? eol + 1 : end;
}

/* The path of a %include line, or NULL. */
static char *include_of(const struct line *line, size_t at)
{
    if (line->len - at < 10 || memcmp(line->text + at, "%include", 8) != 0 ||
        !isspace((unsigned char)line->text[at + 8]))
        return NULL;
    at = skip_blanks(line->text, at + 8, line->len);
    return gw_strndup(line->text + at, line->len - at);
}

bool gw_pgb_ini_find(const char *text, size_t len, const char *database, bool *in_databases,
                     gw_pgb_ini_include *include, void *arg, struct gw_pgb_entry *out, int *count, struct gw_error *err)
{
    struct gw_pgb_entry found = {0};
    const char *end = text + len;
    int number = 0;
    *count = 0;
    for (const char *at = text; at < end;) {
        struct line line;
        at = next_line(at, end, &line);
        number++;
        size_t p = skip_blanks(line.text, 0, line.len);
        if (p >= line.len || line.text[p] == ';' || line.text[p] == '#')
            continue;
        gw_autofree char *path = include_of(&line, p);
        if (path) {
            if (include && !include(arg, path, in_databases, err))
                return false;
        } else if (line.text[p] == '[') {
            *in_databases = line.len - p == 11 && memcmp(line.text + p, "[databases]", 11) == 0;
        } else if (*in_databases && !take_line(text, &line, number, database, &found, count, err)) {
            return false;
        }
    }
    if (*count)
        *out = found;
    return true;
}

/* ---- following %include ------------------------------------------------------------------------------------------ */

struct search {
    const char *database;
    const char *path; /* of the file being read */
    int depth;
    struct gw_pgb_entry found;
    int count;
    char places[256]; /* "file:line, file:line" */
};

static bool search_file(struct search *search, const char *path, bool *in_databases, struct gw_error *err);

/* PgBouncer opens a relative path from its working directory, which we do not know: the including file's folder is
 * the usual case. That the right file was found is proven by comparing with SHOW DATABASES. */
static bool search_include(void *arg, const char *path, bool *in_databases, struct gw_error *err)
{
    struct search *search = arg;
    const char *including = search->path;
    const char *slash = strrchr(including, '/');
    bool whole = path[0] == '/' || !slash;
    gw_autofree char *full =
        whole ? gw_strdup(path) : gw_asprintf("%.*s/%s", (int)(slash - including), including, path);
    if (search->depth == INCLUDE_MAX_DEPTH)
        return gw_fail(err, GW_ERR_USER, "%s: %%include goes deeper than %d files", including, INCLUDE_MAX_DEPTH);
    search->depth++;
    bool ok = search_file(search, full, in_databases, err);
    search->depth--;
    search->path = including;
    return ok || gw_error_place(err, "included from %s", including);
}

static bool search_file(struct search *search, const char *path, bool *in_databases, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    struct gw_pgb_entry entry = {0};
    int count = 0;
    gw_autofree char *real = realpath(path, NULL);
    if (!real)
        return gw_fail_errno(err, errno, "could not find %s", path);
    if (!gw_file_read(real, INI_MAX_BYTES, &text, err))
        return false;
    search->path = path;
    if (!gw_pgb_ini_find(gw_buf_text(&text), text.len, search->database, in_databases, search_include, search, &entry,
                         &count, err))
        return err->place[0] ? false : gw_error_place(err, "%s", path);
    if (count > 0) {
        size_t used = strlen(search->places);
        snprintf(search->places + used, sizeof search->places - used, "%s%s:%d", used ? ", " : "", path, entry.line);
        search->count += count;
        gw_pgb_entry_release(&search->found);
        search->found = entry;
        search->found.path = gw_strdup(real);
    }
    return true;
}

bool gw_pgb_ini_locate(const char *path, const char *database, struct gw_pgb_entry *out, struct gw_error *err)
{
    struct search search = {.database = database};
    bool in_databases = false;
    if (!search_file(&search, path, &in_databases, err)) {
        gw_pgb_entry_release(&search.found);
        return false;
    }
    if (search.count == 1) {
        *out = search.found;
        return true;
    }
    gw_pgb_entry_release(&search.found);
    if (search.count == 0) {
        (void)gw_fail(err, GW_ERR_USER, "%s has no line for database \"%s\" under [databases]", path, database);
        return gw_error_hint(err, "give it a line of its own (\"*\" cannot be pointed elsewhere), or name the "
                                  "database clients connect to under gate: database");
    }
    (void)gw_fail(err, GW_ERR_USER, "database \"%s\" has %d lines (last: %s)", database, search.count, search.places);
    return gw_error_hint(err, "keep one of them: PgBouncer takes the last, a reader may take another");
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void add_value(struct gw_buf *out, const char *value)
{
    bool plain = value[0] != 0;
    for (const char *p = value; *p; p++)
        plain = plain && (isalnum((unsigned char)*p) || strchr("_./:-", *p));
    if (plain) {
        gw_buf_adds(out, value);
        return;
    }
    gw_buf_addc(out, '\'');
    for (const char *p = value; *p; p++) {
        if (*p == '\'')
            gw_buf_addc(out, '\'');
        gw_buf_addc(out, *p);
    }
    gw_buf_addc(out, '\'');
}

static bool one_line(const struct gw_gate_address *a, struct gw_error *err)
{
    if (strpbrk(a->host, "\r\n") || strpbrk(a->port, "\r\n") || strpbrk(a->dbname, "\r\n"))
        return gw_fail(err, GW_ERR_USER, "a host, port or database name with a line break cannot stand in an ini file");
    return true;
}

bool gw_pgb_ini_rewrite(const char *text, size_t len, const struct gw_pgb_entry *entry,
                        const struct gw_gate_address *address, struct gw_buf *out, struct gw_error *err)
{
    static const char *const keys[] = {"host", "port", "dbname"};
    const char *const wanted[] = {address->host, address->port, address->dbname};
    const char *const had[] = {entry->address.host, entry->address.port, entry->address.dbname};
    bool seen[3] = {false, false, false};
    if (!one_line(address, err))
        return false;
    if (entry->value_at + entry->value_bytes > len)
        return gw_fail(err, GW_ERR_BUG, "an ini entry lies outside its file");
    const char *value = text + entry->value_at;
    struct pair pair;
    size_t at = 0;
    size_t copied = 0;
    bool bad = false;
    gw_autobuf struct gw_buf pairs = {0};
    while (next_pair(value, entry->value_bytes, &at, &pair, &bad)) {
        for (size_t k = 0; k < 3; k++) {
            if (!key_is(value, &pair, keys[k]))
                continue;
            gw_buf_add(&pairs, value + copied, pair.raw_at - copied);
            add_value(&pairs, wanted[k]);
            copied = pair.raw_at + pair.raw_len;
            seen[k] = true;
        }
    }
    gw_buf_add(&pairs, value + copied, entry->value_bytes - copied);
    gw_buf_add(out, text, entry->value_at);
    for (size_t k = 0; k < 3; k++) {
        if (seen[k] || strcmp(wanted[k], had[k]) == 0)
            continue; /* what the line leaves to the default stays there while the default is right */
        gw_buf_addf(out, "%s=", keys[k]);
        add_value(out, wanted[k]);
        gw_buf_addc(out, ' ');
    }
    gw_buf_add(out, gw_buf_text(&pairs), pairs.len);
    gw_buf_add(out, value + entry->value_bytes, len - entry->value_at - entry->value_bytes);
    return true;
}

/* Access lists and labels travel in extended attributes. What cannot be kept there (a label the kernel sets itself)
 * is no reason to stop. */
static void copy_attributes(const char *from, int to_fd)
{
    char names[4096];
    ssize_t len = listxattr(from, names, sizeof names);
    for (ssize_t at = 0; at < len; at += (ssize_t)strlen(names + at) + 1) {
        char value[4096];
        ssize_t bytes = getxattr(from, names + at, value, sizeof value);
        if (bytes >= 0)
            (void)!fsetxattr(to_fd, names + at, value, (size_t)bytes, 0);
    }
}

/* A sibling of `path` with the same mode and owner, open for writing; *temporary is owned. */
static bool make_sibling(const char *path, char **temporary, int *fd_out, struct gw_error *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return gw_fail_errno(err, errno, "could not look at %s", path);
    gw_autofree char *name = gw_asprintf("%s.godwit-%08x", path, (unsigned)gw_random64());
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        (void)gw_fail_errno(err, errno, "could not write next to %s", path);
        return gw_error_hint(err, "let godwit's user write in that folder, or give gate: write_ini_command");
    }
    struct stat mine;
    bool kept = fstat(fd, &mine) == 0 &&
                ((mine.st_uid == st.st_uid && mine.st_gid == st.st_gid) || fchown(fd, st.st_uid, st.st_gid) == 0);
    if (!kept || fchmod(fd, st.st_mode & 07777u) != 0) {
        int why = errno;
        close(fd);
        unlink(name);
        (void)gw_fail_errno(err, why, "could not keep owner and mode of %s", path);
        return gw_error_hint(err, "run godwit as the file's owner or as root, or give gate: write_ini_command");
    }
    copy_attributes(path, fd);
    *temporary = gw_strdup(name);
    *fd_out = fd;
    return true;
}

bool gw_pgb_ini_stage(const char *path, const void *bytes, size_t len, char **staged, struct gw_error *err)
{
    char *sibling = NULL;
    int fd = -1;
    if (!make_sibling(path, &sibling, &fd, err))
        return false;
    bool ok = gw_write_all(fd, bytes, len, err);
    if (ok && fsync(fd) != 0)
        ok = gw_fail_errno(err, errno, "could not sync %s", sibling);
    close(fd);
    if (!ok) {
        unlink(sibling);
        free(sibling);
        return false;
    }
    *staged = sibling;
    return true;
}

bool gw_pgb_ini_may_stage(const char *path, struct gw_error *err)
{
    gw_autofree char *staged = NULL;
    if (!gw_pgb_ini_stage(path, "", 0, &staged, err))
        return false;
    unlink(staged);
    return true;
}

bool gw_pgb_ini_commit(const char *path, const char *staged, struct gw_error *err)
{
    if (rename(staged, path) != 0)
        return gw_fail_errno(err, errno, "could not replace %s", path);
    return true;
}

bool gw_pgb_ini_sync(const char *path, struct gw_error *err)
{
    const char *slash = strrchr(path, '/');
    gw_autofree char *folder = slash ? gw_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : gw_strdup(".");
    return gw_sync_dir(folder, err);
}
