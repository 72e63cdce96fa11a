/* Sections of SQL, findings out of their rows, and the measuring of a side. */
#include "store/postgres/inspect.h"

#include "base/clock.h"
#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_SHOWN 8
#define FIXES_SHOWN 12

/* ---- sections -------------------------------------------------------------------------------------------------- */

static void take_word(struct gw_pg_section *section, const char *word, size_t len)
{
    char text[96];
    snprintf(text, sizeof text, "%.*s", (int)len, word);
    char *value = strchr(text, '=');
    if (!value) {
        section->ask = section->ask || strcmp(text, "ask") == 0;
        return;
    }
    *value++ = 0;
    if (strcmp(text, "on") == 0)
        snprintf(section->on, sizeof section->on, "%.7s", value);
    else if (strcmp(text, "capture") == 0)
        snprintf(section->capture, sizeof section->capture, "%.7s", value);
    else if (strcmp(text, "look") == 0)
        snprintf(section->look, sizeof section->look, "%.39s", value);
    else if (strcmp(text, "needs") == 0)
        snprintf(section->needs, sizeof section->needs, "%.39s", value);
    else if (strcmp(text, "since") == 0)
        section->since = (int)strtol(value, NULL, 10);
    else if (strcmp(text, "until") == 0)
        section->until = (int)strtol(value, NULL, 10);
}

/* At the beginning of a line only. */
static const char *find_head(const char *text)
{
    if (strncmp(text, "--: ", 4) == 0)
        return text;
    const char *before = strstr(text, "\n--: ");
    return before ? before + 1 : NULL;
}

bool gw_pg_section_next(const char **at, struct gw_pg_section *out)
{
    const char *head = find_head(*at);
    if (!head)
        return false;
    *out = (struct gw_pg_section){0};
    const char *end = head + strcspn(head, "\n");
    const char *word = head + 4;
    snprintf(out->id, sizeof out->id, "%.*s", (int)strcspn(word, " \n"), word);
    for (word += strcspn(word, " \n"); word < end;) {
        word += strspn(word, " ");
        size_t len = strcspn(word, " \n");
        take_word(out, word, len);
        word += len;
    }
    out->sql = *end ? end + 1 : end;
    const char *next = find_head(out->sql);
    out->len = next ? (size_t)(next - out->sql) : strlen(out->sql);
    *at = out->sql + out->len;
    return true;
}

bool gw_pg_section_fits(const struct gw_pg_section *section, const struct gw_pg_store *store)
{
    int major = store->base.identity.version / 10000;
    return (!section->on[0] || strcmp(section->on, gw_side_name(store->base.side)) == 0) &&
           (!section->capture[0] || strcmp(section->capture, gw_pg_captures(store) ? "trigger" : "log") == 0) &&
           (!section->since || major >= section->since) && (!section->until || major <= section->until);
}

/* ---- findings out of rows --------------------------------------------------------------------------------------- */

struct gathering {
    enum gw_severity severity;
    bool breaks_way_back, stays_behind;
    const char *what; /* of the first row; borrowed from the result */
    int count, fixes, fixes_left_out;
    struct gw_buf names, fix;
};

static const char *text_at(const PGresult *r, int row, const char *column)
{
    int number = PQfnumber(r, column);
    return number < 0 || PQgetisnull(r, row, number) ? NULL : PQgetvalue(r, row, number);
}

static enum gw_severity severity_of(const char *text)
{
    return strcmp(text, "blocks") == 0 ? GW_FINDING_BLOCKS
           : strcmp(text, "info") == 0 ? GW_FINDING_INFO
                                       : GW_FINDING_WARNING;
}

/* Puts the names in. */
static void fill_what(const struct gathering *gathered, struct gw_buf *out)
{
    for (const char *p = gathered->what; *p; p++) {
        if (strncmp(p, "{}", 2) == 0) {
            gw_buf_adds(out, gw_buf_text(&gathered->names));
            if (gathered->count > NAMES_SHOWN)
                gw_buf_addf(out, " and %d more", gathered->count - NAMES_SHOWN);
            p++;
        } else {
            gw_buf_addc(out, *p);
        }
    }
}

