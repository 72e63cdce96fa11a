#include "store/postgres/schema_manifest.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "io/json.h"
#include "sql_embedded.h"
#include "store/postgres/schema_tools.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANIFEST_VERSION 1
#define MANIFEST_MAX_BYTES (1024UL * 1024 * 1024)

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static void release_entry(struct gw_pg_entry *e)
{
    free(e->key);
    free(e->type);
    free(e->sql);
    free(e->owner_sql);
    free(e->then_sql);
    free(e->space);
    free(e->table);
    free(e->index);
}

void gw_pg_manifest_free(struct gw_pg_manifest *manifest)
{
    if (!manifest)
        return;
    for (size_t i = 0; i < manifest->count; i++)
        release_entry(&manifest->entries[i]);
    free(manifest->entries);
    free(manifest->path);
    free(manifest);
}

struct gw_pg_entry *gw_pg_manifest_add(struct gw_pg_manifest *manifest)
{
    manifest->entries = gw_grow(manifest->entries, &manifest->capacity, manifest->count, sizeof *manifest->entries);
    struct gw_pg_entry *entry = &manifest->entries[manifest->count++];
    *entry = (struct gw_pg_entry){0};
    return entry;
}

static char *path_in(const char *work_dir, const char *name)
{
    return gw_asprintf("%s/%s", work_dir, name);
}

/* ---- what is left out by include and exclude -------------------------------------------------------------------- */

struct left_out {
    struct gw_buf arguments; /* NUL-separated */
    const char **argv;       /* into it; NULL-ended */
    PGresult *dependents;    /* 'relation' and 'fk' rows */
};

static void release_left_out(struct left_out *l)
{
    gw_buf_release(&l->arguments);
    free(l->argv);
    PQclear(l->dependents);
}

static int row_of_oid(const PGresult *r, const char *oid)
{
    for (int i = 0; i < PQntuples(r); i++)
        if (strcmp(PQgetvalue(r, i, 0), oid) == 0)
            return i;
    return -1;
}

/* A partitioned table stays when it is chosen itself or when one of its partitions is. */
static bool *choose(const PGresult *r, const struct gw_filter *filter)
{
    int rows = PQntuples(r);
    bool *kept = gw_calloc((size_t)rows + 1, sizeof *kept);
    for (int i = 0; i < rows; i++) {
        if (!gw_filter_match(filter, PQgetvalue(r, i, 1), PQgetvalue(r, i, 2)))
            continue;
        for (int at = i; at >= 0 && !kept[at];) {
            kept[at] = true;
            at = PQgetisnull(r, at, 4) ? -1 : row_of_oid(r, PQgetvalue(r, at, 4));
        }
    }
    return kept;
}

/* As a pattern of pg_dump: within double quotes nothing is special. */
static void add_exclusion(struct left_out *l, const char *space, const char *name)
{
    gw_buf_adds(&l->arguments, "--exclude-table=");
    gw_pg_add_ident(&l->arguments, space);
    gw_buf_addc(&l->arguments, '.');
    gw_pg_add_ident(&l->arguments, name);
    gw_buf_addc(&l->arguments, 0);
}

static void make_arguments(struct left_out *l)
{
    size_t count = 0;
    for (int i = 0; i < PQntuples(l->dependents); i++) {
        if (strcmp(PQgetvalue(l->dependents, i, 0), "relation") != 0)
            continue;
        add_exclusion(l, PQgetvalue(l->dependents, i, 2), PQgetvalue(l->dependents, i, 3));
        count++;
    }
    l->argv = gw_calloc(count + 1, sizeof *l->argv);
    const char *at = gw_buf_text(&l->arguments);
    for (size_t i = 0; i < count; i++, at += strlen(at) + 1)
        l->argv[i] = at;
}

static bool find_left_out(struct gw_pg_store *source, PGconn *conn, const struct gw_filter *filter,
                          struct left_out *out, struct gw_error *err)
{
    PGresult *r;
    gw_autobuf struct gw_buf oids = {0};
    if (!gw_pg_query(source, conn, gw_sql_schema_relations, 0, NULL, &r, err))
        return false;
    bool *kept = choose(r, filter);
    for (int i = 0; i < PQntuples(r); i++)
        if (!kept[i])
            gw_buf_addf(&oids, "%s%s", oids.len ? "," : "{", PQgetvalue(r, i, 0));
    gw_buf_adds(&oids, oids.len ? "}" : "{}");
    free(kept);
    PQclear(r);
    const char *params[] = {gw_buf_text(&oids)};
    if (!gw_pg_query(source, conn, gw_sql_schema_dependents, 1, params, &out->dependents, err))
        return false;
    make_arguments(out);
    return true;
}

