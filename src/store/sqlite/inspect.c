/* Everything that can be known of a file as blue or as green. */
#include "store/sqlite/inspect.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "store/sqlite/capture.h"

#include <errno.h>
#include <libgen.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define WAL_LARGE_BYTES (INT64_C(256) << 20)
#define NFS_MAGIC 0x6969
#define SMB_MAGIC 0x517b
#define CIFS_MAGIC 0xff534d42
#define SMB2_MAGIC 0xfe534d42

/* ---- the file -------------------------------------------------------------------------------------------------- */

static void check_place(const struct gw_lite_store *store, struct gw_findings *findings)
{
    enum gw_side side = store->base.side;
    struct stat st, wal_st;
    struct statfs fs;
    gw_autofree char *copy = gw_strdup(store->path), *wal = gw_asprintf("%s-wal", store->path);
    const char *folder = dirname(copy);
    if (access(store->path, W_OK) != 0 || access(folder, W_OK) != 0)
        gw_findings_add(findings, GW_FINDING_BLOCKS, side, "not-writable",
                        "run godwit as the user that runs the application",
                        "%s cannot write %s and its folder: triggers, the fence and the -wal file need it",
                        store->base.identity.user, store->path);
    if (stat(store->path, &st) == 0 && geteuid() != 0 && geteuid() != st.st_uid)
        gw_findings_add(findings, GW_FINDING_WARNING, side, "file-owner", "run godwit as the user that owns the file",
                        "%s belongs to another user: a -wal or -shm file that godwit makes would be %s's, and the"
                        " application may not be able to open it",
                        store->path, store->base.identity.user);
    if (stat(wal, &wal_st) == 0 && stat(store->path, &st) == 0 && wal_st.st_uid != st.st_uid)
        gw_findings_add(findings, GW_FINDING_WARNING, side, "wal-owner", NULL,
                        "%s belongs to another user than the database: who may write one may not be able to write the"
                        " other; close every connection once and let the owner open it first",
                        wal);
    if (stat(wal, &wal_st) == 0 && wal_st.st_size > WAL_LARGE_BYTES) {
        char size[16];
        gw_format_bytes(wal_st.st_size, size);
        gw_findings_add(findings, GW_FINDING_WARNING, side, "wal-large", "PRAGMA wal_checkpoint(TRUNCATE)",
                        "%s has %s: some connection keeps a read transaction open for long, so that nothing is"
                        " checkpointed",
                        wal, size);
    }
    if (statfs(store->path, &fs) == 0 &&
        ((unsigned long)fs.f_type == NFS_MAGIC || (unsigned long)fs.f_type == SMB_MAGIC ||
         (unsigned long)fs.f_type == CIFS_MAGIC || (unsigned long)fs.f_type == SMB2_MAGIC))
        gw_findings_add(findings, GW_FINDING_BLOCKS, side, "network-file-system",
                        "run godwit on the machine that has the file",
                        "%s lies on a network file system: WAL needs memory that all processes share", store->path);
}

static bool check_settings(struct gw_lite_conn *conn, struct gw_findings *findings, struct gw_error *err)
{
    gw_autobuf struct gw_buf mode = {0}, encoding = {0};
    enum gw_side side = conn->store->base.side;
    int64_t objects = 0;
    if (!gw_lite_text(conn, "PRAGMA main.journal_mode", &mode, NULL, err) ||
        !gw_lite_text(conn, "PRAGMA main.encoding", &encoding, NULL, err) ||
        !gw_lite_int(conn, "SELECT count(*) FROM main.sqlite_master", &objects, NULL, err))
        return false;
    gw_autofree char *fix = gw_asprintf("sqlite3 %s 'PRAGMA journal_mode=WAL'", conn->store->path);
    if (strcmp(gw_buf_text(&mode), "wal") != 0)
        gw_findings_add(findings, objects > 0 ? GW_FINDING_BLOCKS : GW_FINDING_INFO, side, "journal-mode",
                        objects > 0 ? fix : "",
                        objects > 0 ? "%s is in journal mode %s: each chunk that is read would stop every writer"
                                    : "%s is empty and in journal mode %s; godwit sets it to WAL",
                        conn->store->path, gw_buf_text(&mode));
    if (strcmp(gw_buf_text(&encoding), "UTF-8") != 0)
        gw_findings_add(findings, GW_FINDING_WARNING, side, "encoding", NULL,
                        "%s keeps texts as %s: half surrogate pairs in them would not come across", conn->store->path,
                        gw_buf_text(&encoding));
    return true;
}

