/*
 * Indexes of collections that have all their rows, one for each builder at a time, while other collections are still being
 * loaded: the keys first, then whatever else can be made before the changes are applied.
 */
#include "base/crash.h"
#include "copy/run.h"

bool copy_finish_collection(struct copy_run *run, uint32_t id, struct gw_error *err)
{
    struct copy_collection *collection = &run->collections[id];
    pthread_mutex_lock(&run->lock);
    bool complete = collection->status == GW_LOAD_SPLIT && collection->loaded >= collection->chunks;
    bool mine = complete && !collection->finishing;
    collection->finishing |= complete;
    pthread_mutex_unlock(&run->lock);
    if (!mine)
        return true;
    /* The journal first: a key builder that is quicker would have its word overwritten. */
    if (!gw_state_set_load_status(run->options.state, id, GW_LOAD_LOADED, err))
        return false;
    GW_CRASH_POINT("copy.collection.loaded");
    pthread_mutex_lock(&run->lock);
    collection->status = GW_LOAD_LOADED;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
    return true;
}

/* What a builder does next. */
struct index_task {
    uint32_t collection;
    bool key;
    size_t nth; /* of the others */
};

/* With the lock held. */
static bool task_of(struct copy_run *run, uint32_t id, bool key, struct index_task *out)
{
    const struct gw_schema_facet *schema = run->options.target->type->schema;
    struct copy_collection *collection = &run->collections[id];
    if (key ? collection->status != GW_LOAD_LOADED || collection->key_taken
            : collection->status < GW_LOAD_LOADED || collection->indexes_end || !schema || !schema->create_index)
        return false;
    *out = (struct index_task){.collection = id, .key = key, .nth = collection->indexes_taken};
    if (key)
        collection->key_taken = true;
    else
        collection->indexes_taken++;
    return true;
}

/* The next one; false when there is none to come, or the run ends. */
static bool task_take(struct copy_run *run, struct index_task *out)
{
    bool took = false, more = true;
    uint32_t count = (uint32_t)run->options.schema->count;
    pthread_mutex_lock(&run->lock);
    while (!took && more && !run->stop) {
        more = false;
        for (uint32_t i = 0; i < count * 2 && !took; i++)
            took = task_of(run, i % count, i < count, out);
        for (uint32_t id = 0; id < count && !took; id++)
            more |= run->collections[id].status < GW_LOAD_LOADED;
        if (!took && more)
            copy_run_wait(run, 200);
    }
    pthread_mutex_unlock(&run->lock);
    return took;
}

static bool index_build(struct copy_run *run, const struct index_task *task, struct gw_error *err)
{
    const struct gw_collection *collection = copy_collection_of(run, task->collection);
    struct copy_patience patience = {0};
    bool more = false;
    while (!run->options.target->type->schema->create_index(run->options.target, collection, task->nth, &more, err)) {
        if (!copy_again(run, &patience, err))
            return gw_error_prefix(err, "creating an index of %s", gw_collection_label(collection));
    }
    GW_CRASH_POINT("copy.index.made");
    pthread_mutex_lock(&run->lock);
    run->collections[task->collection].indexes_end |= !more;
    pthread_mutex_unlock(&run->lock);
    return true;
}

static bool key_build(struct copy_run *run, uint32_t id, struct gw_error *err)
{
    const struct gw_collection *collection = copy_collection_of(run, id);
    const struct gw_schema_facet *schema = run->options.target->type->schema;
    struct copy_patience patience = {0};
    bool wanted = collection->key_kind != GW_KEY_NONE && schema && schema->create_key;
    while (wanted && !schema->create_key(run->options.target, collection, run->options.work_dir, err)) {
        if (!copy_again(run, &patience, err)) {
            gw_error_prefix(err, "creating the key of %s", gw_collection_label(collection));
            return gw_error_place(err, "%s", run->options.target->identity.address);
        }
    }
    GW_CRASH_POINT("copy.key.before_journal");
    if (!gw_state_set_load_status(run->options.state, id, GW_LOAD_KEYED, err))
        return false;
    pthread_mutex_lock(&run->lock);
    run->collections[id].status = GW_LOAD_KEYED;
    run->report.keys_created += wanted;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->lock);
    return true;
}

void copy_build_indexes(struct copy_run *run)
{
    struct index_task task;
    struct gw_error err;
    while (!copy_run_stopped(run) && task_take(run, &task)) {
        if (!(task.key ? key_build(run, task.collection, &err) : index_build(run, &task, &err))) {
            copy_run_fail(run, &err);
            return;
        }
    }
}
