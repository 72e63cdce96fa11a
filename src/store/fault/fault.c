/* One wrapper a function: pick a fault, call the inner store, lose the answer where the rule says so. */
#include "store/fault/fault.h"

#include "base/mem.h"
#include "store/fault/rules.h"

struct fault_store {
    struct gw_store base;      /* first */
    struct gw_store_type type; /* facets the inner store does not have are missing here, too */
    struct gw_store *inner;
    struct fault_rules rules;
};

static struct fault_store *fault_of(struct gw_store *store)
{
    return (struct fault_store *)store;
}

static struct gw_store *inner_of(struct gw_store *store)
{
    return fault_of(store)->inner;
}

/* A call of the store itself. */
#define FAULT_STORE_CALL(store, name, call)                                                                            \
    do {                                                                                                               \
        enum fault_kind fault = fault_rules_pick(&fault_of(store)->rules, name);                                       \
        if (fault != FAULT_NONE && fault != FAULT_CUT)                                                                 \
            return fault_fail(fault, name, err);                                                                       \
        if (!(call))                                                                                                   \
            return false;                                                                                              \
        return fault == FAULT_CUT ? fault_fail(fault, name, err) : true;                                               \
    } while (0)

/* A call of a session, which a lost connection takes with it. */
#define FAULT_SESSION_CALL(session, facet, name, call)                                                                 \
    do {                                                                                                               \
        const struct gw_store_type *type = (session)->store->inner->type;                                              \
        if (!(session)->inner)                                                                                         \
            return fault_fail(FAULT_RETRY, name, err);                                                                 \
        enum fault_kind fault = fault_rules_pick(&(session)->store->rules, name);                                      \
        bool ok = (fault == FAULT_NONE || fault == FAULT_CUT) && (call);                                               \
        if (fault == FAULT_RETRY || (fault == FAULT_CUT && ok)) {                                                      \
            type->facet->close((session)->inner);                                                                      \
            (session)->inner = NULL;                                                                                   \
        }                                                                                                              \
        if (fault != FAULT_NONE && (fault != FAULT_CUT || ok))                                                         \
            return fault_fail(fault, name, err);                                                                       \
        return ok;                                                                                                     \
    } while (0)

/* ---- reader: sessions ---- */

struct gw_reader {
    struct fault_store *store;
    struct gw_reader *inner; /* NULL: the connection is lost */
};

static bool reader_open(struct gw_store *store, struct gw_reader **out, struct gw_error *err)
{
    enum fault_kind fault = fault_rules_pick(&fault_of(store)->rules, "reader.open");
    if (fault != FAULT_NONE)
        return fault_fail(fault, "reader.open", err);
    struct gw_reader *inner = NULL;
    if (!inner_of(store)->type->reader->open(inner_of(store), &inner, err))
        return false;
    struct gw_reader *session = gw_zalloc(sizeof *session);
    session->store = fault_of(store);
    session->inner = inner;
    *out = session;
    return true;
}

static void reader_close(struct gw_reader *session)
{
    if (session && session->inner)
        session->store->inner->type->reader->close(session->inner);
    free(session);
}

static bool reader_split(struct gw_reader *session, const struct gw_collection *collection, const struct gw_bound *low,
                         int64_t rows, struct gw_bound *next, bool *last, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, reader, "reader.split",
                       type->reader->split(session->inner, collection, low, rows, next, last, err));
}

static bool reader_begin(struct gw_reader *session, const struct gw_collection *collection,
                         const struct gw_range *range, struct gw_mark *mark, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, reader, "reader.begin",
                       type->reader->begin(session->inner, collection, range, mark, err));
}

static bool reader_next(struct gw_reader *session, struct gw_block *block, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, reader, "reader.next", type->reader->next(session->inner, block, err));
}

static bool reader_end(struct gw_reader *session, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, reader, "reader.end", type->reader->end(session->inner, err));
}

static bool reader_refetch(struct gw_reader *session, const struct gw_collection *collection, const struct gw_row *key,
                           struct gw_mark *mark, bool *found, struct gw_row *row, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, reader, "reader.refetch",
                       type->reader->refetch(session->inner, collection, key, mark, found, row, err));
}

