#include "gate/haproxy_text.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* srv_admin_state: forced, inherited, by name resolution; then drained: forced, inherited. */
    MAINTENANCE_BITS = 0x01 | 0x02 | 0x20,
    DRAIN_BITS = 0x08 | 0x10,
    STATE_RUNNING = 2,
    COLUMNS_MAX = 160,
};

struct piece {
    const char *at;
    size_t len;
};
struct table {
    struct piece columns[COLUMNS_MAX];
    size_t count;
    char separator;
};

static size_t split(const char *line, size_t len, char separator, struct piece *out)
{
    size_t count = 0;
    for (size_t at = 0; at < len && count < COLUMNS_MAX;) {
        bool quoted = separator == ',' && line[at] == '"'; /* a check's words may hold commas */
        const char *close = quoted ? memchr(line + at + 1, '"', len - at - 1) : NULL;
        size_t from = close ? (size_t)(close - line) : at;
        const char *end = memchr(line + from, separator, len - from);
        size_t piece = end ? (size_t)(end - line) - at : len - at;
        out[count++] = (struct piece){line + at, piece};
        at += piece + 1;
    }
    return count;
}

static bool piece_is(const struct piece *piece, const char *word)
{
    return strlen(word) == piece->len && memcmp(piece->at, word, piece->len) == 0;
}

static bool has_column(const struct table *table, const char *name)
{
    for (size_t i = 0; i < table->count; i++)
        if (piece_is(&table->columns[i], name))
            return true;
    return false;
}

/* The cell under a column's name, "" when it is empty or not there. */
static void cell(const struct table *table, const struct piece *row, size_t count, const char *name, char *out,
                 size_t size)
{
    out[0] = 0;
    for (size_t i = 0; i < table->count && i < count; i++)
        if (piece_is(&table->columns[i], name) && row[i].len < size)
            snprintf(out, size, "%.*s", (int)row[i].len, row[i].at);
}

static int cell_number(const struct table *table, const struct piece *row, size_t count, const char *name)
{
    char text[32];
    cell(table, row, count, name, text, sizeof text);
    return (int)strtol(text, NULL, 10);
}

static struct gw_hap_server *find(const struct gw_hap_servers *servers, const char *backend, const char *name)
{
    for (size_t i = 0; i < servers->count; i++)
        if (strcmp(servers->items[i].backend, backend) == 0 && strcmp(servers->items[i].name, name) == 0)
            return &servers->items[i];
    return NULL;
}

static struct gw_hap_server *find_or_add(struct gw_hap_servers *servers, size_t *capacity, const char *backend,
                                         const char *name)
{
    struct gw_hap_server *server = find(servers, backend, name);
    if (server)
        return server;
    servers->items = gw_grow(servers->items, capacity, servers->count, sizeof *servers->items);
    server = &servers->items[servers->count++];
    *server = (struct gw_hap_server){0};
    snprintf(server->backend, sizeof server->backend, "%s", backend);
    snprintf(server->name, sizeof server->name, "%s", name);
    return server;
}

static void take_state(const struct table *table, const struct piece *row, size_t count, struct gw_hap_servers *servers,
                       size_t *capacity)
{
    char backend[GW_HAP_NAME_BYTES], name[GW_HAP_NAME_BYTES];
    cell(table, row, count, "be_name", backend, sizeof backend);
    cell(table, row, count, "srv_name", name, sizeof name);
    if (!backend[0] || !name[0])
        return;
    struct gw_hap_server *server = find_or_add(servers, capacity, backend, name);
    cell(table, row, count, "srv_addr", server->host, sizeof server->host);
    cell(table, row, count, "srv_port", server->port, sizeof server->port);
    server->op_state = (unsigned)cell_number(table, row, count, "srv_op_state");
    server->admin_state = (unsigned)cell_number(table, row, count, "srv_admin_state");
}

static void take_stat(const struct table *table, const struct piece *row, size_t count, struct gw_hap_servers *servers,
                      size_t *capacity)
{
    char backend[GW_HAP_NAME_BYTES], name[GW_HAP_NAME_BYTES], type[8];
    cell(table, row, count, "pxname", backend, sizeof backend);
    cell(table, row, count, "svname", name, sizeof name);
    cell(table, row, count, "type", type, sizeof type);
    if (!backend[0] || !name[0] || strcmp(type, "2") != 0) /* 2: a server, not a frontend, backend or listener */
        return;
    struct gw_hap_server *server = find_or_add(servers, capacity, backend, name);
    server->limit = cell_number(table, row, count, "slim");
    server->sessions = cell_number(table, row, count, "scur");
    cell(table, row, count, "mode", server->mode, sizeof server->mode);
}