static void end_gathering(struct gathering *gathered, enum gw_side side, const char *id, struct gw_findings *findings)
{
    gw_autobuf struct gw_buf what = {0};
    if (gathered->what) {
        fill_what(gathered, &what);
        if (gathered->fixes_left_out)
            gw_buf_addf(&gathered->fix, "\n-- and so on for %d more", gathered->fixes_left_out);
        gw_findings_add(findings, gathered->severity, side, id, gw_buf_text(&gathered->fix), "%s", gw_buf_text(&what));
        findings->items[findings->count - 1].breaks_way_back = gathered->breaks_way_back;
        findings->items[findings->count - 1].stays_behind = gathered->stays_behind;
    }
    gw_buf_release(&gathered->names);
    gw_buf_release(&gathered->fix);
    *gathered = (struct gathering){0};
}

static void add_name(struct gathering *gathered, const char *space, const char *name)
{
    if (gathered->count++ >= NAMES_SHOWN)
        return;
    struct gw_collection label = {.space = (char *)(uintptr_t)space, .name = (char *)(uintptr_t)name};
    gw_buf_addf(&gathered->names, "%s%s", gathered->names.len ? ", " : "", space ? gw_collection_label(&label) : name);
}

static void add_fix(struct gathering *gathered, const char *fix)
{
    if (!fix || !*fix || (gathered->fix.len && strstr(gw_buf_text(&gathered->fix), fix)))
        return;
    if (gathered->fixes == FIXES_SHOWN) {
        gathered->fixes_left_out++;
        return;
    }
    gathered->fixes++;
    gw_buf_addf(&gathered->fix, "%s%s", gathered->fix.len ? "\n" : "", fix);
}

/* What both sides need breaks the way back on green only: without it on blue nothing begins. */
static void gather(const PGresult *r, enum gw_side side, const struct gw_pg_section *section,
                   const struct gw_filter *filter, struct gw_findings *findings)
{
    const char *id = section->id;
    bool counts = section->on[0] || side == GW_GREEN;
    struct gathering gathered = {0};
    for (int row = 0; row < PQntuples(r); row++) {
        const char *space = text_at(r, row, "space"), *name = text_at(r, row, "name"), *what = text_at(r, row, "what");
        const char *severity = text_at(r, row, "severity"), *way_back = text_at(r, row, "way_back");
        const char *stays = text_at(r, row, "stays");
        if (!what || !severity || (space && filter && !gw_filter_match(filter, space, name)))
            continue;
        if (!gathered.what || strcmp(gathered.what, what) != 0)
            end_gathering(&gathered, side, id, findings);
        gathered.what = what;
        if (severity_of(severity) > gathered.severity || gathered.count == 0)
            gathered.severity = severity_of(severity);
        gathered.breaks_way_back = gathered.breaks_way_back || (counts && way_back && *way_back == 't');
        gathered.stays_behind = gathered.stays_behind || (stays && *stays == 't');
        if (name)
            add_name(&gathered, space, name);
        add_fix(&gathered, text_at(r, row, "fix"));
    }
    end_gathering(&gathered, side, id, findings);
}

bool gw_pg_section_find(struct gw_pg_store *store, PGconn *conn, const struct gw_pg_section *section, const char *param,
                        const struct gw_filter *filter, struct gw_findings *findings, struct gw_error *err)
{
    gw_autofree char *sql = gw_strndup(section->sql, section->len);
    PGresult *r;
    if (gw_pg_query(store, conn, sql, param ? 1 : 0, &param, &r, err)) {
        gather(r, store->base.side, section, filter, findings);
        PQclear(r);
        return true;
    }
    if (err->kind == GW_ERR_RETRY || err->kind == GW_ERR_CANCELLED || PQstatus(conn) != CONNECTION_OK)
        return false;
    gw_findings_add(findings, GW_FINDING_WARNING, store->base.side, "not-looked",
                    "run the script of `godwit check --grants`, then check again", "\"%s\" could not be looked at: %s",
                    section->id, err->message);
    gw_error_clear(err);
    return true;
}

/* ---- what sections know ------------------------------------------------------------------------------------------ */

static const char flavour_sql[] =
    "SELECT CASE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_superuser') THEN 'rds'"
    " WHEN NOT r.rolsuper AND NOT r.rolreplication AND NOT r.rolcreaterole AND EXISTS (SELECT FROM pg_class c"
    "   JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') AND c.relowner = r.oid"
    "   AND n.nspname <> 'godwit' AND n.nspname !~ '^pg_') THEN 'owner-only'"
    " ELSE 'self' END FROM pg_roles r WHERE r.rolname = session_user";