/* ---- writer: sessions ---- */

struct gw_writer {
    struct fault_store *store;
    struct gw_writer *inner; /* NULL: the connection is lost */
};

static bool writer_open(struct gw_store *store, const char *stream, struct gw_writer **out, struct gw_error *err)
{
    enum fault_kind fault = fault_rules_pick(&fault_of(store)->rules, "writer.open");
    if (fault != FAULT_NONE)
        return fault_fail(fault, "writer.open", err);
    struct gw_writer *inner = NULL;
    if (!inner_of(store)->type->writer->open(inner_of(store), stream, &inner, err))
        return false;
    struct gw_writer *session = gw_zalloc(sizeof *session);
    session->store = fault_of(store);
    session->inner = inner;
    *out = session;
    return true;
}

static void writer_close(struct gw_writer *session)
{
    if (session && session->inner)
        session->store->inner->type->writer->close(session->inner);
    free(session);
}

static bool writer_begin_chunk(struct gw_writer *session, const struct gw_collection *collection,
                               const struct gw_checkpoint *checkpoint, bool *already, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.begin_chunk",
                       type->writer->begin_chunk(session->inner, collection, checkpoint, already, err));
}

static bool writer_put(struct gw_writer *session, const struct gw_block *block, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.put", type->writer->put(session->inner, block, err));
}

static bool writer_commit_chunk(struct gw_writer *session, uint64_t *rows, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.commit_chunk", type->writer->commit_chunk(session->inner, rows, err));
}

static bool writer_begin(struct gw_writer *session, const struct gw_position *reached, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.begin", type->writer->begin(session->inner, reached, err));
}

static bool writer_apply(struct gw_writer *session, const struct gw_part *part, uint64_t *touched, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.apply", type->writer->apply(session->inner, part, touched, err));
}

static bool writer_send(struct gw_writer *session, const struct gw_part *part, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.apply", type->writer->send(session->inner, part, err));
}

static bool writer_updates_all(struct gw_writer *session, const struct gw_collection *collection)
{
    const struct gw_writer_facet *inner = session->store->inner->type->writer;
    return session->inner && inner->updates_all && inner->updates_all(session->inner, collection);
}

static bool writer_find(struct gw_writer *session, const struct gw_collection *collection, const struct gw_row *like,
                        const struct gw_row **keys, size_t *count, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.find",
                       type->writer->find(session->inner, collection, like, keys, count, err));
}

static bool writer_current(struct gw_writer *session, const struct gw_collection *collection,
                           const struct gw_row *wanted, size_t count, gw_current_visit *visit, void *arg,
                           struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.current",
                       type->writer->current(session->inner, collection, wanted, count, visit, arg, err));
}

static bool writer_truncate(struct gw_writer *session, const struct gw_collection *const *collections, size_t count,
                            struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.truncate",
                       type->writer->truncate(session->inner, collections, count, err));
}

static bool writer_delete_range(struct gw_writer *session, const struct gw_collection *collection,
                                const struct gw_range *range, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.delete_range",
                       type->writer->delete_range(session->inner, collection, range, err));
}

static bool writer_list_keys(struct gw_writer *session, const struct gw_collection *collection, bool first, size_t most,
                             const struct gw_row **keys, size_t *count, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.list_keys",
                       type->writer->list_keys(session->inner, collection, first, most, keys, count, err));
}

static bool writer_note_signal(struct gw_writer *session, const char *token, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.note_signal", type->writer->note_signal(session->inner, token, err));
}

static bool writer_savepoint(struct gw_writer *session, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.savepoint", type->writer->savepoint(session->inner, err));
}

static bool writer_rollback_to(struct gw_writer *session, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.rollback_to", type->writer->rollback_to(session->inner, err));
}

static bool writer_commit(struct gw_writer *session, bool durable, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.commit", type->writer->commit(session->inner, durable, err));
}

static bool writer_commit_ahead(struct gw_writer *session, bool durable, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.commit", type->writer->commit_ahead(session->inner, durable, err));
}

