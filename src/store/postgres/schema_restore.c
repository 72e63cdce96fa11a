#include "store/postgres/schema_restore.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "sql_embedded.h"
#include "store/postgres/parallel.h"

#include <stdlib.h>
#include <string.h>

#define TRIES 12 /* at what somebody else's lock or a deadlock stops */
#define WORTH_A_LINE_US 5000000
#define BATCH_ENTRIES 50
#define BATCH_BYTES 262144

/* Commits need not wait for the disk one by one: entry and record are lost together, and the step ends in one that
 * does wait. A lock that is not to be had makes room for those queued behind it. */
static const char session_sql[] =
    "SET check_function_bodies = off; SET synchronous_commit = off; SET lock_timeout = '5s';"
    "SELECT set_config('maintenance_work_mem', greatest(setting::bigint, 131072)::text || 'kB', false)"
    " FROM pg_settings WHERE name = 'maintenance_work_mem'";

/* ---- notes ----------------------------------------------------------------------------------------------------- */

void gw_pg_restore_notes_init(struct gw_pg_restore_notes *n)
{
    memset(n, 0, sizeof *n);
    pthread_mutex_init(&n->lock, NULL);
}

static void note(struct gw_pg_restore_notes *n, size_t *counter, char first[200], const char *text)
{
    pthread_mutex_lock(&n->lock);
    if ((*counter)++ == 0)
        snprintf(first, 200, "%s", text);
    pthread_mutex_unlock(&n->lock);
}

void gw_pg_restore_notes_say(struct gw_pg_restore_notes *n, const struct gw_pg_store *store)
{
    const char *side = gw_side_name(store->base.side);
    if (n->owners)
        gw_warn("%s: %zu objects could not be given their owner and belong to %s (%s)", side, n->owners,
                store->session_user, n->first_owner);
    if (n->grants)
        gw_warn("%s: %zu grants could not be made (%s)", side, n->grants, n->first_grant);
    if (n->existing)
        gw_warn("%s: %zu objects were there already and are left as they are (%s)", side, n->existing,
                n->first_existing);
    if (n->comments)
        gw_debug("%s: %zu comments could not be made", side, n->comments);
    pthread_mutex_destroy(&n->lock);
}

/* ---- one entry ------------------------------------------------------------------------------------------------- */

static bool failed_with(const struct gw_error *err, const char *const *states)
{
    for (; *states; states++) {
        char text[32];
        snprintf(text, sizeof text, "(SQLSTATE %s)", *states);
        if (strstr(err->message, text))
            return true;
    }
    return false;
}
#define FAILED_WITH(err, ...) failed_with(err, (const char *const[]){__VA_ARGS__, NULL})

static bool is_type(const struct gw_pg_entry *e, const char *const *types)
{
    for (; *types; types++)
        if (strcmp(e->type, *types) == 0)
            return true;
    return false;
}

/* Whose rows, structure or constraints would be somebody else's if one of that name was there before us. */
static bool holds_data(const struct gw_pg_entry *e)
{
    static const char *const types[] = {"TABLE",      "FOREIGN TABLE", "MATERIALIZED VIEW", "SEQUENCE", "INDEX",
                                        "CONSTRAINT", "FK CONSTRAINT", "CHECK CONSTRAINT",  NULL};
    return is_type(e, types);
}

static void add_record(struct gw_buf *sql, const char *key)
{
    gw_buf_adds(sql, "INSERT INTO godwit.restored (entry) VALUES (");
    gw_pg_add_literal(sql, key);
    gw_buf_adds(sql, ");\n");
}

static void roll_back(struct gw_pg_store *store, PGconn *conn)
{
    struct gw_error ignored;
    if (PQtransactionStatus(conn) != PQTRANS_IDLE && PQstatus(conn) == CONNECTION_OK &&
        !gw_pg_exec(store, conn, "ROLLBACK", &ignored))
        gw_debug("cannot roll back: %s", ignored.message);
}

/* Runs one statement under a savepoint; *done false with *why when the server refused it. */
static bool try_statement(struct gw_pg_store *store, PGconn *conn, const char *sql, bool *done, struct gw_error *why,
                          struct gw_error *err)
{
    if (!gw_pg_exec(store, conn, "SAVEPOINT entry", err))
        return false;
    *done = gw_pg_exec(store, conn, sql, why);
    if (!*done && (PQtransactionStatus(conn) != PQTRANS_INERROR || why->kind == GW_ERR_RETRY)) {
        *err = *why;
        return false;
    }
    return gw_pg_exec(store, conn, *done ? "RELEASE entry" : "ROLLBACK TO entry", err);
}

