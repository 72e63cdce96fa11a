/* What triggers wrote down, handed out as a change log. */
#include "store/sqlite/changes.h"

#include "base/clock.h"
#include "base/crash.h"
#include "base/mem.h"
#include "store/sqlite/value.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PAGE_ROWS 512
#define PAGE_BYTES ((size_t)1 << 20)
#define WRITTEN_US "CAST((at - 2440587.5) * 86400e6 AS INTEGER)"
#define NAP_LEAST_MS 1
#define NAP_MOST_MS 64 /* without news of the file; with them it begins at the least again */
#define TRIM_EVERY_US 1000000
#define TRIM_ROWS 2000
#define TRIM_LOCK_MS 20

struct layout { /* of one captured table */
    int tab;
    const struct gw_collection *collection; /* NULL: not planned */
    size_t column_count, old_count;
    int *columns, *old; /* place in the collection, -1: not planned */
};

struct logged { /* a row of the log, out of its snapshot */
    int64_t seq, wall_us;
    int kind;
    const struct layout *layout;
    const char *same, *text;
    size_t value_count;
    struct gw_value *values;
};

struct gw_stream {
    struct gw_lite_conn *conn;
    const struct gw_schema *schema;
    sqlite3_stmt *page_query;
    struct layout *layouts;
    size_t layout_count, width;
    char life[32];
    int64_t cookie; /* of the definitions when they were looked at last */
    int lock_fd;    /* while it is bound nobody else reads this log */
    int notify_fd;  /* tells of writes to the WAL; -1: not to be had */
    int64_t at;     /* next seq to hand out */
    int64_t until;  /* newest seq of the snapshot that is being handed out, and on disk; < at: none */
    int64_t told;   /* all before it was handed out as COMMIT or PROGRESS */
    bool inside;    /* BEGIN was handed out */
    bool ours;
    uint64_t transaction;
    int64_t wall_us;
    struct gw_arena page_arena, row_arena;
    struct logged *page;
    size_t page_count, page_at;
    char **amiss; /* tables of which something is to be told, as SCHEMA */
    size_t amiss_count;
    struct gw_buf schema_text;
    int64_t acknowledged, trimmed, trimmed_us;
    int64_t before_us; /* when the row before `at` was written, by which it is known again; 0: none was handed out */
    int nap_ms;
};

/* ---- one reader ------------------------------------------------------------------------------------------------ */

/* A name that the kernel forgets with the process: nothing stays behind, and nothing has to be mended. */
static bool take_log(struct gw_stream *stream, struct gw_error *err)
{
    const struct gw_store *base = &stream->conn->store->base;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int len = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "godwit-log-%s", base->identity.server);
    stream->lock_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (stream->lock_fd < 0)
        return gw_fail_errno(err, errno, "a socket to lock the log of %s", base->identity.address);
    if (bind(stream->lock_fd, (struct sockaddr *)&address, (socklen_t)(sizeof address.sun_family + 1 + (size_t)len)) ==
        0)
        return true;
    if (errno != EADDRINUSE)
        return gw_fail_errno(err, errno, "locking the log of %s", base->identity.address);
    gw_fail(err, GW_ERR_CONFLICT, "another process reads the log of %s", base->identity.address);
    return gw_error_hint(err, "godwit status shows the runner; there can be one");
}

/* ---- layouts --------------------------------------------------------------------------------------------------- */

static int *places_of(const struct gw_collection *collection, const char *json, size_t *count)
{
    json_t *names = json_loads(json, 0, NULL);
    *count = names ? json_array_size(names) : 0;
    int *places = gw_calloc(*count + 1, sizeof *places);
    for (size_t i = 0; i < *count; i++) {
        const char *name = json_string_value(json_array_get(names, i));
        places[i] = -1;
        for (size_t c = 0; collection && name && c < collection->column_count; c++)
            if (strcmp(collection->columns[c].name, name) == 0)
                places[i] = (int)c;
    }
    json_decref(names);
    return places;
}

static void forget_layouts(struct gw_stream *stream)
{
    for (size_t i = 0; i < stream->layout_count; i++) {
        free(stream->layouts[i].columns);
        free(stream->layouts[i].old);
    }
    free(stream->layouts);
    stream->layouts = NULL;
    stream->layout_count = 0;
}