static bool writer_await(struct gw_writer *session, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, writer, "writer.await", type->writer->await(session->inner, err));
}

static void writer_rollback(struct gw_writer *session)
{
    if (session->inner)
        session->store->inner->type->writer->rollback(session->inner);
}

/* ---- changes: sessions ---- */

struct gw_stream {
    struct fault_store *store;
    struct gw_stream *inner; /* NULL: the connection is lost */
};

static bool changes_open(struct gw_store *store, const struct gw_schema *schema, const struct gw_position *from,
                         struct gw_stream **out, struct gw_error *err)
{
    enum fault_kind fault = fault_rules_pick(&fault_of(store)->rules, "changes.open");
    if (fault != FAULT_NONE)
        return fault_fail(fault, "changes.open", err);
    struct gw_stream *inner = NULL;
    if (!inner_of(store)->type->changes->open(inner_of(store), schema, from, &inner, err))
        return false;
    struct gw_stream *session = gw_zalloc(sizeof *session);
    session->store = fault_of(store);
    session->inner = inner;
    *out = session;
    return true;
}

static void changes_close(struct gw_stream *session)
{
    if (session && session->inner)
        session->store->inner->type->changes->close(session->inner);
    free(session);
}

static bool changes_next(struct gw_stream *session, int timeout_ms, struct gw_change *change, bool *got,
                         struct gw_error *err)
{
    FAULT_SESSION_CALL(session, changes, "changes.next",
                       type->changes->next(session->inner, timeout_ms, change, got, err));
}

static bool changes_acknowledge(struct gw_stream *session, const struct gw_position *position, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, changes, "changes.acknowledge",
                       type->changes->acknowledge(session->inner, position, err));
}

/* ---- scan: sessions ---- */

struct gw_scan {
    struct fault_store *store;
    struct gw_scan *inner; /* NULL: the connection is lost */
};

static bool scan_open(struct gw_store *store, struct gw_scan **out, struct gw_error *err)
{
    enum fault_kind fault = fault_rules_pick(&fault_of(store)->rules, "scan.open");
    if (fault != FAULT_NONE)
        return fault_fail(fault, "scan.open", err);
    struct gw_scan *inner = NULL;
    if (!inner_of(store)->type->scan->open(inner_of(store), &inner, err))
        return false;
    struct gw_scan *session = gw_zalloc(sizeof *session);
    session->store = fault_of(store);
    session->inner = inner;
    *out = session;
    return true;
}

static void scan_close(struct gw_scan *session)
{
    if (session && session->inner)
        session->store->inner->type->scan->close(session->inner);
    free(session);
}

static bool scan_begin(struct gw_scan *session, const struct gw_collection *collection, const struct gw_range *range,
                       bool ordered, struct gw_position *at, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, scan, "scan.begin",
                       type->scan->begin(session->inner, collection, range, ordered, at, err));
}

static bool scan_next(struct gw_scan *session, struct gw_row *row, bool *end, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, scan, "scan.next", type->scan->next(session->inner, row, end, err));
}

static bool scan_end(struct gw_scan *session, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, scan, "scan.end", type->scan->end(session->inner, err));
}

static bool scan_fetch(struct gw_scan *session, const struct gw_collection *collection, const struct gw_row *keys,
                       size_t key_count, struct gw_row *rows, struct gw_position *at, struct gw_error *err)
{
    FAULT_SESSION_CALL(session, scan, "scan.fetch",
                       type->scan->fetch(session->inner, collection, keys, key_count, rows, at, err));
}

/* ---- catalog ---- */

static bool catalog_list(struct gw_store *store, const struct gw_filter *filter, struct gw_schema *out,
                         struct gw_error *err)
{
    FAULT_STORE_CALL(store, "catalog.list", inner_of(store)->type->catalog->list(inner_of(store), filter, out, err));
}

static bool catalog_fingerprint(struct gw_store *store, const struct gw_filter *filter, struct gw_buf *out,
                                struct gw_error *err)
{
    FAULT_STORE_CALL(store, "catalog.fingerprint",
                     inner_of(store)->type->catalog->fingerprint(inner_of(store), filter, out, err));
}

