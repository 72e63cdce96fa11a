/*
 * Reads the script of pg_restore --verbose: each entry has a header of comments ("-- TOC entry 215 (class 1259 OID
 * 16386)", "-- Name: t; Type: TABLE; Schema: public; Owner: app") and its SQL behind it, which ends in the statement
 * that sets its owner. The format is that of pg_backup_archiver.c, stable since 9.x; what does not fit is an error.
 */
#include "store/postgres/schema_manifest.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The last place of `what` within [from, to); NULL when not there. */
static const char *find_last(const char *from, const char *to, const char *what)
{
    size_t len = strlen(what);
    for (const char *p = to - len; p >= from; p--)
        if (memcmp(p, what, len) == 0)
            return p;
    return NULL;
}

/* ---- steps ----------------------------------------------------------------------------------------------------- */

static enum gw_pg_step step_of(const char *type, const char *sql, bool before_rows)
{
    static const struct {
        const char *type;
        enum gw_pg_step step;
    } table[] = {
        {"INDEX", GW_PG_STEP_INDEX},
        {"CONSTRAINT", GW_PG_STEP_INDEX},
        {"INDEX ATTACH", GW_PG_STEP_ATTACH},
        {"STATISTICS", GW_PG_STEP_ATTACH},
        {"FK CONSTRAINT", GW_PG_STEP_ENFORCE},
        {"TRIGGER", GW_PG_STEP_ENFORCE},
        {"ACL", GW_PG_STEP_GRANT},
        {"DEFAULT ACL", GW_PG_STEP_GRANT},
        {"ACL LANGUAGE", GW_PG_STEP_GRANT},
        {"COMMENT", GW_PG_STEP_AFTER},
        {"SECURITY LABEL", GW_PG_STEP_AFTER},
        {"EVENT TRIGGER", GW_PG_STEP_LEFT},
        {"PUBLICATION", GW_PG_STEP_LEFT},
        {"PUBLICATION TABLE", GW_PG_STEP_LEFT},
        {"PUBLICATION TABLES IN SCHEMA", GW_PG_STEP_LEFT},
        {"SUBSCRIPTION", GW_PG_STEP_LEFT},
        {"SUBSCRIPTION TABLE", GW_PG_STEP_LEFT},
    };
    /* A rule on a table acts on the applier's statements; one that completes a view does not. */
    if (strcmp(type, "RULE") == 0 && !starts(sql, "CREATE OR REPLACE VIEW"))
        return GW_PG_STEP_ENFORCE;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (strcmp(type, table[i].type) == 0)
            return table[i].step;
    return before_rows ? GW_PG_STEP_BEFORE : GW_PG_STEP_AFTER;
}

/* ---- one entry ------------------------------------------------------------------------------------------------- */

struct header {
    char *name, *type, *space, *owner; /* owned */
    uint32_t class_oid, oid;
};

static void release_header(struct header *h)
{
    free(h->name);
    free(h->type);
    free(h->space);
    free(h->owner);
}

/* "-- Name: %s; Type: %s; Schema: %s; Owner: %s" on one line. */
static bool parse_name_line(const char *line, const char *end, struct header *h)
{
    const char *type = find_last(line, end, "; Type: ");
    const char *space = type ? find_last(type, end, "; Schema: ") : NULL;
    const char *owner = space ? find_last(space, end, "; Owner: ") : NULL;
    if (!owner || !starts(line, "-- Name: "))
        return false;
    const char *name = line + strlen("-- Name: ");
    h->name = gw_strndup(name, (size_t)(type - name));
    type += strlen("; Type: ");
    h->type = gw_strndup(type, (size_t)(space - type));
    space += strlen("; Schema: ");
    h->space = gw_strndup(space, (size_t)(owner - space));
    owner += strlen("; Owner: ");
    h->owner = gw_strndup(owner, (size_t)(end - owner));
    return true;
}

/* From "-- TOC entry" to behind the empty comment that closes the header; NULL when it is not one. */
static const char *parse_header(const char *at, struct header *h)
{
    unsigned id;
    bool named = false;
    if (sscanf(at, "-- TOC entry %u (class %u OID %u)", &id, &h->class_oid, &h->oid) != 3)
        return NULL;
    for (;;) {
        const char *end = strchr(at, '\n');
        if (!end || !starts(at, "--"))
            return NULL;
        if (end - at == 2)
            return named ? end + 1 : NULL;
        if (starts(at, "-- Name: "))
            named = parse_name_line(at, end, h);
        at = end + 1;
    }
}

