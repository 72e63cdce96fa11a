/* The schema facet: the source's definitions made on the target in steps. */
#include "store/mysql/schema.h"

#include "base/log.h"
#include "base/mem.h"
#include "store/mysql/home.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define MOST_JOBS 16

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* ---- create ----------------------------------------------------------------------------------------------------- */

/* A table that was there before is left alone, but it must be the one that is wanted. */
static bool same_tables(struct gw_mysql_conn *source, struct gw_mysql_conn *target, const struct gw_filter *filter,
                        struct gw_error *err)
{
    struct gw_schema wanted = {0}, got = {0};
    gw_autobuf struct gw_buf difference = {0};
    bool fine = gw_mysql_list(source, filter, &wanted, err) && gw_mysql_list(target, NULL, &got, err);
    for (size_t i = 0; fine && i < wanted.count; i++) {
        const struct gw_collection *there = gw_schema_find(&got, "", wanted.collections[i].name);
        bool differs = there && (there->column_count != wanted.collections[i].column_count);
        for (size_t k = 0; there && !differs && k < there->column_count; k++)
            differs = strcmp(there->columns[k].name, wanted.collections[i].columns[k].name) != 0 ||
                      strcmp(there->columns[k].type, wanted.collections[i].columns[k].type) != 0;
        if (there && !differs)
            continue;
        if (there)
            (void)gw_collection_same_shape(there, &wanted.collections[i], &difference);
        fine = gw_fail(err, GW_ERR_CONFLICT, "table %s on the target is not as on the source%s%s",
                       wanted.collections[i].name, difference.len ? ": " : "", gw_buf_text(&difference));
        gw_error_hint(err, "drop it, or leave it out");
    }
    gw_schema_release(&wanted);
    gw_schema_release(&got);
    return fine;
}

static bool make_tables(struct gw_mysql_conn *target, const json_t *definitions, struct gw_error *err)
{
    const json_t *item;
    size_t i;
    json_array_foreach(json_object_get(definitions, "sequences"), i, item)
    {
        bool there;
        if (!gw_mysql_table_there(target, text_of(item, "name"), &there, err) ||
            (!there && !gw_mysql_make_object(target, item, err)))
            return false;
    }
    json_array_foreach(json_object_get(definitions, "tables"), i, item)
    {
        if (!gw_mysql_exec(target, text_of(item, "create"), err))
            return gw_error_place(err, "%s", text_of(item, "name"));
    }
    return true;
}

static bool create_between(struct gw_mysql_conn *source, struct gw_mysql_conn *target, const struct gw_filter *filter,
                           const char *work_dir, struct gw_error *err)
{
    json_t *definitions = NULL;
    struct gw_error ignored;
    if (!gw_mysql_definitions_take(source, filter, &definitions, err))
        return false;
    bool fine = gw_mysql_definitions_save(work_dir, definitions, err) &&
                gw_mysql_exec(target, "SET SESSION foreign_key_checks = 0", err) &&
                make_tables(target, definitions, err) && same_tables(source, target, filter, err);
    json_decref(definitions);
    if (!target->broken && !gw_mysql_exec(target, "SET SESSION foreign_key_checks = 1", &ignored))
        target->broken = true;
    return fine;
}

static bool schema_create(struct gw_store *source, struct gw_store *target, const struct gw_filter *filter,
                          const char *work_dir, struct gw_error *err)
{
    struct gw_mysql_conn *from, *to;
    if (!gw_mysql_borrow(gw_mysql_store_of(source), &from, err))
        return false;
    if (!gw_mysql_borrow(gw_mysql_store_of(target), &to, err)) {
        gw_mysql_return(from, true);
        return false;
    }
    bool fine = create_between(from, to, filter, work_dir, err);
    gw_mysql_return(from, !fine);
    gw_mysql_return(to, !fine);
    return fine;
}

/* ---- keys and indexes ------------------------------------------------------------------------------------------- */

static bool schema_create_key(struct gw_store *base, const struct gw_collection *c, const char *work_dir,
                              struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    json_t *definitions, *table;
    size_t i;
    if (c->key_kind != GW_KEY_UNIQUE || !c->key_index)
        return true; /* a primary key came with the table */
    if (!gw_mysql_definitions_load(work_dir, &definitions, err))
        return false;
    bool fine = gw_mysql_borrow(gw_mysql_store_of(base), &conn, err);
    if (fine) {
        json_array_foreach(json_object_get(definitions, "tables"), i, table)
        {
            if (fine && strcmp(text_of(table, "name"), c->name) == 0)
                fine = gw_mysql_add_indexes(conn, table, c->key_index, err);
        }
        gw_mysql_return(conn, !fine);
    }
    json_decref(definitions);
    return fine;
}

struct index_work {
    struct gw_mysql_store *store;
    const json_t *tables;
    atomic_size_t next;
    atomic_bool failed;
    pthread_mutex_t lock;
    struct gw_error error;
    struct gw_cancel *own;
};