/* ---- inspect ---- */

static bool inspect_check(struct gw_store *store, const struct gw_filter *filter, struct gw_findings *findings,
                          struct gw_error *err)
{
    FAULT_STORE_CALL(store, "inspect.check",
                     inner_of(store)->type->inspect->check(inner_of(store), filter, findings, err));
}

static bool inspect_grants(struct gw_store *store, struct gw_buf *sql, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "inspect.grants", inner_of(store)->type->inspect->grants(inner_of(store), sql, err));
}

static bool inspect_inventory(struct gw_store *store, const struct gw_filter *filter, json_t **out,
                              struct gw_error *err)
{
    FAULT_STORE_CALL(store, "inspect.inventory",
                     inner_of(store)->type->inspect->inventory(inner_of(store), filter, out, err));
}

static bool inspect_footprint(struct gw_store *store, const struct gw_schema *schema, json_t **out,
                              struct gw_error *err)
{
    FAULT_STORE_CALL(store, "inspect.footprint",
                     inner_of(store)->type->inspect->footprint(inner_of(store), schema, out, err));
}

static bool inspect_probe(struct gw_store *store, int round_trips, int64_t sample_bytes, int64_t *round_trip_us,
                          int64_t *bytes_per_second, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "inspect.probe",
                     inner_of(store)->type->inspect->probe(inner_of(store), round_trips, sample_bytes, round_trip_us,
                                                           bytes_per_second, err));
}

/* ---- writer ---- */

static bool writer_position(struct gw_store *store, const char *stream, struct gw_position *position,
                            struct gw_error *err)
{
    FAULT_STORE_CALL(store, "writer.position",
                     inner_of(store)->type->writer->position(inner_of(store), stream, position, err));
}

static bool writer_checkpoints(struct gw_store *store, struct gw_checkpoint **out, size_t *count, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "writer.checkpoints",
                     inner_of(store)->type->writer->checkpoints(inner_of(store), out, count, err));
}

/* ---- changes ---- */

static bool changes_prepare(struct gw_store *store, const struct gw_schema *schema, struct gw_position *start,
                            char barrier[240], struct gw_error *err)
{
    FAULT_STORE_CALL(store, "changes.prepare",
                     inner_of(store)->type->changes->prepare(inner_of(store), schema, start, barrier, err));
}

static bool changes_settled(struct gw_store *store, const char *barrier, bool *settled, struct gw_buf *who,
                            struct gw_error *err)
{
    FAULT_STORE_CALL(store, "changes.settled",
                     inner_of(store)->type->changes->settled(inner_of(store), barrier, settled, who, err));
}

static bool changes_horizon(struct gw_store *store, struct gw_position *position, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "changes.horizon", inner_of(store)->type->changes->horizon(inner_of(store), position, err));
}

static bool changes_signal(struct gw_store *store, const char *token, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "changes.signal", inner_of(store)->type->changes->signal(inner_of(store), token, err));
}

static bool changes_seen(struct gw_store *store, const char *token, bool *seen, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "changes.seen", inner_of(store)->type->changes->seen(inner_of(store), token, seen, err));
}

static bool changes_retained(struct gw_store *store, struct gw_retained *retained, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "changes.retained",
                     inner_of(store)->type->changes->retained(inner_of(store), retained, err));
}

static bool changes_drop(struct gw_store *store, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "changes.drop", inner_of(store)->type->changes->drop(inner_of(store), err));
}

static bool changes_locate(struct gw_store *store, const struct gw_collection *collection,
                           const struct gw_bound *bounds, size_t bound_count, const struct gw_row *keys,
                           size_t key_count, uint32_t *chunk, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "changes.locate",
                     inner_of(store)->type->changes->locate(inner_of(store), collection, bounds, bound_count, keys,
                                                            key_count, chunk, err));
}

/* ---- ownership ---- */

static bool ownership_install(struct gw_store *store, const char *migration_id, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "ownership.install",
                     inner_of(store)->type->ownership->install(inner_of(store), migration_id, err));
}

static bool ownership_get(struct gw_store *store, struct gw_owner *owner, bool *installed, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "ownership.get",
                     inner_of(store)->type->ownership->get(inner_of(store), owner, installed, err));
}