bool gw_pg_flavour(struct gw_pg_store *store, PGconn *conn, enum gw_pg_flavour *out, struct gw_error *err)
{
    gw_autobuf struct gw_buf text = {0};
    if (!gw_pg_query_text(store, conn, flavour_sql, 0, NULL, &text, NULL, err))
        return false;
    *out = strcmp(gw_buf_text(&text), "rds") == 0          ? GW_PG_RDS
           : strcmp(gw_buf_text(&text), "owner-only") == 0 ? GW_PG_OWNER_ONLY
                                                           : GW_PG_SELF_HOSTED;
    return true;
}

bool gw_pg_inspect_begin(struct gw_pg_store *store, PGconn *conn, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "SELECT set_config('godwit.slot', ");
    gw_pg_add_literal(&sql, store->slot);
    gw_buf_addf(
        &sql,
        ", false), set_config('godwit.capture', '%s', false), set_config('godwit.replica', '%s', false), set_config('godwit.flavour', (%s), false),"
        " set_config('godwit.stage_is_new',"
        " CASE WHEN EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'godwit' AND c.relname = 'owner') THEN 'false' ELSE 'true' END, false)",
        gw_pg_captures(store) ? "trigger" : "log",
        store->base.identity.capabilities & GW_CAN_REPLICA_ROLE ? "true" : "false", flavour_sql);
    return gw_pg_exec(store, conn, gw_buf_text(&sql), err);
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool measure_round_trips(struct gw_pg_store *store, PGconn *conn, int count, int64_t *median_us,
                                struct gw_error *err)
{
    int64_t *took = gw_calloc((size_t)count, sizeof *took);
    bool fine = true;
    for (int i = 0; i < count && fine; i++) {
        int64_t began_us = gw_mono_us();
        fine = gw_pg_exec(store, conn, "", err);
        took[i] = gw_mono_us() - began_us;
    }
    qsort(took, (size_t)count, sizeof *took, by_value);
    *median_us = took[count / 2];
    free(took);
    return fine;
}

/* Reads to the end of a COPY TO STDOUT that is under way. */
static bool drain_copy(struct gw_pg_store *store, PGconn *conn, int64_t *bytes, struct gw_error *err)
{
    char *row;
    bool ready;
    *bytes = 0;
    for (;;) {
        int len = PQgetCopyData(conn, &row, 1);
        if (len > 0) {
            *bytes += len;
            PQfreemem(row);
        } else if (len == 0) {
            if (!gw_pg_wait(store, conn, false, -1, &ready, err))
                return false;
            if (!PQconsumeInput(conn))
                return gw_pg_fail(store, conn, NULL, "measuring the bandwidth", err);
        } else {
            break;
        }
    }
    bool fine = true;
    for (PGresult *r = PQgetResult(conn); r; r = PQgetResult(conn)) {
        if (PQresultStatus(r) != PGRES_COMMAND_OK && fine)
            fine = gw_pg_fail(store, conn, r, "measuring the bandwidth", err);
        PQclear(r);
    }
    return fine;
}

/* Bytes that the server makes up, so that it is the way here that is measured and not its disk. */
static bool measure_read(struct gw_pg_store *store, PGconn *conn, int64_t sample_bytes, int64_t *rate,
                         struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    int64_t bytes = 0, began_us = gw_mono_us();
    gw_buf_addf(&sql, "COPY (SELECT repeat('godwit..', 1024) FROM generate_series(1, %lld)) TO STDOUT",
                (long long)(sample_bytes / 8192 + 1));
    if (!gw_pg_exec(store, conn, gw_buf_text(&sql), err) || !drain_copy(store, conn, &bytes, err))
        return false;
    int64_t took_us = gw_mono_us() - began_us;
    *rate = took_us > 0 ? (int64_t)((double)bytes * 1e6 / (double)took_us) : bytes;
    return true;
}

static bool probe(struct gw_store *base, int round_trips, int64_t sample_bytes, int64_t *round_trip_us,
                  int64_t *bytes_per_second, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    PGconn *conn;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = measure_round_trips(store, conn, round_trips > 0 ? round_trips : 1, round_trip_us, err) &&
                measure_read(store, conn, sample_bytes, bytes_per_second, err);
    gw_pg_return(store, conn, !fine);
    return fine;
}

/* ---- measuring writes: a temporary table, gone with its transaction ---------------------------------------------- */

enum { WRITE_ROW_BYTES = 200 };