static bool load_layouts(struct gw_stream *stream, struct gw_error *err)
{
    gw_autostmt sqlite3_stmt *statement = NULL;
    size_t capacity = 0;
    bool row = false;
    forget_layouts(stream);
    if (!gw_lite_prepare(stream->conn, "SELECT tab, name, columns, old FROM main.godwit_captured", &statement, err))
        return false;
    for (;;) {
        if (!gw_lite_step(stream->conn, statement, &row, err))
            return false;
        if (!row)
            break;
        stream->layouts = gw_grow(stream->layouts, &capacity, stream->layout_count, sizeof *stream->layouts);
        struct layout *layout = &stream->layouts[stream->layout_count++];
        *layout = (struct layout){.tab = sqlite3_column_int(statement, 0),
                                  .collection = gw_schema_find(stream->schema, "", gw_lite_column(statement, 1))};
        layout->columns = places_of(layout->collection, gw_lite_column(statement, 2), &layout->column_count);
        layout->old = places_of(layout->collection, gw_lite_column(statement, 3), &layout->old_count);
    }
    int64_t columns = 0;
    if (!gw_lite_int(stream->conn, "SELECT count(*) - 5 FROM pragma_table_info('godwit_log')", &columns, NULL, err))
        return false;
    stream->width = (size_t)columns;
    gw_lite_finalize(&stream->page_query);
    return gw_lite_prepare(stream->conn,
                           "SELECT " WRITTEN_US ", * FROM main.godwit_log WHERE seq >= ?1"
                           " AND seq <= ?2 ORDER BY seq LIMIT 512",
                           &stream->page_query, err);
}

static const struct layout *layout_of(const struct gw_stream *stream, int tab)
{
    for (size_t i = 0; i < stream->layout_count; i++)
        if (stream->layouts[i].tab == tab)
            return &stream->layouts[i];
    return NULL;
}

/* ---- is everything captured? ------------------------------------------------------------------------------------- */

static void tell_amiss(struct gw_stream *stream, const char *name)
{
    stream->amiss = gw_realloc(stream->amiss, (stream->amiss_count + 1) * sizeof *stream->amiss);
    stream->amiss[stream->amiss_count++] = gw_strdup(name);
}