/* Each line of grants by itself: one to a role that is not there must not cost the others. */
static bool make_grants(struct gw_pg_store *store, PGconn *conn, const struct gw_pg_entry *e,
                        struct gw_pg_restore_notes *notes, struct gw_error *err)
{
    const char *at = e->sql;
    while (*at) {
        const char *end = strstr(at, ";\n");
        size_t len = end ? (size_t)(end - at) + 1 : strlen(at);
        gw_autofree char *line = gw_strndup(at, len);
        struct gw_error why;
        bool done;
        if (!try_statement(store, conn, line, &done, &why, err))
            return false;
        /* Who granted is the owner then, not the one the source remembers: the right itself is given all the same. */
        if (!done && !strstr(line, "SESSION AUTHORIZATION")) {
            gw_autofree char *text = gw_asprintf("%s: %s", line, why.message);
            note(notes, &notes->grants, notes->first_grant, text);
        }
        at += len;
        at += strspn(at, "\n");
    }
    return true;
}

static bool make_owner(struct gw_pg_store *store, PGconn *conn, const struct gw_pg_entry *e,
                       struct gw_pg_restore_notes *notes, struct gw_error *err)
{
    struct gw_error why;
    bool done;
    if (!*e->owner_sql)
        return true;
    if (!try_statement(store, conn, e->owner_sql, &done, &why, err))
        return false;
    /* Every database has a public schema of its own; whose it is there is the operator's affair. */
    if (!done && strcmp(e->key, "SCHEMA - public") != 0) {
        gw_autofree char *text = gw_asprintf("%s: %s", e->key, why.message);
        note(notes, &notes->owners, notes->first_owner, text);
    }
    return true;
}

static bool refuse(const struct gw_pg_store *store, const struct gw_pg_entry *e, const struct gw_error *why,
                   struct gw_error *err)
{
    /* Which statement of ours it came with says nothing; the entry's name does. */
    const char *reason = strncmp(why->message, "running \"", 9) == 0 ? strstr(why->message, "\": ") : NULL;
    *err = *why;
    if (reason)
        snprintf(err->message, sizeof err->message, "%s", reason + 3);
    if (FAILED_WITH(why, "42501", "58P01", "0A000", "42704", "3F000"))
        gw_error_hint(err,
                      "make it on %s as its administrator (or what it needs: extension, role, language), then run"
                      " the same command again",
                      gw_side_name(store->base.side));
    else if (FAILED_WITH(why, "42P07", "42710"))
        gw_error_hint(err, "it was there before the migration: remove it from %s, or give another database",
                      gw_side_name(store->base.side));
    return gw_error_prefix(err, "cannot make %s", e->key);
}

/* Statement by statement, forgiving what can be forgiven. */
static bool make_carefully(struct gw_pg_store *store, PGconn *conn, const struct gw_pg_entry *e,
                           struct gw_pg_restore_notes *notes, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    struct gw_error why;
    bool done;
    gw_buf_adds(&sql, "BEGIN;\n");
    add_record(&sql, e->key);
    if (!gw_pg_exec(store, conn, gw_buf_text(&sql), err))
        return false;
    if (e->step == GW_PG_STEP_GRANT)
        return make_grants(store, conn, e, notes, err) && gw_pg_exec(store, conn, "COMMIT", err);
    if (!try_statement(store, conn, e->sql, &done, &why, err))
        return false;
    if (!done && is_type(e, (const char *const[]){"COMMENT", "SECURITY LABEL", NULL})) {
        /* Not recorded: what it is about may come later. */
        note(notes, &notes->comments, notes->first_existing, e->key);
        return gw_pg_exec(store, conn, "ROLLBACK", err);
    }
    if (!done && (holds_data(e) || !FAILED_WITH(&why, "42P06", "42710", "42723", "42P07")))
        return refuse(store, e, &why, err);
    if (!done)
        note(notes, &notes->existing, notes->first_existing, e->key);
    if (done && !make_owner(store, conn, e, notes, err))
        return false;
    return gw_pg_exec(store, conn, "COMMIT", err);
}