static bool put_rows(struct gw_pg_store *store, PGconn *conn, int64_t count, struct gw_error *err)
{
    gw_autobuf struct gw_buf rows = {0};
    uint64_t mixed = 88172645463325252ull;
    if (!gw_pg_exec(store, conn, "COPY godwit_probe FROM STDIN", err))
        return false;
    for (int64_t i = 0; i < count; i++) {
        mixed ^= mixed << 13, mixed ^= mixed >> 7, mixed ^= mixed << 17;
        gw_buf_addf(&rows, "%llu\t%0180llu\n", (unsigned long long)(mixed >> 1), (unsigned long long)mixed);
        if (rows.len > 65536 || i + 1 == count) {
            int sent = PQputCopyData(conn, gw_buf_text(&rows), (int)rows.len);
            bool ready;
            while (sent == 0) {
                if (!gw_pg_wait(store, conn, true, -1, &ready, err))
                    return false;
                sent = PQputCopyData(conn, gw_buf_text(&rows), (int)rows.len);
            }
            if (sent < 0)
                return gw_pg_fail(store, conn, NULL, "measuring a write", err);
            gw_buf_clear(&rows);
        }
    }
    bool ready;
    for (int ended = PQputCopyEnd(conn, NULL); ended != 1; ended = PQputCopyEnd(conn, NULL))
        if (ended < 0 || !gw_pg_wait(store, conn, true, -1, &ready, err))
            return gw_pg_fail(store, conn, NULL, "measuring a write", err);
    int64_t ignored = 0;
    return drain_copy(store, conn, &ignored, err);
}

static int64_t rate_of(int64_t bytes, int64_t took_us)
{
    return took_us > 0 ? (int64_t)((double)bytes * 1e6 / (double)took_us) : bytes;
}

static bool measure_write(struct gw_pg_store *store, PGconn *conn, int64_t rows, int64_t *rate, int64_t *index_rate,
                          struct gw_error *err)
{
    int64_t bytes = rows * WRITE_ROW_BYTES;
    if (!gw_pg_exec(store, conn, "BEGIN; CREATE TEMPORARY TABLE godwit_probe (k bigint, v text) ON COMMIT DROP", err))
        return false;
    int64_t began_us = gw_mono_us();
    if (!put_rows(store, conn, rows, err))
        return false;
    int64_t put_us = gw_mono_us();
    if (!gw_pg_exec(store, conn, "CREATE INDEX ON pg_temp.godwit_probe (k)", err))
        return false;
    int64_t indexed_us = gw_mono_us();
    *rate = rate_of(bytes, put_us - began_us);
    *index_rate = rate_of(bytes, indexed_us - put_us);
    return gw_pg_exec(store, conn, "ROLLBACK", err);
}

static bool probe_write(struct gw_store *base, int64_t sample_bytes, int64_t *bytes_per_second,
                        int64_t *index_bytes_per_second, struct gw_error *err)
{
    struct gw_pg_store *store = gw_pg_store_of(base);
    PGconn *conn;
    if (!gw_pg_connect(store, GW_PG_PLAIN, "probe", &conn, err))
        return false;
    bool fine =
        measure_write(store, conn, sample_bytes / WRITE_ROW_BYTES + 1, bytes_per_second, index_bytes_per_second, err);
    PQfinish(conn);
    return fine;
}

static bool grants(struct gw_store *store, struct gw_buf *sql, struct gw_error *err)
{
    struct gw_pg_store *pg = gw_pg_store_of(store);
    struct gw_store_options options = {
        .url = pg->url, .migration = pg->migration, .side = store->side, .capture = pg->asked_capture};
    return gw_pg_inspect_grants_for(&(struct gw_grants_ask){.options = &options, .store = store}, sql, err);
}

const struct gw_inspect_facet gw_pg_inspect = {
    .check = gw_pg_inspect_check,
    .check_pair = gw_pg_inspect_pair,
    .grants = grants,
    .grants_for = gw_pg_inspect_grants_for,
    .inventory = gw_pg_inspect_inventory,
    .footprint = gw_pg_inspect_footprint,
    .break_glass = gw_pg_inspect_break_glass,
    .probe = probe,
    .probe_write = probe_write,
    .probe_capture = gw_pg_inspect_probe_capture,
    .probe_write_how = "into a temporary table and an index on it (WAL is not in that)",
    .probe_capture_how = "in a transaction that was undone",
};