/* Something was defined: is every table still captured? */
static bool look_at_definitions(struct gw_stream *stream, struct gw_error *err)
{
    for (size_t i = 0; i < stream->schema->count; i++) {
        const struct gw_collection *collection = &stream->schema->collections[i];
        gw_autobuf struct gw_buf why = {0};
        if (!gw_lite_capture_amiss(stream->conn, collection->name, &why, err))
            return false;
        if (why.len > 0)
            tell_amiss(stream, collection->name);
    }
    return load_layouts(stream, err);
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static bool lost(const struct gw_stream *stream, const struct gw_position *from, const char *why, struct gw_error *err)
{
    gw_fail(err, GW_ERR_LOST_POSITION, "the log of %s no longer holds what follows %s: %s", stream->conn->store->path,
            from->order > 0 ? from->text : "its beginning", why);
    gw_error_hint(err, "changes of this side are missing for good. Before the switch: godwit abort, then godwit copy."
                       " After it the way back is over: godwit finish --now --no-archive");
    return gw_error_place(err, "%s", gw_side_name(stream->conn->store->base.side));
}

/* Behind the row that was handed out last, told by when it was written: numbers alone come again in a file that was restored
 * to an earlier state and written on. */
static void place_of(const struct gw_stream *stream, struct gw_position *out)
{
    gw_lite_position(stream->at, out);
    if (stream->before_us)
        snprintf(out->text, sizeof out->text, "%lld at=%lld", (long long)stream->at, (long long)stream->before_us);
}

static bool check_before(struct gw_stream *stream, const struct gw_position *from, struct gw_error *err)
{
    gw_autobuf struct gw_buf sql = {0};
    int64_t written_us = 0;
    if (!stream->before_us)
        return true;
    gw_buf_addf(&sql, "SELECT " WRITTEN_US " FROM main.godwit_log WHERE seq = %lld", (long long)stream->at - 1);
    if (!gw_lite_int(stream->conn, gw_buf_text(&sql), &written_us, NULL, err))
        return false;
    return written_us == stream->before_us ||
           lost(stream, from, "the file is another one, or was restored to an earlier state", err);
}

static bool find_place(struct gw_stream *stream, const struct gw_position *from, struct gw_error *err)
{
    int64_t start = 0, newest = 0;
    if (!gw_lite_has_table(stream->conn, "godwit_capture") || !gw_lite_has_table(stream->conn, "godwit_log"))
        return lost(stream, from, "it was dropped", err);
    if (!gw_lite_int(stream->conn, "SELECT start FROM main.godwit_capture", &start, NULL, err) ||
        !gw_lite_int(stream->conn, "SELECT trimmed FROM main.godwit_capture", &stream->trimmed, NULL, err) ||
        !gw_lite_newest(stream->conn, &newest, err))
        return false;
    const char *written = from->order > 0 ? strstr(from->text, " at=") : NULL;
    stream->at = from->order > 0 ? (int64_t)from->order : start;
    stream->told = stream->at;
    stream->before_us = written ? strtoll(written + strlen(" at="), NULL, 10) : 0;
    if (stream->at < stream->trimmed)
        return lost(stream, from, "it was trimmed", err);
    if (stream->at > newest + 1)
        return lost(stream, from, "the file is another one, or was restored to an earlier state", err);
    return check_before(stream, from, err) && look_at_definitions(stream, err) &&
           gw_lite_int(stream->conn, "PRAGMA main.schema_version", &stream->cookie, NULL, err);
}

static void watch(struct gw_stream *stream)
{
    gw_autofree char *wal = gw_asprintf("%s-wal", stream->conn->store->path);
    stream->notify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (stream->notify_fd >= 0 && inotify_add_watch(stream->notify_fd, wal, IN_MODIFY) < 0) {
        close(stream->notify_fd);
        stream->notify_fd = -1;
    }
}

static void changes_close(struct gw_stream *stream)
{
    if (!stream)
        return;
    gw_lite_finalize(&stream->page_query);
    gw_lite_disconnect(stream->conn);
    forget_layouts(stream);
    for (size_t i = 0; i < stream->amiss_count; i++)
        free(stream->amiss[i]);
    free(stream->amiss);
    free(stream->page);
    gw_arena_release(&stream->page_arena);
    gw_arena_release(&stream->row_arena);
    gw_buf_release(&stream->schema_text);
    if (stream->lock_fd >= 0)
        close(stream->lock_fd);
    if (stream->notify_fd >= 0)
        close(stream->notify_fd);
    free(stream);
}

static bool changes_open(struct gw_store *base, const struct gw_schema *schema, const struct gw_position *from,
                         struct gw_stream **out, struct gw_error *err)
{
    struct gw_stream *stream = gw_zalloc(sizeof *stream);
    stream->schema = schema;
    stream->lock_fd = stream->notify_fd = -1;
    stream->nap_ms = NAP_LEAST_MS;
    if (!gw_lite_connect(gw_lite_store_of(base), false, &stream->conn, err) || !find_place(stream, from, err) ||
        !take_log(stream, err)) {
        changes_close(stream);
        return false;
    }
    stream->until = stream->at - 1;
    stream->acknowledged = stream->trimmed;
    watch(stream);
    *out = stream;
    return true;
}

/* ---- rows of the log ------------------------------------------------------------------------------------------- */

static void take_row(struct gw_stream *stream, sqlite3_stmt *q, struct logged *logged)
{
    *logged = (struct logged){.wall_us = sqlite3_column_int64(q, 0),
                              .seq = sqlite3_column_int64(q, 1),
                              .kind = sqlite3_column_int(q, 3),
                              .layout = layout_of(stream, sqlite3_column_int(q, 4)),
                              .same = gw_arena_strdup(&stream->page_arena, gw_lite_column(q, 5))};
    size_t wanted = logged->layout ? logged->layout->column_count + logged->layout->old_count : 0;
    if (logged->kind == GW_LITE_LOG_INSERT && logged->layout)
        wanted = logged->layout->column_count;
    else if (logged->kind == GW_LITE_LOG_DELETE && logged->layout)
        wanted = logged->layout->old_count;
    logged->value_count = wanted < stream->width ? wanted : stream->width;
    logged->values = gw_arena_alloc(&stream->page_arena, (logged->value_count + 1) * sizeof *logged->values);
    for (size_t v = 0; v < logged->value_count; v++)
        logged->values[v] = gw_lite_value_of(q, 6 + (int)v, &stream->page_arena);
    if (logged->kind == GW_LITE_LOG_SIGNAL)
        logged->text = gw_arena_strdup(&stream->page_arena, gw_lite_column(q, 6));
}

/* The next rows of the log, in a snapshot of their own. Their numbers have no gaps: where one is missing, somebody took
 * it. */
static bool read_page(struct gw_stream *stream, struct gw_error *err)
{
    sqlite3_stmt *q = stream->page_query;
    bool row = true, whole = true;
    gw_arena_reset(&stream->page_arena);
    if (!stream->page)
        stream->page = gw_calloc(PAGE_ROWS, sizeof *stream->page);
    stream->page_count = stream->page_at = 0;
    sqlite3_bind_int64(q, 1, stream->at);
    sqlite3_bind_int64(q, 2, stream->until);
    while (row && stream->page_count < PAGE_ROWS && stream->page_arena.used_bytes < PAGE_BYTES) {
        if (!gw_lite_step(stream->conn, q, &row, err))
            return false;
        if (!row)
            break;
        struct logged *logged = &stream->page[stream->page_count];
        take_row(stream, q, logged);
        whole = whole && logged->seq == stream->at + (int64_t)stream->page_count;
        stream->page_count++;
    }
    sqlite3_reset(q); /* gives the snapshot back */
    if (whole && stream->page_count > 0 && (row || stream->page[stream->page_count - 1].seq == stream->until))
        return true;
    struct gw_position at;
    gw_lite_position(stream->at, &at);
    return lost(stream, &at, "rows of godwit_log were removed", err);
}

/* Its values as a row of the collection: `from` on, in the layout's order. */
static struct gw_row row_of(struct gw_stream *stream, const struct logged *logged, size_t from, size_t count,
                            const int *places, enum gw_value_kind others)
{
    size_t columns = logged->layout->collection->column_count;
    struct gw_value *values = gw_arena_alloc(&stream->row_arena, (columns + 1) * sizeof *values);
    for (size_t c = 0; c < columns; c++)
        values[c] = (struct gw_value){.kind = others};
    for (size_t i = 0; i < count && from + i < logged->value_count; i++)
        if (places[i] >= 0)
            values[places[i]] = logged->values[from + i];
    return (struct gw_row){.count = (uint32_t)columns, .values = values};
}

static void mark_same(const struct logged *logged, struct gw_row *row)
{
    for (const char *at = logged->same; *at;) {
        char *end = NULL;
        unsigned long place = strtoul(at, &end, 10);
        if (end == at)
            return;
        if (place < logged->layout->column_count && logged->layout->columns[place] >= 0)
            row->values[logged->layout->columns[place]].kind = GW_VALUE_UNCHANGED;
        at = *end == ',' ? end + 1 : end;
    }
}

static bool key_moved(const struct gw_collection *collection, const struct gw_row *old, const struct gw_row *row)
{
    for (size_t i = 0; i < collection->key_count; i++)
        if (!gw_value_equal(&old->values[collection->key[i]], &row->values[collection->key[i]]))
            return true;
    return collection->key_count == 0;
}

static void row_change(struct gw_stream *stream, const struct logged *logged, struct gw_change *change)
{
    const struct layout *layout = logged->layout;
    enum gw_value_kind others = layout->collection->key_count > 0 ? GW_VALUE_ABSENT : GW_VALUE_NULL;
    *change = (struct gw_change){.collection = layout->collection->id, .transaction = (uint64_t)logged->seq};
    if (logged->kind == GW_LITE_LOG_DELETE) {
        change->kind = GW_CHANGE_DELETE;
        change->old = row_of(stream, logged, 0, layout->old_count, layout->old, others);
        return;
    }
    change->row = row_of(stream, logged, 0, layout->column_count, layout->columns, GW_VALUE_NULL);
    change->kind = GW_CHANGE_INSERT;
    if (logged->kind == GW_LITE_LOG_INSERT)
        return;
    change->kind = GW_CHANGE_UPDATE;
    mark_same(logged, &change->row);
    change->old = row_of(stream, logged, layout->column_count, layout->old_count, layout->old, others);
    if (!key_moved(layout->collection, &change->old, &change->row))
        change->old = (struct gw_row){0};
}

/* ---- handing out ----------------------------------------------------------------------------------------------- */

static void hand_out_commit(struct gw_stream *stream, struct gw_change *change)
{
    stream->inside = false;
    stream->told = stream->at;
    *change = (struct gw_change){.kind = GW_CHANGE_COMMIT,
                                 .transaction = stream->transaction,
                                 .commit_wall_us = stream->wall_us,
                                 .age_us = gw_wall_us() - stream->wall_us};
    if (change->age_us < 0)
        change->age_us = 0;
    place_of(stream, &change->position);
}

static void hand_out_begin(struct gw_stream *stream, const struct logged *logged, struct gw_change *change)
{
    stream->inside = true;
    stream->ours = logged->kind == GW_LITE_LOG_OURS;
    stream->transaction = (uint64_t)logged->seq;
    stream->wall_us = logged->wall_us;
    *change = (struct gw_change){.kind = GW_CHANGE_BEGIN,
                                 .transaction = stream->transaction,
                                 .commit_wall_us = logged->wall_us,
                                 .ours = stream->ours};
    gw_lite_position(logged->seq, &change->position);
}

static bool stands_alone(const struct logged *logged)
{
    return logged->kind == GW_LITE_LOG_OURS || logged->kind == GW_LITE_LOG_SIGNAL;
}

static void pass(struct gw_stream *stream, const struct logged *logged)
{
    stream->page_at++;
    stream->at = logged->seq + 1;
    stream->before_us = logged->wall_us;
}

/* The next event of the snapshot at hand; *got false: it is at its end. */
static bool next_of_snapshot(struct gw_stream *stream, struct gw_change *change, bool *got, struct gw_error *err)
{
    *got = true;
    for (;;) {
        if (stream->at > stream->until) {
            *got = stream->inside;
            if (stream->inside)
                hand_out_commit(stream, change);
            return true;
        }
        if (stream->page_at >= stream->page_count && !read_page(stream, err))
            return false;
        const struct logged *logged = &stream->page[stream->page_at];
        bool wanted = stands_alone(logged) || (logged->layout && logged->layout->collection);
        if (!wanted) {
            pass(stream, logged);
            continue;
        }
        /* Ours and signals are transactions of one row. Between other rows no end can be seen: what one snapshot saw is
         * one transaction, with as many numbers as rows. */
        bool alone = stream->inside && (stream->ours || stands_alone(logged));
        if (alone && stream->transaction != (uint64_t)logged->seq) {
            hand_out_commit(stream, change);
            return true;
        }
        if (!stream->inside) {
            hand_out_begin(stream, logged, change);
            return true;
        }
        pass(stream, logged);
        stream->wall_us = logged->wall_us;
        GW_CRASH_POINT("lite.stream.row");
        if (logged->kind == GW_LITE_LOG_OURS)
            continue;
        gw_arena_reset(&stream->row_arena);
        if (logged->kind == GW_LITE_LOG_SIGNAL)
            *change = (struct gw_change){
                .kind = GW_CHANGE_SIGNAL, .transaction = (uint64_t)logged->seq, .text = logged->text};
        else
            row_change(stream, logged, change);
        return true;
    }
}

/* ---- definitions ----------------------------------------------------------------------------------------------- */

static void hand_out_schema(struct gw_stream *stream, struct gw_change *change)
{
    char *name = stream->amiss[--stream->amiss_count];
    const struct gw_collection *collection = gw_schema_find(stream->schema, "", name);
    gw_buf_clear(&stream->schema_text);
    gw_buf_addf(&stream->schema_text,
                "table %s is gone, was made anew, or lost the triggers that capture it: changes since are not known",
                name);
    free(name);
    *change = (struct gw_change){.kind = GW_CHANGE_SCHEMA,
                                 .collection = collection ? collection->id : 0,
                                 .text = gw_buf_text(&stream->schema_text)};
    place_of(stream, &change->position);
}

/* ---- news ------------------------------------------------------------------------------------------------------ */

/* What is visible now, once it is on disk: else a power cut could take it back from the application after the other side
 * has it. (An application with synchronous=NORMAL does not sync its commits; we do before we hand them out.) */
static bool look(struct gw_stream *stream, bool *news, struct gw_error *err)
{
    int64_t newest = 0, cookie = 0;
    *news = false;
    bool ok = gw_lite_check_place(stream->conn, err) && gw_lite_exec(stream->conn, "BEGIN", err) &&
              (gw_lite_has_table(stream->conn, "godwit_log") ||
               gw_fail(err, GW_ERR_LOST_POSITION, "the log of %s was dropped", stream->conn->store->path)) &&
              gw_lite_newest(stream->conn, &newest, err) &&
              gw_lite_int(stream->conn, "PRAGMA main.schema_version", &cookie, NULL, err);
    if (ok && cookie != stream->cookie)
        ok = look_at_definitions(stream, err);
    if (ok && newest != stream->at - 1) {
        struct gw_position at;
        place_of(stream, &at);
        ok = check_before(stream, &at, err);
    }
    gw_lite_rollback(stream->conn);
    if (!ok)
        return false;
    stream->cookie = cookie;
    if (newest <= stream->until)
        return true;
    if (!gw_lite_sync(stream->conn->store, err))
        return false;
    stream->until = newest;
    stream->page_count = stream->page_at = 0;
    *news = true;
    return true;
}

/* Sleeps until the WAL is written to, or a little. */
static bool nap(struct gw_stream *stream, int64_t deadline_us, struct gw_error *err)
{
    struct gw_cancel *cancel = stream->conn->store->cancel, *own = gw_cancel_own();
    int left_ms = gw_left_ms(deadline_us), wait_ms = left_ms < stream->nap_ms ? left_ms : stream->nap_ms;
    struct pollfd fds[3] = {{.fd = stream->notify_fd, .events = POLLIN},
                            {.fd = cancel ? cancel->fd : -1, .events = POLLIN},
                            {.fd = own ? own->fd : -1, .events = POLLIN}};
    int ready = poll(fds, 3, wait_ms);
    char room[4096];
    bool written = ready > 0 && fds[0].revents;
    while (written && read(stream->notify_fd, room, sizeof room) > 0)
        ;
    /* The last write comes before the commit is visible: look again soon. */
    stream->nap_ms = written ? NAP_LEAST_MS : stream->nap_ms * 2 < NAP_MOST_MS ? stream->nap_ms * 2 : NAP_MOST_MS;
    if (gw_cancel_asked(cancel))
        return gw_cancel_fail(cancel, err);
    if (gw_cancel_asked(own))
        return gw_cancel_fail(own, err);
    return true;
}

/* ---- trimming -------------------------------------------------------------------------------------------------- */

/* The row before the place stays: by it the place is known again. */
static bool trim_some(struct gw_lite_conn *conn, int64_t from, int64_t until, struct gw_error *err)
{
    return gw_lite_begin_write(conn, err) &&
           gw_lite_execf(conn, err,
                         "DELETE FROM main.godwit_log WHERE seq < %lld AND seq < (SELECT max(seq) FROM"
                         " main.godwit_log)",
                         (long long)until - 1) &&
           gw_lite_execf(conn, err, "UPDATE main.godwit_capture SET trimmed = %lld WHERE trimmed < %lld",
                         (long long)until, (long long)until) &&
           /* Between statements of the application nothing that was noted means anything. */
           gw_lite_exec(conn, "DELETE FROM main.godwit_replaced", err) && gw_lite_exec(conn, "COMMIT", err) &&
           from <= until;
}

/* A guest takes the write lock for some milliseconds, and not at all when somebody else wants it. */
static bool trim_if_due(struct gw_stream *stream, struct gw_error *err)
{
    if (stream->acknowledged <= stream->trimmed || gw_mono_us() - stream->trimmed_us < TRIM_EVERY_US)
        return true;
    struct gw_lite_conn *conn = stream->conn;
    bool ok = true;
    conn->lock_ms = TRIM_LOCK_MS;
    for (int i = 0; ok && i < 8 && stream->trimmed < stream->acknowledged; i++) {
        int64_t until =
            stream->trimmed + TRIM_ROWS < stream->acknowledged ? stream->trimmed + TRIM_ROWS : stream->acknowledged;
        ok = trim_some(conn, stream->trimmed, until, err);
        gw_lite_rollback(conn);
        if (ok)
            stream->trimmed = until;
    }
    conn->lock_ms = GW_LITE_LOCK_MS;
    if (ok && stream->trimmed < stream->acknowledged)
        return true; /* more at the next call */
    stream->trimmed_us = gw_mono_us();
    return ok || err->kind == GW_ERR_RETRY;
}

static bool changes_acknowledge(struct gw_stream *stream, const struct gw_position *position, struct gw_error *err)
{
    (void)err;
    if ((int64_t)position->order > stream->acknowledged && (int64_t)position->order <= stream->told)
        stream->acknowledged = (int64_t)position->order;
    return true;
}

/* ---- next ------------------------------------------------------------------------------------------------------ */

static bool changes_next(struct gw_stream *stream, int timeout_ms, struct gw_change *change, bool *got,
                         struct gw_error *err)
{
    int64_t deadline_us = gw_mono_us() + (int64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000;
    for (;;) {
        bool news = false;
        if (!next_of_snapshot(stream, change, got, err))
            return false;
        if (*got)
            return true;
        if (stream->amiss_count > 0) {
            hand_out_schema(stream, change);
            *got = true;
            return true;
        }
        if (stream->at > stream->told) { /* rows of tables that are not planned */
            stream->told = stream->at;
            *change = (struct gw_change){.kind = GW_CHANGE_PROGRESS};
            place_of(stream, &change->position);
            *got = true;
            return true;
        }
        if (!trim_if_due(stream, err) || !look(stream, &news, err))
            return false;
        if (news) {
            stream->nap_ms = NAP_LEAST_MS;
            continue;
        }
        if (gw_left_ms(deadline_us) == 0)
            return true;
        if (!nap(stream, deadline_us, err))
            return false;
    }
}

/* ---- small ones ------------------------------------------------------------------------------------------------ */

static bool changes_settled(struct gw_store *base, const char *barrier, bool *settled, struct gw_buf *who,
                            struct gw_error *err)
{
    (void)base;
    (void)barrier;
    (void)who;
    (void)err;
    *settled = true;
    return true;
}

static bool changes_horizon(struct gw_store *base, struct gw_position *out, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    int64_t newest = 0;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = gw_lite_newest(conn, &newest, err);
    gw_lite_return(conn);
    if (ok)
        gw_lite_position(newest + 1, out);
    return ok;
}

static bool changes_signal(struct gw_store *base, const char *token, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    bool ok = gw_lite_begin_write(conn, err);
    if (ok && !gw_lite_has_table(conn, "godwit_log"))
        ok = gw_fail(err, GW_ERR_CONFLICT, "nothing is captured in %s: there is no log to write a signal to",
                     base->identity.address);
    ok = ok && gw_lite_log(conn, GW_LITE_LOG_SIGNAL, token, err) && gw_lite_exec(conn, "COMMIT", err);
    gw_lite_return(conn);
    return ok;
}

static bool changes_seen(struct gw_store *base, const char *token, bool *seen, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    gw_autobuf struct gw_buf sql = {0};
    int64_t one = 0;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    gw_buf_adds(&sql, "SELECT 1 FROM main.godwit_seen WHERE token = ");
    gw_lite_add_literal(&sql, token);
    *seen = false;
    bool ok = !gw_lite_has_table(conn, "godwit_seen") || gw_lite_int(conn, gw_buf_text(&sql), &one, seen, err);
    gw_lite_return(conn);
    return ok;
}

/* Bytes are not known without counting pages: a row of the log is estimated. */
static bool changes_retained(struct gw_store *base, struct gw_retained *out, struct gw_error *err)
{
    struct gw_lite_conn *conn = NULL;
    int64_t newest = 0, trimmed = 0;
    if (!gw_lite_borrow(gw_lite_store_of(base), &conn, err))
        return false;
    *out = (struct gw_retained){.bytes = -1, .limit_bytes = -1};
    out->lost = !gw_lite_has_table(conn, "godwit_log") || !gw_lite_has_table(conn, "godwit_capture");
    bool ok = out->lost || (gw_lite_newest(conn, &newest, err) &&
                            gw_lite_int(conn, "SELECT trimmed FROM main.godwit_capture", &trimmed, NULL, err));
    gw_lite_return(conn);
    if (ok && !out->lost)
        out->bytes = newest + 1 > trimmed ? (newest + 1 - trimmed) * 200 : 0;
    return ok;
}

const struct gw_changes_facet gw_lite_changes = {
    .prepare = gw_lite_prepare_capture,
    .settled = changes_settled,
    .open = changes_open,
    .close = changes_close,
    .next = changes_next,
    .acknowledge = changes_acknowledge,
    .horizon = changes_horizon,
    .signal = changes_signal,
    .seen = changes_seen,
    .retained = changes_retained,
    .drop = gw_lite_drop_capture,
    .locate = gw_lite_locate,
};
