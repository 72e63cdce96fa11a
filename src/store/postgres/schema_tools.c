#include "store/postgres/schema_tools.h"

#include "base/file.h"
#include "base/mem.h"
#include "io/process.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#define VERSION_TIMEOUT_MS 10000
#define SCRIPT_MAX_BYTES (1024UL * 1024 * 1024)

void gw_pg_tools_release(struct gw_pg_tools *tools)
{
    free(tools->pg_dump);
    free(tools->pg_restore);
    *tools = (struct gw_pg_tools){0};
}

/* ---- finding --------------------------------------------------------------------------------------------------- */

/* "pg_dump (PostgreSQL) 15.18 (Debian ...)": 15; 0 when it does not say. */
static int major_of(struct gw_pg_store *store, const char *pg_dump)
{
    const char *argv[] = {pg_dump, "--version", NULL};
    struct gw_process_run run = {.spec = {.argv = argv}, .timeout_ms = VERSION_TIMEOUT_MS};
    struct gw_process_result result = {0};
    struct gw_error ignored;
    int major = 0;
    if (gw_process_run(&run, store->cancel, &result, &ignored) && result.end.code == 0) {
        const char *at = strstr(gw_buf_text(&result.out), "(PostgreSQL) ");
        major = at ? (int)strtol(at + strlen("(PostgreSQL) "), NULL, 10) : 0;
    }
    gw_process_result_release(&result);
    return major;
}

struct search {
    struct gw_pg_store *store;
    int needed, newest_seen;
    struct gw_pg_tools best;
};

static void consider(struct search *s, const char *folder)
{
    gw_autofree char *dump = gw_process_find("pg_dump", folder);
    gw_autofree char *restore = gw_process_find("pg_restore", folder);
    if (!dump || !restore)
        return;
    int major = major_of(s->store, dump);
    if (major > s->newest_seen)
        s->newest_seen = major;
    if (major < s->needed || (s->best.major && s->best.major <= major))
        return;
    gw_pg_tools_release(&s->best);
    s->best.major = major;
    s->best.pg_dump = gw_strdup(dump);
    s->best.pg_restore = gw_strdup(restore);
}

static void consider_debian(struct search *s)
{
    glob_t found;
    if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        consider(s, found.gl_pathv[i]);
    globfree(&found);
}

