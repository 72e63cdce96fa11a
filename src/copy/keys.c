/* Key indexes, one collection at a time for each builder, while other collections are still being loaded. */
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

/* The next collection that has all its rows and no key; false when there is none to come, or the run ends. */
static bool keys_take(struct copy_run *run, uint32_t *out)
{
    bool took = false, more = true;
    pthread_mutex_lock(&run->lock);
    while (!took && more && !run->stop) {
        more = false;
        for (uint32_t id = 0; id < run->options.schema->count && !took; id++) {
            struct copy_collection *collection = &run->collections[id];
            more |= collection->status < GW_LOAD_LOADED;
            if (collection->status == GW_LOAD_LOADED && !collection->key_taken) {
                collection->key_taken = took = true;
                *out = id;
            }
        }
        if (!took && more)
            copy_run_wait(run, 200);
    }
    pthread_mutex_unlock(&run->lock);
    return took;
}

static bool keys_build(struct copy_run *run, uint32_t id, struct gw_error *err)
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

void copy_build_keys(struct copy_run *run)
{
    uint32_t id = 0;
    struct gw_error err;
    while (!copy_run_stopped(run) && keys_take(run, &id)) {
        if (!keys_build(run, id, &err)) {
            copy_run_fail(run, &err);
            return;
        }
    }
}