static bool is_left_out(const struct left_out *l, const struct gw_pg_entry *e)
{
    for (int i = 0; i < PQntuples(l->dependents); i++)
        if (strcmp(e->type, "FK CONSTRAINT") == 0 && strcmp(PQgetvalue(l->dependents, i, 0), "fk") == 0 &&
            strtoul(PQgetvalue(l->dependents, i, 1), NULL, 10) == e->oid)
            return true;
    return false;
}

/* ---- facts ----------------------------------------------------------------------------------------------------- */

static int compare_ids(const PGresult *r, int row, const struct gw_pg_entry *e)
{
    uint32_t class_oid = (uint32_t)strtoul(PQgetvalue(r, row, 0), NULL, 10);
    uint32_t oid = (uint32_t)strtoul(PQgetvalue(r, row, 1), NULL, 10);
    if (class_oid != e->class_oid)
        return class_oid < e->class_oid ? -1 : 1;
    return (oid > e->oid) - (oid < e->oid);
}

/* Rows are sorted by catalog and OID. */
static int fact_of(const PGresult *r, const struct gw_pg_entry *e)
{
    int low = 0, high = PQntuples(r);
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (compare_ids(r, middle, e) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < PQntuples(r) && compare_ids(r, low, e) == 0 ? low : -1;
}

static void replace(char **field, char *value)
{
    free(*field);
    *field = value;
}

/* Added without looking at the rows, then validated under a lock that lets others write. */
static void split_foreign_key(struct gw_pg_entry *e)
{
    size_t len = strlen(e->sql);
    gw_autobuf struct gw_buf validate = {0};
    if (len == 0 || e->sql[len - 1] != ';' || (len > 11 && strcmp(e->sql + len - 11, " NOT VALID;") == 0))
        return;
    gw_buf_adds(&validate, "ALTER TABLE ONLY ");
    gw_pg_add_ident(&validate, e->space);
    gw_buf_addc(&validate, '.');
    gw_pg_add_ident(&validate, e->table);
    gw_buf_adds(&validate, " VALIDATE CONSTRAINT ");
    gw_pg_add_ident(&validate, e->index);
    replace(&e->sql, gw_asprintf("%.*s NOT VALID;", (int)(len - 1), e->sql));
    replace(&e->then_sql, gw_strdup(gw_buf_text(&validate)));
}

static void take_fact(const PGresult *r, int row, struct gw_pg_entry *e)
{
    const char *kind = PQgetvalue(r, row, 2);
    bool flag = *PQgetvalue(r, row, 7) == 't';
    replace(&e->space, gw_strdup(PQgetvalue(r, row, 3)));
    replace(&e->table, gw_strdup(PQgetvalue(r, row, 4)));
    replace(&e->index, gw_strdup(PQgetvalue(r, row, 5)));
    e->bytes = strtoll(PQgetvalue(r, row, 6), NULL, 10);
    if (strcmp(kind, "fk") == 0 && flag)
        split_foreign_key(e);
    if (strcmp(kind, "fires") == 0 && flag)
        e->step = GW_PG_STEP_ALWAYS;
}

static void add_refresh(struct gw_pg_manifest *manifest, const char *space, const char *name)
{
    gw_autobuf struct gw_buf sql = {0};
    gw_buf_adds(&sql, "REFRESH MATERIALIZED VIEW ");
    gw_pg_add_ident(&sql, space);
    gw_buf_addc(&sql, '.');
    gw_pg_add_ident(&sql, name);
    struct gw_pg_entry *e = gw_pg_manifest_add(manifest);
    e->step = GW_PG_STEP_REFRESH;
    e->key = gw_asprintf("REFRESH %s %s", space, name);
    e->type = gw_strdup("REFRESH");
    e->sql = gw_strdup(gw_buf_text(&sql));
    e->owner_sql = gw_strdup("");
    e->then_sql = gw_strdup("");
    e->space = gw_strdup(space);
    e->table = gw_strdup(name);
    e->index = gw_strdup("");
}

static bool is_ours(const struct gw_pg_entry *e)
{
    return strncmp(e->sql, "CREATE TRIGGER \"godwit", 22) == 0 ||
           strncmp(e->sql, "CREATE TRIGGER \"!godwit", 23) == 0 ||
           strncmp(e->sql, "CREATE EVENT TRIGGER \"godwit", 28) == 0;
}

/* Two entries of one name (it does happen: sanitised newlines) would count as made when the first one is. */
static void number_twins(struct gw_pg_manifest *m, size_t at)
{
    unsigned twins = 0;
    for (size_t i = 0; i < at; i++)
        twins += strcmp(m->entries[i].key, m->entries[at].key) == 0;
    if (twins)
        replace(&m->entries[at].key, gw_asprintf("%s #%u", m->entries[at].key, twins + 1));
}

static int by_key(const void *a, const void *b)
{
    return strcmp((*(struct gw_pg_entry *const *)a)->key, (*(struct gw_pg_entry *const *)b)->key);
}

static void tell_twins_apart(struct gw_pg_manifest *m)
{
    struct gw_pg_entry **sorted = gw_calloc(m->count + 1, sizeof *sorted);
    for (size_t i = 0; i < m->count; i++)
        sorted[i] = &m->entries[i];
    qsort(sorted, m->count, sizeof *sorted, by_key);
    bool any = false;
    for (size_t i = 1; i < m->count; i++)
        any = any || by_key(&sorted[i - 1], &sorted[i]) == 0;
    free(sorted);
    for (size_t i = 1; any && i < m->count; i++)
        number_twins(m, i);
}

static void complete(struct gw_pg_manifest *m, const PGresult *facts, const struct left_out *l)
{
    size_t count = m->count; /* refreshes are added behind */
    for (size_t i = 0; i < count; i++) {
        struct gw_pg_entry *e = &m->entries[i];
        int row = fact_of(facts, e);
        bool matview = strcmp(e->type, "MATERIALIZED VIEW") == 0;
        if (is_ours(e) || is_left_out(l, e))
            e->step = GW_PG_STEP_LEFT;
        else if (row >= 0 && !matview)
            take_fact(facts, row, e);
    }
    for (size_t i = 0; i < count; i++) {
        int row = strcmp(m->entries[i].type, "MATERIALIZED VIEW") == 0 ? fact_of(facts, &m->entries[i]) : -1;
        if (row >= 0 && *PQgetvalue(facts, row, 7) == 't')
            add_refresh(m, PQgetvalue(facts, row, 3), PQgetvalue(facts, row, 4));
    }
    tell_twins_apart(m);
}

/* ---- file ------------------------------------------------------------------------------------------------------ */

static json_t *entry_to_json(const struct gw_pg_entry *e)
{
    json_t *o = json_object();
    json_object_set_new(o, "step", json_integer(e->step));
    json_object_set_new(o, "key", json_string(e->key));
    json_object_set_new(o, "type", json_string(e->type));
    json_object_set_new(o, "sql", json_string(e->sql));
    json_object_set_new(o, "owner", json_string(e->owner_sql));
    json_object_set_new(o, "then", json_string(e->then_sql));
    json_object_set_new(o, "space", json_string(e->space));
    json_object_set_new(o, "table", json_string(e->table));
    json_object_set_new(o, "index", json_string(e->index));
    json_object_set_new(o, "bytes", json_integer(e->bytes));
    return o;
}

static bool save(const struct gw_pg_manifest *m, struct gw_error *err)
{
    gw_autojson json_t *root = json_object();
    json_t *entries = json_array();
    gw_autobuf struct gw_buf text = {0};
    json_object_set_new(root, "version", json_integer(MANIFEST_VERSION));
    json_object_set_new(root, "entries", entries);
    for (size_t i = 0; i < m->count; i++) {
        json_t *o = entry_to_json(&m->entries[i]);
        if (json_object_size(o) != 10) { /* what is not UTF-8 was not taken */
            json_decref(o);
            return gw_fail(err, GW_ERR_UNSUPPORTED, "the definition of %s is not valid UTF-8", m->entries[i].key);
        }
        json_array_append_new(entries, o);
    }
    gw_json_dump(root, 0, &text);
    return gw_file_replace(m->path, text.data, text.len, err);
}

static bool entry_from_json(const json_t *o, struct gw_pg_entry *e, struct gw_error *err)
{
    int64_t step;
    const char *key, *type, *sql, *owner, *then, *space, *table, *index;
    if (!gw_json_get_int(o, "step", &step, err) || !gw_json_get_int(o, "bytes", &e->bytes, err) ||
        !gw_json_get_string(o, "key", &key, err) || !gw_json_get_string(o, "type", &type, err) ||
        !gw_json_get_string(o, "sql", &sql, err) || !gw_json_get_string(o, "owner", &owner, err) ||
        !gw_json_get_string(o, "then", &then, err) || !gw_json_get_string(o, "space", &space, err) ||
        !gw_json_get_string(o, "table", &table, err) || !gw_json_get_string(o, "index", &index, err))
        return false;
    e->step = (enum gw_pg_step)step;
    e->key = gw_strdup(key);
    e->type = gw_strdup(type);
    e->sql = gw_strdup(sql);
    e->owner_sql = gw_strdup(owner);
    e->then_sql = gw_strdup(then);
    e->space = gw_strdup(space);
    e->table = gw_strdup(table);
    e->index = gw_strdup(index);
    return true;
}

static bool load(const char *path, struct gw_pg_manifest **out, struct gw_error *err)
{
    gw_autojson json_t *root = NULL;
    json_t *entries, *item;
    size_t i;
    int64_t version;
    if (!gw_json_read_file(path, MANIFEST_MAX_BYTES, &root, err) || !gw_json_get_int(root, "version", &version, err) ||
        !gw_json_get_array(root, "entries", &entries, err))
        return false;
    if (version > MANIFEST_VERSION)
        return gw_fail(err, GW_ERR_USER, "%s was written by a newer godwit", path);
    struct gw_pg_manifest *m = gw_zalloc(sizeof *m);
    m->path = gw_strdup(path);
    json_array_foreach(entries, i, item)
    {
        struct gw_pg_entry entry = {0};
        if (!entry_from_json(item, &entry, err)) {
            gw_pg_manifest_free(m);
            return false;
        }
        *gw_pg_manifest_add(m) = entry;
    }
    *out = m;
    return true;
}

/* ---- making ---------------------------------------------------------------------------------------------------- */

static bool read_archive(struct gw_pg_store *source, const struct gw_pg_tools *tools, const char *file,
                         struct gw_pg_manifest *m, struct gw_error *err)
{
    static const char *const sections[] = {"pre-data", "post-data"};
    for (size_t i = 0; i < 2; i++) {
        gw_autobuf struct gw_buf script = {0};
        if (!gw_pg_tools_script(source, tools, file, sections[i], &script, err) ||
            !gw_pg_archive_parse(&script, i == 0, m, err))
            return false;
    }
    return true;
}

static bool dump_into(struct gw_pg_store *source, PGconn *conn, const struct gw_filter *filter, const char *file,
                      struct gw_pg_manifest *m, struct gw_error *err)
{
    struct gw_pg_tools tools = {0};
    struct left_out left = {0};
    PGresult *facts = NULL;
    bool fine = gw_pg_tools_find(source, &tools, err) && find_left_out(source, conn, filter, &left, err) &&
                gw_pg_tools_dump(source, &tools, file, left.argv, err) && read_archive(source, &tools, file, m, err) &&
                gw_pg_query(source, conn, gw_sql_schema_facts, 0, NULL, &facts, err);
    if (fine)
        complete(m, facts, &left);
    PQclear(facts);
    release_left_out(&left);
    gw_pg_tools_release(&tools);
    return fine;
}

bool gw_pg_manifest_make(struct gw_pg_store *source, const struct gw_filter *filter, const char *work_dir,
                         struct gw_error *err)
{
    gw_autofree char *path = path_in(work_dir, "definitions.json");
    gw_autofree char *file = path_in(work_dir, "definitions.dump");
    PGconn *conn;
    if (gw_file_exists(path))
        return true;
    if (!gw_mkdir_private(work_dir, err) || !gw_pg_borrow(source, &conn, err))
        return false;
    struct gw_pg_manifest *m = gw_zalloc(sizeof *m);
    m->path = gw_strdup(path);
    bool fine = dump_into(source, conn, filter, file, m, err) && save(m, err);
    gw_pg_return(source, conn, !fine);
    gw_pg_manifest_free(m);
    unlink(file);
    return fine;
}

bool gw_pg_manifest_get(struct gw_pg_store *target, const char *work_dir, const struct gw_pg_manifest **out,
                        struct gw_error *err)
{
    gw_autofree char *path = path_in(work_dir, "definitions.json");
    bool fine = true;
    pthread_mutex_lock(&target->manifest_lock);
    if (target->manifest && strcmp(target->manifest->path, path) != 0) {
        gw_pg_manifest_free(target->manifest);
        target->manifest = NULL;
    }
    if (!target->manifest)
        fine = load(path, &target->manifest, err);
    *out = target->manifest;
    pthread_mutex_unlock(&target->manifest_lock);
    return fine;
}