/* ---- tables ---------------------------------------------------------------------------------------------------- */

/* Functions and collations that only the application registers: nothing of ours could write such a table. */
static bool check_usable(struct gw_lite_conn *conn, const struct gw_lite_table *table, struct gw_findings *findings,
                         bool *usable)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    gw_autobuf struct gw_buf sql = {0};
    struct gw_error why = {0};
    gw_buf_adds(&sql, "INSERT INTO main.");
    gw_lite_add_ident(&sql, table->name);
    gw_buf_adds(&sql, " DEFAULT VALUES");
    *usable = gw_lite_prepare(conn, gw_buf_text(&sql), &statement, &why);
    if (*usable) {
        gw_buf_clear(&sql);
        gw_buf_adds(&sql, "SELECT * FROM main.");
        gw_lite_add_ident(&sql, table->name);
        for (size_t i = 0; i < table->key_count; i++) {
            gw_buf_adds(&sql, i > 0 ? ", " : " ORDER BY ");
            gw_lite_add_key(&sql, table, i, "");
        }
        *usable = gw_lite_prepare(conn, gw_buf_text(&sql), &statement, &why);
    }
    if (!*usable && why.kind == GW_ERR_CONFLICT)
        gw_findings_add(findings, GW_FINDING_BLOCKS, conn->store->base.side, "needs-application",
                        "leave the table out, or define it without what only the application has",
                        "table %s cannot be used without the application: %s", table->name, why.message);
    return *usable || why.kind == GW_ERR_CONFLICT;
}

static void check_key(struct gw_lite_conn *conn, const struct gw_lite_table *table, struct gw_findings *findings)
{
    enum gw_side side = conn->store->base.side;
    if (table->null_in_key)
        gw_findings_add(findings, GW_FINDING_WARNING, side, "null-in-key",
                        "give those rows a key and declare it NOT NULL",
                        "the primary key of %s holds NULLs, which SQLite lets in any number of times: its rows are told"
                        " apart by all their columns",
                        table->name);
    else if (table->key_kind == GW_KEY_NONE)
        gw_findings_add(findings, GW_FINDING_INFO, side, "no-key", NULL,
                        "table %s has no key: it is read as one chunk, and its rows are told apart by all their columns"
                        " (a rowid that is not declared changes under VACUUM)",
                        table->name);
    if (!table->rowid && !table->without_rowid)
        gw_findings_add(findings, GW_FINDING_BLOCKS, side, "rowid-hidden", "rename one of them, or leave the table out",
                        "table %s has columns called rowid, _rowid_ and oid", table->name);
    if (gw_lite_capture_width(table) + 5 > (size_t)sqlite3_limit(conn->db, SQLITE_LIMIT_COLUMN, -1))
        gw_findings_add(findings, GW_FINDING_BLOCKS, side, "too-many-columns", "leave the table out",
                        "table %s has too many columns to write down its changes", table->name);
}

static bool check_table(struct gw_lite_conn *conn, const char *name, struct gw_findings *findings, struct gw_error *err)
{
    struct gw_lite_table *table = NULL;
    bool usable = false;
    if (!gw_lite_table_load(conn, name, &table, err))
        return false;
    bool ok = true;
    if (table) {
        check_key(conn, table, findings);
        ok = check_usable(conn, table, findings, &usable) &&
             (!usable || gw_lite_check_values(conn, table, findings, err));
    }
    gw_lite_table_free(table);
    return ok;
}