static void trim_end(const char *from, const char **to)
{
    while (*to > from && ((*to)[-1] == '\n' || (*to)[-1] == ' '))
        (*to)--;
}

/* Settings for the next entry stand behind this one: "SET default_table_access_method = heap;". Takes them off and
 * remembers the last access method. */
static void cut_settings(const char *from, const char **to, struct gw_buf *access_method)
{
    for (;;) {
        trim_end(from, to);
        const char *line = *to;
        while (line > from && line[-1] != '\n')
            line--;
        size_t len = (size_t)(*to - line);
        if (!starts(line, "SET default_table"))
            return;
        if (starts(line, "SET default_table_access_method")) {
            gw_buf_clear(access_method);
            gw_buf_add(access_method, line, len);
            gw_buf_addc(access_method, '\n');
        }
        *to = line;
    }
}

/* The last statement is "ALTER ... OWNER TO role;" on a line of its own: apart, because the role may not be there. */
static void cut_owner(const char *from, const char **to, struct gw_pg_entry *entry)
{
    const char *line = find_last(from, *to, "\nALTER ");
    const char *begin = line ? line + 1 : from;
    const char *owner = starts(begin, "ALTER ") ? find_last(begin, *to, " OWNER TO ") : NULL;
    if (!owner || (*to)[-1] != ';' || memchr(owner, '\n', (size_t)(*to - owner))) {
        entry->owner_sql = gw_strdup("");
        return;
    }
    entry->owner_sql = gw_strndup(begin, (size_t)(*to - begin));
    *to = begin;
    trim_end(from, to);
}

static void add_entry(struct gw_pg_manifest *manifest, const struct header *h, const char *from, const char *to,
                      bool before_rows, const char *access_method)
{
    struct gw_pg_entry *entry = gw_pg_manifest_add(manifest);
    bool stored = strcmp(h->type, "TABLE") == 0 || strcmp(h->type, "MATERIALIZED VIEW") == 0;
    while (from < to && *from == '\n')
        from++;
    entry->type = gw_strdup(h->type);
    if (strcmp(h->type, "ACL") == 0)
        entry->owner_sql = gw_strdup("");
    else
        cut_owner(from, &to, entry);
    entry->sql = gw_asprintf("%s%.*s", stored ? access_method : "", (int)(to - from), from);
    entry->step = step_of(h->type, from, before_rows);
    entry->key = gw_asprintf("%s %s %s", h->type, h->space, h->name);
    entry->then_sql = gw_strdup("");
    entry->space = gw_strdup("");
    entry->table = gw_strdup("");
    entry->index = gw_strdup("");
    entry->class_oid = h->class_oid;
    entry->oid = h->oid;
}

/* ---- script ---------------------------------------------------------------------------------------------------- */

static const char entry_begin[] = "\n--\n-- TOC entry ";
static const char script_end[] = "\n--\n-- PostgreSQL database dump complete\n";

/* Where the next entry's header begins ("-- TOC entry"), or NULL. */
static const char *next_header(const char *at)
{
    const char *found = strstr(at, entry_begin);
    return found ? found + strlen("\n--\n") : NULL;
}

bool gw_pg_archive_parse(const struct gw_buf *script, bool before_rows, struct gw_pg_manifest *manifest,
                         struct gw_error *err)
{
    const char *text = gw_buf_text(script);
    gw_autobuf struct gw_buf access_method = {0};
    if (strlen(text) != script->len)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "pg_restore's script holds a NUL byte");
    const char *end = find_last(text, text + script->len, script_end);
    if (!end)
        return gw_fail(err, GW_ERR_UNSUPPORTED, "pg_restore's script has no end: its format is not known");
    const char *at = next_header(text);
    if (at) { /* the settings of the first entry stand before it */
        const char *settings_end = at;
        trim_end(text, &settings_end);
        settings_end = at - strlen("--\n");
        cut_settings(text, &settings_end, &access_method);
    }
    while (at) {
        struct header h = {0};
        const char *body = parse_header(at, &h);
        if (!body) {
            release_header(&h);
            return gw_fail(err, GW_ERR_UNSUPPORTED, "pg_restore's script has an entry of unknown form: %.60s", at);
        }
        /* The body's own newline before it lets an empty entry be followed by the next one. */
        const char *next = next_header(body - 1);
        const char *to = next ? next - strlen("--\n") : end;
        gw_autobuf struct gw_buf method = {0};
        gw_buf_adds(&method, gw_buf_text(&access_method));
        cut_settings(body, &to, &access_method);
        add_entry(manifest, &h, body, to, before_rows, gw_buf_text(&method));
        release_header(&h);
        at = next;
    }
    return true;
}
