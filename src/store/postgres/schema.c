/* The schema facet: the source's definitions made on the target in steps, statistics. */
#include "store/postgres/changes.h"
#include "store/postgres/describe.h"
#include "store/postgres/schema_loose.h"
#include "store/postgres/schema_restore.h"

#include "base/log.h"
#include "base/mem.h"
#include "store/postgres/parallel.h"
#include "store/postgres/sequences.h"

#include <stdlib.h>
#include <string.h>

#define VALIDATE_JOBS 2

static unsigned bit(enum gw_pg_step step)
{
    return 1u << step;
}

static bool run(struct gw_pg_store *target, const struct gw_pg_manifest *m, unsigned steps, int jobs,
                struct gw_error *err)
{
    struct gw_pg_restore_notes notes;
    gw_pg_restore_notes_init(&notes);
    bool fine = gw_pg_restore_steps(target, m, steps, jobs, &notes, err);
    gw_pg_restore_notes_say(&notes, target);
    return fine || gw_error_place(err, "%s %s", gw_side_name(target->base.side), target->base.identity.address);
}

static void name_left_behind(const struct gw_pg_manifest *m)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->entries[i].step == GW_PG_STEP_LEFT && !strstr(m->entries[i].key, "godwit"))
            gw_warn("not moved: %s", m->entries[i].key);
}

static bool schema_create(struct gw_store *source, struct gw_store *target, const struct gw_filter *filter,
                          const char *work_dir, struct gw_error *err)
{
    const struct gw_filter all = {0};
    const struct gw_pg_manifest *m;
    if (!gw_pg_manifest_make(gw_pg_store_of(source), filter ? filter : &all, work_dir, err) ||
        !gw_pg_manifest_get(gw_pg_store_of(target), work_dir, &m, err) ||
        !gw_pg_restore_prepare(gw_pg_store_of(target), err))
        return false;
    name_left_behind(m);
    return gw_pg_identity_inherit(gw_pg_store_of(source), gw_pg_store_of(target), err) &&
           run(gw_pg_store_of(target), m, bit(GW_PG_STEP_BEFORE), 1, err);
}

static bool schema_create_key(struct gw_store *base, const struct gw_collection *c, const char *work_dir,
                              struct gw_error *err)
{
    struct gw_pg_store *target = gw_pg_store_of(base);
    const struct gw_pg_manifest *m;
    if (c->key_kind == GW_KEY_NONE || !c->key_index)
        return true;
    if (!gw_pg_manifest_get(target, work_dir, &m, err))
        return false;
    for (size_t i = 0; i < m->count; i++) {
        const struct gw_pg_entry *e = &m->entries[i];
        if (e->step != GW_PG_STEP_INDEX || strcmp(e->index, c->key_index) != 0 || strcmp(e->table, c->name) != 0 ||
            strcmp(e->space, c->space) != 0)
            continue;
        struct gw_pg_restore_notes notes;
        gw_pg_restore_notes_init(&notes);
        bool fine = gw_pg_restore_one(target, e, &notes, err);
        gw_pg_restore_notes_say(&notes, target);
        return fine;
    }
    return gw_fail(err, GW_ERR_CONFLICT, "index %s, the key of %s, is not among the definitions that were taken",
                   c->key_index, gw_collection_label(c));
}

static bool schema_create_indexes(struct gw_store *base, const char *work_dir, int jobs, struct gw_error *err)
{
    struct gw_pg_store *target = gw_pg_store_of(base);
    const struct gw_pg_manifest *m;
    return gw_pg_manifest_get(target, work_dir, &m, err) && run(target, m, bit(GW_PG_STEP_INDEX), jobs, err) &&
           run(target, m, bit(GW_PG_STEP_ATTACH), 1, err);
}

