/*
 * Groups of events whose rows are not what they seem.
 *
 * A group may hold rows that are rolled back: behind a savepoint, where a table without transactions was written too, or
 * all of them, where a temporary table was made. The log tells only behind the rows. When it does, the group is noted and
 * the stream fails to be opened anew; then a look ahead through that one group tells which rows to leave out.
 *
 * An XA transaction's rows come when it is prepared, in a group of their own; they become visible with XA COMMIT, a later
 * group. So they are passed over first, and read again from their place when it comes.
 */
#include "store/mysql/changes_stream.h"

#include "base/clock.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define KNOWN_MAX 256
#define SCAN_PATIENCE_US INT64_C(60000000)

/* ---- rolled back in part --------------------------------------------------------------------------------------- */

static pthread_mutex_t known_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    char server[64];
    uint64_t id;
} known[KNOWN_MAX];
static size_t known_count;

void gw_mysql_group_remember(const struct gw_mysql_store *store, uint64_t id)
{
    pthread_mutex_lock(&known_lock);
    size_t at = known_count++ % KNOWN_MAX;
    memcpy(known[at].server, store->base.identity.server, sizeof known[at].server);
    known[at].id = id;
    pthread_mutex_unlock(&known_lock);
}

bool gw_mysql_group_remembered(const struct gw_mysql_store *store, uint64_t id)
{
    bool found = false;
    pthread_mutex_lock(&known_lock);
    for (size_t i = 0; i < KNOWN_MAX && i < known_count; i++)
        found |= known[i].id == id && strcmp(known[i].server, store->base.identity.server) == 0;
    pthread_mutex_unlock(&known_lock);
    return found;
}

struct savepoint {
    char name[256];
    uint64_t pos;
};

struct scan {
    struct savepoint *points;
    size_t point_count, point_capacity;
    struct gw_mysql_span *spans;
    size_t span_count, span_capacity;
    uint64_t begin;
    bool began; /* the event that begins the group is through */
    bool over;
};

static void add_span(struct scan *scan, uint64_t from, uint64_t to)
{
    scan->spans = gw_grow(scan->spans, &scan->span_capacity, scan->span_count, sizeof *scan->spans);
    scan->spans[scan->span_count++] = (struct gw_mysql_span){from, to};
}

static void roll_back_to(struct scan *scan, const char *name, uint64_t here)
{
    for (size_t i = scan->point_count; i > 0; i--)
        if (strcasecmp(scan->points[i - 1].name, name) == 0) {
            add_span(scan, scan->points[i - 1].pos, here);
            scan->point_count = i;
            return;
        }
    add_span(scan, scan->begin, here);
}

static bool scan_query(struct scan *scan, struct gw_binlog *decoder, const struct gw_binlog_event *e, uint64_t start,
                       struct gw_error *err)
{
    struct gw_binlog_query query;
    struct gw_binlog_statement statement;
    if (!gw_binlog_query(decoder, e, &query, err))
        return false;
    gw_binlog_statement_parse(&query, &statement);
    switch (statement.verb) {
    case GW_BINLOG_VERB_SAVEPOINT:
        scan->points = gw_grow(scan->points, &scan->point_capacity, scan->point_count, sizeof *scan->points);
        struct savepoint *point = &scan->points[scan->point_count++];
        memcpy(point->name, statement.savepoint, sizeof point->name);
        point->pos = start;
        return true;
    case GW_BINLOG_VERB_ROLLBACK_TO:
        roll_back_to(scan, statement.savepoint, start);
        return true;
    case GW_BINLOG_VERB_ROLLBACK:
        add_span(scan, scan->begin, UINT64_MAX);
        scan->over = true;
        return true;
    case GW_BINLOG_VERB_COMMIT:
        scan->over = true;
        return true;
    default:
        return true;
    }
}

static bool scan_event(struct scan *scan, struct gw_binlog *decoder, const struct gw_binlog_event *e, uint64_t start,
                       struct gw_error *err)
{
    switch (e->type) {
    case GW_BINLOG_XID:
    case GW_BINLOG_XA_PREPARE:
        scan->over = true;
        return true;
    case GW_BINLOG_QUERY:
    case GW_BINLOG_MARIA_QUERY_COMPRESSED:
        return scan_query(scan, decoder, e, start, err);
    case GW_BINLOG_GTID:
    case GW_BINLOG_ANONYMOUS_GTID:
    case GW_BINLOG_GTID_TAGGED:
    case GW_BINLOG_MARIA_GTID:
    case GW_BINLOG_STOP:
    case GW_BINLOG_ROTATE:
        if (scan->began && !(e->type == GW_BINLOG_ROTATE && start <= scan->begin)) {
            add_span(scan, scan->begin, UINT64_MAX); /* broken off: the server crashed */
            scan->over = true;
        }
        return true;
    default:
        return true;
    }
}

bool gw_mysql_group_scan(struct gw_mysql_store *store, const struct gw_schema *schema, const char *file, uint64_t pos,
                         struct gw_mysql_span **spans, size_t *count, struct gw_error *err)
{
    struct scan scan = {.begin = pos};
    struct gw_mysql_source source = {0};
    int64_t deadline_us = gw_mono_us() + SCAN_PATIENCE_US;
    bool fine = gw_mysql_source_open(&source, store, schema, "look ahead", file, pos, NULL, err);
    while (fine && !scan.over) {
        struct gw_binlog_event e;
        uint64_t start;
        bool got;
        fine = gw_mysql_source_next(&source, deadline_us, &e, &start, &got, err);
        if (fine && !got)
            fine = gw_fail(err, GW_ERR_RETRY, "the source does not send the rest of a transaction");
        if (!fine || e.log_pos == 0)
            continue;
        fine = scan_event(&scan, source.decoder, &e, start, err);
        scan.began = true;
    }
    gw_mysql_source_close(&source);
    free(scan.points);
    if (!fine) {
        free(scan.spans);
        return false;
    }
    *spans = scan.spans;
    *count = scan.span_count;
    return true;
}

/* ---- prepared -------------------------------------------------------------------------------------------------- */

static bool same_xid(const struct gw_binlog_xid *a, const struct gw_binlog_xid *b)
{
    return a->format == b->format && a->gtrid_len == b->gtrid_len && a->bqual_len == b->bqual_len &&
           memcmp(a->data, b->data, (size_t)a->gtrid_len + a->bqual_len) == 0;
}

void gw_mysql_prepared_add(struct gw_mysql_prepared_list *list, const struct gw_binlog_xid *xid, const char *file,
                           uint64_t pos)
{
    list->items = gw_grow(list->items, &list->capacity, list->count, sizeof *list->items);
    struct gw_mysql_prepared *one = &list->items[list->count++];
    *one = (struct gw_mysql_prepared){.xid = *xid, .pos = pos};
    snprintf(one->file, sizeof one->file, "%s", file);
}

bool gw_mysql_prepared_take(struct gw_mysql_prepared_list *list, const struct gw_binlog_xid *xid,
                            struct gw_mysql_prepared *out)
{
    for (size_t i = 0; i < list->count; i++)
        if (same_xid(&list->items[i].xid, xid)) {
            *out = list->items[i];
            memmove(&list->items[i], &list->items[i + 1], (list->count - i - 1) * sizeof *list->items);
            list->count--;
            return true;
        }
    return false;
}

const struct gw_mysql_prepared *gw_mysql_prepared_oldest(const struct gw_mysql_prepared_list *list)
{
    return list->count ? &list->items[0] : NULL; /* they come in the order of the log */
}
