/* A pair of database files, an application's connection to each, and the log of blue applied on green row by row. */
#ifndef GW_LITE_WORLD_H
#define GW_LITE_WORLD_H

#include "gw_test.h"

#include "base/mem.h"
#include "store/store.h"

#include <sqlite3.h>

struct lite_world {
    char *folder;
    char path[2][200];
    sqlite3 *app[2];
    struct gw_store *store[2];
    struct gw_schema schema;
    struct gw_stream *stream;
    struct gw_writer *writer;
    struct gw_position at;
};

static inline void lite_do(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        print_error("%s: %s\n", sql, sqlite3_errmsg(db));
        fail();
    }
}

/* The error's text of a statement that must fail; static. */
static inline const char *lite_fails(sqlite3 *db, const char *sql)
{
    static char text[300];
    assert_int_not_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    snprintf(text, sizeof text, "%s", sqlite3_errmsg(db));
    return text;
}

static inline int lite_setup(void **state)
{
    struct gw_error err = {0};
    struct lite_world *w = gw_zalloc(sizeof *w);
    w->folder = gw_test_mkdir();
    for (int side = 0; side < 2; side++) {
        snprintf(w->path[side], sizeof w->path[side], "%s/%s.db", w->folder, side ? "green" : "blue");
        assert_int_equal(sqlite3_open(w->path[side], &w->app[side]), SQLITE_OK);
        sqlite3_busy_timeout(w->app[side], 10000);
        lite_do(w->app[side], "PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON");
        MUST(gw_store_open(
            &(struct gw_store_options){.url = w->path[side], .migration = "unit", .side = (enum gw_side)side},
            &w->store[side], &err));
    }
    *state = w;
    return 0;
}

static inline int lite_teardown(void **state)
{
    struct lite_world *w = *state;
    const struct gw_store_type *type = w->store[0]->type;
    type->changes->close(w->stream);
    type->writer->close(w->writer);
    for (int side = 0; side < 2; side++) {
        gw_store_close(w->store[side]);
        sqlite3_close(w->app[side]);
    }
    gw_schema_release(&w->schema);
    gw_test_rmdir(w->folder);
    free(w);
    return 0;
}

/* Homes on both sides, blue's log open, green with the same empty tables. */
static inline void lite_follow(struct lite_world *w, const char *tables)
{
    struct gw_error err = {0};
    char barrier[240];
    const struct gw_store_type *type = w->store[0]->type;
    lite_do(w->app[0], tables);
    lite_do(w->app[1], tables);
    for (int side = 0; side < 2; side++)
        MUST(type->ownership->install(w->store[side], "c0ffee", &err));
    MUST(type->catalog->list(w->store[0], NULL, &w->schema, &err));
    MUST(type->changes->prepare(w->store[0], &w->schema, &w->at, barrier, &err));
    MUST(type->changes->open(w->store[0], &w->schema, &w->at, &w->stream, &err));
    MUST(type->writer->open(w->store[1], "blue>green", &w->writer, &err));
}

static inline void lite_apply(struct lite_world *w, const struct gw_change *change)
{
    struct gw_error err = {0};
    const struct gw_collection *collection = &w->schema.collections[change->collection];
    const struct gw_row *key = change->old.count > 0 ? &change->old : &change->row;
    struct gw_part part = {
        .kind = change->kind, .collection = collection, .count = 1, .keys = key, .rows = &change->row};
    uint64_t touched = 0;
    bool ok = w->store[1]->type->writer->apply(w->writer, &part, &touched, &err);
    if (!ok || touched != 1) {
        print_error("%s of %s touched %llu: %s\n", gw_change_kind_name(change->kind), collection->name,
                    (unsigned long long)touched, ok ? "" : err.message);
        fail();
    }
}

/* Everything that blue's log has now; returns how many row events. */
static inline size_t lite_catch_up(struct lite_world *w)
{
    struct gw_error err = {0};
    const struct gw_store_type *type = w->store[0]->type;
    size_t rows = 0;
    for (bool got = true; got;) {
        struct gw_change change;
        MUST(type->changes->next(w->stream, 0, &change, &got, &err));
        if (!got)
            break;
        if (change.kind == GW_CHANGE_BEGIN) {
            MUST(type->writer->begin(w->writer, &change.position, &err));
        } else if (change.kind == GW_CHANGE_COMMIT) {
            MUST(type->writer->commit(w->writer, false, &err));
            MUST(type->changes->acknowledge(w->stream, &change.position, &err));
        } else if (change.kind >= GW_CHANGE_INSERT && change.kind <= GW_CHANGE_DELETE) {
            lite_apply(w, &change);
            rows++;
        }
    }
    return rows;
}

/* All rows with the storage class of every value, sorted. */
static inline void lite_dump(sqlite3 *db, const char *table, struct gw_buf *out)
{
    sqlite3_stmt *statement = NULL;
    char sql[200];
    struct gw_buf lines[4096];
    size_t count = 0;
    snprintf(sql, sizeof sql, "SELECT * FROM %s", table);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        assert_true(count < sizeof lines / sizeof lines[0]);
        struct gw_buf *line = &lines[count++];
        *line = (struct gw_buf){0};
        for (int c = 0; c < sqlite3_column_count(statement); c++) {
            int type = sqlite3_column_type(statement, c);
            gw_buf_addf(line, "|%d:", type);
            if (type == SQLITE_FLOAT)
                gw_buf_addf(line, "%a", sqlite3_column_double(statement, c));
            else if (type == SQLITE_BLOB || type == SQLITE_TEXT)
                for (int i = 0; i < sqlite3_column_bytes(statement, c); i++)
                    gw_buf_addf(line, "%02x", ((const unsigned char *)sqlite3_column_blob(statement, c))[i]);
            else
                gw_buf_addf(line, "%lld", (long long)sqlite3_column_int64(statement, c));
        }
    }
    sqlite3_finalize(statement);
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j > 0 && strcmp(gw_buf_text(&lines[j - 1]), gw_buf_text(&lines[j])) > 0; j--) {
            struct gw_buf swapped = lines[j];
            lines[j] = lines[j - 1];
            lines[j - 1] = swapped;
        }
    for (size_t i = 0; i < count; i++) {
        gw_buf_addf(out, "%s\n", gw_buf_text(&lines[i]));
        gw_buf_release(&lines[i]);
    }
}

static inline void lite_assert_same(struct lite_world *w)
{
    for (size_t i = 0; i < w->schema.count; i++) {
        gw_autobuf struct gw_buf blue = {0}, green = {0};
        lite_dump(w->app[0], w->schema.collections[i].name, &blue);
        lite_dump(w->app[1], w->schema.collections[i].name, &green);
        if (strcmp(gw_buf_text(&blue), gw_buf_text(&green)) != 0)
            print_error("table %s\nblue:\n%sgreen:\n%s", w->schema.collections[i].name, gw_buf_text(&blue),
                        gw_buf_text(&green));
        assert_string_equal(gw_buf_text(&blue), gw_buf_text(&green));
    }
}

#endif