static bool schema_finish(struct gw_store *base, const char *work_dir, struct gw_error *err)
{
    struct gw_pg_store *target = gw_pg_store_of(base);
    const struct gw_pg_manifest *m;
    bool replica = (base->identity.capabilities & GW_CAN_REPLICA_ROLE) != 0;
    unsigned now = bit(GW_PG_STEP_AFTER) | (replica ? bit(GW_PG_STEP_ENFORCE) : 0);
    unsigned deferred = bit(GW_PG_STEP_AFTER) | bit(GW_PG_STEP_ENFORCE) | bit(GW_PG_STEP_ALWAYS);
    return gw_pg_manifest_get(target, work_dir, &m, err) && run(target, m, now, 1, err) &&
           (!replica || gw_pg_restore_then(target, m, VALIDATE_JOBS, err)) &&
           run(target, m, bit(GW_PG_STEP_GRANT), 1, err) && run(target, m, bit(GW_PG_STEP_REFRESH), 1, err) &&
           gw_pg_loose_defer(target, m, deferred, err);
}

/* ---- statistics ------------------------------------------------------------------------------------------------ */

static int by_bytes(const void *a, const void *b)
{
    const struct gw_collection *x = *(const struct gw_collection *const *)a,
                               *y = *(const struct gw_collection *const *)b;
    return (x->estimated_bytes < y->estimated_bytes) - (x->estimated_bytes > y->estimated_bytes);
}

static bool analyze_one(struct gw_pg_store *store, PGconn *conn, const char *table, struct gw_error *err)
{
    gw_autofree char *sql = gw_asprintf("ANALYZE %s", table);
    return gw_pg_exec(store, conn, sql, err);
}

static bool analyze_nth(struct gw_pg_store *store, PGconn *conn, size_t index, void *arg, struct gw_error *err)
{
    const struct gw_collection *const *sorted = arg;
    gw_autobuf struct gw_buf table = {0};
    gw_pg_add_table(&table, sorted[index]);
    return analyze_one(store, conn, gw_buf_text(&table), err);
}

/* Partitioned tables have statistics of their own, which nobody gathers for them; materialised views, too. */
static bool analyze_others(struct gw_pg_store *store, struct gw_error *err)
{
    PGconn *conn;
    PGresult *r;
    if (!gw_pg_borrow(store, &conn, err))
        return false;
    bool fine = gw_pg_query(store, conn,
                            "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c"
                            " JOIN pg_namespace n ON n.oid = c.relnamespace"
                            " WHERE (c.relkind = 'p' AND NOT c.relispartition OR c.relkind = 'm' AND c.relispopulated)"
                            " AND pg_has_role(c.relowner, 'USAGE') AND n.nspname !~ '^pg_'",
                            0, NULL, &r, err);
    if (fine) {
        for (int i = 0; fine && i < PQntuples(r); i++)
            fine = analyze_one(store, conn, PQgetvalue(r, i, 0), err);
        PQclear(r);
    }
    gw_pg_return(store, conn, !fine);
    return fine;
}

static bool schema_analyze(struct gw_store *base, const struct gw_schema *schema, int jobs, struct gw_error *err)
{
    struct gw_pg_store *target = gw_pg_store_of(base);
    const struct gw_collection **sorted = gw_calloc(schema->count + 1, sizeof *sorted);
    for (size_t i = 0; i < schema->count; i++)
        sorted[i] = &schema->collections[i];
    qsort(sorted, schema->count, sizeof *sorted, by_bytes);
    struct gw_pg_parallel work = {
        .store = target, .what = "analyze", .count = schema->count, .jobs = jobs, .each = analyze_nth, .arg = sorted};
    bool fine = gw_pg_parallel_run(&work, err) && analyze_others(target, err);
    free(sorted);
    return fine;
}

const struct gw_schema_facet gw_pg_schema = {
    .create = schema_create,
    .create_key = schema_create_key,
    .create_indexes = schema_create_indexes,
    .finish = schema_finish,
    .analyze = schema_analyze,
    .sync_sequences = gw_pg_sync_sequences,
    .missing_sequences = gw_pg_missing_sequences,
    .loosen = gw_pg_loosen,
    .tighten_open = gw_pg_tighten_open,
    .tighten = gw_pg_tighten,
    .tighten_commit = gw_pg_tighten_commit,
    .tighten_close = gw_pg_tighten_close,
    .validate = gw_pg_validate,
    .build = gw_pg_build,
    .build_index = gw_pg_build_index,
    .can_count = gw_pg_can_count,
    .counters = gw_pg_counters,
    .set_counters = gw_pg_set_counters,
};