bool gw_pg_tools_find(struct gw_pg_store *store, struct gw_pg_tools *out, struct gw_error *err)
{
    struct search s = {.store = store, .needed = store->base.identity.version / 10000};
    if (store->bindir) {
        consider(&s, store->bindir);
    } else {
        consider_debian(&s);
        consider(&s, NULL);
    }
    if (s.best.major) {
        *out = s.best;
        return true;
    }
    gw_fail(err, GW_ERR_UNSUPPORTED, "no pg_dump %d or newer found%s%s", s.needed, store->bindir ? " in " : "",
            store->bindir ? store->bindir : "");
    if (s.newest_seen)
        gw_error_detail(err, "the newest one here is %d; pg_dump refuses a server newer than itself", s.newest_seen);
    gw_error_hint(err,
                  "install postgresql-client-%d (the PostgreSQL project packages every version), or name its folder"
                  " with --pg-bindir",
                  s.needed);
    return gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

/* ---- running --------------------------------------------------------------------------------------------------- */

static void add_keyword(struct gw_buf *out, const char *keyword, const char *value)
{
    gw_buf_addf(out, "%s%s='", out->len ? " " : "", keyword);
    for (const char *p = value; *p; p++) {
        if (*p == '\'' || *p == '\\')
            gw_buf_addc(out, '\\');
        gw_buf_addc(out, *p);
    }
    gw_buf_addc(out, '\'');
}

/* Where and who, without secrets: this goes on a command line that every user of the machine can read. */
static void describe_connection(PGconn *conn, struct gw_buf *out)
{
    PQconninfoOption *options = PQconninfo(conn);
    for (PQconninfoOption *o = options; o && o->keyword; o++) {
        bool secret = o->dispchar && *o->dispchar == '*';
        bool ours = strcmp(o->keyword, "application_name") == 0 || strcmp(o->keyword, "service") == 0 ||
                    strcmp(o->keyword, "replication") == 0 || strcmp(o->keyword, "client_encoding") == 0 ||
                    strcmp(o->keyword, "fallback_application_name") == 0;
        if (o->val && *o->val && !secret && !ours && strstr(o->keyword, "password") == NULL)
            add_keyword(out, o->keyword, o->val);
    }
    PQconninfoFree(options);
    add_keyword(out, "application_name", "godwit schema");
}

static bool run_dump(struct gw_pg_store *store, const char *const *argv, const char *password, struct gw_error *err)
{
    gw_autofree char *secret = gw_asprintf("PGPASSWORD=%s", password ? password : "");
    const char *environment[] = {secret, NULL};
    struct gw_process_run run = {
        .spec = {.argv = argv, .environment = password && *password ? environment : NULL, .die_with_us = true}};
    struct gw_process_result result = {0};
    bool fine = gw_process_run(&run, store->cancel, &result, err) && gw_process_check(&result, "pg_dump", err);
    /* A table locked by somebody, a server that went away: worth another try. */
    if (!fine && err->kind != GW_ERR_CANCELLED &&
        (strstr(err->detail, "lock timeout") || strstr(err->detail, "connection to server") ||
         strstr(err->detail, "terminating connection")))
        err->kind = GW_ERR_RETRY;
    if (!fine && strstr(err->detail, "permission denied")) {
        err->kind = GW_ERR_REFUSED;
        gw_error_hint(err, "run the script that \"godwit check --grants\" prints for this side");
    }
    explicit_bzero(secret, strlen(secret));
    gw_process_result_release(&result);
    return fine || gw_error_place(err, "%s %s", gw_side_name(store->base.side), store->base.identity.address);
}

bool gw_pg_tools_dump(struct gw_pg_store *store, const struct gw_pg_tools *tools, const char *file,
                      const char *const *more, struct gw_error *err)
{
    gw_autobuf struct gw_buf connection = {0};
    gw_autofree char *password = NULL;
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    describe_connection(conn, &connection);
    password = PQpass(conn) ? gw_strdup(PQpass(conn)) : NULL;
    gw_pg_return(store, conn, false);

    size_t count = 0, capacity = 0;
    const char **argv = NULL;
    const char *const fixed[] = {tools->pg_dump,
                                 "--schema-only",
                                 "--format=custom",
                                 "--encoding=UTF8",
                                 "--no-password",
                                 "--no-tablespaces",
                                 "--no-publications",
                                 "--no-subscriptions",
                                 "--quote-all-identifiers",
                                 "--lock-wait-timeout=60000",
                                 "--exclude-schema=godwit",
                                 "--file",
                                 file,
                                 "--dbname",
                                 gw_buf_text(&connection)};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        argv = gw_grow(argv, &capacity, count, sizeof *argv);
        argv[count++] = fixed[i];
    }
    for (; *more; more++) {
        argv = gw_grow(argv, &capacity, count, sizeof *argv);
        argv[count++] = *more;
    }
    argv = gw_grow(argv, &capacity, count, sizeof *argv);
    argv[count] = NULL;
    bool fine = run_dump(store, argv, password, err);
    free(argv);
    if (password)
        explicit_bzero(password, strlen(password));
    return fine;
}

bool gw_pg_tools_script(struct gw_pg_store *store, const struct gw_pg_tools *tools, const char *file,
                        const char *section, struct gw_buf *out, struct gw_error *err)
{
    gw_autofree char *which = gw_asprintf("--section=%s", section);
    const char *argv[] = {tools->pg_restore, "--verbose", which, "--file=-", file, NULL};
    struct gw_process_run run = {.spec = {.argv = argv, .die_with_us = true}, .max_out_bytes = SCRIPT_MAX_BYTES};
    struct gw_process_result result = {0};
    bool fine = gw_process_run(&run, store->cancel, &result, err) && gw_process_check(&result, "pg_restore", err);
    if (fine)
        gw_buf_add(out, gw_buf_text(&result.out), result.out.len);
    gw_process_result_release(&result);
    return fine;
}