static bool require(const struct table *table, const char *const *names, const char *what, struct gw_error *err)
{
    for (; *names; names++)
        if (!has_column(table, *names)) {
            (void)gw_fail(err, GW_ERR_UNSUPPORTED, "HAProxy's %s has no column %s", what, *names);
            return gw_error_hint(err, "HAProxy 2.0 and newer are known to godwit");
        }
    return true;
}

bool gw_hap_servers_parse(const char *text, struct gw_hap_servers *out, struct gw_error *err)
{
    static const char *const of_state[] = {"be_name",  "srv_name",        "srv_addr", "srv_op_state",
                                           "srv_port", "srv_admin_state", NULL};
    static const char *const of_stat[] = {"pxname", "svname", "slim", "scur", "type", "mode", NULL};
    struct table table = {.count = 0};
    size_t capacity = 0;
    *out = (struct gw_hap_servers){0};
    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        struct piece row[COLUMNS_MAX];
        if (len > 2 && line[0] == '#') {
            table.separator = memchr(line, ',', len) ? ',' : ' ';
            table.count = split(line + 2, len - 2, table.separator, table.columns);
            bool stat = table.separator == ',';
            if (!require(&table, stat ? of_stat : of_state, stat ? "show stat" : "show servers state", err)) {
                gw_hap_servers_release(out);
                return false;
            }
        } else if (len && table.count) {
            size_t count = split(line, len, table.separator, row);
            if (table.separator == ',')
                take_stat(&table, row, count, out, &capacity);
            else
                take_state(&table, row, count, out, &capacity);
        }
        line += len + (line[len] == '\n');
    }
    return true;
}

void gw_hap_servers_release(struct gw_hap_servers *servers)
{
    free(servers->items);
    *servers = (struct gw_hap_servers){0};
}

const struct gw_hap_server *gw_hap_servers_find(const struct gw_hap_servers *servers, const char *backend,
                                                const char *name)
{
    return find(servers, backend, name);
}

bool gw_hap_in_maintenance(const struct gw_hap_server *server)
{
    return server->admin_state & MAINTENANCE_BITS;
}

bool gw_hap_is_running(const struct gw_hap_server *server)
{
    return !(server->admin_state & (MAINTENANCE_BITS | DRAIN_BITS)) && server->op_state == STATE_RUNNING;
}

/* The word behind `key` in a line, up to white space. */
static void word_behind(const char *line, size_t len, const char *key, char *out, size_t size)
{
    const char *at = memmem(line, len, key, strlen(key));
    out[0] = 0;
    if (!at)
        return;
    at += strlen(key);
    size_t word = 0;
    while (at + word < line + len && at[word] != ' ')
        word++;
    if (word < size)
        snprintf(out, size, "%.*s", (int)word, at);
}

void gw_hap_sessions_parse(const char *text, const char *backend, struct gw_hap_session **out, size_t *count)
{
    size_t capacity = 0;
    struct gw_hap_session now = {0};
    bool ours = false;
    *out = NULL;
    *count = 0;
    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        char word[GW_HAP_NAME_BYTES];
        if (strncmp(line, "0x", 2) == 0) {
            size_t id = strcspn(line, ":\n");
            now = (struct gw_hap_session){0};
            ours = false;
            if (id < sizeof now.id)
                snprintf(now.id, sizeof now.id, "%.*s", (int)id, line);
            word_behind(line, len, "] id=", word, sizeof word);
            now.number = strtoul(word, NULL, 10);
        } else if (strncmp(line, "  flags=", 8) == 0) {
            word_behind(line, len, "srv_conn=", word, sizeof word);
            now.has_slot = strncmp(word, "0x", 2) == 0;
        } else if (strncmp(line, "  backend=", 10) == 0) {
            word_behind(line, len, "backend=", word, sizeof word);
            ours = now.id[0] && strcmp(word, backend) == 0;
            word_behind(line, len, " addr=", now.address, sizeof now.address);
        } else if (ours && strncmp(line, "  server=", 9) == 0) {
            word_behind(line, len, "server=", word, sizeof word);
            if (strcmp(word, "<NONE>") != 0)
                snprintf(now.server, sizeof now.server, "%s", word);
            *out = gw_grow(*out, &capacity, *count, sizeof **out);
            (*out)[(*count)++] = now;
            ours = false;
        }
        line += len + (line[len] == '\n');
    }
}

bool gw_hap_said_nothing(const char *text, char *out, size_t size)
{
    text += strspn(text, "\r\n \t");
    snprintf(out, size, "%.*s", (int)strcspn(text, "\r\n"), text);
    return out[0] == 0;
}