static bool ownership_compare_and_set(struct gw_store *store, const struct gw_owner *expected, enum gw_side owner,
                                      bool *done, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "ownership.compare_and_set",
                     inner_of(store)->type->ownership->compare_and_set(inner_of(store), expected, owner, done, err));
}

static bool ownership_note(struct gw_store *store, const char *name, const char *json, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "ownership.note", inner_of(store)->type->ownership->note(inner_of(store), name, json, err));
}

static bool ownership_noted(struct gw_store *store, const char *name, struct gw_buf *json, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "ownership.noted",
                     inner_of(store)->type->ownership->noted(inner_of(store), name, json, err));
}

static bool ownership_uninstall(struct gw_store *store, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "ownership.uninstall", inner_of(store)->type->ownership->uninstall(inner_of(store), err));
}

static bool ownership_leftovers(struct gw_store *store, struct gw_buf *lines, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "ownership.leftovers",
                     inner_of(store)->type->ownership->leftovers(inner_of(store), lines, err));
}

/* ---- fence ---- */

static bool fence_install(struct gw_store *store, const struct gw_schema *schema, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "fence.install", inner_of(store)->type->fence->install(inner_of(store), schema, err));
}

static bool fence_raise(struct gw_store *store, const struct gw_schema *schema, int lock_timeout_ms,
                        struct gw_position *at, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "fence.raise",
                     inner_of(store)->type->fence->raise(inner_of(store), schema, lock_timeout_ms, at, err));
}

static bool fence_lower(struct gw_store *store, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "fence.lower", inner_of(store)->type->fence->lower(inner_of(store), err));
}

static bool fence_is_raised(struct gw_store *store, bool *raised, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "fence.is_raised", inner_of(store)->type->fence->is_raised(inner_of(store), raised, err));
}

static bool fence_prove(struct gw_store *store, const struct gw_schema *schema, bool *held, struct gw_buf *how,
                        struct gw_error *err)
{
    FAULT_STORE_CALL(store, "fence.prove",
                     inner_of(store)->type->fence->prove(inner_of(store), schema, held, how, err));
}

static bool fence_holes(struct gw_store *store, const struct gw_schema *schema, struct gw_buf *lines,
                        struct gw_error *err)
{
    FAULT_STORE_CALL(store, "fence.holes", inner_of(store)->type->fence->holes(inner_of(store), schema, lines, err));
}

/* ---- sessions ---- */

static bool sessions_census(struct gw_store *store, struct gw_session_info **out, size_t *count, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "sessions.census",
                     inner_of(store)->type->sessions->census(inner_of(store), out, count, err));
}

static bool sessions_end(struct gw_store *store, int64_t id, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "sessions.end", inner_of(store)->type->sessions->end(inner_of(store), id, err));
}

/* ---- schema ---- */

static bool schema_create_key(struct gw_store *store, const struct gw_collection *collection, const char *work_dir,
                              struct gw_error *err)
{
    FAULT_STORE_CALL(store, "schema.create_key",
                     inner_of(store)->type->schema->create_key(inner_of(store), collection, work_dir, err));
}

static bool schema_create_indexes(struct gw_store *store, const char *work_dir, int jobs, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "schema.create_indexes",
                     inner_of(store)->type->schema->create_indexes(inner_of(store), work_dir, jobs, err));
}

static bool schema_finish(struct gw_store *store, const char *work_dir, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "schema.finish", inner_of(store)->type->schema->finish(inner_of(store), work_dir, err));
}

static bool schema_analyze(struct gw_store *store, const struct gw_schema *schema, int jobs, struct gw_error *err)
{
    FAULT_STORE_CALL(store, "schema.analyze",
                     inner_of(store)->type->schema->analyze(inner_of(store), schema, jobs, err));
}

/* ---- what takes two stores: both may be wrapped, or one ---- */

static struct gw_store *unwrapped(struct gw_store *store)
{
    return store->type->open == gw_store_fault.open ? inner_of(store) : store;
}

