/* What the tests of the journal share. */
#ifndef TESTS_UNIT_STATE_KIT_H
#define TESTS_UNIT_STATE_KIT_H

#include "gw_test.h"

#include "base/crash.h"
#include "base/mem.h"
#include "io/json.h"
#include "sql_embedded.h"
#include "state/state.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static inline struct gw_state *open_with(const char *folder, bool create, bool exclusive)
{
    struct gw_error err = {0};
    struct gw_state *state;
    struct gw_state_options options = {.folder = folder, .migration = "acme", .create = create, .exclusive = exclusive};
    MUST(gw_state_open(&options, &state, &err));
    return state;
}

static inline void assert_not_opened(const char *folder, const char *migration, enum gw_error_kind kind,
                                     const char *words, const char *hint)
{
    struct gw_error err = {0};
    struct gw_state *state = NULL;
    struct gw_state_options options = {.folder = folder, .migration = migration, .exclusive = true};
    assert_false(gw_state_open(&options, &state, &err));
    assert_int_equal(err.kind, kind);
    assert_contains(err.message, words);
    assert_contains(err.hint, hint);
    assert_null(state);
}

static inline char *in_folder(const char *folder, const char *name)
{
    char *path = NULL;
    assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
    return path;
}

/* Three collections; `big` is the longest. */
static inline struct gw_schema sample_schema(void)
{
    static struct gw_column id = {.name = "id", .type = "bigint", .type_id = 20, .not_null = true, .key_position = 1};
    static uint32_t key[1] = {0};
    static struct gw_collection all[3];
    static const char *const names[] = {"small", "big", "middle"};
    static const int64_t bytes[] = {10, 1000, 100};
    for (uint32_t i = 0; i < 3; i++)
        all[i] = (struct gw_collection){.id = i,
                                        .space = "public",
                                        .name = (char *)names[i],
                                        .column_count = 1,
                                        .columns = &id,
                                        .key_kind = GW_KEY_PRIMARY,
                                        .key_count = 1,
                                        .key = key,
                                        .estimated_rows = bytes[i] / 10,
                                        .estimated_bytes = bytes[i]};
    return (struct gw_schema){.count = 3, .collections = all};
}

static inline uint64_t add_chunk(struct gw_state *state, uint32_t collection, const char *low, const char *high)
{
    struct gw_error err = {0};
    struct gw_range range = {0};
    uint64_t id = 0;
    char *texts[2] = {(char *)low, (char *)high};
    if (low)
        range.low = (struct gw_bound){.count = 1, .texts = &texts[0]};
    if (high)
        range.high = (struct gw_bound){.count = 1, .texts = &texts[1]};
    MUST(gw_state_add_chunk(state, collection, &range, &id, &err));
    return id;
}

static inline void run_sql(const char *folder, const char *sql)
{
    char *path = in_folder(folder, "state.db");
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK) {
        print_error("%s\n", message);
        fail();
    }
    sqlite3_close(db);
    free(path);
}

/* Holds the lock in another process until it is killed. */
static inline pid_t hold_lock(const char *folder)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        open_with(folder, true, true);
        if (write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

#endif