/* A virtual table's rows are its module's; what it keeps in ordinary tables means nothing elsewhere. */
static bool check_virtual(struct gw_lite_conn *conn, struct gw_findings *findings, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    bool row = false;
    if (!gw_lite_prepare(conn,
                         "SELECT v.name, substr(v.sql, 1, 200), (SELECT group_concat(s.name, ', ') FROM"
                         " main.sqlite_master AS s WHERE s.type = 'table' AND substr(s.name, 1, length(v.name) + 1) ="
                         " v.name || '_') FROM main.sqlite_master AS v WHERE v.type = 'table' AND v.sql LIKE 'create"
                         " virtual%' ORDER BY 1",
                         &statement, err))
        return false;
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return false;
        if (!row)
            return true;
        const char *shadows = gw_lite_column(statement, 2);
        gw_findings_add(findings, GW_FINDING_WARNING, conn->store->base.side, "virtual-table",
                        "make it anew on green and fill it from the tables it indexes",
                        "the virtual table %s stays behind%s%s%s: %s", gw_lite_column(statement, 0),
                        *shadows ? ", and what it keeps in " : "", shadows, "", gw_lite_column(statement, 1));
        findings->items[findings->count - 1].stays_behind = true;
    }
}

/* SQLite enforces foreign keys only for connections that ask for it: rows may contradict them. */
static bool check_references(struct gw_lite_conn *conn, struct gw_findings *findings, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    bool row = false;
    if (!gw_lite_prepare(conn,
                         "SELECT \"table\", parent, count(*), min(rowid) FROM pragma_foreign_key_check GROUP BY 1, 2",
                         &statement, err))
        return false;
    for (;;) {
        if (!gw_lite_step(conn, statement, &row, err))
            return err->kind ==
                   GW_ERR_CONFLICT; /* a foreign key that can never be checked: SQLite says so at its use */
        if (!row)
            return true;
        gw_findings_add(findings, GW_FINDING_WARNING, conn->store->base.side, "foreign-key-broken",
                        "delete or mend those rows: an engine that enforces foreign keys refuses them",
                        "%lld row%s of %s refer%s to rows of %s that are not there (the first has rowid %s)",
                        (long long)sqlite3_column_int64(statement, 2),
                        sqlite3_column_int64(statement, 2) == 1 ? "" : "s", gw_lite_column(statement, 0),
                        sqlite3_column_int64(statement, 2) == 1 ? "s" : "", gw_lite_column(statement, 1),
                        gw_lite_column(statement, 3));
    }
}

static bool inspect_check(struct gw_store *base, const struct gw_filter *filter, struct gw_findings *findings,
                          struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    struct gw_lite_names names = {0};
    check_place(gw_lite_store_of(base), findings);
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = check_settings(conn, findings, err) && gw_lite_list_tables(conn, filter, &names, err);
    for (size_t i = 0; ok && i < names.count; i++) /* each in a snapshot of its own: none is held for long */
        ok = check_table(conn, names.items[i], findings, err);
    ok = ok && check_virtual(conn, findings, err) && check_references(conn, findings, err);
    gw_lite_names_release(&names);
    gw_lite_return(conn);
    return ok;
}

/* ---- both sides ------------------------------------------------------------------------------------------------ */

static bool has_rows(struct gw_lite_conn *conn, const char *table, bool *rows, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    int64_t one = 0;
    *rows = false;
    if (!gw_lite_has_table(conn, table))
        return true;
    gw_buf_adds(&sql, "SELECT 1 FROM main.");
    gw_lite_add_ident(&sql, table);
    gw_buf_adds(&sql, " LIMIT 1");
    return gw_lite_int(conn, gw_buf_text(&sql), &one, rows, err);
}