/* All of it in one message; most entries need no more. */
static bool make_at_once(struct gw_pg_store *store, PGconn *conn, const struct gw_pg_entry *const *entries,
                         size_t count, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "BEGIN;\n");
    for (size_t i = 0; i < count; i++) {
        add_record(&sql, entries[i]->key);
        gw_buf_addf(&sql, "%s\n%s\n", entries[i]->sql, entries[i]->owner_sql);
    }
    gw_buf_adds(&sql, ";COMMIT");
    return gw_pg_exec(store, conn, gw_buf_text(&sql), err);
}

/* Is there anything to be forgiven? Not worth building an index twice to find out. */
static bool worth_a_careful_try(const struct gw_pg_entry *e, const struct gw_error *err)
{
    return is_type(e, (const char *const[]){"COMMENT", "SECURITY LABEL", NULL}) ||
           FAILED_WITH(err, "42501", "42704", "42P06", "42710", "42723", "42P07");
}

static bool try_entry(struct gw_pg_store *store, PGconn *conn, const struct gw_pg_entry *e,
                      struct gw_pg_restore_notes *notes, struct gw_error *err)
{
    if (e->step != GW_PG_STEP_GRANT) {
        if (make_at_once(store, conn, &e, 1, err))
            return true;
        roll_back(store, conn);
        if (err->kind == GW_ERR_RETRY || err->kind == GW_ERR_CANCELLED || PQstatus(conn) != CONNECTION_OK)
            return false;
        if (!worth_a_careful_try(e, err)) {
            struct gw_error why = *err;
            return refuse(store, e, &why, err);
        }
    }
    if (make_carefully(store, conn, e, notes, err))
        return true;
    roll_back(store, conn);
    return false;
}

static bool make_entry(struct gw_pg_store *store, PGconn *conn, const struct gw_pg_entry *e,
                       struct gw_pg_restore_notes *notes, struct gw_error *err)
{
    int64_t begun_us = gw_mono_us();
    for (int attempt = 1; !try_entry(store, conn, e, notes, err); attempt++) {
        if (err->kind != GW_ERR_RETRY || PQstatus(conn) != CONNECTION_OK || attempt == TRIES)
            return gw_error_place(err, "%s", e->key);
        if (gw_cancel_wait(store->cancel, 100 * attempt))
            return gw_cancel_fail(store->cancel, err);
    }
    GW_CRASH_POINT("schema.after_entry");
    int64_t took_us = gw_mono_us() - begun_us;
    if (took_us >= WORTH_A_LINE_US) {
        char took[16];
        gw_format_duration(took_us, took);
        gw_info("%s: %s made in %s", gw_side_name(store->base.side), e->key, took);
    }
    return true;
}

/* ---- many ------------------------------------------------------------------------------------------------------ */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool gw_pg_restore_missing(struct gw_pg_store *store, PGconn *conn, const struct gw_pg_manifest *m, unsigned steps,
                           const struct gw_pg_entry ***out, size_t *count, struct gw_error *err)
{
    PGresult *r;
    if (!gw_pg_query(store, conn, "SELECT entry FROM godwit.restored", 0, NULL, &r, err))
        return false;
    size_t made_count = (size_t)PQntuples(r);
    const char **made = gw_calloc(made_count + 1, sizeof *made);
    for (size_t i = 0; i < made_count; i++)
        made[i] = PQgetvalue(r, (int)i, 0);
    qsort(made, made_count, sizeof *made, by_text);
    *out = gw_calloc(m->count + 1, sizeof **out);
    *count = 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct gw_pg_entry *e = &m->entries[i];
        const char *key = e->key;
        if ((steps & (1u << e->step)) && !bsearch(&key, made, made_count, sizeof *made, by_text))
            (*out)[(*count)++] = e;
    }
    free(made);
    PQclear(r);
    return true;
}