static bool inspect_check_pair(struct gw_store *blue, struct gw_store *green, const struct gw_filter *filter,
                               struct gw_findings *findings, struct gw_error *err)
{
    blue = unwrapped(blue);
    return blue->type->inspect->check_pair(blue, unwrapped(green), filter, findings, err);
}

static bool schema_create(struct gw_store *source, struct gw_store *target, const struct gw_filter *filter,
                          const char *work_dir, struct gw_error *err)
{
    source = unwrapped(source);
    return source->type->schema->create(source, unwrapped(target), filter, work_dir, err);
}

static bool schema_sync_sequences(struct gw_store *from, struct gw_store *to, size_t *count, struct gw_error *err)
{
    from = unwrapped(from);
    return from->type->schema->sync_sequences(from, unwrapped(to), count, err);
}

static void scan_print(const struct gw_column *column, const struct gw_value *value, struct gw_buf *out)
{
    (void)column;
    gw_buf_add(out, value->bytes, value->len);
}

static const struct gw_catalog_facet fault_catalog = {
    .list = catalog_list,
    .fingerprint = catalog_fingerprint,
};
static const struct gw_inspect_facet fault_inspect = {
    .check = inspect_check,
    .grants = inspect_grants,
    .inventory = inspect_inventory,
    .footprint = inspect_footprint,
    .probe = inspect_probe,
    .check_pair = inspect_check_pair,
};
static const struct gw_reader_facet fault_reader = {
    .open = reader_open,
    .close = reader_close,
    .split = reader_split,
    .begin = reader_begin,
    .next = reader_next,
    .end = reader_end,
    .refetch = reader_refetch,
};
static const struct gw_writer_facet fault_writer = {
    .open = writer_open,
    .close = writer_close,
    .begin_chunk = writer_begin_chunk,
    .put = writer_put,
    .commit_chunk = writer_commit_chunk,
    .begin = writer_begin,
    .apply = writer_apply,
    .send = writer_send,
    .updates_all = writer_updates_all,
    .truncate = writer_truncate,
    .delete_range = writer_delete_range,
    .list_keys = writer_list_keys,
    .find = writer_find,
    .current = writer_current,
    .note_signal = writer_note_signal,
    .savepoint = writer_savepoint,
    .rollback_to = writer_rollback_to,
    .commit = writer_commit,
    .commit_ahead = writer_commit_ahead,
    .await = writer_await,
    .rollback = writer_rollback,
    .position = writer_position,
    .checkpoints = writer_checkpoints,
};
static const struct gw_changes_facet fault_changes = {
    .open = changes_open,
    .close = changes_close,
    .next = changes_next,
    .acknowledge = changes_acknowledge,
    .prepare = changes_prepare,
    .settled = changes_settled,
    .horizon = changes_horizon,
    .signal = changes_signal,
    .seen = changes_seen,
    .retained = changes_retained,
    .drop = changes_drop,
    .locate = changes_locate,
};
static const struct gw_scan_facet fault_scan = {
    .open = scan_open,
    .close = scan_close,
    .begin = scan_begin,
    .next = scan_next,
    .end = scan_end,
    .fetch = scan_fetch,
    .print = scan_print,
};
static const struct gw_ownership_facet fault_ownership = {
    .install = ownership_install,
    .get = ownership_get,
    .compare_and_set = ownership_compare_and_set,
    .note = ownership_note,
    .noted = ownership_noted,
    .uninstall = ownership_uninstall,
    .leftovers = ownership_leftovers,
};
static const struct gw_fence_facet fault_fence = {
    .install = fence_install,
    .raise = fence_raise,
    .lower = fence_lower,
    .is_raised = fence_is_raised,
    .prove = fence_prove,
    .holes = fence_holes,
};
static const struct gw_sessions_facet fault_sessions = {
    .census = sessions_census,
    .end = sessions_end,
};
static const struct gw_schema_facet fault_schema = {
    .create_key = schema_create_key,
    .create_indexes = schema_create_indexes,
    .finish = schema_finish,
    .analyze = schema_analyze,
    .create = schema_create,
    .sync_sequences = schema_sync_sequences,
};

/* ---- the type ---- */