static bool inspect_check_pair(struct gw_store *blue, struct gw_store *green, const struct gw_filter *filter,
                               struct gw_findings *findings, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL, *other = NULL;
    struct gw_lite_names names = {0};
    if (strcmp(blue->identity.server, green->identity.server) == 0)
        gw_findings_add(findings, GW_FINDING_BLOCKS, GW_GREEN, "same-database", "give green a file of its own",
                        "both sides are the same file: %s", blue->identity.address);
    bool ok = gw_lite_borrow(gw_lite_store_of(blue), &conn, err) &&
              gw_lite_borrow(gw_lite_store_of(green), &other, err) && gw_lite_list_tables(conn, filter, &names, err);
    bool begun = ok && gw_lite_has_table(other, "godwit_owner");
    for (size_t i = 0; ok && !begun && i < names.count; i++) {
        bool rows = false;
        ok = has_rows(other, names.items[i], &rows, err);
        if (rows)
            gw_findings_add(findings, GW_FINDING_BLOCKS, GW_GREEN, "green-not-empty",
                            "begin with an empty file, or leave the table out",
                            "table %s is on green already, with rows", names.items[i]);
    }
    gw_lite_names_release(&names);
    gw_lite_return(conn);
    gw_lite_return(other);
    return ok;
}

/* ---- rights ---------------------------------------------------------------------------------------------------- */

static bool inspect_grants_for(const struct gw_grants_ask *ask, struct gw_buf *sql, struct gw_error *err)
{
    (void)err;
    gw_buf_addf(sql,
                "-- %s: SQLite knows no roles; what counts is who may write the file.\n"
                "-- Run godwit as the user that runs the application, or as one that may write the database, its -wal\n"
                "-- and -shm files and their folder:\n"
                "--     chgrp app /srv/app /srv/app/app.db* && chmod g+rwX /srv/app /srv/app/app.db*\n",
                gw_side_name(ask->options->side));
    return true;
}

static bool inspect_grants(struct gw_store *base, struct gw_buf *sql, struct gw_error *err)
{
    struct gw_store_options options = {.side = base->side};
    struct gw_grants_ask ask = {.options = &options, .store = base};
    return inspect_grants_for(&ask, sql, err);
}

/* ---- measuring ------------------------------------------------------------------------------------------------- */

static bool inspect_probe(struct gw_store *base, int round_trips, int64_t sample_bytes, int64_t *round_trip_us,
                          int64_t *bytes_per_second, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    int64_t ignored = 0, least_us = INT64_MAX;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = true;
    for (int i = 0; ok && i < round_trips; i++) {
        int64_t from_us = gw_mono_us();
        ok = gw_lite_int(conn, "SELECT count(*) FROM (SELECT 1 FROM main.sqlite_master LIMIT 1)", &ignored, NULL, err);
        int64_t took_us = gw_mono_us() - from_us;
        least_us = took_us < least_us ? took_us : least_us;
    }
    int64_t from_us = gw_mono_us();
    gw_autofree char *sql = gw_asprintf("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %lld)"
                                        " SELECT sum(length(hex(zeroblob(500)))) FROM n",
                                        (long long)(sample_bytes / 1000 + 1));
    ok = ok && gw_lite_int(conn, sql, &ignored, NULL, err);
    int64_t took_us = gw_mono_us() - from_us;
    gw_lite_return(conn);
    *round_trip_us = round_trips > 0 ? least_us : 0;
    *bytes_per_second = ignored * 1000000 / (took_us > 0 ? took_us : 1);
    return ok;
}

const struct gw_inspect_facet gw_lite_inspect = {
    .check = inspect_check,
    .check_pair = inspect_check_pair,
    .grants = inspect_grants,
    .grants_for = inspect_grants_for,
    .inventory = gw_lite_inventory,
    .footprint = gw_lite_footprint,
    .break_glass = gw_lite_break_glass,
    .probe = inspect_probe,
};