static void *index_worker(void *arg)
{
    struct index_work *work = arg;
    struct gw_error err = {0};
    struct gw_mysql_conn *conn = NULL;
    mysql_thread_init();
    gw_cancel_set_own(work->own);
    bool fine = gw_mysql_connect(work->store, "index", &conn, &err);
    while (fine && !atomic_load(&work->failed)) {
        const json_t *table = json_array_get(work->tables, atomic_fetch_add(&work->next, 1));
        if (!table)
            break;
        fine = gw_mysql_add_indexes(conn, table, NULL, &err);
    }
    gw_mysql_close(conn);
    if (!fine && !atomic_exchange(&work->failed, true)) {
        pthread_mutex_lock(&work->lock);
        work->error = err;
        pthread_mutex_unlock(&work->lock);
    }
    mysql_thread_end();
    return NULL;
}

static bool schema_create_indexes(struct gw_store *base, const char *work_dir, int jobs, struct gw_error *err)
{
    json_t *definitions;
    pthread_t threads[MOST_JOBS];
    int started = 0;
    if (!gw_mysql_definitions_load(work_dir, &definitions, err))
        return false;
    struct index_work work = {
        .store = gw_mysql_store_of(base), .tables = json_object_get(definitions, "tables"), .own = gw_cancel_own()};
    pthread_mutex_init(&work.lock, NULL);
    jobs = jobs < 1 ? 1 : jobs > MOST_JOBS ? MOST_JOBS : jobs;
    while (started < jobs && pthread_create(&threads[started], NULL, index_worker, &work) == 0)
        started++;
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    bool failed = atomic_load(&work.failed);
    if (failed)
        *err = work.error;
    pthread_mutex_destroy(&work.lock);
    json_decref(definitions);
    if (started == 0)
        return gw_fail(err, GW_ERR_RESOURCE, "cannot start a thread to build indexes");
    return !failed;
}

/* ---- finish ----------------------------------------------------------------------------------------------------- */

/* Views may look at views that come later, routines at anything: what fails is tried again as long as others succeed. */
static bool make_objects(struct gw_mysql_conn *conn, const json_t *objects, struct gw_error *err)
{
    size_t left = json_array_size(objects), before = left + 1;
    bool *done = gw_calloc(left + 1, sizeof *done);
    struct gw_error last = {0};
    bool fine = true;
    while (fine && left > 0 && left < before) {
        before = left;
        for (size_t i = 0; fine && i < json_array_size(objects); i++) {
            const json_t *object = json_array_get(objects, i);
            if (done[i])
                continue;
            done[i] = gw_mysql_make_object(conn, object, &last);
            left -= done[i];
            fine = !conn->broken;
        }
    }
    for (size_t i = 0; fine && i < json_array_size(objects); i++)
        if (!done[i])
            gw_warn("not moved: %s %s (%s)", text_of(json_array_get(objects, i), "kind"),
                    text_of(json_array_get(objects, i), "name"), last.message);
    free(done);
    if (!fine)
        *err = last;
    return fine;
}

static bool finish_with(struct gw_mysql_conn *conn, const json_t *definitions, struct gw_error *err)
{
    const json_t *table;
    size_t i;
    if (!gw_mysql_exec(conn, "SET SESSION foreign_key_checks = 0", err))
        return false;
    json_array_foreach(json_object_get(definitions, "tables"), i, table)
    {
        if (!gw_mysql_add_foreign_keys(conn, table, err))
            return false;
    }
    return make_objects(conn, json_object_get(definitions, "routines"), err) &&
           make_objects(conn, json_object_get(definitions, "views"), err) &&
           gw_mysql_loose_defer(conn, definitions, err);
}

static bool schema_finish(struct gw_store *base, const char *work_dir, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    json_t *definitions;
    if (!gw_mysql_definitions_load(work_dir, &definitions, err))
        return false;
    bool fine = gw_mysql_connect(gw_mysql_store_of(base), "finish", &conn, err);
    if (fine) {
        fine = finish_with(conn, definitions, err);
        gw_mysql_close(conn);
    }
    json_decref(definitions);
    return fine;
}

static bool schema_analyze(struct gw_store *base, const struct gw_schema *schema, int jobs, struct gw_error *err)
{
    struct gw_mysql_conn *conn;
    (void)jobs;
    if (!gw_mysql_borrow(gw_mysql_store_of(base), &conn, err))
        return false;
    bool fine = true;
    for (size_t i = 0; fine && i < schema->count; i++) {
        gw_autobuf struct gw_buf sql = {0};
        gw_buf_adds(&sql, "ANALYZE NO_WRITE_TO_BINLOG TABLE ");
        gw_mysql_add_table(&sql, &schema->collections[i]);
        fine = gw_mysql_exec_buf(conn, &sql, err);
    }
    gw_mysql_return(conn, !fine);
    return fine;
}

const struct gw_schema_facet gw_mysql_schema = {
    .create = schema_create,
    .create_key = schema_create_key,
    .create_indexes = schema_create_indexes,
    .finish = schema_finish,
    .analyze = schema_analyze,
    .sync_sequences = gw_mysql_sync_sequences,
    .missing_sequences = gw_mysql_missing_sequences,
    .loosen = gw_mysql_loosen,
    .tighten_open = gw_mysql_tighten_open,
    .tighten = gw_mysql_tighten,
    .tighten_commit = gw_mysql_tighten_commit,
    .tighten_close = gw_mysql_tighten_close,
    .validate = gw_mysql_validate,
    .build = gw_mysql_build,
    .can_count = gw_mysql_can_count,
    .counters = gw_mysql_counters,
    .set_counters = gw_mysql_set_counters,
};