struct gw_store *gw_fault_wrap(struct gw_store *inner)
{
    struct fault_store *store = gw_zalloc(sizeof *store);
    store->base = *inner;
    store->base.type = &store->type;
    store->inner = inner;
    fault_rules_init(&store->rules);
    store->type = *inner->type;
    store->type.open = gw_store_fault.open;
    store->type.close = gw_store_fault.close;
    store->type.catalog = inner->type->catalog ? &fault_catalog : NULL;
    store->type.inspect = inner->type->inspect ? &fault_inspect : NULL;
    store->type.reader = inner->type->reader ? &fault_reader : NULL;
    store->type.writer = inner->type->writer ? &fault_writer : NULL;
    store->type.changes = inner->type->changes ? &fault_changes : NULL;
    store->type.scan = inner->type->scan ? &fault_scan : NULL;
    store->type.ownership = inner->type->ownership ? &fault_ownership : NULL;
    store->type.fence = inner->type->fence ? &fault_fence : NULL;
    store->type.sessions = inner->type->sessions ? &fault_sessions : NULL;
    store->type.schema = inner->type->schema ? &fault_schema : NULL;
    return &store->base;
}

bool gw_fault_set(struct gw_store *store, const char *rules, struct gw_error *err)
{
    return fault_rules_parse(&fault_of(store)->rules, rules, strlen(rules), err);
}

void gw_fault_seed(struct gw_store *store, uint64_t seed)
{
    struct fault_rules *rules = &fault_of(store)->rules;
    pthread_mutex_lock(&rules->lock);
    rules->random = seed;
    pthread_mutex_unlock(&rules->lock);
}

uint64_t gw_fault_injected(struct gw_store *store)
{
    struct fault_rules *rules = &fault_of(store)->rules;
    pthread_mutex_lock(&rules->lock);
    uint64_t injected = rules->injected;
    pthread_mutex_unlock(&rules->lock);
    return injected;
}

uint64_t gw_fault_calls(struct gw_store *store, const char *name)
{
    struct fault_rules *rules = &fault_of(store)->rules;
    uint64_t calls = 0;
    pthread_mutex_lock(&rules->lock);
    for (size_t i = 0; i < rules->count; i++)
        if (strcmp(rules->items[i].name, name) == 0)
            calls = rules->items[i].calls;
    pthread_mutex_unlock(&rules->lock);
    return calls;
}

/* "fault:RULES:INNER-URL": the rules hold a ':' in each, so the inner URL begins behind the last '=kind:'. */
static const char *inner_url(const char *rules)
{
    const char *at = rules;
    for (;;) {
        const char *comma = strchr(at, ','), *equals = strchr(at, '=');
        if (!equals)
            return NULL;
        if (!comma || comma > equals + strcspn(equals, ":")) {
            const char *colon = strchr(equals, ':');
            return colon ? colon + 1 : NULL;
        }
        at = comma + 1;
    }
}

static bool fault_open(const struct gw_store_options *options, struct gw_store **out, struct gw_error *err)
{
    const char *rules = options->url + strlen("fault:");
    const char *url = inner_url(rules);
    if (!url)
        return gw_fail(err, GW_ERR_USER, "a store with faults is written fault:RULES:ADDRESS");
    struct gw_store_options inner_options = *options;
    inner_options.url = url;
    struct gw_store *inner = NULL;
    if (!gw_store_open(&inner_options, &inner, err))
        return false;
    struct gw_store *store = gw_fault_wrap(inner);
    if (!fault_rules_parse(&fault_of(store)->rules, rules, (size_t)(url - rules) - 1, err)) {
        gw_store_close(store);
        return false;
    }
    *out = store;
    return true;
}

static void fault_close(struct gw_store *store)
{
    gw_store_close(inner_of(store));
    fault_rules_release(&fault_of(store)->rules);
    free(store);
}

static const char *const fault_schemes[] = {"fault", NULL};
const struct gw_store_type gw_store_fault = {
    .contract = GW_STORE_CONTRACT,
    .name = "fault",
    .schemes = fault_schemes,
    .open = fault_open,
    .close = fault_close,
};
