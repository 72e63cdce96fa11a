/* Definitions made on green, step by step. */
#include "store/sqlite/schema.h"

#include "base/crash.h"
#include "base/file.h"
#include "base/mem.h"

#define DEFINITIONS_BYTES ((size_t)64 << 20)

bool gw_lite_has_object(struct gw_lite_conn *conn, const char *type, const char *name, bool *there,
                        struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    int64_t one = 0;
    gw_buf_addf(&sql, "SELECT 1 FROM main.sqlite_master WHERE type = '%s' AND name = ", type);
    gw_lite_add_literal(&sql, name);
    gw_buf_adds(&sql, " COLLATE NOCASE");
    *there = false;
    return gw_lite_int(conn, gw_buf_text(&sql), &one, there, err);
}

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    return text ? text : "";
}

/* ---- the file of definitions ----------------------------------------------------------------------------------- */

static char *definitions_path(const char *work_dir)
{
    return gw_asprintf("%s/definitions.json", work_dir);
}

static bool keep_definitions(struct gw_store *source, const struct gw_filter *filter, const char *work_dir,
                             struct gw_error *err)
{
    gw_autofree char *path = definitions_path(work_dir);
    struct gw_lite_conn *conn = NULL;
    json_t *definitions = NULL;
    if (gw_file_exists(path))
        return true;
    if (!gw_lite_borrow(gw_lite_store_of(source), &conn, err))
        return false;
    bool ok = gw_lite_read_definitions(conn, filter, &definitions, err);
    gw_lite_return(conn);
    if (!ok)
        return false;
    char *text = json_dumps(definitions, JSON_INDENT(1));
    json_decref(definitions);
    ok = gw_file_replace(path, text, strlen(text), err);
    free(text);
    return ok;
}

static bool load_definitions(const char *work_dir, json_t **out, struct gw_error *err)
{
    gw_autofree char *path = definitions_path(work_dir);
    gw_autobuf struct gw_buf text = {0};
    if (!gw_file_read(path, DEFINITIONS_BYTES, &text, err))
        return false;
    *out = json_loads(gw_buf_text(&text), 0, NULL);
    return *out != NULL || gw_fail(err, GW_ERR_CONFLICT, "%s is damaged", path);
}

/* ---- steps ----------------------------------------------------------------------------------------------------- */

static bool make_if_missing(struct gw_lite_conn *conn, const char *type, const char *name, const char *sql,
                            struct gw_error *err)
{
    bool there = false;
    if (!gw_lite_has_object(conn, type, name, &there, err))
        return false;
    return there || gw_lite_exec(conn, sql, err) || gw_error_prefix(err, "making %s %s", type, name);
}

static bool make_all(struct gw_lite_conn *conn, const json_t *entries, const char *type, struct gw_error *err)
{
    size_t i;
    json_t *entry;
    json_array_foreach(entries, i,
                       entry) if (!make_if_missing(conn, type ? type : text_of(entry, "type"), text_of(entry, "name"),
                                                   text_of(entry, "sql"), err)) return false;
    return true;
}

typedef bool step(struct gw_lite_conn *, const json_t *definitions, const void *arg, struct gw_error *);

/* One transaction, durable at its end. */
static bool run_step(struct gw_store *target, const char *work_dir, step *carry_out, const void *arg,
                     struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    json_t *definitions = NULL;
    if (!load_definitions(work_dir, &definitions, err))
        return false;
    bool ok = gw_lite_borrow(gw_lite_store_of(target), &conn, err);
    ok = ok && gw_lite_begin_write(conn, err) && carry_out(conn, definitions, arg, err);
    GW_CRASH_POINT("lite.schema.before_commit");
    ok = ok && gw_lite_exec(conn, "COMMIT", err) && gw_lite_sync(conn->store, err);
    gw_lite_return(conn);
    json_decref(definitions);
    return ok;
}

static bool make_tables(struct gw_lite_conn *conn, const json_t *definitions, const void *arg, struct gw_error *err)
{
    (void)arg;
    return make_all(conn, json_object_get(definitions, "tables"), "table", err);
}

static bool schema_create(struct gw_store *source, struct gw_store *target, const struct gw_filter *filter,
                          const char *work_dir, struct gw_error *err)
{
    return keep_definitions(source, filter, work_dir, err) && run_step(target, work_dir, make_tables, NULL, err);
}

static bool make_key(struct gw_lite_conn *conn, const json_t *definitions, const void *arg, struct gw_error *err)
{
    const struct gw_collection *collection = arg;
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(definitions, "tables"), i,
                       entry) if (strcmp(text_of(entry, "name"), collection->name) == 0 &&
                                  json_object_get(entry, "key")) return make_if_missing(conn, "index",
                                                                                        text_of(entry, "key_name"),
                                                                                        text_of(entry, "key"), err);
    return true; /* a primary key is in the table from the start */
}

static bool schema_create_key(struct gw_store *target, const struct gw_collection *collection, const char *work_dir,
                              struct gw_error *err)
{
    return run_step(target, work_dir, make_key, collection, err);
}

static bool make_indexes(struct gw_lite_conn *conn, const json_t *definitions, const void *arg, struct gw_error *err)
{
    (void)arg;
    return make_all(conn, json_object_get(definitions, "indexes"), "index", err);
}

static bool schema_create_indexes(struct gw_store *target, const char *work_dir, int jobs, struct gw_error *err)
{
    (void)jobs; /* one writer at a time */
    return run_step(target, work_dir, make_indexes, NULL, err);
}

/* Triggers, too: our connections run none, so they answer nobody but the application. */
static bool make_others(struct gw_lite_conn *conn, const json_t *definitions, const void *arg, struct gw_error *err)
{
    (void)arg;
    return make_all(conn, json_object_get(definitions, "others"), NULL, err) &&
           gw_lite_execf(conn, err, "PRAGMA main.user_version = %lld; PRAGMA main.application_id = %lld",
                         (long long)json_integer_value(json_object_get(definitions, "user_version")),
                         (long long)json_integer_value(json_object_get(definitions, "application_id")));
}

static bool schema_finish(struct gw_store *target, const char *work_dir, struct gw_error *err)
{
    return run_step(target, work_dir, make_others, NULL, err);
}

static bool schema_analyze(struct gw_store *target, const struct gw_schema *schema, int jobs, struct gw_error *err)
{
    (void)jobs;
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(target), &conn, err))
        return false;
    bool ok = gw_lite_exec(conn, "PRAGMA analysis_limit=2000", err);
    for (size_t i = 0; ok && i < schema->count; i++) {
        gw_autobuf struct gw_buf sql = {0};
        gw_buf_adds(&sql, "ANALYZE main.");
        gw_lite_add_ident(&sql, schema->collections[i].name);
        ok = gw_lite_exec(conn, gw_buf_text(&sql), err);
    }
    gw_lite_return(conn);
    return ok;
}

const struct gw_schema_facet gw_lite_schema = {
    .create = schema_create,
    .create_key = schema_create_key,
    .create_indexes = schema_create_indexes,
    .finish = schema_finish,
    .analyze = schema_analyze,
    .sync_sequences = gw_lite_sync_sequences,
    .build = gw_lite_build,
    .can_count = gw_lite_can_count,
    .counters = gw_lite_counters,
    .set_counters = gw_lite_set_counters,
};