static int by_size(const void *a, const void *b)
{
    const struct gw_pg_entry *x = *(const struct gw_pg_entry *const *)a, *y = *(const struct gw_pg_entry *const *)b;
    return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

struct batch {
    const struct gw_pg_entry **entries;
    struct gw_pg_restore_notes *notes;
};

static bool make_nth(struct gw_pg_store *store, PGconn *conn, size_t index, void *arg, struct gw_error *err)
{
    struct batch *b = arg;
    return make_entry(store, conn, b->entries[index], b->notes, err);
}

static size_t batch_length(const struct gw_pg_entry *const *entries, size_t count)
{
    size_t bytes = 0, n = 0;
    while (n < count && n < BATCH_ENTRIES && entries[n]->step == GW_PG_STEP_BEFORE && bytes < BATCH_BYTES)
        bytes += strlen(entries[n++]->sql);
    return n ? n : 1;
}

/* In order on one session; what comes before rows in batches, so that thousands of tables are no thousands of trips. */
static bool make_in_order(struct gw_pg_store *store, PGconn *conn, const struct gw_pg_entry **entries, size_t count,
                          struct gw_pg_restore_notes *notes, struct gw_error *err)
{
    for (size_t i = 0; i < count;) {
        size_t n = batch_length(entries + i, count - i);
        if (n > 1) {
            if (make_at_once(store, conn, entries + i, n, err)) {
                i += n;
                continue;
            }
            roll_back(store, conn);
            if (PQstatus(conn) != CONNECTION_OK)
                return false;
        }
        for (size_t end = i + n; i < end; i++)
            if (!make_entry(store, conn, entries[i], notes, err))
                return false;
    }
    return true;
}

/* A commit that waits for the disk, and with it for all before it. The setting at the commit counts: not one that is
 * taken back in the same message, which is one transaction. */
static bool make_durable(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    return gw_pg_exec(store, conn,
                      "BEGIN; SET LOCAL synchronous_commit = on; INSERT INTO godwit.restored (entry)"
                      " VALUES ('(a step ended)') ON CONFLICT (entry) DO UPDATE SET at = clock_timestamp(); COMMIT",
                      err);
}

static bool run_steps(struct gw_pg_store *store, PGconn *conn, const struct gw_pg_manifest *m, unsigned steps, int jobs,
                      struct gw_pg_restore_notes *notes, struct gw_error *err)
{
    struct batch b = {.notes = notes};
    size_t count;
    if (!gw_pg_exec(store, conn, session_sql, err) ||
        !gw_pg_restore_missing(store, conn, m, steps, &b.entries, &count, err))
        return false;
    bool fine;
    if (jobs > 1) {
        qsort(b.entries, count, sizeof *b.entries, by_size);
        struct gw_pg_parallel work = {.store = store,
                                      .what = "schema",
                                      .session_sql = session_sql,
                                      .count = count,
                                      .jobs = jobs,
                                      .each = make_nth,
                                      .arg = &b};
        fine = gw_pg_parallel_run(&work, err);
    } else {
        fine = make_in_order(store, conn, b.entries, count, notes, err);
    }
    free(b.entries);
    return fine && make_durable(store, conn, err);
}

bool gw_pg_restore_steps(struct gw_pg_store *store, const struct gw_pg_manifest *m, unsigned steps, int jobs,
                         struct gw_pg_restore_notes *notes, struct gw_error *err)
{
    PGconn *conn;
    if (!gw_pg_connect(store, GW_PG_PLAIN, "schema", &conn, err))
        return false;
    bool fine = run_steps(store, conn, m, steps, jobs, notes, err);
    PQfinish(conn);
    return fine;
}

bool gw_pg_restore_one(struct gw_pg_store *store, const struct gw_pg_entry *e, struct gw_pg_restore_notes *notes,
                       struct gw_error *err)
{
    struct gw_pg_manifest one = {.count = 1, .entries = (struct gw_pg_entry *)e};
    return gw_pg_restore_steps(store, &one, 1u << e->step, 1, notes, err);
}

bool gw_pg_restore_prepare(struct gw_pg_store *store, struct gw_error *err)
{
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_exec(store, conn, gw_sql_schema_restore, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

/* What follows an entry stands in a manifest of its own: same rules, another key. */
bool gw_pg_restore_then(struct gw_pg_store *store, const struct gw_pg_manifest *m, int jobs, struct gw_error *err)
{
    struct gw_pg_restore_notes notes;
    struct gw_pg_manifest then = {.entries = gw_calloc(m->count + 1, sizeof *then.entries)};
    for (size_t i = 0; i < m->count; i++) {
        if (!*m->entries[i].then_sql)
            continue;
        struct gw_pg_entry *e = &then.entries[then.count++];
        *e = m->entries[i];
        e->key = gw_asprintf("VALIDATE %s", m->entries[i].key);
        e->sql = e->then_sql;
        e->step = GW_PG_STEP_ENFORCE;
    }
    gw_pg_restore_notes_init(&notes);
    bool fine = gw_pg_restore_steps(store, &then, 1u << GW_PG_STEP_ENFORCE, jobs, &notes, err);
    gw_pg_restore_notes_say(&notes, store);
    for (size_t i = 0; i < then.count; i++)
        free(then.entries[i].key);
    free(then.entries);
    return fine;
}
